"""The benchmark: what it compares is the same network, its counts are right, and what cannot be built is named."""

import json

import pytest
import torch
from lines import assert_names
from near import WAVE

from trnet.bench import gpu_report
from trnet.bench.cmgan_eager import EagerAttention, make_eager
from trnet.bench.cmgan_parts import moved_bytes
from trnet.bench.measure import Case, clip, count_gflop, measure, peak_gflops
from trnet.bench.on_gpu import GpuCase, Timed, timed
from trnet.bin import bench_frontend
from trnet.frontend import build_frontend
from trnet.utils.errors import TrnetError

TINY = {"frontend": "cmgan", "frontend_conf": {"init": "random", "num_channel": 4}}


def test_the_eager_rendition_is_the_same_network():
    frontend = build_frontend(TINY | {"frontend_conf": {**TINY["frontend_conf"], "fast": False}})
    wav = 0.1 * torch.randn(1, 3000)
    wanted = frontend.enhance(wav)
    make_eager(frontend.network)
    assert sum(isinstance(module, EagerAttention) for module in frontend.modules()) == 8
    got = frontend.enhance(wav)
    assert (got - wanted).abs().max() < WAVE


@pytest.mark.slow
def test_gflop_of_a_network_that_can_be_counted_by_hand():
    """CMGAN of 8 channels on 11 frames: linear layers, convolutions, attention."""
    c, frames = 8, 11
    config = {"frontend": "cmgan", "frontend_conf": {"init": "random", "num_channel": c}}
    dense = sum(2 * 6 * c * (i + 1) * c for i in range(4))
    encoder = 201 * (2 * 3 * c + dense) + 101 * 2 * 3 * c * c
    decoders = 2 * 101 * (dense + 2 * 3 * c * 2 * c) + 201 * 2 * 2 * c * (1 + 2) + 201 * 2
    linear = 2 * (16 + 4 + 6) * c * c + 2 * 2 * 31 * c  # two feed-forward layers, attention, convolution module
    attention = 3 * 2 * c  # q . k, q . E, times v, for each pair
    conformers = 4 * 101 * (2 * linear + attention * (frames + 101))
    wanted = 1e-9 * frames * (encoder + decoders + conformers)
    assert count_gflop(config, 0.0625) == pytest.approx(wanted, rel=1e-6)
    assert count_gflop({"frontend": "none"}, 1.0) is None


@pytest.mark.slow
def test_arithmetic_of_recurrent_layers_is_counted():
    config = {"frontend": "dccrn", "frontend_conf": {"init": "random"}}
    lstm = [m for m in build_frontend(config).modules() if isinstance(m, torch.nn.LSTM)]
    weights = sum(p.numel() for m in lstm for name, p in m.named_parameters() if name.startswith("weight"))
    one, two = (count_gflop(config, seconds) for seconds in (1.0, 2.0))
    assert two == pytest.approx(2 * one) and weights and one > 2e-9 * weights


