"""A step asks nothing of the device; validation is the mean recall of the validation speaker."""

import contextlib

import pytest
import torch
from tiny import CLASSES
from torch.utils._python_dispatch import TorchDispatchMode
from training import outcome, run_of, with_system

from trnet.conditions import CLEAN
from trnet.model.batch import Batch
from trnet.model.systems import make_system
from trnet.train.ser_job import SERJob
from trnet.train.session import Session
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole


def test_validation_uar_is_the_mean_recall_of_the_validation_speaker(trained):
    """best.pt, one utterance at a time, gives the number in the history."""
    experiment, fold = trained.experiment, run_of(trained, "baseline_c").fold
    best, last, _ = outcome(trained, "baseline_c")
    model = make_system(experiment.config.model("baseline_c"), 4)
    model.load_state_dict(best["model"])
    model.eval()
    surely, perhaps = 0, 0  # right, whichever of classes that are nearly as likely comes out
    for utt in fold.valid:
        x = torch.from_numpy(experiment.reader.matrix("noisy", utt, CLEAN).copy())
        with torch.inference_mode():
            logits = model(Batch((), torch.tensor([len(x)]), torch.tensor([0]), noisy=x[None])).logits[0]
        best_ones = {CLASSES[i] for i in (logits > logits.max() - 1e-3).nonzero().flatten().tolist()}
        surely += best_ones == {utt[4:7]}
        perhaps += utt[4:7] in best_ones
    uar = last["history"][best["epoch"] - 1]["valid_uar"]  # 2 utterances of each of 4 classes
    assert 100 / 8 * surely - 1e-6 < uar < 100 / 8 * perhaps + 1e-6


def test_class_weights_are_those_of_the_training_utterances_or_as_given(tiny, tmp_path):
    losses = [{"type": "cross_entropy", "class_weights": "balanced", "label_smoothing": 0.1}]
    session = with_system(tiny, tmp_path, "baseline_n", {"losses": losses})
    dataset = session.experiment.dataset
    changed = [utt for utt in dataset.labels if dataset.labels[utt] == 0][::2]
    dataset.labels.update(dict.fromkeys(changed, 1))
    run = run_of(session, "baseline_n")
    job = SERJob(session.data(run), [run])
    job.begin()
    counts = [sum(dataset.labels[utt] == c for utt in run.fold.train) for c in range(4)]
    assert len(set(counts)) == 3
    loss = job.losses.losses["cross_entropy"]
    assert loss.weights.tolist() == pytest.approx([32 / (4 * count) for count in counts])
    assert loss.label_smoothing == 0.1
    losses = [{"type": "cross_entropy", "class_weights": [1, 2.0, 3]}]
    session = with_system(tiny, tmp_path, "baseline_n", {"losses": losses})
    with pytest.raises(TrnetError, match="class_weights: 3 .*4 .*ang hap neu sad"):
        SERJob(session.data(run), [run]).begin()


class Sent(TorchDispatchMode):
    """Shapes of what goes from the host to another device, by whether the host waits for it."""

    def __init__(self):
        super().__init__()
        self.with_wait, self.without_wait = [], []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = function(*args, **kwargs)
        if function in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            source = args[0] if function is torch.ops.aten._to_copy.default else args[1]
            without_wait = kwargs.get("non_blocking") or args[2:] == (True,)
            if source.device.type == "cpu" != out.device.type:
                (self.without_wait if without_wait else self.with_wait).append(tuple(source.shape))
        return out


PARTS = {"encoder": {"type": "ecapa_tdnn", "channels": 8, "out_channels": 8, "scale": 2, "attention": 4}}
PARTS["pooling"] = {"type": "statistics", "attention": 4}


@pytest.mark.parametrize(
    ("name", "training", "parts"),
    [
        ("baseline_e", {}, {}),
        ("trnet", {}, {}),
        ("trnet", {"ema": 0.9, "grad_clip": 1.0, "optimizer": {"type": "adamw"}, "schedule": {"warmup_steps": 3}}, {}),
        ("baseline_n", {}, PARTS),
        ("baseline_n", {}, {"encoder": "light"}),
    ],
)
def test_a_step_asks_nothing_of_the_device(tiny, tmp_path, monkeypatch, name, training, parts):
    """PyTorch's meta device has shapes and no numbers: what a GPU would have to be waited for cannot be had there."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # meta has none
    experiment = tiny.experiment(tmp_path, plateau_patience=0, **training)
    experiment = type(experiment)(experiment.config.replace(**parts), tiny.data, tiny.dump, tmp_path)
    session = Session(experiment, torch.device("meta"))
    run = run_of(session, name)
    h_s = {utt: torch.zeros(8, device="meta") for utt in run.fold.train}
    monkeypatch.setattr(Session, "_h_s", lambda *_: h_s)
    session.hold([run])
    job = SERJob(session.data(run), [run])
    job.begin()
    job.steps(1, [])
    with Sent() as sent:
        for items in ([(utt, condition) for utt in job.data.utts[:3]] for condition in job.data.conditions):
            batch = job.reader.read(items)
            assert len(set(batch.lengths.tolist())) > 1, "padding is part of it"
            losses = job.step(batch)
            assert {value.device.type for value in losses.values()} == {"meta"}
    assert sent.without_wait and not sent.with_wait
