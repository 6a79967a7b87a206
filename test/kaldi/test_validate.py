"""Kaldi's rules for data directories, each breach named with file, line and mend."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trnet.bin import simulate, train
from trnet.bin import validate_data_dir as command
from trnet.kaldi.data_dir import DataDir, write_data_dir, write_table
from trnet.kaldi.validate import validate_data_dir

UTTS = ("A-1", "A-2", "B-1")
ROOT = Path(__file__).parents[2]
NO_SECONDS = ("nan", "inf", "-1", "1e12", "1_0", "٣", "x", "1e400", "0x10")


@pytest.fixture
def data(tmp_path) -> Path:
    """A good data directory of speech."""
    wav = tmp_path / "a.wav"
    wav.write_bytes(b"RIFF")
    tables = {
        "wav.scp": dict.fromkeys(UTTS, str(wav)),
        "utt2spk": {utt: utt[0] for utt in UTTS},
        "text": {"A-1": "dzień dobry", "A-2": "", "B-1": "yes"},
        "utt2dur": dict.fromkeys(UTTS, "1.25"),
        "utt2emo": dict.fromkeys(UTTS, "neu"),
        "utt2group": {utt: utt[0] for utt in UTTS},
        "spk2gender": {"A": "f", "B": "m"},
    }
    return write_data_dir(tmp_path / "data", tables).path


@pytest.fixture
def noise(tmp_path) -> Path:
    """A good noise directory with segments."""
    wav = tmp_path / "n.wav"
    wav.write_bytes(b"RIFF")
    tables = {
        "wav.scp": {"n": str(wav)},
        "segments": {"n-0": "n 0.00 5.00", "n-1": "n 5.00 10.00"},
        "utt2spk": {"n-0": "n", "n-1": "n"},
        "utt2src": {"n-0": "n", "n-1": "n"},
        "utt2dur": {"n-0": "5.0", "n-1": "5.0"},
    }
    return write_data_dir(tmp_path / "noise", tables).path


def only(problems: list[str]) -> str:
    assert len(problems) == 1, problems
    return problems[0]


def test_good_directories(data, noise):
    assert validate_data_dir(data, ("wav.scp", "text", "utt2emo", "spk2gender")) == []
    assert validate_data_dir(noise, ("segments", "utt2src")) == []


def test_missing_things(data, tmp_path):
    assert "no such data directory" in only(validate_data_dir(tmp_path / "no"))
    assert "utt2snr: is missing" in only(validate_data_dir(data, ["utt2snr"]))
    (data / "wav.scp").unlink()
    assert "wav.scp: is missing, and feats.scp too" in only(validate_data_dir(data))


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("text", "A-1", "C-1", "text:1: is out of order|text:2: is out of order; sort the file with LC_ALL=C sort"),
        ("utt2emo", "A-2 neu\n", "", "utt2spk:2: utterance A-2 is not in utt2emo; add it there"),
        ("utt2emo", "B-1 neu\n", "B-1 neu\nB-9 neu\n", "utt2emo:4: utterance B-9: no line of utt2spk has it"),
        ("utt2emo", "A-2 neu\n", "A-1 neu\nA-2 neu\n", "utt2emo:2: has key A-1 of line 1 again; delete one"),
        ("utt2emo", "A-2 neu", "A-2 neu\r", "utt2emo:2: has a carriage return"),
        ("utt2emo", "A-2 neu", "A-2 neu ", "utt2emo:2: ends in blanks"),
        ("utt2emo", "A-1 neu", "\ufeffA-1 neu", "utt2emo:1: begins with a byte order mark"),
        ("text", "yes", "y\0s", "text:3: holds a NUL byte"),
        ("utt2emo", "A-2 neu", "A-2  neu", "utt2emo:2: is not 'key value' with one blank"),
        ("utt2emo", "A-2 neu", "A-2", "utt2emo:2: has no value for A-2"),
        ("utt2emo", "A-2 neu", "A-2 very sad", "utt2emo:2: A-2: .*must be one word"),
        ("utt2emo", "A-2 neu\n", "A-2 neu\n\n", "utt2emo:3: is empty; delete it"),
        ("text", "yes", "yes\x0bno", "text:3: holds a line break or control character"),
        ("utt2emo", "B-1 neu\n", "B-1 neu", "utt2emo:3: has no line end"),
        ("utt2dur", "A-2 1.25", "A-2 0", "utt2dur:2: A-2: '0' is no positive number"),
        *(("utt2dur", "A-2 1.25", f"A-2 {n}", f"utt2dur:2: A-2: '{n}' is no positive number") for n in NO_SECONDS),
        ("utt2spk", "A-2 A", "A-2/../../x A", "utt2spk:2: 'A-2/../../x' cannot name a file"),
        ("spk2gender", "A f", "A female", "spk2gender:1: A: 'female' is neither m nor f"),
        ("spk2gender", "B m\n", "", "utt2spk:3: speaker B is not in spk2gender"),
        ("spk2utt", "A A-1 A-2", "A A-1", "spk2utt:1: A differs from utt2spk in A-2"),
        ("spk2utt", "A A-1 A-2", "A A-1 A-1 A-2", "spk2utt:1: A differs from utt2spk in an utterance listed twice"),
        ("spk2utt", "B B-1\n", "", "spk2utt: speaker B of utt2spk is not in it"),
        ("wav.scp", "a.wav\nB", "gone.wav\nB", "wav.scp:2: A-2: .*gone.wav does not exist; mend"),
        ("wav.scp", "a.wav\nB", "a.wav |\nB", "wav.scp:2: A-2: is a pipe; give --allow-pipes true"),
    ],
)
def test_breaches(data, name, old, new, message):
    path = data / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode())
    problems = validate_data_dir(data)
    assert any(re.search(message, problem) for problem in problems), problems
    if name not in ("text", "utt2spk"):
        only(problems)


def test_a_tab_between_key_and_value_is_a_blank(data):
    (data / "utt2emo").write_text((data / "utt2emo").read_text().replace("A-2 neu", "A-2\tneu"))
    assert validate_data_dir(data) == [] and DataDir(data)["utt2emo"]["A-2"] == "neu"


def test_a_byte_order_mark_is_no_part_of_the_first_key(data):
    (data / "wav.scp").write_text((data / "wav.scp").read_text(), encoding="utf-8-sig")
    assert DataDir(data).utts == list(UTTS)


def test_counts_are_plain_digits(data):
    for value in ("1_0", "٣", "0", "1.0", "-1", "9" * 5000):
        write_table(data / "utt2num_frames", dict.fromkeys(UTTS, value))
        problems = validate_data_dir(data)
        assert [problem.split(": ")[:2] for problem in problems] == [
            [f"{data}/utt2num_frames:{number}", utt] for number, utt in enumerate(UTTS, 1)
        ]
        assert max(map(len, problems)) < 300


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("wav.scp", ""),
        ("wav.scp", "A-1 a.wav\n"),
        ("utt2dur", "A-1 -1\nA-2 1\nB-1 1\n"),
        ("utt2dur", "A-1 1e12\nA-2 1\nB-1 1\n"),
        ("utt2dur", "A-1 x\nA-2 1\nB-1 1\n"),
        ("utt2group", "A-1 A\nA-2 A\n"),
    ],
)
def test_stages_refuse_a_directory_that_breaks_the_rules(data, tmp_path, fails, name, lines):
    (data / name).write_text(lines)
    (tmp_path / "a.yaml").write_text("frontend: none\nsystems: {baseline_c: {input: noisy}}\n")
    config = ["--config", str(tmp_path / "a.yaml")]
    assert name in fails(simulate.main, [*config, "--corpus-data", str(data), "--noises", "esc"])
    if name != "wav.scp":  # which training does without
        assert name in fails(train.main, [*config, "--corpus-data", str(data)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "a.yaml", "data"]


def test_not_utf8(data):
    (data / "text").write_bytes("A-1 dzień\nA-2 b\nB-1 c\n".encode("iso8859-2"))
    problems = validate_data_dir(data)
    assert "text:1: is not UTF-8; convert the file" in problems[0]


def test_empty_file(data):
    (data / "utt2group").write_text("")
    assert any("utt2group:1: is empty" in problem for problem in validate_data_dir(data))


def test_c_order_is_not_that_of_other_locales(data):
    (data / "text").write_text("A-1 a\nB-1 c\nA-2 b\n")
    assert "text:3: is out of order" in only(validate_data_dir(data))


def test_ids_start_with_the_speaker_and_sort_by_it(tmp_path):
    tables = {"feats.scp": {"1": "a:1", "2": "a:1"}, "utt2spk": {"1": "Z", "2": "Y"}}
    path = write_data_dir(tmp_path / "data", tables).path
    problems = "\n".join(validate_data_dir(path))
    assert "utt2spk:1: 1, 2 does not start with the speaker-id Z" in problems
    assert "utt2spk:2: speaker Y of 2 comes after Z" in problems


def test_hyphenated_speakers_that_sort_otherwise(tmp_path):
    wav = tmp_path / "a.wav"
    wav.write_bytes(b"RIFF")
    tables = {"wav.scp": {"a-b-y": str(wav), "a-x": str(wav)}, "utt2spk": {"a-b-y": "a-b", "a-x": "a"}}
    path = write_data_dir(tmp_path / "data", tables).path
    assert "utt2spk:2: speaker a of a-x comes after a-b" in only(validate_data_dir(path))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n-1 n 5.00 10.00", "n-1 n 5.00", "segments:2: n-1: is not 'utterance recording start end'"),
        ("5.00 10.00", "5.00 4.00", "segments:2: n-1: 5.00 to 4.00 is no span"),
        ("n-1 n 5", "n-1 m 5", "segments:2: recording m is not in wav.scp"),
        ("n-1 n 5.00 10.00\n", "", "utt2spk:2: utterance n-1 is not in segments"),
    ],
)
def test_segments(noise, old, new, message):
    path = noise / "segments"
    path.write_text(path.read_text().replace(old, new))
    assert message in only(validate_data_dir(noise))


def test_segments_beyond_the_recording(noise):
    (noise / "reco2dur").write_text("n 7.5\n")
    assert "segments:2: n-1 ends at 10.00 s, after its recording n (7.5 s)" in only(validate_data_dir(noise))


def test_recording_that_no_segment_names(noise):
    path = noise / "wav.scp"
    path.write_text(path.read_text() + f"o {noise.parent / 'n.wav'}\n")
    assert "wav.scp:2: recording o: no line of segments names it" in only(validate_data_dir(noise))


def test_features(data):
    (data / "fbank.ark").write_bytes(b"ark")
    (data / "feats.scp").write_text("".join(f"{utt} {data}/fbank.ark:4\n" for utt in UTTS))
    (data / "utt2num_frames").write_text("A-1 10\nA-2 10\nB-1 10\n")
    assert validate_data_dir(data) == []
    (data / "utt2num_frames").write_text("A-1 10\nA-2 0\nB-1 1.5\n")
    (data / "feats.scp").write_text("A-1 x.ark:4\nA-2 x.ark\nB-1 x.ark:4\n")
    problems = "\n".join(validate_data_dir(data))
    assert "utt2num_frames:2: A-2: 0 must be 1 or more" in problems
    assert "feats.scp:1: A-1: x.ark does not exist" in problems
    assert "feats.scp:2: A-2: 'x.ark' is not ARCHIVE:OFFSET" in problems


def test_many_breaches_of_one_kind_are_counted(data):
    (data / "utt2emo").write_text("A-1 neu \nA-2 neu \nB-1 neu \n")
    assert only(validate_data_dir(data)).endswith("utt2emo:1: ends in blanks; delete them (2 more lines likewise)")


def test_command_prints_all_problems(data, noise, capsys):
    assert command.main([str(data)]) == 0
    assert command.main(["--noise", str(noise)]) == 0
    assert capsys.readouterr().out == f"{data}: 3 utterances, valid\n{noise}: 2 utterances, valid\n"
    (data / "utt2emo").unlink()
    (data / "text").unlink()
    assert command.main([str(data), str(noise)]) == 1
    error = capsys.readouterr().err
    assert "utt2emo: is missing" in error and "text: is missing" in error and f"{noise}/utt2emo" in error
    assert command.main(["--no-text", str(data)]) == 1
    assert "text: is missing" not in capsys.readouterr().err


def test_script(data):
    env = {**os.environ, "PYTHON": sys.executable}
    script = str(ROOT / "utils/validate_data_dir.sh")
    done = subprocess.run([script, data.name], cwd=data.parent, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "data: 3 utterances, valid\n")
    (data / "text").write_text("A-1 a\n")
    done = subprocess.run([script, data.name], cwd=data.parent, env=env, capture_output=True, text=True)
    assert done.returncode == 1 and "data/utt2spk:2: utterance A-2, B-1 is not in text" in done.stderr
    env["PYTHON"] = "no-such-python"
    done = subprocess.run([script, data.name], cwd=data.parent, env=env, capture_output=True, text=True)
    assert done.returncode == 1 and "set PYTHON" in done.stderr
