"""Predictions of a system: each item once, no trace in the model, nothing that is not finite."""

import pytest
import torch
from near import assert_near
from training import run_of, same_weights

from trnet.conditions import CLEAN, Condition
from trnet.model.systems import make_system, run_system
from trnet.train import inference
from trnet.train.inference import infer
from trnet.utils.errors import TrnetError


@pytest.mark.parametrize("name", ["baseline_c", "trnet"])
def test_inference_leaves_no_trace_in_the_model(tiny, tmp_path, name):
    """Validation in mid-training: weights and BatchNorm statistics as before, no gradient."""
    session = tiny.session(tmp_path)
    data = session.data(run_of(session, "trnet_wo_high"))
    reader = data.reader(training=False)
    model = make_system(session.experiment.config.model(name), 4).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    items = [(utt, condition) for utt in data.utts[:5] for condition in (CLEAN, Condition("esc", 0))]
    found = infer(model, reader, items, 3, with_h=True)
    assert same_weights(model.state_dict(), before) and set(found) == set(items)
    assert all(p.probs.sum() == pytest.approx(1) and p.h.shape == (8,) for p in found.values())
    assert all((p.c is None) == (name == "baseline_c") for p in found.values())
    alone = infer(model, reader, items, 1)
    for item in items:
        assert_near(found[item].probs, alone[item].probs)
        assert alone[item].h is None


def test_scores_that_are_not_finite_are_named(tiny, tmp_path):
    session = tiny.session(tmp_path)
    data = session.data(run_of(session, "trnet_wo_high"))
    model = make_system(session.experiment.config.model("baseline_n"), 4)
    torch.nn.init.constant_(model.classifier[-1].bias, float("nan"))
    with pytest.raises(TrnetError, match=data.utts[3]):
        infer(model, data.reader(training=False), [(data.utts[3], CLEAN)], 2)


def test_a_batch_that_does_not_fit_the_device_is_halved(tiny, tmp_path, monkeypatch):
    session = tiny.session(tmp_path)
    data = session.data(run_of(session, "trnet_wo_high"))
    model = make_system(session.experiment.config.model("trnet"), 4)
    items = [(utt, CLEAN) for utt in data.utts[:11]]
    wanted, sizes = infer(model, data.reader(training=False), items, 8, with_h=True), []

    def small(system, batch):
        sizes.append(len(batch.lengths))
        if sizes[-1] > 3:
            raise torch.OutOfMemoryError
        return run_system(system, batch)

    monkeypatch.setattr(inference, "run_system", small)
    found = infer(model, data.reader(training=False), items, 8, with_h=True)
    assert sizes == [8, 4, 2, 2, 4, 2, 2, 3] and found.keys() == wanted.keys()
    for item, prediction in found.items():
        assert_near(prediction.probs, wanted[item].probs)
        assert_near(prediction.h, wanted[item].h)
    monkeypatch.setattr(inference, "run_system", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError))
    with pytest.raises(torch.OutOfMemoryError):
        infer(model, data.reader(training=False), items, 8)
