"""Stage 7 on a corpus that was not trained on: a recipe of its own, whose paths start from its own folder."""

import csv
from pathlib import Path

import pytest
from near import ANSWER
from tiny import CLASSES, noise_dir, speech_dir, tiny_noise, tiny_speech

from trnet.bin import enhance, make_fbank, score, simulate
from trnet.conditions import noisy_conditions
from trnet.eval import run_predictions
from trnet.eval.other_corpus import other_corpus
from trnet.eval.run_predictions import predict_run
from trnet.kaldi.data_dir import DataDir, write_table

pytestmark = pytest.mark.slow

SYSTEMS = ("baseline_c", "baseline_e")


@pytest.fixture(scope="module")
def port(tiny, tmp_path_factory) -> Path:
    """Stages 1 to 4 of another recipe, in its folder: speakers S1F and S1M of tiny without the class sad."""
    recipe = tmp_path_factory.mktemp("port") / "ser1"
    clips = {u: clip for u, clip in tiny_speech().items() if u[:2] == "S1" and "-sad" not in u}
    (recipe / "data_tag").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(recipe)
        speech_dir(Path("data_tag"), "port", clips)
        noise_dir(Path("data_tag"), "esc", tiny_noise("esc", first=2000))
        config = ["--config", str(tiny.config_path)]
        assert simulate.main([*config, "--corpus-data", "data_tag/port", "--noises", "esc"]) == 0
        sets = ["--sets", " ".join(f"data_tag/port{s}" for s in ("", "_esc_10db", "_esc_0db")), "--dump", "dump_tag"]
        assert enhance.main([*config, *sets]) == make_fbank.main([*config, *sets]) == 0
    assert not Path(DataDir(recipe / "data_tag/port")["wav.scp"]["S1F-ang_0"]).is_absolute()
    return recipe / "data_tag/port"


@pytest.fixture(scope="module")
def options(runs) -> list[str]:
    """The command line of stage 7, but for the corpus."""
    chosen = ["--folds", "1", "--systems", " ".join(SYSTEMS), "--noises", "esc"]
    return [*runs.options, *chosen, "--resamples", "100", "--permutations", "100"]


@pytest.fixture(scope="module")
def results(runs, options, port) -> Path:
    """Where stage 7 wrote the results on the other corpus."""
    assert score.main([*options, "--test-corpus", str(port)]) == 0
    return runs.out / "test_port"


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_results_of_the_other_corpus_lie_apart_and_are_named_apart(results):
    found = rows(results / "results.csv")
    assert {row["fold"] for row in found} == {"1@port"} and {row["n_utts"] for row in found} == {"12"}
    assert {(row["system"], row["noise"], row["snr_db"]) for row in found} == {
        (s, *condition) for s in SYSTEMS for condition in (("clean", ""), ("esc", "10"), ("esc", "0"))
    }
    assert not (results.parent / "results.csv").exists()  # that is for the corpus's own
    text = (results / "RESULTS.md").read_text()
    assert "Trained on: tiny, 48 utterances" in text and "Tested on: port, all 12 utterances" in text
    (line,) = [line for line in text.splitlines() if line.startswith("- Classes: ")]
    assert "ang hap neu" in line and "sad" in line


def test_the_same_audio_gets_the_same_predictions(results, runs):
    """Fold 1 tests S1F, who speaks in the other corpus too: same clean features, same probabilities."""
    for name in SYSTEMS:
        run = runs.run(name)
        predict_run(runs.session, run, [])
        own = {r["utt_id"]: r for r in rows(run.folder / "predictions.csv")}
        theirs = [r for r in rows(results / "predictions.csv") if r["system"] == name and r["noise"] == "clean"]
        both = [row for row in theirs if row["utt_id"] in own]
        assert len(both) == 6
        for row in both:
            for emotion in CLASSES:  # in other batches
                assert float(row[emotion]) == pytest.approx(float(own[row["utt_id"]][emotion]), abs=ANSWER)


def test_what_was_scored_is_not_scored_again_unless_a_label_changed(results, runs, port, tiny, monkeypatch):
    run, calls = runs.run("baseline_c"), []
    whole = run_predictions.infer
    monkeypatch.setattr(run_predictions, "infer", lambda *args, **more: calls.append(1) or whole(*args, **more))
    other = other_corpus(runs.experiment, port)
    predict_run(runs.session, run, noisy_conditions(["esc"], [10, 0]), other)
    assert not calls
    write_table(port / "utt2emo", DataDir(port)["utt2emo"] | {"S1F-ang_0": "hap"})
    monkeypatch.chdir(port.parents[1])
    sets = ["--config", str(tiny.config_path), "--sets", "data_tag/port", "--dump", "dump_tag"]
    assert enhance.main(sets) == make_fbank.main(sets) == 0
    predict_run(runs.session, run, [], other_corpus(runs.experiment, port))
    found = rows(run.folder / "predictions_port.csv")
    assert calls and {row["label"] for row in found if row["utt_id"] == "S1F-ang_0"} == {"hap"}


def test_classes_that_the_models_do_not_know_are_refused(options, tmp_path, fails):
    data = speech_dir(tmp_path / "data", "harbour", {"A-ang_0": tiny_speech()["S1F-ang_0"]})
    write_table(data.path / "utt2emo", {"A-ang_0": "fea"})
    line = fails(score.main, [*options, "--test-corpus", str(data.path)])
    assert "fea" in line and "ang hap neu sad" in line


def test_other_mistakes(options, tiny, port, tmp_path, fails):
    score_on = [*options, "--test-corpus"]
    for data in (tiny.data.path, tmp_path / "data/no"):
        assert str(data) in fails(score.main, [*score_on, str(data)])
    assert "--reference" in fails(score.main, [*score_on, str(port), "--reference", "x.csv"])
    assert "dump_tag/raw/port_musan_10db: " in fails(score.main, [*score_on, str(port), "--noises", "musan"])
