"""Runs from their first to their last epoch: stopped and resumed, changed, loaded by those who use them."""

from __future__ import annotations

import csv
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from near import WAVE

from trnet.bin import enhance, evaluate_frontend, train_frontend
from trnet.enh import job
from trnet.enh.config import EnhConfig, EnhTraining, load_enh_config
from trnet.enh.methods import METHODS, build_method
from trnet.enh.metrics import si_sdr
from trnet.frontend import build_frontend
from trnet.runs.checkpoint import load_checkpoint
from trnet.utils.errors import TrnetError
from trnet.utils.locks import only_one

pytest.importorskip("pesq")
pytest.importorskip("pystoi")

pytestmark = pytest.mark.slow

SMALL = {
    "cmgan": {"num_channel": 4},
    "dccrn": {"architecture": "mini", "n_fft": 128, "window": 128, "hop": 64},
    "dpt_fsnet": {"channels": 8, "blocks": 1, "heads": 1, "depth": 1, "n_fft": 64, "hop": 32},
}


def options(config: Path, pairs: Path, exp: Path, *more: str) -> list[str]:
    return ["--configs", str(config), "--data", str(pairs), "--exp", str(exp), *more]


def same_weights(one: Path, other: Path) -> bool:
    first, second = (torch.load(path, weights_only=True)["state_dict"] for path in (one, other))
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def same_state(one: Path, other: Path) -> bool:
    """Whether two runs are at the same place: network, discriminator, optimisers, history."""
    first, second = (load_checkpoint(path) for path in (one, other))

    def flat(value):
        if isinstance(value, dict):
            return [item for key in sorted(value, key=str) for item in (str(key), *flat(value[key]))]
        if isinstance(value, list | tuple):
            return [item for part in value for item in flat(part)]
        return [value.tolist() if isinstance(value, torch.Tensor) else str(value)]

    kept = ("method", "history", "steps")
    return flat({k: first[k] for k in kept}) == flat({k: second[k] for k in kept})


