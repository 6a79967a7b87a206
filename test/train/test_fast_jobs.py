"""Steps of static shapes, compiled or by tables of rows, are those of the readable way."""

import functools
import gc
import io
import math
import threading
import weakref
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from shared import needs_compiler
from training import Stopped, outcome, run_of, same_outcome, train, with_scores, with_settings

from trnet.features.cache import sets_of
from trnet.model.systems import make_ser
from trnet.train import captured, fast_jobs, inference, static_step, trainer
from trnet.train import session as training_session
from trnet.train.batches import rounded
from trnet.train.captured import drop_lanes, use_thread_stream
from trnet.train.fast_jobs import CapturedSERJob, CompiledSERJob, make_job
from trnet.train.ser_job import SERJob
from trnet.train.static_step import CannotCompile, compiled_outputs, static_outputs
from trnet.train.trainer import Progress, Trainer
from trnet.utils.device import gpu
from trnet.utils.errors import TrnetError
from trnet.utils.threads import in_threads

pytestmark = pytest.mark.slow

SYSTEMS = ("baseline_c", "baseline_n", "baseline_e", "trnet", "trnet_wo_low", "trnet_wo_high")
STILL = {"encoder": {"channels": [8, 8], "kernel": 3}}  # nothing is drawn in a step
ENCODERS = {
    "plain": {"type": "plain", "channels": [4, 8]},
    "deltas": {"channels": [4, 8], "deltas": True, "input_norm": True, "normalise": "mean_std"},
    "light": {"type": "light", "channels": 8, "dropout": 0.0},
    "ecapa": {"type": "ecapa_tdnn", "channels": 8, "out_channels": 8, "scale": 2, "attention": 4},
}


@pytest.fixture
def session_of(tiny, tmp_path):
    """A session whose teacher's h_s are made up."""

    def make(changes=STILL, **training):
        return with_settings(tiny, tmp_path, changes, **{"compile": False, **training})

    return make


def data_of(session, name):
    """What a run is trained from, features in memory."""
    run = run_of(session, name)
    session.hold([run])
    for block in session.cache._held.blocks:
        block.flat = block.flat.to(torch.get_default_dtype())
    experiment = session.experiment
    needs = experiment.config.needs(name)
    h_s = None
    if "h_s" in needs:
        dim = SERJob(without_teacher(session, name, run), [run])
        dim.begin()
        generator = torch.Generator().manual_seed(0)
        device = session.device
        h_s = {utt: torch.randn(dim.model.ser.h_dim, generator=generator).to(device) for utt in run.fold.train}
    return without_teacher(session, name, run, h_s), run


def without_teacher(session, name, run, h_s=None):
    baseline = session.data(run_of(session, "baseline_n"))
    return replace(baseline, name=name, conditions=session.experiment.conditions(name), h_s=h_s, utts=run.fold.train)


def epochs(job, count=2, captured=True):
    """Losses of each step of some epochs, and the state behind them; `captured`: a lane's job does not leave it."""
    job.begin()
    had_lane = getattr(job, "lane", None) is not None
    losses, history = [], []
    for epoch in range(1, count + 1):
        _, steps = job.steps(epoch, history)
        rows = [job.step(step.batch) for step in steps]
        losses += [{name: float(value) for name, value in row.items()} for row in rows]
        history.append({"epoch": epoch, "valid_uar": 50.0})
    assert not had_lane or (job.lane is not None) == captured
    return losses, deepcopy(job.state())  # a lane's tensors are those of the next run, too


