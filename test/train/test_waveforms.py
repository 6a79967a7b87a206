"""Eq. 4 on waveforms: X~ is what the pretrained network makes of c x + (1 - c) x_e."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from near import assert_near
from training import history, is_finished, outcome, run_of, train
from waveforms import OTHERS

from trnet.conditions import CLEAN, Condition
from trnet.features.upstream.extractor import shared_upstream
from trnet.kaldi.data_dir import write_table
from trnet.model.feature_scale import scaled_batch
from trnet.model.systems import make_system, run_system
from trnet.runs.experiment import Experiment
from trnet.train.batches import BatchReader
from trnet.train.fast_jobs import make_job, shares_process
from trnet.train.losses import Low
from trnet.train.ser_job import SERJob
from trnet.train.session import Session
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole

NOISY = Condition("esc", 0.0)


def session_of(mixed, exp, dump=None, gate=(), **training) -> Session:
    """A session with a changed gate."""
    session = mixed.session(exp, dump, **training)
    config = session.experiment.config
    changed = config.replace(gate=config.gate.replace(**dict(gate)))
    return Session(Experiment(changed, mixed.data, dump or mixed.dump, exp), session.device)


def system_of(session: Session, name: str = "trnet") -> torch.nn.Module:
    """A system, untrained, with the scale of fold 1."""
    torch.manual_seed(0)
    system = make_system(session.experiment.config.model(name), 4)
    scale = session._scale(run_of(session, name).fold)
    system.get_submodule("feature_scale").load_state_dict(scale.state_dict())
    return system.eval()


def readers(session: Session) -> tuple[BatchReader, BatchReader]:
    """Of waveforms, and of the dumped hidden states, as they were before any is rounded to two bytes."""
    labels = session.experiment.dataset.labels
    waves = BatchReader(session.cache, labels, (), gate=session.gate_cache, waves=session.waves)
    exact = type(session.cache)(session.experiment.reader, session.lengths, session.device)
    return waves, BatchReader(exact, labels, ("noisy", "enhanced"))


def items_of(session: Session, count: int = 4) -> list:
    """Utterances of different lengths, noisy and clean."""
    utts = session.experiment.dataset.utts
    return [(utt, NOISY) for utt in utts[:count]] + [(utts[count], CLEAN)]


@pytest.mark.parametrize(("c", "kind"), [(1.0, "noisy"), (0.0, "enhanced")])
def test_without_a_mixture_hidden_states_are_those_that_were_dumped(mixed, tmp_path, c, kind):
    session = session_of(mixed, tmp_path, gate={"fixed": c})
    system, (waves, dumped) = system_of(session), readers(session)
    items = items_of(session)
    with torch.inference_mode():
        output = run_system(system, waves.read(items))
        wanted = scaled_batch(system, dumped.read(items))
    assert output.c.tolist() == [c] * len(items)
    frames = output.compensated.shape[1]  # what is read from a dump may be padded to more
    torch.testing.assert_close(output.compensated, getattr(wanted, kind)[:, :frames], rtol=0, atol=1e-4)
    assert (wanted.noisy - wanted.enhanced).abs().mean() > 0.01  # so that the two are told apart


def test_a_mixture_is_one_of_waveforms(mixed, tmp_path):
    session = session_of(mixed, tmp_path, gate={"fixed": 0.25})
    system, (waves, dumped) = system_of(session), readers(session)
    ((utt, condition), *_) = items = items_of(session)
    with torch.inference_mode():
        found = run_system(system, waves.read(items)).compensated[0, : session.lengths[utt]]
        read = session.experiment.wave_reader.matrix
        x, x_e = (torch.from_numpy(read(kind, utt, condition)[:, 0]) for kind in ("noisy", "enhanced"))
        states = shared_upstream(session.experiment.config.features, session.device)(0.25 * x + 0.75 * x_e)
        scale, both = system.get_submodule("feature_scale"), scaled_batch(system, dumped.read(items[:1]))
    assert_near(found, (states - scale.mean) / scale.std)
    of_states = (0.25 * both.noisy[0] + 0.75 * both.enhanced[0])[: len(found)]
    assert (found - of_states).abs().max() > 0.01


def test_padding_moves_nothing(mixed, tmp_path):
    session = session_of(mixed, tmp_path)
    system, (reader, _) = system_of(session), readers(session)
    items = items_of(session)
    with torch.inference_mode():
        together = run_system(system, reader.read(items))
        for number, item in enumerate(items):
            alone = run_system(system, reader.read([item]))
            for found, wanted in ((together.logits, alone.logits), (together.c, alone.c), (together.h, alone.h)):
                assert_near(found[number], wanted[0])
            frames = session.lengths[item[0]]
            assert not together.compensated[number, frames:].any()


def test_the_gradient_of_the_low_level_loss_reaches_the_gate_and_not_the_network(mixed, tmp_path):
    session = session_of(mixed, tmp_path)
    system = system_of(session)
    waves, _ = readers(session)
    waves.target = "noisy"
    batch = scaled_batch(system, waves.read(items_of(session)))
    output = system(batch)
    assert ((output.c > 0) & (output.c < 1)).all()
    loss = Low()(output, batch)
    loss.backward()
    assert system.gate.fc.weight.grad.abs().max() > 0 and torch.isfinite(system.gate.fc.weight.grad).all()
    network = shared_upstream(session.experiment.config.features, session.device).network
    assert all(not each.requires_grad and each.grad is None for each in network.parameters()) and not network.training
    assert all(key.split(".")[0] in ("gate", "ser", "bridge", "feature_scale") for key in system.state_dict())
    step = 1e-2  # the loss changes along the gradient as it says
    gradient = system.gate.fc.bias.grad.item()
    with torch.no_grad():
        losses = []
        for sign in (1, -1):
            system.gate.fc.bias += sign * step
            losses.append(Low()(system(batch), batch).item())
            system.gate.fc.bias -= sign * step
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(gradient, rel=0.05)


@pytest.fixture(scope="module")
def trained(mixed, tmp_path_factory) -> Session:
    """The teacher and TRNet of fold 1, without the hidden states that they do not read; not to be changed."""
    root = tmp_path_factory.mktemp("mixed")
    dump = shutil.copytree(mixed.dump, root / "dump")
    for pattern in OTHERS:
        for folder in (dump / "net_2").glob(pattern):
            shutil.rmtree(folder)
    session = session_of(mixed, root / "exp", dump, max_epochs=2)
    train(session, "baseline_c")
    train(session, "trnet")
    return session


def test_it_trains_without_the_hidden_states_of_noisy_and_enhanced_speech(trained):
    rows = history(trained, "trnet")
    assert len(rows) == 2 and all(np.isfinite([row["low"], row["high"], row["c_noisy"]]).all() for row in rows)
    best, last, _ = outcome(trained, "trnet")
    assert best["model"].keys() == last["model"].keys() and not any("network" in key for key in best["model"])
    first = make_system(trained.experiment.config.model("trnet"), 4).state_dict()
    assert not torch.equal(first["gate.fc.weight"], last["model"]["gate.fc.weight"])
    with pytest.raises(TrnetError, match="net_2"):
        trained.experiment.check_features(["baseline_n"])


def test_the_stamp_names_the_sets_and_the_length_of_their_audio(trained):
    made_from = trained.experiment.stamp(run_of(trained, "trnet")).made_from
    sets = {f"{kind}/tiny{name}" for kind in ("raw", "gtcrn") for name in ("", "_esc_10db", "_esc_0db")}
    assert set(made_from["features"]) == {*sets, "net_2/raw/tiny"}
    assert made_from["gate"]["mix"] == "waveform" and made_from["waveforms"]["span"] == 80240
    assert "waveforms" not in trained.experiment.stamp(run_of(trained, "baseline_c")).made_from
    assert is_finished(trained, "trnet")
    config = trained.experiment.config
    other = Experiment(
        config.replace(gate=config.gate.replace(mix="features")),
        trained.experiment.data,
        trained.experiment.dump,
        trained.experiment.exp,
    )
    with pytest.raises(TrnetError, match="net_2"):  # whose hidden states are not there
        other.finished(run_of(trained, "trnet"))


def test_steps_are_not_compiled_and_a_line_says_so(mixed, trained, tmp_path, caplog):
    session = session_of(mixed, tmp_path, max_epochs=1, compile=True)
    shutil.copytree(run_of(trained, "baseline_c").folder, run_of(session, "baseline_c").folder)
    run = run_of(session, "trnet")
    with caplog.at_level(logging.INFO):
        assert type(make_job(replace(session.data(run), h_s={}), [run])) is SERJob
    assert "trnet" in caplog.text and "not compiled" in caplog.text
    gpu, config = torch.device("cuda"), session.experiment.config
    assert shares_process(config, gpu, ["baseline_n"]) and not shares_process(config, gpu, ["baseline_n", "trnet"])


def test_enhanced_audio_of_another_length_is_refused(mixed, tmp_path):
    session = session_of(mixed, tmp_path)
    config = session.experiment.config
    longer = config.replace(features=config.features.replace(max_seconds=4.0))
    with pytest.raises(TrnetError, match="run stages 2 to 4"):
        Experiment(longer, mixed.data, mixed.dump, tmp_path).check_features(["trnet"])


def test_audio_that_is_gone_is_named(mixed, tmp_path):
    dump = shutil.copytree(mixed.dump, tmp_path / "dump")
    session = session_of(mixed, tmp_path / "exp", dump)
    utt = session.experiment.dataset.utts[0]
    gone = dump / "gtcrn/tiny_esc_0db/wav" / f"{NOISY.utt(utt)}.wav"
    gone.unlink()
    with pytest.raises(TrnetError, match=gone.name):
        session.waves.cache.stack("enhanced", [(utt, NOISY)])
    table = dump / "gtcrn/tiny_esc_0db/wav.scp"
    write_table(table, {NOISY.utt(utt): "cat speech.wav |"})
    with pytest.raises(TrnetError, match="programs"):
        session_of(mixed, tmp_path / "exp", dump).waves.cache.stack("enhanced", [(utt, NOISY)])
