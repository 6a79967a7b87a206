"""The benchmark of loading and flushing prints its table and writes its numbers."""

import json

from trnet.bin import bench_storage


def test_the_benchmark_measures_loading_and_writing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_storage, "FILES", {"a stamp": 200})
    assert (
        bench_storage.main(["--utts", "3", "--rounds", "1", "--folder", str(tmp_path), "--json", str(tmp_path / "j")])
        == 0
    )
    said = json.loads((tmp_path / "j").read_text())
    assert len(said["load"]) == 2 and all(seconds > 0 for seconds in said["write"]["a stamp"])
    for load in said["load"].values():
        assert load["bytes"] > 0 and len(load["seconds"]) == 4
        assert all(seconds > 0 for took in load["seconds"].values() for seconds in took.values())
    assert "| a stamp | 200 |" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["j"]
