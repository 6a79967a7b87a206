"""Speed and memory of features: a row that says what was measured."""

import json

import pytest
import yaml
from upstreams import DIM, make_upstream

from trnet.bench.measure_features import run
from trnet.bin import bench_features
from trnet.config import Fbank, Upstream
from trnet.utils.errors import TrnetError


def test_parameters_are_those_that_are_used(tmp_path):
    folder = make_upstream("wav2vec2", tmp_path / "net")
    first, last = (run(Upstream(model=str(folder), layer=layer), 0.5, 1) for layer in (1, 6))
    assert first.shape == last.shape == (24, DIM)
    assert 0 < first.parameters < last.parameters and 0 < first.cpu_s < first.wall_s * 8
    assert run(Fbank(), 0.5, 1).parameters == 0


def test_a_clip_without_a_frame_is_one_line():
    with pytest.raises(TrnetError, match="--seconds"):
        run(Fbank(), 0.01, 1)


@pytest.mark.slow
def test_the_command_prints_a_row_for_each_length(tmp_path, capfd, forked_commands):
    folder = make_upstream("whisper", tmp_path / "net")
    config = tmp_path / "upstream.yaml"
    config.write_text(yaml.safe_dump({"features": {"type": "upstream", "model": str(folder), "layer": 2}}))
    out = tmp_path / "out.json"
    assert bench_features.main(["--config", str(config), "--seconds", "1 2", "--threads", "1", "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert [(row["features"], row["seconds"], row["shape"]) for row in rows] == [
        ("net_2", 1.0, [50, DIM]),
        ("net_2", 2.0, [100, DIM]),
    ]
    assert capfd.readouterr().out.count("| net_2 |") == 2
