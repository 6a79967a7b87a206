"""prepare_corpus and prepare_noise: done once, done again when something changed, all or nothing."""

import json
import subprocess
import sys

import pytest
from iemocap_tree import small_corpus, write_tree

from trnet.bin import prepare_corpus, prepare_noise, validate_data_dir
from trnet.corpora import audio_check
from trnet.utils.stamp import dir_digest

SMALL_CONTRACT = """\
Ses01F: {neu: 1}
Ses01M: {ang: 1}
Ses02F: {sad: 1}
Ses03F: {hap: 1, sad: 1}
Ses03M: {hap: 1}
Ses04F: {ang: 1}
Ses05F: {hap: 1}
Ses05M: {neu: 1}
"""


@pytest.fixture
def args(small_iemocap, tmp_path, conf):
    """A command line that works."""
    (tmp_path / "contract.yaml").write_text(SMALL_CONTRACT)
    return {
        "--corpus": "iemocap",
        "--root": small_iemocap,
        "--out": tmp_path / "data/iemocap",
        "--labels": conf("iemocap", "labels.yaml"),
        "--contract": tmp_path / "contract.yaml",
    }


def run(args: dict, main=prepare_corpus.main) -> int:
    return main([str(word) for pair in args.items() for word in pair])


def test_prepared_once_then_up_to_date(args, capsys):
    out = args["--out"]
    assert run(args) == 0
    assert f"{out}: 9 utterances, 0.00 h" in capsys.readouterr().out
    assert json.loads((out / ".prepare.json").read_text())["state"] == "done"
    assert validate_data_dir.main([str(out)]) == 0
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    capsys.readouterr()
    assert run({**args, "--nj": 2}) == 0
    assert capsys.readouterr() == (f"{out}: up to date\n", "")
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    assert [path.name for path in out.parent.iterdir() if path.suffix != ".lock"] == ["iemocap"]


def test_changed_label_map_is_prepared_again(args, tmp_path, capsys):
    assert run(args) == 0
    labels = tmp_path / "labels.yaml"
    labels.write_text(args["--labels"].read_text().replace("fru: null", "fru: ang"))
    assert run({**args, "--labels": labels, "--contract": "none"}) == 0
    assert "10 utterances" in capsys.readouterr().out


def test_changed_label_of_the_same_length_is_prepared_again(args, capsys):
    assert run(args) == 0
    path = args["--root"] / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    path.write_text(path.read_text().replace("\tneu\t", "\tsad\t"))
    assert run(args) == 1
    assert "Ses01F neu: expected 1, found 0; Ses01F sad: expected 0, found 1" in capsys.readouterr().err


def test_changed_audio_of_the_same_size_is_noticed_by_every_later_stage(args, capsys):
    assert run(args) == 0
    before = dir_digest(args["--out"])
    wav = next(args["--root"].rglob("Ses05M_script01_1b_M041.wav"))
    content = bytearray(wav.read_bytes())
    content[-2:] = b"\x01\x02" if content[-2:] != b"\x01\x02" else b"\x03\x04"
    wav.unlink()  # others may be hard links of it
    wav.write_bytes(content)
    capsys.readouterr()
    assert run(args) == 0
    assert "up to date" not in capsys.readouterr().out
    assert dir_digest(args["--out"]) != before


def test_deleted_table_is_prepared_again(args, capsys):
    assert run(args) == 0
    (args["--out"] / "utt2emo").unlink()
    assert run(args) == 0
    assert (args["--out"] / "utt2emo").is_file()


def test_damaged_table_is_prepared_again(args, capsys):
    assert run(args) == 0
    path = args["--out"] / "utt2dur"
    before = path.read_text()
    path.write_text(before.replace(".", "\0", 1))
    assert run(args) == 0
    assert "utt2dur:1: holds a NUL byte" in capsys.readouterr().out
    assert path.read_text() == before


