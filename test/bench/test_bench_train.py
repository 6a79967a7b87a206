"""bench_train measures what it says: every way of feeding the step, on a corpus of noise."""

import json

import pytest
from lines import assert_names

from trnet.bin import bench_train


@pytest.mark.slow
def test_every_row_has_a_rate_and_a_wait(tiny, tmp_path):
    out = tmp_path / "bench.json"
    options = ["--utterances", "16", "--seconds", "0.3", "--runs", "1", "--workers", "1", "--json", str(out)]
    assert bench_train.main(["--config", str(tiny.config_path), *options]) == 0
    said = json.loads(out.read_text())
    assert said["gflop_per_utterance"] > 0 and said["matmul_gflop_per_s"] > 0 and said["precision"] == "float32"
    assert len(said["rows"]) == 4  # the bare step, the engine twice, the obvious way
    for row in said["rows"]:
        assert row["utts_per_s"] > 0 and 0 <= row["wait"] <= 1
        assert row["steps_per_s"] == pytest.approx(row["utts_per_s"] / 8)
        assert row["of_matmul"] == pytest.approx(
            row["utts_per_s"] * said["gflop_per_utterance"] / said["matmul_gflop_per_s"]
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--system", "trnett"], "trnett 'trnet'"),
        (["--runs", "0"], "--runs 0 1"),
    ],
)
def test_what_is_wrong_is_one_line(tiny, fails, options, message):
    assert_names(fails(bench_train.main, ["--config", str(tiny.config_path), *options]), message)