@pytest.fixture(scope="module")
def trained(pairs, tmp_path_factory, write_config) -> Path:
    """The small DCCRN after 3 epochs, seed 1, and its YAML."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "dccrn.yaml").write_bytes(write_config().read_bytes())
    assert train_frontend.main(options(folder / "dccrn.yaml", pairs, folder / "exp")) == 0
    return folder


def test_training_lowers_the_loss_and_keeps_the_best_epoch(trained):
    run = trained / "exp/dccrn/seed1"
    with open(run / "history.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    assert not [path for path in run.rglob("*") if ".partial-" in path.name]
    state = load_checkpoint(run / "last.pt")
    assert state["steps"] == 9 and len(state["trained_with"]) == 1


def test_stopped_in_the_middle_and_resumed_it_comes_to_the_very_same_end(trained, pairs, tmp_path, monkeypatch):
    """Ctrl-C in the second epoch, then the same command again."""
    calls = []
    step = METHODS["dccrn"].step

    def stop_once(self, noisy, clean):
        calls.append(1)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, noisy, clean)

    monkeypatch.setattr(METHODS["dccrn"], "step", stop_once)
    args = options(trained / "dccrn.yaml", pairs, tmp_path / "exp")
    assert train_frontend.main(args) == 130
    run = tmp_path / "exp/dccrn/seed1"
    assert len(load_checkpoint(run / "last.pt")["history"]) == 1
    assert train_frontend.main(args) == 0
    assert len(calls) == 5 + 6
    reference = trained / "exp/dccrn/seed1"
    assert same_state(run / "last.pt", reference / "last.pt")
    assert same_weights(run / "frontend.pt", reference / "frontend.pt")


def test_more_epochs_go_on_and_fewer_start_anew(trained, pairs, tmp_path):
    config, exp = trained / "dccrn.yaml", tmp_path / "exp"
    for epochs in ("1", "3"):
        assert train_frontend.main(options(config, pairs, exp, "--max-epochs", epochs)) == 0
    run, reference = exp / "dccrn/seed1", trained / "exp/dccrn/seed1"
    assert same_state(run / "last.pt", reference / "last.pt")
    assert train_frontend.main(options(config, pairs, exp, "--max-epochs", "1")) == 0
    assert len(load_checkpoint(run / "last.pt")["history"]) == 1


def test_a_finished_run_is_left_alone_and_a_changed_one_is_trained_anew(trained, pairs, tmp_path, capsys, write_config):
    exp, config = tmp_path / "exp", write_config(training={"max_epochs": 1})
    assert train_frontend.main(options(config, pairs, exp)) == 0
    before = (exp / "dccrn/seed1/frontend.pt").stat().st_mtime_ns
    capsys.readouterr()
    assert train_frontend.main(options(config, pairs, exp)) == 0
    assert "up to date" in capsys.readouterr().out
    assert (exp / "dccrn/seed1/frontend.pt").stat().st_mtime_ns == before
    assert train_frontend.main(options(write_config(training={"max_epochs": 1, "lr": 0.02}), pairs, exp)) == 0
    assert "changed: training" in capsys.readouterr().out


def test_seeds_differ(trained, pairs, tmp_path, write_config):
    config = write_config(training={"max_epochs": 1})
    assert train_frontend.main(options(config, pairs, tmp_path / "exp", "--seeds", "1 2")) == 0
    paths = [tmp_path / f"exp/dccrn/seed{seed}/frontend.pt" for seed in (1, 2)]
    assert not same_weights(*paths)


def test_a_second_process_is_refused(pairs, tmp_path, fails, write_config):
    with only_one(tmp_path / "exp/dccrn/seed1"):
        message = fails(train_frontend.main, options(write_config(), pairs, tmp_path / "exp"))
    assert f"{tmp_path}/exp/dccrn/seed1: another process" in message


def test_a_full_disk_leaves_no_half_checkpoint(trained, pairs, tmp_path, fails, disk_full, monkeypatch):
    save = job.save_frontend

    def save_on_full_disk(path, name, method):  # not before: the start of a run sweeps what others left
        disk_full(path)
        save(path, name, method)

    monkeypatch.setattr(job, "save_frontend", save_on_full_disk)
    message = fails(train_frontend.main, options(trained / "dccrn.yaml", pairs, tmp_path / "exp"))
    assert "no space left" in message and not (tmp_path / "exp/dccrn/seed1/frontend.pt").exists()


def test_a_loss_that_is_not_finite_says_what_to_do(pairs, tmp_path, fails, write_config, monkeypatch):
    monkeypatch.setattr("trnet.enh.methods.dccrn.si_snr_loss", lambda a, b: a.sum() * float("nan"))
    said = fails(train_frontend.main, options(write_config(), pairs, tmp_path / "exp"))
    assert "training.lr" in said and re.search(r"dccrn seed 1: epoch 1, (S\S+ ){3}S\S+: loss", said)


@pytest.mark.parametrize("name", ["cmgan", "dccrn", "dpt_fsnet"])
def test_every_network_trains_resumes_and_loads_with_its_sizes(name, pairs, tmp_path, write_config):
    """Two epochs at once, and the second one in another call."""
    training = {"segment_s": 0.1, "batch_size": 2, "utts_per_epoch": 2, "max_epochs": 2, "lr": 0.001}
    validation = {"utts": 1, "audio": 0}
    config = write_config(frontend=name, sizes=SMALL[name], training=training, validation=validation)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train_frontend.main(options(config, pairs, whole)) == 0
    for epochs in ("1", "2"):
        assert train_frontend.main(options(config, pairs, parts, "--max-epochs", epochs)) == 0
    runs = [exp / name / "seed1" for exp in (whole, parts)]
    assert same_state(*(run / "last.pt" for run in runs))
    checkpoint = str(runs[0] / "frontend.pt")
    frontend = build_frontend({"frontend": name, "frontend_conf": {"checkpoint": checkpoint}})
    untrained = build_frontend({"frontend": name, "frontend_conf": {"init": "random", **SMALL[name]}})
    sizes = [[p.shape for p in fe.parameters()] for fe in (frontend, untrained)]
    assert sizes[0] == sizes[1] and not any(p.requires_grad for p in frontend.parameters())
    assert bool(frontend.enhance(torch.randn(1, 4000) * 0.1).isfinite().all())


def test_every_network_learns_a_batch_by_heart():
    """Six steps on one batch lower each network's loss, of 5 draws of weights by 20 % or by 5 dB at the least."""
    torch.manual_seed(0)
    clean = torch.sin(torch.arange(1600) * 0.3).repeat(2, 1) * 0.1
    noisy = clean + 0.05 * torch.randn(2, 1600)
    for name, sizes in SMALL.items():
        method = build_method(EnhConfig(frontend=name, sizes=sizes), lambda pairs: [2.0] * len(pairs))
        method.train(True)
        method.set_lr(0.003)
        losses = [method.step(noisy, clean)["loss"].item() for _ in range(6)]
        assert losses[-1] < losses[0], (name, losses)