@pytest.mark.slow
def test_measured_in_a_process_of_its_own(forked_commands):
    first = measure(Case(TINY, 0.1, 1, passes=1))
    torch.manual_seed(0)
    said = build_frontend(TINY).enhance(clip(0.1))[0]
    assert any(first.check) and first.check == pytest.approx(said[:: len(said) // 1000].tolist(), abs=WAVE)
    assert 0 < first.cpu_s < 60 and 0 < first.wall_s < 600 and 50 < first.base_mib < first.peak_mib < 20000
    assert measure(Case(TINY, 0.1, 1, passes=1, clips=2)).check == pytest.approx(first.check, abs=WAVE)
    with pytest.raises(TrnetError, match="'gtcrn'.*'x'"):
        measure(Case({"frontend": "gtcrn", "frontend_conf": {"x": 1}}, 0.1, 1))


def test_peak_of_matrix_products():
    assert 0.1 < peak_gflops(1, size=256, repeats=3) < 1e5


@pytest.mark.slow
def test_tables_and_what_cannot_be_built(tmp_path, capsys, forked_commands):
    files = ["--json", str(tmp_path / "b.json"), "--markdown", str(tmp_path / "b.md")]
    args = ["--frontends", "none speechbrain", "--seconds", "0.1", "--threads", "1", *files]
    assert bench_frontend.main(args) == 0
    said = json.loads((tmp_path / "b.json").read_text())
    assert [row["frontend"] for row in said["frontends"]] == ["none"] and list(said["skipped"]) == ["speechbrain"]
    text = (tmp_path / "b.md").read_text()
    assert text in capsys.readouterr().out and "| none | own | 0.1 |" in text and "- `speechbrain`: " in text


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_leaves_its_reason(forked_commands):
    (found,) = timed([GpuCase("tiny", TINY, 0.1)])
    assert found.failed and not found.passes_s


def test_gpu_tables_hold_marks_floors_and_reasons(monkeypatch, capsys):
    """Each case with its own seconds; the one that fails is a row without numbers."""
    speed = {"float32": 5e4, "tf32": 4e5, "bf16": 8e5, "copy_gb_s": 3000.0}
    monkeypatch.setattr(gpu_report, "rates", lambda device: speed)
    monkeypatch.setattr(gpu_report, "warmed", lambda groups: 7.0)
    monkeypatch.setattr(gpu_report, "count_gflop", lambda config, seconds: 400.0)
    taken = {"official": 0.05, "plain": 0.1, "float32": 0.02, "tf32": 0.01}

    def one(case: GpuCase) -> Timed:
        if case.label not in taken:
            return Timed(failed="no bf16 here")
        each = taken[case.label] * case.clips
        return Timed(9.0, [each, 3 * each, each], 100.0, [1.0, 2.0], ["slower"] if case.label == "tf32" else [])

    monkeypatch.setattr(gpu_report, "timed", lambda group: [one(case) for case in group])
    config = {"frontend": "cmgan", "frontend_conf": {"init": "random"}}
    kept = []
    device = torch.device("cpu")
    found = gpu_report.measured([config], 5.0, [16], 3, False, device, lambda part: kept.append(len(part["rows"])))
    assert kept == [2, 4, 6, 8]
    rows = {(row["label"], row["clips"]): row for row in found["rows"]}
    assert len(rows) == 8 and "s_a_clip" not in rows["bf16", 16] and rows["bf16", 1]["failed"] == "no bf16 here"
    tf32 = rows["tf32", 16]
    assert tf32["s_a_clip"] == pytest.approx(0.01) and tf32["times_official"] == pytest.approx(5.0)
    assert tf32["mark"] == 4 and tf32["arithmetic_floor_s"] == pytest.approx(400 / 4e5) and tf32["difference"] == 0
    assert tf32["minutes_of_77_hours"] == pytest.approx(77 * 3600 / 5 * 0.01 / 60)
    text = "\n".join(gpu_report.markdown(found))
    assert "no bf16 here" in text and "slower" in text and "9.2 minutes" in text


def test_blocks_of_other_sizes_are_rows_of_their_own(monkeypatch, capsys):
    monkeypatch.setattr(gpu_report, "warmed", lambda groups: 7.0)
    monkeypatch.setattr(
        gpu_report, "timed", lambda cases: [Timed(9.0, [0.01 * (1 + len(c.tiles))], 1, [0.0]) for c in cases]
    )
    for precision, rows in gpu_report.tiles(5.0, 3).items():
        assert rows[0] == {"changed": "nothing", "ms": 10.0, "difference": 0.0, "note": ""}, precision
        assert len({row["changed"] for row in rows}) == len(rows) == len(gpu_report.TILES)


def test_bytes_of_bf16_are_more_than_half_of_float32s():
    """The residual stream of conformers stays float32; all else is half; twice the length is twice the bytes."""
    full, half = (moved_bytes(5.0, precision) for precision in ("float32", "bf16"))
    assert full == moved_bytes(5.0, "tf32") and full / 2 < half < full
    assert moved_bytes(10.0, "bf16") == pytest.approx(2 * half, rel=0.01) and 1e9 < half < 1e10


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--frontends", "gtcrm"], "--frontends gtcrm 'gtcrn'"),
        (["--seconds", "0"], "--seconds 0.0 0.1"),
        (["--checkpoints", "gtcrn=nowhere.tar"], "--checkpoints gtcrn=nowhere.tar"),
        (["--checkpoints", "gtcrn"], "--checkpoints gtcrn:"),
        (["--profile"], "--profile: is measured on a GPU"),
    ],
)
def test_what_is_wrong_is_one_line(fails, args, message):
    assert_names(fails(bench_frontend.main, args), message)
