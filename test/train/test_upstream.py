"""Training on hidden states of a pretrained network: dumped by stage 4, scaled by the training speakers."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from tiny import CONFIG, SETS
from training import Stopped, history, outcome, run_of, same_outcome, stop_at, train
from upstreams import DIM, make_upstream

from trnet.bin import make_fbank
from trnet.conditions import CLEAN
from trnet.config import load_config
from trnet.features.cache import FeatureCache, Room
from trnet.runs.experiment import Experiment
from trnet.train.captured import drop_lanes
from trnet.train.fast_jobs import CapturedSERJob
from trnet.train.session import Session
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole

HEAD = {
    "encoder": {"type": "light", "channels": 8, "layers": 1},
    "pooling": {"type": "statistics", "attention": 4},
    "gate": {"features": {"num_mel_bins": 24}},
}


@pytest.fixture(scope="module")
def upstream(tiny, tmp_path_factory):
    """A copy of the tiny corpus's dump with hidden states beside the log-mels: the copy, its YAML, the network."""
    root = tmp_path_factory.mktemp("upstream")
    network = make_upstream("whisper", root / "net")
    config = {**CONFIG, **HEAD, "features": {"type": "upstream", "model": str(network)}}
    path = root / "upstream.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    dump = shutil.copytree(tiny.dump, root / "dump")
    assert make_fbank.main(stage4(tiny, path, dump)) == 0
    return dump, path, network


def stage4(tiny, path, dump, *more) -> list[str]:
    sets = " ".join(str(tiny.root / "data" / name) for name in SETS)
    return ["--config", str(path), "--sets", sets, "--dump", str(dump), *more]


def session_of(tiny, upstream, exp) -> Session:
    dump, path, _ = upstream
    return Session(Experiment(load_config(path), tiny.data, dump, exp), torch.device("cpu"))


@pytest.fixture(scope="module")
def trained(tiny, upstream, tmp_path_factory) -> Session:
    """The teacher and TRNet of fold 1; not to be changed."""
    session = session_of(tiny, upstream, tmp_path_factory.mktemp("exp"))
    train(session, "baseline_c")
    train(session, "trnet")
    return session


def test_the_log_mels_of_the_gate_are_those_of_a_log_mel_experiment(tiny, upstream, capsys):
    dump, path, _ = upstream
    assert {folder.name for folder in dump.iterdir() if folder.is_dir()} == {"raw", "none", "net_middle"}
    for kind in ("raw", "none"):
        for name in SETS:
            there = (dump / "net_middle" / kind / name / "feats.ark").stat().st_size
            assert (
                there
                and (dump / kind / name / "feats.ark").read_bytes()
                == (tiny.dump / kind / name / "feats.ark").read_bytes()
            )
    before = {file: file.stat().st_mtime_ns for file in dump.rglob("feats.ark")}
    assert make_fbank.main(stage4(tiny, path, dump)) == 0
    assert before == {file: file.stat().st_mtime_ns for file in dump.rglob("feats.ark")}


def test_processes_share_features_and_log_mels_and_train_the_same(tiny, upstream, trained, tmp_path):
    session = session_of(tiny, upstream, tmp_path)
    runs = [run_of(session, "baseline_c"), run_of(session, "trnet")]
    with session.sharing(runs, 2) as mine:
        assert set(mine.memory) == {"cache", "gate_cache"} and mine.at_once == 2
        for run in runs:
            mine.train_group((run,))
            assert same_outcome(outcome(mine, run.system), outcome(trained, run.system))
        for cache in (mine.cache, mine.gate_cache):
            sets = cache.in_memory
            assert sets and cache.resident(sets).flat is cache.shared.flat
    with session.sharing(runs, 1) as alone:
        assert not alone.memory and alone.at_once == 1


def test_hidden_states_of_other_weights_never_take_the_place_of_a_dump(tiny, upstream, tmp_path, fails):
    dump, path, _ = upstream
    other = make_upstream("whisper", tmp_path / "net", seed=1)
    before = (dump / "net_middle" / "raw" / "tiny" / "feats.ark").read_bytes()
    line = fails(make_fbank.main, stage4(tiny, path, dump, "--set", f"features.model={other}"))
    assert "net_middle" in line and "weights" in line
    assert (dump / "net_middle" / "raw" / "tiny" / "feats.ark").read_bytes() == before
    experiment = session_of(tiny, upstream, tmp_path).experiment
    changed = experiment.config.replace(features=experiment.config.features.replace(model=str(other)))
    with pytest.raises(TrnetError, match="net_middle"):
        Experiment(changed, tiny.data, dump, tmp_path).check_features(["trnet"])


