"""trnet-predict: stage 7's predictions of the same audio, any audio else, and what goes wrong, file by file."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from model_files import CLASSES
from near import ANSWER, assert_same_answer
from tiny import RATE, hiss, tone, write_wav

import trnet
from trnet.audio.reading import read_audio
from trnet.bin import predict
from trnet.conditions import CLEAN
from trnet.deploy import predictor as predictor_module
from trnet.deploy import recording
from trnet.features.archive import as_archived
from trnet.features.fbank import fbank
from trnet.kaldi.data_dir import DataDir
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole


ROOT = Path(__file__).parents[2]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def probabilities_of(row: dict[str, str]) -> dict[str, float]:
    return {cls: float(row[cls]) for cls in CLASSES}


def compare_fold(packed, tmp_path, run_predict, *options) -> int:
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
        status, out, _ = run_predict(packed.model, scp, "--format", "csv", *options)
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
def test_a_whole_test_fold_is_answered_as_in_stage_7(front_end, engine, tmp_path, run_predict, request):
    """In other batches than there; ONNX does not go through the two bytes a value of stage 4."""
    packed = request.getfixturevalue(front_end)
    assert compare_fold(packed, tmp_path, run_predict, "--batch-size", "3", "--engine", engine) == 3 * 8


def test_features_are_rounded_as_the_archives_round_them(packed):
    """To 65,535 steps from the least to the largest, the same ones but for features a step apart where they are
    between two."""
    experiment, utt = packed.experiment, packed.experiment.dataset.utts[0]
    exact = fbank(torch.from_numpy(read_audio(experiment.data.clip(utt).path, RATE)), experiment.config.features)
    rounded = as_archived(exact.numpy(), experiment.config.features)
    archived = experiment.reader.matrix("noisy", utt, CLEAN)
    step = float(exact.max() - exact.min()) / 65535
    assert 0.1 * step < np.abs(rounded - exact.numpy()).max() < 0.6 * step
    assert np.abs(rounded - archived).max() < 1.1 * step
    assert (np.abs(rounded - archived) < 0.1 * step).mean() > 0.9


@pytest.mark.slow
def test_a_file_is_answered_alike_in_any_batch_format_and_from_python(model_gtcrn, tmp_path, run_predict):
    files = [write_wav(tmp_path / f"{k}.wav", tone(cls, k, 6000 + 900 * k)) for k, cls in enumerate(CLASSES)]
    model = model_gtcrn
    by = ("--engine", "torch")
    alone = [rows_of(run_predict(model, file, "--format", "csv", *by)[1])[0] for file in files]
    by = ("--batch-size", "4", *by)
    together = rows_of(run_predict(model, *files, "--format", "csv", *by)[1])
    status, out, err = run_predict(model, *files, "--format", "jsonl", "--windows", *by)
    said = [json.loads(line) for line in out.splitlines()]
    assert status == 0 and "4 files, 1.8 s of audio in" in err and "real-time factor" in err
    table = run_predict(model, *files, *by)[1].splitlines()
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


def test_what_fails_is_named_and_the_rest_goes_on(model, mixed, run_predict):
    status, out, err = run_predict(model, mixed, mixed / "none.wav", mixed / "notes.txt", "--format", "csv")
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
        ("zero.wav", "is empty (0 bytes); replace the file"),
        ("none.wav", "no such file; mend the path, or name another"),
        ("notes.txt", "cannot be read as audio"),
    ]
    assert len(lines) == len(expected) and "Traceback" not in err
    for line, (name, message) in zip(lines, expected, strict=True):
        assert f"/{name}: " in line and message in line
    assert err.splitlines()[-1].endswith("; 8 of 12 failed")


def test_a_front_end_that_fails_on_one_file_leaves_the_others_their_answers(
    model_gtcrn, tmp_path, run_predict, monkeypatch
):
    files = [write_wav(tmp_path / f"{k}.wav", tone("ang", k, 9000 + k)) for k in range(3)]
    whole = predictor_module.enhance_clips

    def fails_on_one(frontend, clips, names):
        if any(name.endswith("1.wav") for name in names):
            raise TrnetError(f"{names[0]}: front-end gave NaN or infinite samples")
        return whole(frontend, clips, names)

    monkeypatch.setattr(predictor_module, "enhance_clips", fails_on_one)
    status, out, err = run_predict(model_gtcrn, *files, "--format", "csv", "--engine", "torch")
    assert status == 1 and [row["file"] for row in rows_of(out)] == [files[0], files[2]]
    assert f"error: {files[1]}: front-end gave NaN" in err and err.count("error: ") == 1


def test_a_stream_of_unknown_length_on_standard_input(model, tmp_path):
    """As ffmpeg pipes WAV: sizes of 2^32 - 1 in its header."""
    wav = tone("sad", 4, 20_000)
    body = (wav * 32767).astype("<i2").tobytes()
    head = (
        b"RIFF" + struct.pack("<I", 2**32 - 1) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    )
    stream = head + b"data" + struct.pack("<I", 2**32 - 1) + body
    command = [sys.executable, "-m", "trnet.bin.predict", str(model), "-", "--format", "jsonl"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, input=stream, capture_output=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    assert said["file"] == "-" and said["seconds"] == pytest.approx(1.25)
    from_file = trnet.Predictor.from_pretrained(model)((wav * 32767).astype(np.int16), RATE)
    assert said["probabilities"] == pytest.approx(from_file.probabilities, abs=ANSWER)


def test_what_is_wrong_with_the_call_is_one_line(model, tmp_path, fails, monkeypatch):
    file = write_wav(tmp_path / "a.wav", tone("ang", 1, 9000))
    assert "none.zip: no such model" in fails(predict.main, [str(tmp_path / "none.zip"), file])
    shutil.copy(file, tmp_path / "a.zip")
    assert "a.zip: is no whole zip of a model" in fails(predict.main, [str(tmp_path / "a.zip"), file])
    assert "no audio is named" in fails(predict.main, [str(model)])
    model = str(model)
    assert "unknown option --formt; did you mean '--format'?" in fails(predict.main, [model, file, "--formt", "csv"])
    assert "--window 9: " in fails(predict.main, [model, file, "--window", "9"])
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
def test_a_name_that_is_no_text_is_answered_and_the_rest_goes_on(model, tmp_path, run_predict, engine):
    odd = tmp_path / os.fsdecode(b"x\xff.wav")
    shutil.copy(write_wav(tmp_path / "a.wav", tone("ang", 1, 9000)), odd)
    (tmp_path / os.fsdecode(b"y\xff.wav")).write_bytes(b"no audio")
    write_wav(tmp_path / "z.wav", tone("sad", 1, 9000))
    status, out, err = run_predict(model, tmp_path, "--engine", engine, "--format", "jsonl")
    assert status == 1 and ".wav: cannot be read as audio" in err and "1 of 4 failed" in err
    assert [Path(json.loads(line)["file"]).name for line in out.splitlines()] == ["a.wav", odd.name, "z.wav"]


def test_closed_streams_and_empty_names_are_one_line(model, monkeypatch, run_predict, fails):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    status, _, err = run_predict(model, "", "-", "-")
    assert status == 1 and "a name among the arguments is empty" in err and "standard input is named twice" in err
    assert "standard input: is empty (0 bytes)" in err
    monkeypatch.setattr(sys, "stdin", None)
    assert "standard input: is closed" in run_predict(model, "-")[2]
    monkeypatch.setattr(sys, "stdout", None)
    assert "standard output: is closed" in fails(predict.main, [str(model), "a.wav"])


def test_damage_channels_and_odd_files_are_one_line_each_and_the_rest_goes_on(model, tmp_path, run_predict):
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
    status, out, err = run_predict(model, tmp_path, tmp_path / "talk.m4a", "/dev/zero", "--format", "csv")
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
        status, out, _ = run_predict(model, tmp_path / "cancels.wav", "--channel", number, "--format", "jsonl")
        alone = trnet.Predictor.from_pretrained(model)(level * wav, RATE)
        assert status == 0 and json.loads(out)["probabilities"] == pytest.approx(alone.probabilities, abs=1e-4)
    assert "has no channel 2" in run_predict(model, tmp_path / "cancels.wav", "--channel", 2)[2]


def test_a_disk_that_fails_in_reading_does_not_stop_the_others(model, tmp_path, capfd, monkeypatch):
    bad, good = (write_wav(tmp_path / name, hiss(1, RATE)) for name in ("bad.wav", "good.wav"))
    whole = recording.open_sound

    def fail(file, where):
        if str(file) == bad:
            raise OSError(5, "Input/output error")
        return whole(file, where)

    monkeypatch.setattr(recording, "open_sound", fail)
    assert predict.main([str(model), bad, good, "--format", "jsonl"]) == 1
    out, err = capfd.readouterr()
    assert [json.loads(line)["file"] for line in out.splitlines()] == [good]
    assert f"error: {bad}: Input/output error" in err


@pytest.mark.parametrize("style", ["table", "csv", "jsonl"])
def test_line_breaks_and_control_characters_in_names(model, tmp_path, run_predict, style):
    """A row is a row; of a table, and of what goes to stderr, no character moves the cursor."""
    odd = tmp_path / "a\r\x1b[31mb\n1,2.wav"
    write_wav(odd, tone("ang", 1, 9000))
    (tmp_path / "bad\x1b[2J\n.wav").write_bytes(b"no audio")
    status, out, err = run_predict(model, tmp_path, "--format", style)
    assert status == 1 and "\x1b" not in err and "bad\\x1b[2J" in err
    if style == "csv":
        rows = list(csv.reader(io.StringIO(out, newline="")))
        assert len(rows) == 2 and rows[1][0] == str(odd) and len(rows[1]) == len(rows[0])
    elif style == "jsonl":
        assert json.loads(out)["file"] == str(odd)
    else:
        assert "\x1b" not in out and len(out.splitlines()) == 2 and "a\\r\\x1b[31mb\\n1,2.wav" in out


def test_pipes_and_devices_in_the_place_of_a_model_are_refused_at_once(model, tmp_path, fails):
    file = write_wav(tmp_path / "a.wav", tone("ang", 1, 9000))
    os.mkfifo(tmp_path / "fifo.zip")
    (tmp_path / "zero.zip").symlink_to("/dev/zero")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/ser.onnx").write_bytes(b"x")
    os.mkfifo(tmp_path / "out/config.json")
    for model in ("fifo.zip", "zero.zip", "out"):
        assert str(tmp_path / model) in fails(predict.main, [str(tmp_path / model), file])


def test_numbers_of_options_that_cannot_be(model, tmp_path, fails):
    call = [str(model), write_wav(tmp_path / "a.wav", tone("ang", 1, 9000))]
    for option, value in (("--window", "1e308"), ("--hop", "1e308"), ("--window", "-1"), ("--batch-size", "-1")):
        assert option in fails(predict.main, [*call, f"{option}={value}"])
    assert "--channel" in fails(predict.main, [*call, "--channel", "left"])


def test_a_folder_of_many_files_is_answered_in_order(model, tmp_path, run_predict):
    file = Path(write_wav(tmp_path / "a.wav", tone("ang", 1, 4000)))
    (tmp_path / "many").mkdir()
    for number in range(300):
        (tmp_path / f"many/{number:03d}.wav").symlink_to(file)
    status, out, _ = run_predict(model, tmp_path / "many", "--format", "csv")
    assert status == 0 and [Path(row["file"]).stem for row in rows_of(out)] == [f"{n:03d}" for n in range(300)]
