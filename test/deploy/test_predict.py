"""trnet-predict: stage 7's answers to the same audio, any audio else, and what goes wrong, file by file."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from near import ANSWER, assert_near, assert_same_answer
from shared import shared
from tiny import RATE, hiss, tone, write_wav

import trnet
from trnet.audio.reading import read_audio
from trnet.bin import predict
from trnet.conditions import CLEAN
from trnet.deploy import predictor as predicting
from trnet.deploy import recording
from trnet.deploy.frontends import pack_frontend, unpack_frontend
from trnet.deploy.recording import of_file, resampled, windows
from trnet.features.archive import as_archived
from trnet.features.fbank import fbank
from trnet.frontend import build_frontend
from trnet.kaldi.data_dir import DataDir
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole

ROOT = Path(__file__).parents[2]
CLASSES = ["ang", "hap", "neu", "sad"]


@pytest.fixture(scope="session")
def heard(packed) -> trnet.Predictor:
    """The predictor with the front-end none."""
    return trnet.Predictor.from_pretrained(packed.model)


def run(capfd, *args) -> tuple[int, str, str]:
    """Status, stdout and stderr of trnet-predict."""
    capfd.readouterr()
    status = predict.main([str(arg) for arg in args])
    return status, *capfd.readouterr()


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def probabilities_of(row: dict[str, str]) -> dict[str, float]:
    return {cls: float(row[cls]) for cls in CLASSES}


def compare_fold(packed, tmp_path, capfd, *options) -> int:
    """Every answer, probability and c of the whole test fold against stage 7's; how many there are."""
    with open(packed.predictions, newline="") as stream:
        expected = {(row["noise"], row["snr_db"], row["utt_id"]): row for row in csv.DictReader(stream)}
    assert len(expected) == 3 * 8
    compared = 0
    for noise, snr in sorted({key[:2] for key in expected}):
        name = "tiny" if noise == "clean" else f"tiny_{noise}_{float(snr):g}db"
        data = DataDir(packed.tiny.root / "data" / name)
        suffix = "" if noise == "clean" else f"-{noise}_{float(snr):g}db"
        scp = tmp_path / f"{name}.scp"
        utts = [utt for n, s, utt in expected if (n, s) == (noise, snr)]
        scp.write_text("".join(f"{utt} {data.clip(utt + suffix).path}\n" for utt in utts))
        status, out, _ = run(capfd, packed.model, scp, "--format", "csv", *options)
        found = rows_of(out)
        assert status == 0 and [row["file"] for row in found] == utts
        for row in found:
            wanted = expected[noise, snr, row["file"]]
            assert_same_answer(row["emotion"], probabilities_of(row), wanted["pred"], probabilities_of(wanted))
            assert float(row["c"]) == pytest.approx(float(wanted["c"]), abs=ANSWER)
            compared += 1
    return compared


@pytest.mark.parametrize("front_end", ["packed", "packed_gtcrn"])
@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_a_whole_test_fold_is_answered_as_in_stage_7(front_end, engine, tmp_path, capfd, request):
    """In other batches than there; ONNX does not go through the two bytes a value of stage 4."""
    packed = request.getfixturevalue(front_end)
    assert compare_fold(packed, tmp_path, capfd, "--batch-size", "3", "--engine", engine) == 3 * 8


def test_features_are_rounded_as_the_archives_round_them(packed):
    """To 65,535 steps from the least to the largest, the same ones but for features a step apart where they are
    between two."""
    experiment, utt = packed.experiment, packed.experiment.data.utts[0]
    exact = fbank(torch.from_numpy(read_audio(experiment.data.clip(utt).path, RATE)), experiment.config.features)
    rounded = as_archived(exact.numpy(), experiment.config.features)
    archived = experiment.archives.matrix("noisy", utt, CLEAN)
    step = float(exact.max() - exact.min()) / 65535
    assert 0.1 * step < np.abs(rounded - exact.numpy()).max() < 0.6 * step
    assert np.abs(rounded - archived).max() < 1.1 * step
    assert (np.abs(rounded - archived) < 0.1 * step).mean() > 0.9