def test_a_gate_of_frames_trains_by_tables_of_rows(tiny, upstream, tmp_path):
    """Features and log-mels have widths of their own, whose shapes come in any order."""
    session = session_of(tiny, upstream, tmp_path)
    experiment = session.experiment
    gate = {**HEAD["gate"], "resolution": "frame"}
    config = experiment.config.replace(gate=gate, training=experiment.config.training.replace(compile=False))
    session = Session(Experiment(config, tiny.data, upstream[0], tmp_path), session.device)
    run = run_of(session, "trnet_wo_high")
    session.hold([run])
    for seed in range(1, 7):
        job = CapturedSERJob(replace(session.data(run), seed=seed), [run])
        job.begin()
        for step in job.steps(1, [])[1]:
            assert bool(job.step(step.batch)["loss"].isfinite())
        assert job.lane is not None
    drop_lanes()


def test_another_layer_has_a_folder_of_its_own(tiny, upstream, tmp_path):
    experiment = session_of(tiny, upstream, tmp_path).experiment
    changed = experiment.config.replace(features=experiment.config.features.replace(layer=2))
    with pytest.raises(TrnetError, match="net_2"):
        Experiment(changed, tiny.data, upstream[0], tmp_path).check_features(["baseline_c"])


def test_statistics_of_the_training_speakers_are_kept_with_the_weights(trained):
    run = run_of(trained, "trnet")
    frames = np.concatenate(
        [trained.experiment.reader.matrix("noisy", utt, CLEAN).astype(np.float16) for utt in run.fold.train]
    ).astype(np.float64)
    for name in ("baseline_c", "trnet"):
        best = outcome(trained, name)[0]["model"]
        np.testing.assert_allclose(best["feature_scale.mean"], frames.mean(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(best["feature_scale.std"], frames.std(0), rtol=1e-4, atol=1e-5)
    assert best["feature_scale.mean"].shape == (DIM,)


def test_losses_of_both_levels_are_there_and_c_is_of_the_log_mels(trained):
    rows = history(trained, "trnet")
    assert len(rows) == 3 and all(np.isfinite([row["low"], row["high"], row["c_clean"]]).all() for row in rows)
    assert rows[-1]["low"] < 10  # of scaled features: some parts of their variance, whatever the network's values


def test_a_stopped_run_has_the_very_same_end(tiny, upstream, trained, tmp_path, monkeypatch):
    session = session_of(tiny, upstream, tmp_path)
    shutil.copytree(trained.experiment.system_folder("baseline_c"), session.experiment.system_folder("baseline_c"))
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, "train_epoch", 2)
        train(session, "trnet")
    train(session, "trnet")
    assert same_outcome(outcome(session, "trnet"), outcome(trained, "trnet"))


def test_features_are_the_same_from_memory_and_from_archives(trained):
    reader, lengths = trained.experiment.reader, trained.lengths
    utts = sorted(lengths)[:5]
    near = FeatureCache(reader, lengths, torch.device("cpu"), half=True)
    near.hold({("noisy", CLEAN)}, utts[:3])
    far = FeatureCache(reader, lengths, torch.device("cpu"), Room(0), half=True)
    items = [(utt, CLEAN) for utt in utts]
    found = near.stack("noisy", items)
    assert found.dtype == torch.float32 and torch.equal(found, far.stack("noisy", items))
    assert torch.equal(found, found.half().float())


def test_a_student_may_start_from_a_teacher_whose_features_are_scaled(tiny, upstream, trained, tmp_path, monkeypatch):
    dump, path, _ = upstream
    config = load_config(path)
    changed = {"trnet_wo_high": config.systems["trnet_wo_high"].plain() | {"init": "teacher"}}
    session = Session(
        Experiment(config.replace(systems=config.systems | changed), tiny.data, dump, tmp_path), torch.device("cpu")
    )
    teacher = run_of(trained, "baseline_c")
    shutil.copytree(teacher.folder, run_of(session, "baseline_c").folder)
    start = session.data(run_of(session, "trnet_wo_high")).start
    train(session, "trnet_wo_high")
    weights = outcome(trained, "baseline_c")[0]["model"]
    assert start.keys() == {key for key in weights if not key.startswith("feature_scale.")}
