"""Noisy sets on disk: SNRs measured on the files, remixed to the sample, taken up where a call stopped."""

import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from mixtures import remix
from tiny import RATE, hiss, noise_dir, speech_dir, write_wav

from trnet.conditions import CLEAN, Condition, noisy_conditions, training_conditions
from trnet.config import Fbank, Simulation
from trnet.kaldi.data_dir import DataDir, read_table
from trnet.kaldi.validate import SPEECH_TABLES, validate_data_dir
from trnet.noise import simulate as module
from trnet.noise.simulate import simulate
from trnet.utils.errors import TrnetError

SHORT = Fbank(max_frames=20)  # 400 + 19 * 160 = 3440 samples
SPAN = 3440
CONF = Simulation(seed=1, snrs=[20.0, 0.0], test_snrs=[-2.5])


def speech() -> dict[str, np.ndarray]:
    """Two speakers; shorter than the span (quiet then loud), as long as it, and longer."""
    quiet = np.concatenate([hiss(1, 1000, 0.001), hiss(2, 1000, 0.3)])
    late = np.concatenate([hiss(3, SPAN, 0.05), hiss(4, 5000, 0.5)])  # the loud part is not heard
    return {"A-ang_1": quiet, "A-neu_2": hiss(5, SPAN), "B-ang_1": late, "B-neu_2": hiss(6, 900)}


def noise() -> dict[str, np.ndarray]:
    """Clips shorter and longer than the span, one half digital silence."""
    half = np.concatenate([hiss(10, 4000), np.zeros(4000, np.float32)])
    return {"dog-1": half, "dog-2": hiss(11, 500), "rain-1": hiss(12, 9000), "sea-1": hiss(13, 700, 0.01)}


@pytest.fixture
def data(tmp_path) -> tuple[DataDir, DataDir]:
    return speech_dir(tmp_path, "clean", speech()), noise_dir(tmp_path, "esc", noise())


def wavs(folder: Path) -> dict[str, bytes]:
    """The samples, bit by bit."""
    return {path.name: soundfile.read(path, dtype="float32")[0].tobytes() for path in (folder / "wav").iterdir()}


@pytest.mark.parametrize("pad", ["none", "repeat"])
def test_files_have_the_snr_on_the_cropped_span_and_are_remixed_to_the_sample(tmp_path, data, pad):
    features = Fbank(max_frames=20, pad=pad)
    folders = simulate(*data, "esc", tmp_path, features, CONF, nj=1)
    assert [folder.name for folder in folders] == ["clean_esc_20db", "clean_esc_0db", "clean_esc_-2.5db"]
    for folder, snr_db in zip(folders, CONF.all_snrs, strict=True):
        noisy = DataDir(folder)
        assert len(noisy.utts) == 4
        for utt, clip in speech().items():
            own = f"{utt}-{folder.name.removeprefix('clean_')}"
            samples, rate = soundfile.read(noisy.clip(own).path, dtype="float32")
            heard = clip[:SPAN] if pad == "none" else np.tile(clip, 4)[:SPAN]
            assert rate == RATE and len(samples) == len(heard) == round(float(noisy["utt2dur"][own]) * RATE)
            added = samples.astype(np.float64) - heard
            snr = 10 * np.log10(np.sum(heard.astype(np.float64) ** 2) / np.sum(added**2))
            assert snr == pytest.approx(snr_db, abs=1e-3)
            assert np.array_equal(remix(noisy, data[0], data[1], own, features), samples)


def test_the_tables_are_those_of_the_speech_with_the_manifest(tmp_path, data):
    folder = simulate(*data, "esc", tmp_path, SHORT, CONF, nj=1)[1]
    noisy = DataDir(folder)
    assert validate_data_dir(folder, SPEECH_TABLES) == []
    assert noisy["utt2clean"]["A-ang_1-esc_0db"] == "A-ang_1"
    assert set(noisy["utt2snr"].values()) == {"0"}
    for name in ("utt2spk", "utt2emo", "utt2group", "text"):
        assert noisy[name] == {f"{utt}-esc_0db": value for utt, value in data[0][name].items()}
    for value in noisy["utt2noise"].values():
        assert re.fullmatch(r"(dog-1|dog-2|rain-1|sea-1) \d+", value)