def test_a_link_to_a_folder_elsewhere_stays_one(args, tmp_path, capsys):
    (tmp_path / "large").mkdir()
    args["--out"].parent.mkdir(parents=True)
    args["--out"].symlink_to(tmp_path / "large")
    for _ in range(2):
        assert run(args) == 0
    assert "up to date" in capsys.readouterr().out
    (args["--out"] / "utt2emo").unlink()
    assert run(args) == 0
    assert args["--out"].is_symlink() and (tmp_path / "large/utt2emo").is_file()


def test_failure_leaves_nothing_to_take_for_whole(args, capsys, write_wav):
    assert run(args) == 0
    wav = next(args["--root"].rglob("Ses05M_script01_1b_M041.wav"))
    wav.unlink()
    write_wav(wav, level=0)
    capsys.readouterr()
    assert run(args) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: 1 of 9 recordings cannot be used: ") and "M041.wav: is silent" in error
    assert [path.name for path in args["--out"].parent.iterdir()] == [".iemocap.lock"]


def test_stopped_by_ctrl_c_it_leaves_nothing_and_goes_on(args, capsys, monkeypatch, partials):
    """Stage 1, in the third recording."""
    whole, seen = audio_check.inspect_audio, []

    def inspect(*clip):
        seen.append(clip)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return whole(*clip)

    with monkeypatch.context() as patch:
        patch.setattr(audio_check, "inspect_audio", inspect)
        assert run(args) == 130
    assert "stopped; run the same command again to go on" in capsys.readouterr().err
    assert not args["--out"].exists() and not partials(args["--out"].parent)
    assert run(args) == 0 and len(seen) == 3


def test_foreign_folder_is_not_removed(args, capsys):
    args["--out"].mkdir(parents=True)
    (args["--out"] / "thesis.tex").write_text("years of work")
    (args["--out"] / "wav.scp").write_text("a data directory made elsewhere\n")
    assert run(args) == 1
    assert "is there and was not made by stage 1" in capsys.readouterr().err
    assert (args["--out"] / "thesis.tex").is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--root": "nowhere"}, "IEMOCAP is not there (no such folder); give its folder with --corpus-dir (of run.sh"),
        ({"--root": "nowhere"}, "a command of trnet.bin has --root), get it from "),
        ({"--labels": "no.yaml"}, "no.yaml: no such label map"),
        ({"--contract": "no.yaml"}, "no.yaml: no such contract"),
    ],
)
def test_wrong_options_are_one_line(args, capsys, change, message):
    assert run({**args, **change}) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_unknown_corpus_lists_the_known(args, capsys):
    with pytest.raises(SystemExit):
        run({**args, "--corpus": "iemocop"})
    assert "iemocap" in capsys.readouterr().err


def test_noise(tmp_path, write_wav, capsys):
    for number in range(3):
        write_wav(tmp_path / f"noises/n{number}.wav")
    (tmp_path / "contract.yaml").write_text("clips: 3\nsources: 3\n")
    args = {
        "--noise": "nonspeech",
        "--root": tmp_path / "noises",
        "--out": tmp_path / "data/noise_nonspeech",
        "--contract": tmp_path / "contract.yaml",
    }
    assert run(args, prepare_noise.main) == 0
    assert run(args, prepare_noise.main) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("noise_nonspeech: up to date")
    assert validate_data_dir.main(["--noise", str(args["--out"])]) == 0
    write_wav(tmp_path / "noises/n3.wav")
    assert run(args, prepare_noise.main) == 1
    assert "clips: expected 3, found 4; sources: expected 3, found 4" in capsys.readouterr().err


def test_module_runs_from_the_recipe_folder(tmp_path, conf, monkeypatch):
    write_tree(tmp_path / "downloads", small_corpus())
    command = [sys.executable, "-m", "trnet.bin.prepare_corpus", "--corpus", "iemocap", "--root", "downloads"]
    command += ["--out", "data/mini", "--labels", str(conf("mini", "labels.yaml")), "--contract", "none"]
    monkeypatch.setenv("PYTHONPATH", str(conf("mini", "labels.yaml").parents[4]))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "data/mini: 9 utterances" in done.stdout and "checking speech" in done.stderr
    line = (tmp_path / "data/mini/wav.scp").read_text().splitlines()[0]
    assert line.split(" ")[1].startswith("../../downloads/IEMOCAP_full_release/Session1/")