def test_scores_and_report(trained, pairs, capsys):
    args = options(trained / "dccrn.yaml", pairs, trained / "exp")
    assert evaluate_frontend.main(args) == 0
    with open(trained / "exp/results.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(r["frontend"], r["seed"], r["snr_db"], r["n_utts"]) for r in rows] == [
        *(("noisy", "", snr, count) for snr, count in (("", "32"), ("0", "16"), ("10", "16"))),
        *(("dccrn", "1", snr, count) for snr, count in (("", "32"), ("0", "16"), ("10", "16"))),
    ]
    by_snr = {row["snr_db"]: float(row["si_sdr"]) for row in rows if row["frontend"] == "noisy"}
    assert by_snr["0"] == pytest.approx(0, abs=0.6) and by_snr["10"] == pytest.approx(10, abs=0.6)
    assert by_snr[""] == pytest.approx((by_snr["0"] + by_snr["10"]) / 2, abs=1e-3)
    text = (trained / "exp/RESULTS.md").read_text()
    for part in (
        "32 utterances (of 32) of 2 speakers",
        "dccrn, seed 1",
        "epoch",
        "SI-SDR (dB) per SNR",
        "noisy, as it is",
    ):
        assert part in text
    capsys.readouterr()
    assert evaluate_frontend.main(args) == 0
    assert capsys.readouterr().out.count("up to date") == 2
    assert evaluate_frontend.main([*args, "--test-utts", "5"]) == 0
    with open(trained / "exp/noisy/scores.csv", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 5


def test_scores_of_a_run_that_is_not_there(pairs, tmp_path, fails, write_config):
    args = options(write_config(), pairs, tmp_path / "exp")
    assert f"{tmp_path}/exp/dccrn/seed1: " in fails(evaluate_frontend.main, args)


def test_a_trained_front_end_enters_ser1_by_one_line_or_two_options(trained, tiny, tmp_path):
    """Stage 3's entry point: the checkpoint alone says what to build."""
    checkpoint = trained / "exp/dccrn/seed1/frontend.pt"
    sets = ["--sets", str(tiny.root / "data/tiny_esc_0db")]
    by_options = [*sets, "--dump", str(tmp_path / "one"), "--config", str(tiny.config_path)]
    by_options += ["--frontend", "dccrn", "--frontend-checkpoint", str(checkpoint)]
    assert enhance.main(by_options) == 0
    config = tmp_path / "mine.yaml"
    lines = f"base: {tiny.config_path}\nfrontend: dccrn\nfrontend_conf: {{checkpoint: {checkpoint}}}\n"
    config.write_text(lines)
    assert enhance.main([*sets, "--dump", str(tmp_path / "two"), "--config", str(config)]) == 0
    first, second = (sorted((tmp_path / dump).rglob("*.wav")) for dump in ("one", "two"))
    assert len(first) == len(second) == 48
    frontend = build_frontend({"frontend": "dccrn", "frontend_conf": {"checkpoint": str(checkpoint)}})
    noisy = soundfile.read(tiny.root / "data/tiny_esc_0db/wav" / first[0].name, dtype="float32")[0]
    wanted = frontend.enhance(torch.from_numpy(noisy)[None])[0].numpy()
    for path in (first[0], second[0]):
        assert np.abs(soundfile.read(path, dtype="float32")[0] - wanted).max() < WAVE


def test_curves_and_audio_are_in_tensorboard(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(trained / "exp/dccrn/seed1/tensorboard"), {"scalars": 0, "audio": 0})
    board.Reload()
    assert {"train/loss", "valid/si_sdr", "valid/pesq", "valid/stoi", "lr"} <= set(board.Tags()["scalars"])
    assert [event.step for event in board.Scalars("valid/si_sdr")] == [1, 2, 3]
    assert {tag.rpartition("/")[2] for tag in board.Tags()["audio"]} == {"noisy", "clean", "enhanced"}


def test_unknown_networks_and_options(write_config):
    config = load_enh_config(write_config(frontend="gtcrn", sizes={}))
    with pytest.raises(TrnetError, match="gtcrn: .* Known: cmgan dccrn dpt_fsnet"):
        build_method(config, None)
    for sizes, message in (({"checkpoint": "x"}, "sizes.checkpoint"), ({"hops": 3}, "unknown key 'hops'")):
        with pytest.raises(TrnetError, match=message):
            build_method(EnhConfig(frontend="dccrn", sizes=sizes), None)


@pytest.mark.parametrize("name", ["cmgan", "dpt_fsnet"])
def test_a_network_that_starts_as_the_identity_passes_speech_on_and_learns(name):
    torch.manual_seed(0)
    config = EnhConfig(frontend=name, sizes=SMALL[name], training=EnhTraining(start="identity", lr=0.01))
    method = build_method(config, lambda pairs: [2.0] * len(pairs))
    wav = torch.randn(2, 3200, generator=torch.Generator().manual_seed(1)) * 0.1
    method.train(False)
    assert si_sdr(method.frontend.enhance(wav)[0].numpy(), wav[0].numpy()) > 20
    method.train(True)
    before = {key: value.clone() for key, value in method.network.state_dict().items()}
    for _ in range(3):
        method.step(wav, wav * 0.5)
    moved = {key for key, value in method.network.state_dict().items() if not torch.equal(value, before[key])}
    weights = {key for key, _ in method.network.named_parameters()}
    assert len(moved & weights) > 0.9 * len(weights)  # the first layers too


def test_a_network_without_an_identity_says_so():
    config = EnhConfig(frontend="dccrn", sizes=SMALL["dccrn"], training=EnhTraining(start="identity"))
    with pytest.raises(TrnetError, match="training.start: dccrn"):
        build_method(config, lambda pairs: [])
