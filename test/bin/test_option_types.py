"""Options of all commands: what cannot be, or would do nothing, is refused in one line before anything is done."""

import importlib
from pathlib import Path

import pytest
from lines import assert_names

from trnet.bin import list_sets, prepare_noise, score, train, train_frontend
from trnet.bin.options import make_parser

BIN = Path(train.__file__).parent
VERBS = sorted(path.stem for path in BIN.glob("*.py") if "def get_parser" in path.read_text())
WRONG = {  # by what begins the help or name of an option
    "--nj": ["0", "-1", "1e3", "1_0", "\u0663", "99999", ""],
    "--ngpu": ["-1", "x", "1.5"],
    "--seeds": ["", ",", "0", "-1", "1 x", "nan"],
    "--folds": ["", ",", "0", "one"],
    "--systems": ["", ",", " "],
    "--snrs": ["", "nan", "inf", "1e308", "101", "-101", "1_0", "loud"],
    "--noises": ["", ",", "../x", "my_noise", "\u017c"],
    "--sets": ["", ","],
    "--configs": ["", ","],
    "--max-epochs": ["0", "-1", "1.5", "9" * 5000],
    "--threads": ["0", "-1"],
    "--report-seed": ["-1", "x"],
    "--resamples": ["0", "1e9"],
    "--permutations": ["0"],
    "--batch-size": ["0", "-3"],
    "--port": ["0", "65536", "http"],
    "--window": ["nan", "inf", "-1"],
    "--hop": ["nan", "inf", "-1"],
    "--num": ["0"],
    "--test-utts": ["-1"],
    "--shard": ["0/1", "2/1", "\u0661/\u0662", "1", "1/"],
    "--frontend": ["", "../../x:y", "a/b"],
    "--seconds": ["0", "nan", "-1"],
    "--utterances": ["0"],
    "--rounds": ["0"],
    "--clips": ["0"],
    "--runs": ["0"],
    "--workers": ["0"],
    "--epochs": ["0"],
}
PATHS = ("--config", "--out", "--exp", "--dump", "--data", "--corpus-data", "--root", "--labels", "--split", "--json")
PATHS += ("--markdown", "--reference", "--test-corpus", "--frontend-checkpoint", "--options")
WRONG |= {path: ["", " ", "a\udcff", "a\nb"] for path in PATHS}


@pytest.mark.parametrize("verb", VERBS)
def test_no_option_takes_what_cannot_be(verb, capsys):
    parser = importlib.import_module(f"trnet.bin.{verb}").get_parser()
    names = {name for action in parser._actions for name in action.option_strings}
    for name in sorted(names & WRONG.keys()):
        for value in WRONG[name]:
            with pytest.raises(SystemExit) as stopped:
                parser.parse_args([f"{name}={value}"])
            error = capsys.readouterr().err
            assert stopped.value.code == 2 and error.count("\n") == 1, error
            assert error.startswith(f"error: python -m trnet.bin.{verb}: argument {name}: "), error
            assert error[:-1].isprintable() and len(error) < 400, error


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_that_takes_numbers_or_paths_has_a_type(verb):
    parser = importlib.import_module(f"trnet.bin.{verb}").get_parser()
    for action in parser._actions:
        assert action.type not in (int, float, Path), action.option_strings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nj: 1_0", "--nj '1_0'"),
        ("nj: 1\nnj: 2", "options.yaml:2: 'nj'"),
        ("nj: {a: 1}", "options.yaml: nj:"),
        ("nj: !!int 3", "options.yaml:1: !!int"),
        ("- nj", "options.yaml: mapping"),
        ("x: " + "[" * 1000, "options.yaml:1:"),
        ("", "options.yaml:"),
        ("jobs: 3", "--jobs"),
        (None, "options.yaml:"),
    ],
)
def test_a_file_of_options_is_read_like_any_yaml(tmp_path, fails, text, message):
    path = tmp_path / "options.yaml"
    if text is not None:
        path.write_text(text)
    args = ["--noise", "esc", "--root", "r", "--out", "o", "--options", str(path)]
    assert_names(fails(prepare_noise.main, args), message)


def test_a_key_without_value_and_lists_in_a_file_of_options(tmp_path):
    (tmp_path / "options.yaml").write_text("a:\nb: [x, y]\nc: 010\nd: true")
    parser = make_parser("x", "y")
    parser.add_argument("-a", "--a", default="given")
    parser.add_argument("--b", nargs="+")
    parser.add_argument("--c")
    parser.add_argument("--d", action="store_true")
    opts = parser.parse_args(["--options", str(tmp_path / "options.yaml")])
    assert (opts.a, opts.b, opts.c, opts.d) == ("given", ["x", "y"], "010", True)


def test_gpus_that_are_not_there_are_named_before_processes_start(tiny, fails, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("torchrun started"))
    assert_names(fails(train.main, [*tiny.folders(), "--ngpu", "2"]), "--ngpu 2 GPU")


def test_a_configuration_without_systems_trains_and_scores_nothing(tiny, tmp_path, fails):
    (tmp_path / "conf.yaml").write_text("frontend: none")
    args = [*tiny.folders(), "--config", str(tmp_path / "conf.yaml")]
    assert "conf.yaml: " in fails(train.main, args)
    assert "conf.yaml: " in fails(score.main, [*args, "--noises", "esc"])
    args = ["--config", "/dev/null", "--corpus-data", str(tiny.data.path), "--noises", "esc"]
    assert "/dev/null: " in fails(list_sets.main, args)
    assert "/dev/null: " in fails(train_frontend.main, ["--configs", "/dev/null"])