def test_the_real_gtcrn_comes_back_from_its_file_with_its_weights():
    path = shared("models", "gtcrn", "model_trained_on_dns3.tar")
    frontend = build_frontend({"frontend": "gtcrn", "frontend_conf": {"checkpoint": str(path)}})
    section, weights = pack_frontend(frontend)
    back = unpack_frontend(json.loads(json.dumps(section)), weights, "m.zip")
    wav = torch.from_numpy(hiss(1, 8000))[None]
    assert torch.equal(back.enhance(wav), frontend.enhance(wav)) and str(path.parent) not in json.dumps(section)


@pytest.mark.slow
def test_a_file_is_answered_alike_in_any_batch_format_and_from_python(packed_gtcrn, tmp_path, capfd):
    files = [write_wav(tmp_path / f"{k}.wav", tone(cls, k, 6000 + 900 * k)) for k, cls in enumerate(CLASSES)]
    model = packed_gtcrn.model
    by = ("--engine", "torch")
    alone = [rows_of(run(capfd, model, file, "--format", "csv", *by)[1])[0] for file in files]
    by = ("--batch-size", "4", *by)
    together = rows_of(run(capfd, model, *files, "--format", "csv", *by)[1])
    status, out, err = run(capfd, model, *files, "--format", "jsonl", "--windows", *by)
    said = [json.loads(line) for line in out.splitlines()]
    assert status == 0 and "4 files, 1.8 s of audio in" in err and "real-time factor" in err
    table = run(capfd, model, *files, *by)[1].splitlines()
    assert table[0].split() == ["file", "start", "end", "emotion", "c", *CLASSES] and len(table) == 5
    ours = trnet.Predictor.from_pretrained(model)
    for file, row, object_, line, single in zip(files, together, said, table[1:], alone, strict=True):
        # of the same batch: the same numbers, of as many digits as the format has
        emotion, c, *shown = line.split()[3:]
        assert row["file"] == object_["file"] == line.split()[0] == single["file"] == file
        assert row["emotion"] == object_["emotion"] == emotion
        assert float(row["c"]) == object_["c"] == pytest.approx(float(c), abs=6e-4)
        assert probabilities_of(row) == object_["probabilities"]
        assert list(map(float, shown)) == pytest.approx(list(probabilities_of(row).values()), abs=6e-4)
        # of another batch, by the command and from Python
        answer = ours(*soundfile.read(file, dtype="float32"))
        for found, probabilities, its_c in (
            (single["emotion"], probabilities_of(single), float(single["c"])),
            (answer.emotion, answer.probabilities, answer.c),
        ):
            assert_same_answer(found, probabilities, row["emotion"], probabilities_of(row))
            assert its_c == pytest.approx(object_["c"], abs=ANSWER)
        assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert object_["windows"] == [
            {"start": 0.0, "end": object_["seconds"]}
            | {k: object_["windows"][0][k] for k in ("emotion", "probabilities", "c")}
        ]


