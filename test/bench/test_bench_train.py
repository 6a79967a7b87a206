"""bench_train measures what it says: every way of feeding the step, on a corpus of noise."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch
from lines import assert_names
from torch.utils._python_dispatch import TorchDispatchMode

from trnet.bench import train_floors, train_together
from trnet.bench.measure import peak_gflops
from trnet.bench.train_floors import copy_mib_per_s, matmul_gflops, step_work
from trnet.bench.train_marks import IEMOCAP, NEMO, Mark, marks_on_cpu, marks_on_gpu
from trnet.bench.train_rows import ON_CPU, TrainBench
from trnet.bench.train_speed import Engine, gpu_step_seconds, make_cache, make_corpus, steps_of, with_training
from trnet.bench.train_together import in_threads
from trnet.bin import bench_train
from trnet.conditions import CLEAN

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def corpus(tiny, tmp_path_factory):
    """16 utterances of 28 frames: two batches."""
    return make_corpus(tmp_path_factory.mktemp("bench"), tiny.config, 16, 0.3, 1)


def test_lengths_may_differ_as_those_of_speech_do(tiny, tmp_path):
    corpus = make_corpus(tmp_path, tiny.config, 16, 0.6, 1, shortest=0.2)
    lengths = corpus.reader.lengths(CLEAN).values()
    assert 18 <= min(lengths) < 25 and 50 < max(lengths) <= 58 and len(set(lengths)) > 10
    assert 33 < sum(lengths) / 16 < 43  # the middle is 38


@pytest.fixture
def engine(corpus):
    return Engine(with_training(corpus, compile=False), "trnet", make_cache(corpus, "trnet", CPU))


@pytest.mark.slow
def test_every_row_has_a_rate_and_a_wait(tiny, tmp_path, monkeypatch):
    out = tmp_path / "bench.json"
    monkeypatch.setattr("trnet.bench.train_floors.COPIED", {"cpu": 1 << 20})
    options = ["--utterances", "16", "--seconds", "0.3", "--runs", "1", "--workers", "1", "--json", str(out)]
    assert bench_train.main(["--config", str(tiny.config_path), *options]) == 0
    found = json.loads(out.read_text())
    floor = found["floors"]["float32"]
    assert floor["gflop"] > 0 and floor["mib"] > 0 and found["precision"] == "float32" and found["frames"] == 28
    assert floor["steps_by_flop"] == pytest.approx(floor["matmul_gflop_per_s"] / floor["gflop"])
    assert floor["steps_by_bytes"] == pytest.approx(floor["copy_mib_per_s"] / floor["mib"])
    assert [row["key"] for row in found["rows"]] == [key for key in ON_CPU if key != "processes"]  # of one run: none
    for row in found["rows"]:
        assert row["utts_per_s"] > 0 and 0 <= row["wait"] <= 1
        assert row["steps_per_s"] == pytest.approx(row["utts_per_s"] / 8)
        assert row["of_matmul"] == pytest.approx(row["steps_per_s"] / floor["steps_by_flop"])
        assert row["of_bare"] == pytest.approx(row["steps_per_s"] / found["rows"][0]["steps_per_s"])


def test_operations_and_bytes_of_a_network_that_can_be_counted_by_hand(tiny, tmp_path):
    """Twice the utterances are twice the work, but for that of the weights; a moving average moves more of these."""
    corpus = make_corpus(tmp_path, tiny.config, 8, 0.3, 1)
    engine = Engine(with_training(corpus, compile=False), "baseline_n", make_cache(corpus, "baseline_n", CPU))
    one, two = (step_work(engine, size) for size in (8, 16))
    weights = sum(p.numel() for p in engine.job.model.parameters()) * 4
    assert two.gflop == pytest.approx(2 * one.gflop)
    assert (2 * one.mib - two.mib) * 2**20 == pytest.approx(8 * weights)
    frames, mels, channels = 28, 24, 8
    features = 8 * frames * mels * 4
    # two blocks, each a convolution and a 1 x 1 shortcut with a norm each, a quarter of the frames and bins left
    outputs = sum(4 * channels * (frames >> n) * (mels >> n) for n in (1, 2))
    assert one.mib * 2**20 > features + 4 * 8 * outputs * 4 * 0.5 + 8 * weights
    averaged = Engine(
        with_training(corpus, compile=False, ema=0.9), "baseline_n", make_cache(corpus, "baseline_n", CPU)
    )
    more = (step_work(averaged, 8).mib - one.mib) * 2**20
    assert more == pytest.approx(2 * weights)


def test_epochs_go_on_where_the_last_one_ended(engine):
    assert engine.epoch() > 0 and engine.epoch() > 0
    assert engine.trainer.epoch == 2 and steps_of(engine) == 2 and gpu_step_seconds(engine) is None


@pytest.mark.slow
def test_runs_in_threads_share_the_features_and_have_seeds_of_their_own(corpus, monkeypatch):
    made = []

    class Seen(Engine):
        def __init__(self, corpus, system, cache, seed):
            super().__init__(corpus, system, cache, seed)
            made.append((id(cache), seed))

    monkeypatch.setattr(train_together, "Engine", Seen)
    speed = in_threads(corpus, "trnet", CPU, 1, 2)
    assert speed.utts_per_s > 0 and speed.wait is None
    assert len({cache for cache, _ in made}) == 1 and sorted(seed for _, seed in made) == [1, 2]


def test_a_run_that_fails_in_its_thread_is_no_deadlock(corpus, monkeypatch):
    class Broken(Engine):
        def epoch(self):
            if self.data.seed == 2:
                raise ValueError("of the second")
            return super().epoch()

    monkeypatch.setattr(train_together, "Engine", Broken)
    with pytest.raises(ValueError, match="of the second"):
        in_threads(corpus, "baseline_n", CPU, 1, 2)


@pytest.mark.slow
def test_compiled_and_not_are_measured_in_turn(corpus, monkeypatch):
    """With seconds that are made up: 1 compiled after 30, and 2 not."""

    def epoch(self):
        self.trainer.epoch += 1
        if not self.data.config.training.compile:
            return 2.0
        return 30.0 if self.trainer.epoch == 1 else 1.0

    monkeypatch.setattr(Engine, "epoch", epoch)
    monkeypatch.setattr("trnet.bench.train_floors.COPIED", {"cpu": 1 << 20})
    monkeypatch.setattr("trnet.bench.train_rows.cache_misses", iter([3, 4]).__next__)  # one in the first epoch
    bench = TrainBench(corpus, "trnet", CPU, 1, [1], 1, 1)
    (row,) = bench.measure("compiled")
    assert row["cache"] == "cold" and row["times_eager"] == 2 and row["first_s"] == 29 and row["utts_per_s"] == 16
    (mark,) = marks_on_cpu(bench.found)
    assert mark.measured == 2 and mark.reached


def made_up(**rows) -> dict:
    """Numbers as of a GPU: steps/s of rows by key."""
    floor = {"steps_by_flop": 10000.0, "steps_by_bytes": 5000.0}
    about = {"wait": 0.05, "first_s": 50.0, "cache": "cold", "runs": 1, "precision": "bf16"}
    return {
        "frames": 256,
        "floors": {"bf16": floor, "float32": floor},
        "rows": [{**about, "key": key, "steps_per_s": steps} for key, steps in rows.items()],
    }


def test_marks_are_of_what_was_measured_alone():
    assert marks_on_gpu(made_up()) == []
    marks = {mark.what: mark for mark in marks_on_gpu(made_up(engine=1000.0, threads=1500.0, dataloader=10.0))}
    values = {what.partition(",")[0]: mark.measured for what, mark in marks.items()}
    assert values["times the DataLoader"] == 100 and values["waiting for data"] == 0.05
    reached = {what.partition(",")[0]: mark.reached for what, mark in marks.items() if "runs at a time" not in what}
    assert reached["steps/s"] and not reached["waiting for data"] and reached["times the DataLoader"]
    several = next(mark for what, mark in marks.items() if "at a time" in what)
    assert several.measured == 1500 and not several.reached and "5,000 by bytes" in several.floor
    nemo = next(mark.measured for what, mark in marks.items() if "nEMO" in what)
    assert NEMO.steps == 972_000 and nemo == pytest.approx(972_000 / 1500 / 60)
    assert IEMOCAP.steps == 180 * 80 * 139
    floors = {what.partition(",")[0]: mark.floor for what, mark in marks.items()}
    assert floors["times the DataLoader"] == "500"  # 5,000 steps a second by bytes
    assert floors["minutes"] and next(mark.floor for what, mark in marks.items() if "nEMO" in what) == "3.2"


def test_a_mark_of_which_less_is_better():
    mark = Mark("x", 3.0, 2.0, more=False)
    assert not mark.reached and replace(mark, measured=1.0).reached and "| open |" in mark.line()


def test_the_rate_of_a_copy(monkeypatch):
    monkeypatch.setattr("trnet.bench.train_floors.COPIED", {"cpu": 1 << 20})
    assert 10 < copy_mib_per_s(CPU) < 1e7


@pytest.mark.slow
def test_a_row_that_fails_is_named_and_the_others_are_measured(tiny, tmp_path, fails, monkeypatch):
    def broken(*args):
        raise RuntimeError("illegal memory access")

    monkeypatch.setattr("trnet.bench.train_rows.engine_speed", broken)
    monkeypatch.setattr("trnet.bench.train_floors.COPIED", {"cpu": 1 << 20})
    options = ["--utterances", "8", "--seconds", "0.3", "--rows", "engine bare", "--json", str(tmp_path / "b.json")]
    assert_names(fails(bench_train.main, ["--config", str(tiny.config_path), *options]), "illegal memory access")
    found = json.loads((tmp_path / "b.json").read_text())
    assert [row["key"] for row in found["rows"]] == ["bare"] and list(found["failed"]) == ["engine"]


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_rate_of_products_is_that_of_the_precision(precision, dtype, monkeypatch):
    class Multiplied(TorchDispatchMode):
        dtypes = set()

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func is torch.ops.aten.mm.default:
                self.dtypes.add(args[0].dtype)
            return func(*args, **(kwargs or {}))

    monkeypatch.setattr(train_floors, "peak_gflops", partial(peak_gflops, size=64))
    with Multiplied() as multiplied:
        assert matmul_gflops(CPU, 1, precision) > 0
    assert multiplied.dtypes == {dtype}


@pytest.mark.gpu
def test_rates_of_a_gpu():
    from trnet.utils.device import gpu

    assert 1e5 < copy_mib_per_s(gpu()) < 1e8
    assert matmul_gflops(gpu(), 1, "bf16") > 2 * matmul_gflops(gpu(), 1, "float32") > 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--system", "trnett"], "trnett 'trnet'"),
        (["--runs", "0"], "--runs 0 1"),
        (["--rows", "engin"], "--rows engin 'engine'"),
    ],
)
def test_what_is_wrong_is_one_line(tiny, fails, options, message):
    assert_names(fails(bench_train.main, ["--config", str(tiny.config_path), *options]), message)


def test_a_shortest_that_is_longer_than_the_longest_is_refused(tiny, fails):
    options = ["--config", str(tiny.config_path), "--seconds", "1", "--shortest", "2"]
    assert_names(fails(bench_train.main, options), "--shortest --seconds 2 1")