def assert_same(first, second, tolerance):
    """Losses, weights, running statistics and moments, relative to the largest value of each tensor."""
    for one, other in zip(first[0], second[0], strict=True):
        assert one.keys() == other.keys()
        assert all(other[k] == pytest.approx(one[k], rel=tolerance) for k in one)
    assert first[1]["model"].keys() == second[1]["model"].keys()
    for key, value in first[1]["model"].items():
        assert_near(value, second[1]["model"][key], tolerance)
    first, second = (each[1]["optimizer"] for each in (first, second))
    assert first["param_groups"] == second["param_groups"]
    for one, other in zip(first["state"].values(), second["state"].values(), strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_near(value, other[key], tolerance)


def assert_near(wanted, got, tolerance):
    assert wanted.shape == got.shape
    assert (wanted.double() - got.double()).abs().max() <= tolerance * (1 + wanted.double().abs().max())


@pytest.fixture
def in_float64():
    """Features, networks and losses in float64, so that no rounding is taken for a fault, or a fault for rounding."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_lane_trains_as_the_readable_way(session_of, in_float64, name):
    data, run = data_of(session_of(), name)
    assert_same(
        epochs(SERJob(data, [run])), epochs(CapturedSERJob(data, [run])), 1e-6
    )  # learning rates are float32 there


def test_a_lane_trains_with_every_loss(session_of, in_float64):
    """The SNR of each item, and the teacher within a loss, reach it too."""
    losses = [{"type": "cross_entropy"}, {"type": "low"}, {"type": "high_frames", "weight": 0.5}, {"type": "snr"}]
    session = session_of(STILL | {"systems": {"baseline_n": {"input": "noisy"}, "more": {"losses": losses}}})
    data, run = data_of(session, "more")
    teacher = make_ser(session.experiment.config.model("baseline_n"), 4)
    data = replace(data, teacher=teacher.to(session.device))
    wanted, got = (epochs(make(data, [run])) for make in (SERJob, CapturedSERJob))
    assert wanted[0][0]["snr"] > 0 and wanted[0][0]["high_frames"] > 0
    assert_same(wanted, got, 1e-6)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_lane_trains_every_encoder(session_of, in_float64, encoder):
    training = {"grad_clip": 1.0, "ema": 0.9, "schedule": {"type": "cosine", "epochs": 2, "warmup_steps": 3}}
    session = session_of({"encoder": ENCODERS[encoder]}, plateau_patience=0, **training)
    data, run = data_of(session, "trnet")
    count = 1 if encoder == "ecapa" else 2  # Adam makes much of its smallest gradients, whose digits are chance
    assert_same(epochs(SERJob(data, [run]), count), epochs(CapturedSERJob(data, [run]), count), 1e-5)


@pytest.mark.parametrize(("batch_size", "sizes"), [(20, {20, 12}), (31, {31})])
def test_a_smaller_last_batch_has_a_shape_of_its_own_and_one_of_one_is_left_out(
    session_of, in_float64, batch_size, sizes
):
    data, run = data_of(session_of(batch_size=batch_size), "trnet")
    job = CapturedSERJob(data, [run])
    assert_same(epochs(SERJob(data, [run])), epochs(job), 1e-5)
    assert {shape.batch for shape in job.lane._graphs} == sizes


def test_a_second_run_in_a_lane_is_as_if_it_were_the_first(session_of):
    data, run = data_of(session_of(STILL, ema=0.9), "trnet")
    first = epochs(CapturedSERJob(data, [run]))
    epochs(CapturedSERJob(replace(data, seed=5), [run]))
    drop_lanes()
    again = epochs(CapturedSERJob(data, [run]))
    epochs(CapturedSERJob(replace(data, seed=5), [run]))
    third = epochs(CapturedSERJob(data, [run]))
    assert equal(first, again) and equal(first, third)


def test_graphs_read_tensors_that_live_as_long_as_the_lane(session_of):
    data, run = data_of(session_of(), "trnet")
    first, second = (CapturedSERJob(replace(data, seed=seed), [run]) for seed in (1, 2))
    for job in (first, second):
        epochs(job, 1)
    assert second.lane is first.lane and second.lane.tables is first.tables is not second.tables


def equal(first, second):
    """To the bit."""
    same = [a == b for a, b in zip(first[0], second[0], strict=True)]
    weights = [torch.equal(value, second[1]["model"][key]) for key, value in first[1]["model"].items()]
    return all(same) and all(weights)


def test_what_a_lane_keeps_is_taken_up_by_a_lane_and_by_the_readable_way(session_of, in_float64, tmp_path):
    data, run = data_of(session_of(), "trnet")
    whole = epochs(CapturedSERJob(data, [run]))
    for kind in (CapturedSERJob, SERJob):
        state = epochs(CapturedSERJob(data, [run]), 1)[1]
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        job = kind(data, [run])
        job.begin()
        job.load(torch.load(file), tmp_path)
        history = [{"epoch": 1, "valid_uar": 50.0}]
        rest = [{k: float(v) for k, v in job.step(step.batch).items()} for step in job.steps(2, history)[1]]
        assert_same((whole[0][len(whole[0]) - len(rest) :], whole[1]), (rest, job.state()), 1e-5)


def test_the_way_follows_device_and_settings(session_of):
    for wanted, kind in ((None, SERJob), (False, SERJob), (True, CompiledSERJob)):
        data, run = data_of(session_of(STILL, compile=wanted), "baseline_n")
        assert type(make_job(data, [run])) is kind


def test_a_network_that_cannot_be_compiled_is_trained_without(session_of, monkeypatch, caplog):
    def fail(*_):
        raise CannotCompile("no compiler")

    for module in (captured, fast_jobs):
        monkeypatch.setattr(module, "compiled_losses", fail)
    data, run = data_of(session_of(STILL, compile=True, bucketing=1), "baseline_n")
    plain, compiled, lane = (epochs(kind(data, [run])) for kind in (SERJob, CompiledSERJob, CapturedSERJob))
    assert equal(plain, compiled)
    assert len(lane[0]) == len(plain[0])
    assert caplog.text.count("no compiler") == 2


@pytest.mark.parametrize("kind", [CompiledSERJob, CapturedSERJob])
def test_a_compiled_network_trains_as_the_readable_way(session_of, monkeypatch, in_float64, kind):
    for module in (captured, fast_jobs):
        monkeypatch.setattr(module, "say_once", pytest.fail)  # which says that it is not compiled
    widths = lambda length, *_: [rounded(max(length.values())) + 3]  # noqa: E731 (one, so that it is compiled once)
    monkeypatch.setattr(fast_jobs, "batch_widths", widths)
    small = {"encoder": {"channels": [4], "kernel": 3}, "pooling": {"attention": 0}}
    data, run = data_of(session_of(small, compile=True), "trnet")
    assert_same(*(epochs(each(data, [run]), 1) for each in (SERJob, kind)), 1e-6)


class OnHost(torch.nn.Module):
    """A loss that fails on batches whose lengths are not int64, as on the host."""

    needs = ()

    def forward(self, output, batch):
        assert batch.lengths.dtype == torch.int64
        return output.logits.square().mean()


def test_what_fails_on_static_shapes_is_trained_the_readable_way(session_of, caplog):
    losses = [{"type": "cross_entropy"}, {"type": f"{__name__}:OnHost", "name": "on_host"}]
    session = session_of(STILL | {"systems": {"baseline_n": {"input": "noisy", "losses": losses}}})
    data, run = data_of(session, "baseline_n")
    wanted, got = epochs(SERJob(data, [run])), epochs(CapturedSERJob(data, [run]), captured=False)
    assert equal(wanted, got) and "captured" in caplog.text


def test_a_shape_is_tried_with_rows_of_such_a_shape(session_of, monkeypatch):
    """Those of the first step could be longer than it, and read past the end of what the gate reads."""
    tried, compute = [], captured.Lane._compute
    monkeypatch.setattr(
        captured.Lane, "_compute", lambda lane, shape: (tried.append((int(lane.cursor), shape)), compute(lane, shape))
    )
    data, run = data_of(session_of(batch_size=4, bucketing=8), "baseline_n")
    job = CapturedSERJob(data, [run])
    job.begin()
    table = job._epoch(1)
    job.steps(1, [])
    assert len({shape for _, shape in tried}) == len(tried) > 1
    assert all(table.shapes[step] == shape for step, shape in tried)


def test_what_is_compiled_serves_features_of_any_size(session_of, monkeypatch):
    """Other folds and systems in memory are other numbers of rows."""
    graphs = []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    def compiled(function):
        return torch.compile(function, fullgraph=True, dynamic=False, backend=backend)

    monkeypatch.setattr(static_step, "_compiled", functools.cache(compiled))
    for module in (captured, fast_jobs):
        monkeypatch.setattr(module, "say_once", pytest.fail)  # which says that it is not compiled
    data, run = data_of(session_of(bucketing=1, compile=True), "baseline_n")
    epochs(CapturedSERJob(data, [run]), 1)
    count, rows = len(graphs), data.cache.resident(sets_of(["noisy"], data.conditions)).flat.shape[0]
    drop_lanes()
    data.cache.hold(sets_of(["enhanced"], data.conditions), data.utts)
    epochs(CapturedSERJob(data, [run]), 1)
    assert data.cache.resident(sets_of(["noisy"], data.conditions)).flat.shape[0] > rows
    assert len(graphs) == count > 0
    drop_lanes()
    torch._dynamo.reset()


def assert_filled_batches_give_what_each_item_gets_alone(data, run, job, widths, tolerance=1e-5):
    """Whatever fills a batch is left out of the result."""
    job.begin()
    items = [(utt, condition) for utt in run.fold.train for condition in data.conditions]
    reader = data.reader(training=False)
    wanted = inference.infer(job.model, reader, items, 20, with_h=True)
    got = inference.infer(job.model, reader, items, 20, with_h=True, widths=widths)
    assert wanted.keys() == got.keys()
    for item, prediction in wanted.items():
        assert got[item].probs == pytest.approx(prediction.probs, abs=tolerance)
        assert got[item].c == pytest.approx(prediction.c, abs=tolerance)
        assert got[item].h == pytest.approx(prediction.h, abs=10 * tolerance)
    return len(items)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_scoring_in_batches_that_are_filled(session_of, monkeypatch, compiled):
    shapes = []

    def outputs(system, tensors):
        shapes.append(tensors["noisy"].shape)
        return (compiled_outputs if compiled else static_outputs)(system, tensors)

    monkeypatch.setattr(inference, "compiled_outputs", outputs)
    monkeypatch.setattr(inference, "say_once", pytest.fail)  # which says that it is not compiled
    data, run = data_of(session_of(bucketing=1) if compiled else session_of(), "trnet")
    widths = fast_jobs.widths_of(data.config, data.cache, None)
    count = assert_filled_batches_give_what_each_item_gets_alone(data, run, SERJob(data, [run]), widths)
    assert len(shapes) == -(-count // 20) > 1 and {shape[0] for shape in shapes} == {20}
    assert {shape[1] for shape in shapes} <= set(widths.frames)


def test_where_compiling_fails_it_is_tried_once(session_of, monkeypatch, caplog):
    """A network on a machine without a compiler, say: each attempt takes seconds."""
    tried = []

    def fail(function):
        def call(*_):
            tried.append(function.__name__)
            raise RuntimeError("no compiler here")

        return call

    monkeypatch.setattr(static_step, "_compiled", fail)
    monkeypatch.setattr(static_step, "_failed", {})
    monkeypatch.setattr(static_step, "_said", set())
    data, run = data_of(session_of(compile=True, bucketing=1), "trnet")
    widths = fast_jobs.widths_of(data.config, data.cache, None)
    for _ in range(2):
        assert_filled_batches_give_what_each_item_gets_alone(data, run, SERJob(data, [run]), widths)
    for seed in (1, 2):
        epochs(CompiledSERJob(replace(data, seed=seed), [run]), 1)
    assert tried == ["static_outputs", "_losses"]
    assert caplog.text.count("no compiler here") == 2  # for scoring, and for training


def job_data(session, name):
    data, run = data_of(session, name)
    return data, [run]


def test_lanes_of_other_features_are_dropped_with_these(session_of):
    """Two layers of a network do not lie in memory at a time."""
    session, other = session_of(), session_of()
    session.hold([run_of(session, "trnet")])
    lanes = []
    for each, name in ((session, "baseline_n"), (session, "baseline_e"), (other, "baseline_n")):
        job = CapturedSERJob(*job_data(each, name))
        job.begin()
        lanes.append(weakref.ref(job.lane))
        del job
        gc.collect()
        if each is session:
            assert all(lane() is not None for lane in lanes)
    assert [lane() is None for lane in lanes] == [True, True, False]
    drop_lanes()


def test_features_are_freed_where_memory_ran_out(session_of, monkeypatch):
    """The lane first, with its graphs; then half of the features, which nothing else holds."""
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    data, run = data_of(session_of(), "baseline_n")
    job = CapturedSERJob(data, [run])
    job.begin()
    features = weakref.ref(data.cache._held.blocks[0].flat)
    assert job.make_room() and features() is not None
    assert job.make_room()
    gc.collect()
    assert features() is None
    wanted = epochs(SERJob(data, [run]), 1)
    assert equal(wanted, epochs(job, 1))


def test_a_loss_that_is_not_finite_names_its_utterances(session_of):
    assert_a_loss_that_is_not_finite_names_its_utterances(session_of())


def test_features_that_another_thread_reads_are_not_halved(session_of, monkeypatch):
    """It holds them to its end, and half of them beside them would take more memory, not less."""
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    data, run = data_of(session_of(), "baseline_n")
    flat = data.cache._held.blocks[0].flat
    begun, ended = threading.Event(), threading.Event()

    def other():
        CapturedSERJob(replace(data, seed=2), [run]).begin()
        begun.set()
        ended.wait(60)

    thread = threading.Thread(target=other)
    thread.start()
    begun.wait(60)
    job = CapturedSERJob(data, [run])
    job.begin()
    assert job.make_room() == "captured steps" and job.make_room() is None
    assert data.cache._held.blocks[0].flat is flat
    ended.set()
    thread.join()
    assert job.make_room() == "half of the features"


@pytest.mark.parametrize("seconds", [1e9, 0.0])
def test_killed_before_last_pt_a_run_is_taken_up_from_there(tiny, tmp_path, monkeypatch, seconds):
    """Epochs after it may have chosen other weights already, whose best.pt is there."""
    monkeypatch.setattr(training_session, "make_job", CapturedSERJob)
    monkeypatch.setattr(CapturedSERJob, "save_every", seconds)
    with_scores(monkeypatch, [10.0, 20.0, 60.0, 30.0, 31.0])
    whole, session = (tiny.session(tmp_path / name, max_epochs=5) for name in ("whole", "killed"))
    train(whole, "baseline_c")
    save, saved = trainer.save_checkpoint, []

    def killed(path, state):
        saved.append(path)
        if len(saved) == 2:
            raise Stopped
        save(path, state)

    with monkeypatch.context() as once:
        once.setattr(trainer, "save_checkpoint", killed)
        with pytest.raises(Stopped):
            train(session, "baseline_c")
    train(session, "baseline_c")
    assert same_outcome(outcome(session, "baseline_c"), outcome(whole, "baseline_c"))


class OnCuda:
    """Stands for a job, to see which one is chosen."""

    tables = SimpleNamespace(holds=lambda utts: OnCuda.fits)
    fits = True

    def __init__(self, data, runs):
        pass


class Stepwise(OnCuda):
    """The readable way."""


class Widened(OnCuda):
    """Compiled alone."""


@pytest.mark.parametrize(
    ("why", "kind", "says"),
    [
        ("nothing", OnCuda, ""),
        ("no room", Widened, "not all features fit"),
        ("ctc", Stepwise, "CTC"),
        ("waves", Stepwise, "waveforms"),
        ("no bf16", Stepwise, "no bf16"),
    ],
)
def test_what_cannot_be_captured_is_trained_another_way_and_said(session_of, monkeypatch, caplog, why, kind, says):
    for name, stand_in in (("SERJob", Stepwise), ("CompiledSERJob", Widened), ("CapturedSERJob", OnCuda)):
        monkeypatch.setattr(fast_jobs, name, stand_in)
    monkeypatch.setattr(static_step, "_said", set())
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: why != "no bf16")
    monkeypatch.setattr(OnCuda, "fits", why != "no room")
    more = {"ctc_weight": 0.5} if why == "ctc" else {}
    session = session_of(compile=None, precision="bf16" if why == "no bf16" else "float32", **more)
    data, run = data_of(session_of(), "baseline_n")
    cache = SimpleNamespace(device=torch.device("cuda"))
    data = replace(data, config=session.experiment.config, cache=cache, waves=cache if why == "waves" else None)
    assert type(make_job(data, [run])) is kind
    assert says in caplog.text and len(caplog.records) == (1 if says else 0)


# on a GPU


@pytest.fixture
def on_gpu(tiny, tmp_path):
    """A session on the GPU."""

    def make(changes=STILL, **training):
        return replace(with_settings(tiny, tmp_path, changes, **training), device=gpu())

    yield make
    drop_lanes()


@pytest.mark.gpu
@pytest.mark.parametrize("name", SYSTEMS)
def test_replays_train_as_the_readable_way(on_gpu, name):
    data, run = data_of(on_gpu(compile=False), name)
    first, second = epochs(SERJob(data, [run])), epochs(CapturedSERJob(data, [run]))
    assert second[0][0] == pytest.approx(first[0][0], rel=1e-5)
    for one, other in zip(first[0], second[0], strict=True):
        assert other == pytest.approx(one, rel=0.05)


@pytest.mark.gpu
@pytest.mark.parametrize("encoder", ENCODERS)
def test_replays_train_every_encoder(on_gpu, encoder):
    data, run = data_of(on_gpu({"encoder": ENCODERS[encoder]}, compile=False), "trnet")
    first, second = epochs(SERJob(data, [run]), 1), epochs(CapturedSERJob(data, [run]), 1)
    assert second[0][0] == pytest.approx(first[0][0], rel=1e-4)


@pytest.mark.gpu
def test_runs_beside_each_other_are_as_runs_alone(on_gpu):
    changes = {"encoder": {"channels": [8, 8], "kernel": 3, "dropout": 0.3}}
    data, run = data_of(on_gpu(changes, compile=False), "baseline_n")
    seeds = list(range(6))

    def work(seed, _line):
        use_thread_stream(data.cache.device)
        return seed, epochs(CapturedSERJob(replace(data, seed=seed), [run]), 3)

    beside = dict(in_threads(work, seeds, 3, "test", "run"))
    alone = {seed: epochs(CapturedSERJob(replace(data, seed=seed), [run]), 3) for seed in seeds}
    assert all(equal(beside[seed], alone[seed]) for seed in seeds)


@pytest.mark.gpu
def test_a_second_run_in_a_lane_is_as_if_it_were_alone(on_gpu):
    data, run = data_of(on_gpu(compile=False), "trnet")
    second = replace(data, seed=5)
    alone = epochs(CapturedSERJob(second, [run]))
    drop_lanes()
    epochs(CapturedSERJob(data, [run]))
    gc.collect()
    rubbish = [torch.full((size,), 12345, device=data.cache.device) for size in range(1, 4000, 7)]
    assert equal(alone, epochs(CapturedSERJob(second, [run]))) and len(rubbish)


@pytest.mark.gpu
def test_on_a_gpu_a_loss_that_is_not_finite_names_its_utterances(on_gpu):
    assert_a_loss_that_is_not_finite_names_its_utterances(on_gpu(compile=False))


def assert_a_loss_that_is_not_finite_names_its_utterances(session):
    data, run = data_of(session, "baseline_n")
    utt = data.utts[3]
    held = data.cache._held
    for block in held.blocks:
        for first in block.first.values():
            block.flat[first + held.row[utt]] = math.nan
    job = CapturedSERJob(data, [run])
    progress = Progress(run, run.title, run.files, session.experiment.rule, data.cache.device)
    with pytest.raises(TrnetError, match=f"not finite.*{utt}"):
        Trainer(job, [progress]).train()


class Waits(torch.nn.Module):
    """A loss that waits for the device, as no graph can."""

    needs = ()

    def forward(self, output, batch):
        return output.logits.square().mean() * min(1.0, output.logits.abs().sum().item())


@pytest.mark.gpu
def test_what_cannot_be_captured_is_trained_the_readable_way(on_gpu, caplog):
    losses = [{"type": "cross_entropy"}, {"type": f"{__name__}:Waits", "name": "waits"}]
    session = on_gpu(STILL | {"systems": {"baseline_n": {"input": "noisy", "losses": losses}}}, compile=False)
    data, run = data_of(session, "baseline_n")
    wanted, got = epochs(SERJob(data, [run])), epochs(make_captured(data, run), captured=False)
    assert "captured" in caplog.text
    assert got[0][-1] == pytest.approx(wanted[0][-1], rel=1e-4)
    room = torch.empty(2**28, dtype=torch.uint8, device=data.cache.device)
    before = torch.cuda.memory_reserved(room.device)
    del room
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved(data.cache.device) <= before - 2**28  # the failed capture is over


def make_captured(data, run):
    return CapturedSERJob(data, [run])


@pytest.mark.gpu
def test_without_room_for_graphs_the_epoch_begins_again_without_them(on_gpu, monkeypatch):
    session = on_gpu(compile=False)
    data, run = data_of(session, "baseline_n")
    calls = []

    def full(lane, shape):
        calls.append(shape)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(captured.Lane, "_captured", full)
    progress = Progress(run, run.title, run.files, session.experiment.rule, data.cache.device)
    Trainer(make_captured(data, run), [progress]).train()
    assert len(calls) == 1 and progress.finished()


@pytest.mark.gpu
def test_scoring_is_compiled(on_gpu, monkeypatch):
    monkeypatch.setattr(inference, "say_once", pytest.fail)
    data, run = data_of(on_gpu(bucketing=1), "trnet")
    job = make_job(data, [run])
    assert_filled_batches_give_what_each_item_gets_alone(data, run, job, job.scoring_widths, 1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_replays_of_a_compiled_network_are_repeatable_and_near(on_gpu, precision, monkeypatch):
    for module in (captured, fast_jobs):
        monkeypatch.setattr(module, "say_once", pytest.fail)  # which says that it is not compiled
    changes = {"encoder": {"channels": [8, 8], "dropout": 0.1}}
    one_width = {"bucketing": 1, "precision": precision}  # as each is compiled
    data, run = data_of(on_gpu(changes, ema=0.9, **one_width), "trnet")
    assert type(make_job(data, [run])) is CapturedSERJob
    first = epochs(make_job(data, [run]))
    drop_lanes()
    assert equal(first, epochs(make_job(data, [run])))
    still, run = data_of(on_gpu(**one_width), "trnet")
    wanted, got = epochs(SERJob(still, [run]), 1), epochs(make_job(still, [run]), 1)
    assert got[0][0] == pytest.approx(wanted[0][0], rel=0.02 if precision == "bf16" else 1e-5)