def test_a_long_file_is_the_mean_of_its_windows_and_the_first_is_what_stage_7_hears(heard, tmp_path):
    wav = np.concatenate([tone(cls, 3, 50_000) for cls in ("ang", "sad", "hap", "neu")])  # 12.5 s
    answer = heard(wav, RATE)
    assert heard.longest == pytest.approx(5.015)
    assert [(w.start, w.end) for w in answer.windows] == [(0, 5.015), (5.015, 10.03), (pytest.approx(7.485), 12.5)]
    first = heard(wav[: heard.features.span], RATE)
    assert first.windows[0].probabilities == pytest.approx(answer.windows[0].probabilities, abs=ANSWER)
    for cls in CLASSES:
        assert answer.probabilities[cls] == pytest.approx(np.mean([w.probabilities[cls] for w in answer.windows]))
    assert answer.c == pytest.approx(np.mean([w.c for w in answer.windows]))
    assert answer.emotion == max(CLASSES, key=answer.probabilities.get) and answer.seconds == 12.5
    spans = [(round(w.start, 3), round(w.end, 3)) for w in heard(wav, RATE, window=4, hop=3).windows]
    assert spans == [(0, 4), (3, 7), (6, 10), (8.5, 12.5)]
    odd = ({"window": np.nan}, {"hop": np.inf}, {"window": 1e308}, {"hop": 1e308}, {"window": -1})
    for options in ({"window": 6}, {"window": 0.01}, {"hop": 0}, {"hop": 0.009}, *odd):
        with pytest.raises(TrnetError, match="--window|--hop"):
            heard(wav, RATE, **options)


@pytest.mark.parametrize("total", [1, 999, 1000, 1001, 1300, 2500, 3000])
@pytest.mark.parametrize(("length", "hop"), [(1000, 1000), (1000, 300), (500, 1200)])
def test_windows_cover_a_recording_whatever_it_is_read_in(total, length, hop):
    samples = np.arange(total, dtype=np.float32)
    for size in (1, 77, 5000):
        if total > 1500 and size == 1:
            continue
        chunks = [samples[i : i + size] for i in range(0, total, size)]
        pieces = list(windows(chunks, length, hop))
        assert all((piece.samples == samples[piece.start :][: len(piece.samples)]).all() for piece in pieces)
        starts = [piece.start for piece in pieces]
        assert starts == sorted(set(starts)) and starts[0] == 0
        assert all(len(piece.samples) == min(length, total) for piece in pieces)
        covered = set().union(*(range(p.start, p.start + len(p.samples)) for p in pieces))
        if hop <= length:
            assert len(covered) == total and all(b - a <= hop for a, b in zip(starts, starts[1:], strict=False))


