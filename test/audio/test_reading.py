"""Reading audio: channels that cancel, impossible rates, what is no file, lengths that a data dir knows."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny import RATE, hiss, speech_dir, write_wav

from trnet.audio.crop import read_clip
from trnet.audio.decoding import open_sound
from trnet.audio.reading import inspect_audio, read_audio
from trnet.deploy.recording import from_file, from_samples
from trnet.kaldi.data_dir import Clip, DataDir, write_table
from trnet.utils.errors import TrnetError

X = hiss(1, 16000)


def stereo(path: Path, *channels: np.ndarray, rate: int = RATE) -> Path:
    write_wav(path, np.stack(channels, axis=1), rate)
    return path


@pytest.mark.parametrize("channels", [(X, -X), (X, -0.999 * X), (X, -X + hiss(2, 16000, 0.005)), (X, X, -2 * X)])
def test_channels_that_cancel_are_refused_and_one_of_them_is_taken_on_request(tmp_path, channels):
    path = stereo(tmp_path / "a.wav", *channels)
    for read in (read_audio, lambda path, rate: list(from_file(path).open()[2])):
        with pytest.raises(TrnetError, match=r"a.wav: its \d channels cancel, .*--channel 0"):
            read(path, RATE)
    with pytest.raises(TrnetError, match=r"wav: its \d channels cancel"):
        list(from_samples(np.stack(channels, axis=1), RATE).open()[2])
    for number, samples in enumerate(channels):
        assert np.array_equal(read_audio(path, RATE, channel=number), samples.astype(np.float32))
        (block,) = from_file(path, channel=number).open()[2]
        assert np.array_equal(block, samples.astype(np.float32))


@pytest.mark.parametrize(
    "channels",
    [
        (X, X),
        (X, 0.5 * X),
        (X, hiss(2, 16000)),  # without anything in common: 3 dB are lost
        (X, np.zeros_like(X)),
        (X, -0.5 * X),
        tuple(hiss(key, 16000) for key in range(64)),  # 18 dB
        (X, *(np.zeros_like(X) for _ in range(31))),
        (1e-9 * X, -1e-9 * X + 1e-10),
        (np.zeros_like(X), np.zeros_like(X)),
    ],
)
def test_channels_that_differ_are_averaged(tmp_path, channels):
    path = stereo(tmp_path / "a.wav", *channels)
    expected = np.stack(channels, axis=1).astype(np.float32).mean(axis=1)
    assert np.array_equal(read_audio(path, RATE), expected)


def test_channels_may_cancel_in_a_part_of_a_recording(tmp_path):
    """The rule is about the whole: of half an hour of interview, one minute without anything in the middle passes."""
    path = stereo(tmp_path / "a.wav", np.tile(X, 40), np.concatenate([-X, np.tile(X, 39)]))
    assert len(read_audio(path, RATE)) == 40 * len(X)


def test_a_channel_that_is_not_there_is_refused_but_mono_has_only_one(tmp_path):
    two, one = stereo(tmp_path / "two.wav", X, 0.5 * X), Path(write_wav(tmp_path / "one.wav", X))
    with pytest.raises(TrnetError, match=r"two.wav: has no channel 2, it has 0 to 1"):
        read_audio(two, RATE, channel=2)
    assert np.array_equal(read_audio(one, RATE, channel=2), X)


def riff_at(rate: int) -> bytes:
    form = b"\x10\0\0\0\1\0\1\0" + rate.to_bytes(4, "little") + bytes(4) + b"\2\0\x10\0"
    return b"RIFF$\xfa\0\0WAVEfmt " + form + b"data\0\xfa\0\0" + bytes(64000)


@pytest.mark.parametrize("rate", [1, 999, 1_000_001, 2**31 - 1])
def test_a_rate_that_no_recording_has_is_refused_before_anything_is_computed(tmp_path, rate):
    (tmp_path / "a.wav").write_bytes(riff_at(rate))
    for read in (inspect_audio, open_sound, lambda path: from_file(path).open()):
        with pytest.raises(TrnetError, match=f"a.wav: states {rate} Hz"):
            read(tmp_path / "a.wav")


@pytest.mark.parametrize("rate", [1000, 192_000, 1_000_000])
def test_rates_of_recordings_are_resampled(tmp_path, rate):
    write_wav(tmp_path / "a.wav", hiss(1, rate // 10), rate)
    assert len(read_audio(tmp_path / "a.wav", RATE)) == RATE // 10


def test_pipes_devices_folders_and_dead_links_are_named_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    (tmp_path / "dead.wav").symlink_to(tmp_path / "gone")
    (tmp_path / "folder.wav").mkdir()
    for name, message in (
        ("fifo.wav", "is a pipe or device"),
        ("zero.wav", "is a pipe or device"),
        ("dead.wav", "is a link to nothing"),
        ("folder.wav", "is a folder"),
        ("none.wav", "no such file"),
    ):
        with pytest.raises(TrnetError, match=f"{name}: {message}"):
            read_audio(tmp_path / name, RATE)


def test_a_file_of_no_bytes_is_called_empty(tmp_path):
    (tmp_path / "a.wav").touch()
    with pytest.raises(TrnetError, match=r"a.wav: is empty \(0 bytes\); replace the file"):
        read_audio(tmp_path / "a.wav", RATE)


@pytest.mark.parametrize("suffix", [".m4a", ".WMA", ".webm"])
def test_what_libsndfile_does_not_read_is_told_how_to_convert(tmp_path, suffix):
    (tmp_path / f"my talk{suffix}").write_bytes(b"\0\0\0\x1cftypM4A ")
    with pytest.raises(TrnetError, match=f"convert it: ffmpeg -i '.*my talk{suffix}' '.*my talk.wav'"):
        read_audio(tmp_path / f"my talk{suffix}", RATE)


@pytest.fixture
def data(tmp_path) -> DataDir:
    """Two utterances of one second."""
    return speech_dir(tmp_path / "data", "tiny", {"A-neu_1": X, "A-neu_2": hiss(2, 16000)})


def test_an_utterance_that_is_not_as_long_as_utt2dur_says_is_refused(data):
    path = data.clip("A-neu_1").path
    assert len(read_clip(data.clip("A-neu_1"), RATE)) == 16000
    for samples in (15998, 8000, 17000):
        write_wav(path, np.resize(X, samples))  # whole, and another recording
        with pytest.raises(TrnetError, match=f"A-neu_1: {path} lasts .* utt2dur says 1 s"):
            read_clip(data.clip("A-neu_1"), RATE)
    path.write_bytes(path.read_bytes()[:30000])
    with pytest.raises(TrnetError, match="A-neu_1.wav: holds .* bytes that its header states"):
        read_clip(data.clip("A-neu_1"), RATE)


@pytest.mark.parametrize("lasts", ["1", "1.0", "0.98", "0.9999", "1.00006"])
def test_utt2dur_of_other_tools_is_rounded_or_counts_frames(data, lasts):
    write_table(data.path / "utt2dur", {"A-neu_1": lasts, "A-neu_2": "1"})
    assert len(read_clip(DataDir(data.path).clip("A-neu_1"), RATE)) == 16000


@pytest.mark.parametrize("lasts", ["nan", "inf", "1e12", "long", "-1", "1.5", "1.004", "0.9"])
def test_utt2dur_that_cannot_be_is_refused(data, lasts):
    write_table(data.path / "utt2dur", {"A-neu_1": lasts, "A-neu_2": "1"})
    with pytest.raises(TrnetError, match="A-neu_1: .*utt2dur"):
        read_clip(DataDir(data.path).clip("A-neu_1"), RATE)


def test_segments_past_the_end_are_refused(tmp_path):
    path = Path(write_wav(tmp_path / "a.wav", X))
    assert len(read_clip(Clip(path, 0.5, 1.0), RATE)) == 8000
    for start, end in ((0.5, 1.1), (1.5, 2.0)):
        with pytest.raises(TrnetError, match="a.wav: ends after 1.00 s"):
            read_clip(Clip(path, start, end), RATE)


def test_reco2channel_says_which_channel_is_read(tmp_path):
    data = speech_dir(tmp_path / "data", "tiny", {"A-neu_1": X, "A-neu_2": X})
    stereo(data.clip("A-neu_1").path, X, -X)
    write_table(data.path / "reco2channel", {"A-neu_1": "1", "A-neu_2": "mean"})
    again = DataDir(data.path)
    assert np.array_equal(read_clip(again.clip("A-neu_1"), RATE), -X)
    assert np.array_equal(read_clip(again.clip("A-neu_2"), RATE), X)
    write_table(data.path / "reco2channel", {"A-neu_1": "left"})
    with pytest.raises(TrnetError, match="reco2channel: A-neu_1: 'left' is no channel"):
        DataDir(data.path).clip("A-neu_1")


def test_long_files_are_decoded_as_soundfile_decodes_them(tmp_path):
    """In blocks; the same numbers, at any length."""
    samples = np.random.default_rng(1).normal(0, 0.1, (300_000, 2)).astype(np.float32)
    for name, subtype in (("a.wav", "FLOAT"), ("a.flac", "PCM_24"), ("a.ogg", "VORBIS")):
        soundfile.write(tmp_path / name, samples, RATE, subtype=subtype)
        whole = soundfile.read(tmp_path / name, dtype="float32")[0].mean(axis=1)
        assert np.array_equal(read_audio(tmp_path / name, RATE), whole)