def test_all_snrs_of_an_utterance_share_clip_and_start_and_groups_share_no_source(tmp_path, data):
    folders = simulate(*data, "esc", tmp_path, SHORT, CONF, nj=1)
    manifests = [sorted(read_table(folder / "utt2noise").items()) for folder in folders]
    assert len({tuple(value for _, value in manifest) for manifest in manifests}) == 1
    sources = {g: {v.split("-")[0] for u, v in manifests[0] if u[0] == g} for g in "AB"}
    assert sources["A"] and sources["B"] and not sources["A"] & sources["B"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_in_two_processes_too_another_seed_other_noise(tmp_path, data, monkeypatch):
    first = simulate(*data, "esc", tmp_path / "1", SHORT, CONF, nj=1)
    one = module.imap
    monkeypatch.setattr(module, "imap", lambda *args, **options: one(*args, **options | {"worth": 1}))
    again = simulate(*data, "esc", tmp_path / "2", SHORT, CONF, nj=2)
    assert [wavs(folder) for folder in first] == [wavs(folder) for folder in again]
    other = simulate(*data, "esc", tmp_path / "3", SHORT, Simulation(seed=2, snrs=CONF.all_snrs), nj=1)
    assert read_table(first[0] / "utt2noise") != read_table(other[0] / "utt2noise")
    assert wavs(first[0]) != wavs(other[0])


def test_files_hold_nothing_of_the_time_they_were_made_at(tmp_path, data):
    """So that the same seed gives the same bytes tomorrow."""
    folder = simulate(*data, "esc", tmp_path, SHORT, CONF, nj=1)[0]
    header = next((folder / "wav").iterdir()).read_bytes()[:200]
    at = header.find(b"PEAK")
    assert at < 0 or header[at + 12 : at + 16] == bytes(4)


def test_a_mixture_above_full_scale_is_kept_as_it_is(tmp_path, capsys):
    data = speech_dir(tmp_path, "loud", {"A-ang_1": np.full(2000, 0.9, np.float32)})
    clips = noise_dir(tmp_path, "esc", {"x-1": np.full(3000, 0.1, np.float32)})
    folder = simulate(data, clips, "esc", tmp_path, SHORT, Simulation(snrs=[0.0]), nj=1)[0]
    samples, _ = soundfile.read(folder / "wav" / "A-ang_1-esc_0db.wav", dtype="float32")
    assert samples == pytest.approx(np.full(2000, 1.8), rel=1e-5)
    assert "1 of 1 utterances peak above full scale" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("speech_level", "noise_level", "names"),
    [(0, 0.1, ["A-ang_1", "speech is silent"]), (0.1, 0, ["x-1", "is silent"])],
)
def test_silence_is_refused_with_its_name_and_place(tmp_path, speech_level, noise_level, names):
    data = speech_dir(tmp_path, "clean", {"A-ang_1": hiss(1, 2000, speech_level)})
    clips = noise_dir(tmp_path, "esc", {"x-1": hiss(2, 2000, noise_level)})
    with pytest.raises(TrnetError) as caught:
        simulate(data, clips, "esc", tmp_path, SHORT, CONF, nj=1)
    assert all(name in str(caught.value) for name in names)
    assert str((data if speech_level == 0 else clips).path) in str(caught.value)


def test_speech_that_is_silent_in_what_is_heard_alone_is_refused(tmp_path):
    late = np.concatenate([np.zeros(SPAN, np.float32), hiss(1, 5000)])
    data = speech_dir(tmp_path, "clean", {"A-ang_1": late})
    with pytest.raises(TrnetError, match="A-ang_1 of .* with noise .*: speech is silent"):
        simulate(data, noise_dir(tmp_path, "esc", {"x-1": hiss(2, 500)}), "esc", tmp_path, SHORT, CONF, nj=1)