@pytest.mark.parametrize(
    ("rate", "seconds"),
    [(96000, 3.7), (44100, 2.9), (22050, 1.0), (8000, 4.2), (11025, 0.03), (48000, 0.02), (24414, 2.3), (44101, 3.1)],
)
def test_reading_in_pieces_is_reading_at_once(rate, seconds, tmp_path):
    wav = np.random.default_rng(1).uniform(-0.5, 0.5, (round(rate * seconds), 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wav, rate, subtype="FLOAT")
    whole = read_audio(tmp_path / "a.wav", RATE)
    mono = wav.mean(axis=1)
    for size in (1 + len(mono) // 7, 100_000):
        blocks = [mono[i : i + size] for i in range(0, len(mono), size)]
        pieces = list(resampled(blocks, rate, RATE))
        assert_near(np.concatenate(pieces), whole)
    found_rate, found_seconds, blocks = of_file(tmp_path / "a.wav").blocks()
    assert found_rate == rate and found_seconds == pytest.approx(seconds, abs=1e-4)
    np.testing.assert_array_equal(np.concatenate(list(blocks)), mono)


def test_arrays_of_other_types_and_axes_are_the_same_audio(heard):
    wav = tone("hap", 1, 9000)
    expected = heard(wav, RATE).probabilities
    stereo = np.stack([wav * 1.5, wav * 0.5], axis=1)
    sixteen = np.round(wav * 32768).astype(np.int16)
    for other in (stereo, stereo.T, torch.from_numpy(wav), wav.astype(np.float64)):
        assert heard(other, RATE).probabilities == pytest.approx(expected, abs=ANSWER)
    # half a step of 16 bits is 1e-3 of the noise in the tone: some steps of the archives' in a log-mel
    assert heard(sixteen, RATE).probabilities == pytest.approx(expected, abs=5 * ANSWER)
    for bad in (np.zeros((2, 2, 2)), wav.astype(np.uint8), np.array(["a"])):
        with pytest.raises(TrnetError, match="wav: is no audio"):
            heard(bad, RATE)
    for bad in ("16000", None, 16000.5, float("nan"), float("inf")):
        with pytest.raises(TrnetError, match="wav: is no audio .*give samples .n,. and whole Hz"):
            heard(wav, bad)
    for bad in (0, -8000, 999, 1_000_001, 2**31 - 1):
        with pytest.raises(TrnetError, match=f"wav: states {bad} Hz"):
            heard(wav, bad)
    assert heard(wav, np.float64(RATE)).probabilities == expected
    for bad, message in (
        (np.zeros(9000), "is silent from beginning to end"),
        (np.zeros(0), "holds no samples"),
        (wav[:300], "lasts 19 ms, shorter than a frame of 25 ms"),
        (np.full(9000, np.nan), r"holds NaN or infinite samples \(from 0.000 s on\)"),
    ):
        with pytest.raises(TrnetError, match=message):
            heard(bad, RATE)


def test_silence_has_no_say(heard):
    speech = tone("ang", 1, heard.features.span)
    answer = heard(np.concatenate([speech, np.zeros(2 * heard.features.span, np.float32)]), RATE)
    assert [window.emotion is None for window in answer.windows] == [False, True, True]
    assert answer.probabilities == pytest.approx(heard(speech, RATE).probabilities, abs=ANSWER)


@pytest.fixture
def mixed(tmp_path) -> Path:
    """A folder of good and bad files."""
    folder = tmp_path / "audio"
    write_wav(folder / "b.wav", tone("ang", 1, 9000))
    write_wav(folder / "B.wav", tone("sad", 1, 9000))
    write_wav(folder / "a/deep/c.wav", tone("neu", 2, 9000))
    (folder / "notes.txt").write_text("no audio, and not named")
    (folder / ".hidden.wav").write_text("x")
    write_wav(folder / "silent.wav", np.zeros(RATE, np.float32))
    write_wav(folder / "short.wav", hiss(1, 200))
    broken = hiss(1, 9000)
    broken[4000] = np.nan
    write_wav(folder / "nan.wav", broken)
    soundfile.write(folder / "empty.wav", np.zeros(0, np.float32), RATE)
    (folder / "noise.flac").write_bytes(os.urandom(2000))
    (folder / "zero.wav").write_bytes(b"")
    soundfile.write(folder / "high.wav", np.tile(hiss(2, 96000)[:, None], (1, 2)), 96000)
    (folder / "a/loop").symlink_to(folder)
    return folder


def test_what_fails_is_named_and_the_rest_goes_on(packed, mixed, capfd):
    status, out, err = run(capfd, packed.model, mixed, mixed / "none.wav", mixed / "notes.txt", "--format", "csv")
    rows = rows_of(out)
    assert status == 1
    assert [Path(row["file"]).relative_to(mixed).as_posix() for row in rows] == [
        "B.wav",
        "a/deep/c.wav",
        "b.wav",
        "high.wav",
    ]
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    expected = [
        ("empty.wav", "holds no samples"),
        ("nan.wav", "holds NaN or infinite samples (from 0.250 s on)"),
        ("noise.flac", "cannot be read as audio"),
        ("short.wav", "shorter than a frame"),
        ("silent.wav", "is silent from beginning to end"),
        ("zero.wav", "cannot be read as audio"),
        ("none.wav", "no such file"),
        ("notes.txt", "cannot be read as audio"),
    ]
    assert len(lines) == len(expected) and "Traceback" not in err
    for line, (name, message) in zip(lines, expected, strict=True):
        assert f"/{name}: " in line and message in line
    assert err.splitlines()[-1].endswith("; 8 of 12 failed")


def test_lists_and_folders_that_name_nothing_are_named(packed, tmp_path, capfd):
    write_wav(tmp_path / "a.wav", tone("ang", 1, 9000))
    (tmp_path / "wav.scp").write_text(f"utt2 {tmp_path}/a.wav\nutt1 sox a.wav |\nutt3 {tmp_path}/none.wav\n")
    (tmp_path / "bad.scp").write_text(f"only-an-id\nutt4\t{tmp_path}/a.wav\nutt4 {tmp_path}/a.wav\n")
    (tmp_path / "empty").mkdir()
    arguments = [tmp_path / "wav.scp", tmp_path / "bad.scp", tmp_path / "empty", tmp_path / "none.scp"]
    status, out, err = run(capfd, packed.model, *arguments, "--format", "jsonl")
    assert status == 1 and [json.loads(line)["file"] for line in out.splitlines()] == ["utt2", "utt4"]
    for message in (
        "error: utt1: ",
        "is a pipe; give --allow-pipes true",
        f"error: utt3: {tmp_path}/none.wav: no such file",
        "bad.scp:1: 'only-an-id' is not 'id path'",
        "bad.scp:3: id utt4 stands there twice",
        "empty: holds no audio files",
        "none.scp: is no readable list",
    ):
        assert message in err


def test_a_front_end_that_fails_on_one_file_leaves_the_others_their_answers(packed_gtcrn, tmp_path, capfd, monkeypatch):
    files = [write_wav(tmp_path / f"{k}.wav", tone("ang", k, 9000 + k)) for k in range(3)]
    whole = predicting.enhance_clips

    def fails_on_one(frontend, clips, names):
        if any(name.endswith("1.wav") for name in names):
            raise TrnetError(f"{names[0]}: front-end gave NaN or infinite samples")
        return whole(frontend, clips, names)

    monkeypatch.setattr(predicting, "enhance_clips", fails_on_one)
    status, out, err = run(capfd, packed_gtcrn.model, *files, "--format", "csv", "--engine", "torch")
    assert status == 1 and [row["file"] for row in rows_of(out)] == [files[0], files[2]]
    assert f"error: {files[1]}: front-end gave NaN" in err and err.count("error: ") == 1


def test_long_silence_with_a_word_in_it_takes_little_memory(heard, tmp_path):
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 8000, 1) as sound:
        silence = np.zeros(8000 * 60, np.int16)
        for minute in range(12):
            sound.write(silence if minute != 7 else (hiss(1, len(silence)) * 8000).astype(np.int16))
    tracemalloc.start()
    (answer,) = heard.answers([of_file(path)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.seconds == pytest.approx(720) and len(answer.windows) == 144
    assert 12 <= sum(window.emotion is not None for window in answer.windows) <= 14
    assert peak < 15e6, peak  # at 16 kHz the whole is 46 MB


def test_a_stream_of_unknown_length_on_standard_input(packed, tmp_path):
    """As ffmpeg pipes WAV: sizes of 2^32 - 1 in its header."""
    wav = tone("sad", 4, 20_000)
    body = (wav * 32767).astype("<i2").tobytes()
    head = (
        b"RIFF" + struct.pack("<I", 2**32 - 1) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    )
    stream = head + b"data" + struct.pack("<I", 2**32 - 1) + body
    command = [sys.executable, "-m", "trnet.bin.predict", str(packed.model), "-", "--format", "jsonl"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, input=stream, capture_output=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    assert said["file"] == "-" and said["seconds"] == pytest.approx(1.25)
    from_file = trnet.Predictor.from_pretrained(packed.model)((wav * 32767).astype(np.int16), RATE)
    assert said["probabilities"] == pytest.approx(from_file.probabilities, abs=ANSWER)


def test_what_is_wrong_with_the_call_is_one_line(packed, tmp_path, fails, monkeypatch):
    file = write_wav(tmp_path / "a.wav", tone("ang", 1, 9000))
    assert "none.zip: no such model" in fails(predict.main, [str(tmp_path / "none.zip"), file])
    assert "a.wav: is no model" in fails(predict.main, [file, file])
    assert "a.wav: is no model" in fails(predict.main, [file])
    shutil.copy(file, tmp_path / "a.zip")
    assert "a.zip: is no whole zip of a model" in fails(predict.main, [str(tmp_path / "a.zip"), file])
    assert "no audio is named" in fails(predict.main, [str(packed.model)])
    model = str(packed.model)
    assert "unknown option --formt; did you mean '--format'?" in fails(predict.main, [model, file, "--formt", "csv"])
    assert "--window 9: the model hears up to 5.015 s" in fails(predict.main, [model, file, "--window", "9"])
    assert "argument --window: 'nan'" in fails(predict.main, [model, file, "--window", "nan"])
    assert "argument --hop: 'inf'" in fails(predict.main, [model, file, "--hop", "inf"])
    assert "argument --batch-size: 0 must be from 1" in fails(predict.main, [model, file, "--batch-size", "0"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "--ngpu 1: PyTorch sees no GPU here" in fails(predict.main, [model, file, "--ngpu", "1"])


def test_help_does_without_pytorch(tmp_path):
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    command = [sys.executable, "-m", "trnet.bin.predict", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
    assert done.returncode == 0 and "--batch-size" in done.stdout, done.stderr


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_a_name_that_is_no_text_is_answered_and_the_rest_goes_on(packed, tmp_path, capfd, engine):
    odd = tmp_path / os.fsdecode(b"x\xff.wav")
    shutil.copy(write_wav(tmp_path / "a.wav", tone("ang", 1, 9000)), odd)
    (tmp_path / os.fsdecode(b"y\xff.wav")).write_bytes(b"no audio")
    write_wav(tmp_path / "z.wav", tone("sad", 1, 9000))
    status, out, err = run(capfd, packed.model, tmp_path, "--engine", engine, "--format", "jsonl")
    assert status == 1 and ".wav: cannot be read as audio" in err and "1 of 4 failed" in err
    assert [Path(json.loads(line)["file"]).name for line in out.splitlines()] == ["a.wav", odd.name, "z.wav"]


def test_closed_streams_and_empty_names_are_one_line(packed, monkeypatch, capfd, fails):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    status, _, err = run(capfd, packed.model, "", "-", "-")
    assert status == 1 and "a name among the arguments is empty" in err and "standard input is named twice" in err
    monkeypatch.setattr(sys, "stdin", None)
    assert "standard input: is closed" in run(capfd, packed.model, "-")[2]
    monkeypatch.setattr(sys, "stdout", None)
    assert "standard output: is closed" in fails(predict.main, [str(packed.model), "a.wav"])


def test_damage_channels_and_odd_files_are_one_line_each_and_the_rest_goes_on(packed, tmp_path, capfd):
    wav = tone("ang", 1, 9000)
    whole = Path(write_wav(tmp_path / "a.wav", wav))
    for kind, options in (("flac", {}), ("mp3", {}), ("ogg", {}), ("w64", {"format": "W64"}), ("au", {})):
        soundfile.write(tmp_path / f"whole.{kind}", wav, RATE, **options)
        content = (tmp_path / f"whole.{kind}").read_bytes()
        (tmp_path / f"cut.{kind}").write_bytes(content[: len(content) // 2])
        (tmp_path / f"joined.{kind}").write_bytes(content + content)
    write_wav(tmp_path / "cancels.wav", np.stack([wav, -0.999 * wav], axis=1))
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    (tmp_path / "talk.m4a").write_bytes(b"\0\0\0\x1cftypM4A ")
    status, out, err = run(capfd, packed.model, tmp_path, tmp_path / "talk.m4a", "/dev/zero", "--format", "csv")
    answered = {Path(row["file"]).name for row in rows_of(out)}
    assert status == 1 and answered == {whole.name, *(f"whole.{kind}" for kind in ("flac", "mp3", "ogg", "w64", "au"))}
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 5 + 5 + 5
    for kind in ("flac", "mp3", "ogg", "w64", "au"):
        assert any(f"cut.{kind}: " in line for line in errors)
        assert any(f"joined.{kind}: holds a second recording" in line for line in errors)
    for message in (
        "cancels.wav: its 2 channels cancel",
        "fifo.wav: is a pipe or device",
        "zero.wav: is a pipe or device",
        f"talk.m4a: cannot be read as audio (Format not recognised); convert it: ffmpeg -i {tmp_path}/talk.m4a",
        "error: /dev/zero: is a pipe or device",
    ):
        assert message in err
    for number, level in ((0, 1.0), (1, -0.999)):
        status, out, _ = run(capfd, packed.model, tmp_path / "cancels.wav", "--channel", number, "--format", "jsonl")
        alone = trnet.Predictor.from_pretrained(packed.model)(level * wav, RATE)
        assert status == 0 and json.loads(out)["probabilities"] == pytest.approx(alone.probabilities, abs=1e-4)
    assert "has no channel 2" in run(capfd, packed.model, tmp_path / "cancels.wav", "--channel", 2)[2]


def test_arrays_that_cancel_are_refused_and_a_channel_taken(heard):
    wav = tone("hap", 1, 9000)
    both = np.stack([wav, -wav])
    with pytest.raises(TrnetError, match="wav: its 2 channels cancel"):
        heard(both, RATE)
    assert heard(both, RATE, channel=0).probabilities == heard(wav, RATE).probabilities
    with pytest.raises(TrnetError, match="wav: has no channel 2"):
        heard(both, RATE, channel=2)


def test_what_may_not_be_looked_at_does_not_stop_the_others(packed, tmp_path, capfd, monkeypatch):
    (tmp_path / "open/closed").mkdir(parents=True)
    file = write_wav(tmp_path / "open/a.wav", hiss(1, RATE))
    long = "x" * 300
    (tmp_path / "l.scp").write_text(f"long {long}\nu {file}\n")
    scandir = os.scandir

    def look(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", look)
    asked = [str(tmp_path / "open"), long, str(tmp_path / "l.scp"), file]
    assert predict.main([str(packed.model), *asked, "--format", "jsonl"]) == 1
    out, err = capfd.readouterr()
    assert [json.loads(line)["file"] for line in out.splitlines()] == [file, "u", file]
    assert f"error: {tmp_path}/open/closed: Permission denied" in err
    assert f"error: {long}: File name too long" in err and f"error: long: {long}: File name too long" in err


def test_a_disk_that_fails_in_reading_does_not_stop_the_others(packed, tmp_path, capfd, monkeypatch):
    bad, good = (write_wav(tmp_path / name, hiss(1, RATE)) for name in ("bad.wav", "good.wav"))
    whole = recording.open_sound

    def fail(file, where):
        if str(file) == bad:
            raise OSError(5, "Input/output error")
        return whole(file, where)

    monkeypatch.setattr(recording, "open_sound", fail)
    assert predict.main([str(packed.model), bad, good, "--format", "jsonl"]) == 1
    out, err = capfd.readouterr()
    assert [json.loads(line)["file"] for line in out.splitlines()] == [good]
    assert f"error: {bad}: Input/output error" in err


def test_a_list_is_read_from_any_folder_with_tabs_and_a_byte_order_mark(packed, tmp_path, capfd, monkeypatch):
    write_wav(tmp_path / "set/wav/a.wav", tone("ang", 1, 9000))
    write_wav(tmp_path / "here/b.wav", tone("sad", 1, 9000))
    scp = tmp_path / "set/wav.scp"
    lines = "u1 wav/a.wav\nu2\twav/a.wav\r\nu3 b.wav\nu4 wav\nu5 wav.scp\nu6 x.ark:12\nu7\n"
    scp.write_bytes(b"\xef\xbb\xbf" + lines.encode())
    monkeypatch.chdir(tmp_path / "here")
    status, out, err = run(capfd, packed.model, scp, "--format", "csv")
    assert status == 1 and [row["file"] for row in rows_of(out)] == ["u1", "u2", "u3"]
    for message in ("u4: ", "u5: ", "u6: x.ark:12 is a place in an archive", "wav.scp:7: 'u7' is not"):
        assert f"error: {message}" in err or message in err
    assert "u4: " in err and "is a folder" in err and "is a list itself" in err


def test_commands_of_a_list_run_where_they_are_allowed(packed, tmp_path, capfd):
    file = write_wav(tmp_path / "a.wav", tone("ang", 1, 9000))
    (tmp_path / "wav.scp").write_text(f"u1 cat {file} | cat |\nu2 cat {file}; touch x |\nu3 cat {tmp_path}/none |\n")
    arguments = (packed.model, tmp_path / "wav.scp", "--format", "jsonl")
    assert run(capfd, *arguments)[2].count("is a pipe; give --allow-pipes true") == 3
    status, out, err = run(capfd, *arguments, "--allow-pipes", "true")
    assert status == 1 and [json.loads(line)["file"] for line in out.splitlines()] == ["u1"]
    assert "u2: " in err and "needs a shell" in err and "u3: cat failed (exit status 1" in err


@pytest.mark.parametrize("style", ["table", "csv", "jsonl"])
def test_line_breaks_and_control_characters_in_names(packed, tmp_path, capfd, style):
    """A row is a row; of a table, and of what goes to stderr, no character moves the cursor."""
    odd = tmp_path / "a\r\x1b[31mb\n1,2.wav"
    write_wav(odd, tone("ang", 1, 9000))
    (tmp_path / "bad\x1b[2J\n.wav").write_bytes(b"no audio")
    status, out, err = run(capfd, packed.model, tmp_path, "--format", style)
    assert status == 1 and "\x1b" not in err and "bad\\x1b[2J" in err
    if style == "csv":
        rows = list(csv.reader(io.StringIO(out, newline="")))
        assert len(rows) == 2 and rows[1][0] == str(odd) and len(rows[1]) == len(rows[0])
    elif style == "jsonl":
        assert json.loads(out)["file"] == str(odd)
    else:
        assert "\x1b" not in out and len(out.splitlines()) == 2 and "a\\r\\x1b[31mb\\n1,2.wav" in out


def test_pipes_and_devices_in_the_place_of_a_model_are_refused_at_once(packed, tmp_path, fails):
    file = write_wav(tmp_path / "a.wav", tone("ang", 1, 9000))
    os.mkfifo(tmp_path / "fifo.zip")
    (tmp_path / "zero.zip").symlink_to("/dev/zero")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/ser.onnx").write_bytes(b"x")
    os.mkfifo(tmp_path / "out/config.json")
    for model in ("fifo.zip", "zero.zip", "out"):
        assert str(tmp_path / model) in fails(predict.main, [str(tmp_path / model), file])


def test_numbers_of_options_that_cannot_be(packed, tmp_path, fails):
    call = [str(packed.model), write_wav(tmp_path / "a.wav", tone("ang", 1, 9000))]
    for option, value in (("--window", "1e308"), ("--hop", "1e308"), ("--window", "-1"), ("--batch-size", "-1")):
        assert option in fails(predict.main, [*call, f"{option}={value}"])
    assert "--channel" in fails(predict.main, [*call, "--channel", "left"])


def test_a_folder_of_many_files_is_answered_in_order(packed, tmp_path, capfd):
    file = Path(write_wav(tmp_path / "a.wav", tone("ang", 1, 4000)))
    (tmp_path / "many").mkdir()
    for number in range(300):
        (tmp_path / f"many/{number:03d}.wav").symlink_to(file)
    status, out, _ = run(capfd, packed.model, tmp_path / "many", "--format", "csv")
    assert status == 0 and [Path(row["file"]).stem for row in rows_of(out)] == [f"{n:03d}" for n in range(300)]