def test_a_finished_call_is_not_redone_and_a_changed_one_is(tmp_path, data, capsys):
    folders = simulate(*data, "esc", tmp_path, SHORT, CONF, nj=1)
    times = {path: path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*") if path.is_file()}
    simulate(*data, "esc", tmp_path, SHORT, CONF, nj=1)
    assert times == {path: path.stat().st_mtime_ns for path in times}
    assert capsys.readouterr().out.count("up to date") == 3
    # one more SNR leaves the others alone
    simulate(*data, "esc", tmp_path, SHORT, Simulation(seed=1, snrs=[*CONF.all_snrs, 5.0]), nj=1)
    assert times == {path: path.stat().st_mtime_ns for path in times}
    assert (tmp_path / "clean_esc_5db" / "wav.scp").exists()
    # features that only decide the spectrogram change nothing, another seed everything
    simulate(*data, "esc", tmp_path, Fbank(max_frames=20, num_mel_bins=40), CONF, nj=1)
    assert times == {path: path.stat().st_mtime_ns for path in times}
    capsys.readouterr()
    simulate(*data, "esc", tmp_path, SHORT, Simulation(seed=2, snrs=CONF.all_snrs), nj=1)
    assert capsys.readouterr().out.count("made anew, changed: seed") == 3
    assert not any(path.stat().st_mtime_ns == old for path, old in times.items() if path.suffix == ".wav")


def test_what_is_gone_or_cut_of_a_finished_set_is_made_again(tmp_path, data, capsys):
    folders = simulate(*data, "esc", tmp_path, SHORT, CONF, nj=1)
    before = [wavs(folder) for folder in folders]
    gone, cut, *others = sorted((folders[0] / "wav").iterdir())
    times = {path: path.stat().st_mtime_ns for path in others}
    gone.unlink()
    os.truncate(cut, cut.stat().st_size - 2)
    simulate(*data, "esc", tmp_path, SHORT, CONF, nj=1)
    said = capsys.readouterr().out
    assert f"{folders[0]}: 2 of {len(before[0])} files are gone or cut short" in said and said.count("up to date") == 2
    assert [wavs(folder) for folder in folders] == before
    assert times == {path: path.stat().st_mtime_ns for path in others}


@pytest.mark.parametrize("stop", ["keys", "disk"])
def test_a_stopped_call_leaves_whole_files_alone_and_the_next_goes_on(
    tmp_path, data, stop, monkeypatch, disk_full, partials
):
    """Stopped at the third utterance's first file, by Ctrl-C or by a full disk."""
    expected = [wavs(folder) for folder in simulate(*data, "esc", tmp_path / "whole", SHORT, CONF, nj=1)]
    out, whole, calls = tmp_path / "out", module.write_audio, []

    def write(path, *args):
        calls.append(path)
        if len(calls) == 7 and stop == "keys":
            raise KeyboardInterrupt
        if len(calls) == 7:
            disk_full(path)
        whole(path, *args)

    monkeypatch.setattr(module, "write_audio", write)
    with pytest.raises(KeyboardInterrupt if stop == "keys" else OSError) as caught:
        simulate(*data, "esc", out, SHORT, CONF, nj=1)
    assert stop == "keys" or caught.value.errno == errno.ENOSPC
    left = {path: path.stat().st_mtime_ns for path in out.rglob("*.wav")}
    assert sorted({path.name[:7] for path in left}) == ["A-ang_1", "A-neu_2"] and len(left) == 6
    assert not partials(out) and not list(out.rglob("wav.scp"))
    cut = sorted(left)[:2]
    for path, size in zip(cut, (0, 100), strict=True):  # as a power loss leaves them
        os.truncate(path, size)
        del left[path]
    folders = simulate(*data, "esc", out, SHORT, CONF, nj=1)
    assert [wavs(folder) for folder in folders] == expected
    assert left == {path: path.stat().st_mtime_ns for path in left}
    assert len(calls) == 7 + 6 + len(cut)  # and nothing was written twice


def test_noise_that_is_not_there_is_named(tmp_path, data):
    (tmp_path / "downloads/esc/rain-1.wav").unlink()
    with pytest.raises(TrnetError, match="rain-1.wav"):
        simulate(*data, "esc", tmp_path, SHORT, CONF, nj=1)


def test_speech_of_another_rate_is_mixed_at_the_rate_of_the_features(tmp_path):
    data = speech_dir(tmp_path, "clean", {"A-ang_1": hiss(1, 1600)})
    write_wav(tmp_path / "downloads/clean/A-ang_1.wav", hiss(1, 4800), 48000)
    clips = noise_dir(tmp_path, "esc", {"x-1": hiss(2, 500)})
    folder = simulate(data, clips, "esc", tmp_path, SHORT, Simulation(snrs=[5.0]), nj=1)[0]
    info = soundfile.info(folder / "wav" / "A-ang_1-esc_5db.wav")
    assert (info.samplerate, info.frames, info.subtype) == (16000, 1600, "FLOAT")


def test_training_hears_clean_speech_and_the_matched_noise_alone():
    conditions = training_conditions("esc", [20, 0])
    assert conditions == [CLEAN, Condition("esc", 20), Condition("esc", 0)]
    assert all(condition.noise in (None, "esc") for condition in conditions)


def test_names_of_conditions():
    assert [c.name for c in noisy_conditions(["esc", "musan"], [20, 2.5])] == [
        *("esc_20db", "esc_2.5db", "musan_20db", "musan_2.5db")
    ]
    assert Condition("esc", 5.0).data_name("nemo") == "nemo_esc_5db" and CLEAN.data_name("nemo") == "nemo"
    assert Condition("esc", 5).utt("u1") == "u1-esc_5db" and CLEAN.utt("u1") == "u1"
    with pytest.raises(TrnetError, match="--noises: 'my_noise'"):
        noisy_conditions(["my_noise"], [0])


def test_groups_that_take_the_place_of_utt2group_share_no_source_and_are_part_of_the_stamp(tmp_path, data, capsys):
    speech, noise = data
    groups = {utt: f"g{1 + number % 2:02}" for number, utt in enumerate(speech.utts)}
    folder = simulate(*data, "esc", tmp_path, SHORT, CONF, nj=1, groups=groups)[0]
    noisy = DataDir(folder)
    assert {noisy["utt2clean"][utt]: group for utt, group in noisy["utt2group"].items()} == groups
    sources: dict[str, set[str]] = {}
    for utt, use in noisy["utt2noise"].items():
        sources.setdefault(noisy["utt2group"][utt], set()).add(noise["utt2src"][use.split()[0]])
    assert len(sources) == 2 and not set.intersection(*sources.values())
    capsys.readouterr()
    simulate(*data, "esc", tmp_path, SHORT, CONF, nj=1)
    assert "made anew, changed: groups" in capsys.readouterr().out
