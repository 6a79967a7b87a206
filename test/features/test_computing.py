"""Features of many utterances: in batches of one length they are what each utterance gives alone."""

import logging
import shutil

import numpy as np
import pytest
import torch
from tiny import hiss, speech_dir
from upstreams import make_upstream

from trnet.config import Upstream
from trnet.features import archive, computing
from trnet.features.archive import make_archives, open_features
from trnet.utils.device import gpu
from trnet.utils.errors import TrnetError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def options(tmp_path_factory) -> Upstream:
    return Upstream(model=str(make_upstream("whisper", tmp_path_factory.mktemp("net") / "net")))


@pytest.fixture
def sets(tmp_path):
    """Two data dirs; utterances of the same and of other lengths, and of the same length in both."""
    lengths = {"A-ang_1": 4000, "A-neu_2": 4000, "B-ang_1": 5600, "B-neu_2": 7000}
    found = []
    for number, name in enumerate(("one", "two")):
        clips = {utt: hiss(10 * number + key, size) for key, (utt, size) in enumerate(lengths.items())}
        found.append((speech_dir(tmp_path / "data", name, clips), tmp_path / "out" / name))
    return found


def read(sets) -> dict[str, np.ndarray]:
    return {f"{out.name}/{utt}": np.array(open_features(out)[utt]) for data, out in sets for utt in data.utts}


@pytest.mark.parametrize(("clips", "hours"), [(64, 50), (2, 50), (64, 0.0)])
def test_in_batches_they_are_what_they_are_one_by_one(options, sets, tmp_path, monkeypatch, clips, hours):
    make_archives(sets, options, 1)
    alone = read(sets)
    monkeypatch.setattr(archive, "_takes_batches", lambda device, features: True)
    monkeypatch.setattr(computing, "GPU_CLIPS", clips)
    monkeypatch.setattr(archive, "GROUP_HOURS", hours)
    together = [(data, tmp_path / "together" / out.name) for data, out in sets]
    make_archives(together, options, 1)
    found = read(together)
    assert found.keys() == alone.keys()
    for key, matrix in found.items():
        spread = np.ptp(alone[key]) / 65535  # two bytes a value
        np.testing.assert_allclose(matrix, alone[key], rtol=1e-4, atol=2 * spread)
    before = {path: path.read_bytes() for path in (tmp_path / "together").rglob("feats.*")}
    make_archives(together, options, 1)
    assert before == {path: path.read_bytes() for path in (tmp_path / "together").rglob("feats.*")}


def test_a_batch_that_fails_leaves_no_features(options, sets, tmp_path, monkeypatch, partials):
    monkeypatch.setattr(archive, "_takes_batches", lambda device, features: True)
    (tmp_path / "data" / "downloads" / "two" / "B-neu_2.wav").write_bytes(b"no audio")
    with pytest.raises(TrnetError, match="B-neu_2"):
        make_archives(sets, options, 1)
    assert not list((tmp_path / "out").rglob("feats.ark")) and not partials(tmp_path / "out")


def test_shards_make_other_sets_and_together_all(options, sets):
    make_archives(sets, options, 1, shard=(2, 2))
    assert [(out / "feats.ark").exists() for _, out in sets] == [False, True]
    there = (sets[1][1] / "feats.ark").stat().st_mtime_ns
    make_archives(sets, options, 1, shard=(1, 2))
    assert read(sets) and (sets[1][1] / "feats.ark").stat().st_mtime_ns == there


def test_size_is_said_before_anything_is_computed_and_a_full_disk_is_one_line(options, sets, monkeypatch, caplog):
    with caplog.at_level(logging.INFO, "trnet"):
        make_archives(sets, options, 1)
    assert any("2 sets" in line and "GB" in line for line in caplog.messages)
    assert not any(" min" in line for line in caplog.messages)  # of so few utterances
    monkeypatch.setattr(computing.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1000, 999, 1))
    for _, out in sets:
        shutil.rmtree(out)
    with pytest.raises(TrnetError, match="GB"):
        make_archives(sets, options, 1)
    assert not any(out.exists() and list(out.glob("feats.ark")) for _, out in sets)


def test_so_is_time(options, sets, monkeypatch, caplog):
    monkeypatch.setitem(computing.WORTH, "upstream", 1)
    ticks = iter([10.0, 10.5])
    monkeypatch.setattr(computing.time, "perf_counter", lambda: next(ticks))
    jobs = [computing.Job(0, "u", "u", None, seconds) for seconds in (0.5, 1.0, 7 * 60 - 1.5)]
    with caplog.at_level(logging.INFO, "trnet"):
        computing.log_estimate([jobs], [sets[0][1]], options, nj=2, device=torch.device("cpu"))
    assert caplog.messages[-1] == "upstream: some 2 min, at 4 times real time"


@pytest.mark.parametrize("together", [False, True])
def test_a_clip_that_is_too_short_is_named(options, tmp_path, monkeypatch, together):
    monkeypatch.setattr(archive, "_takes_batches", lambda device, features: together)
    data = speech_dir(tmp_path / "data", "short", {"A-ang_1": hiss(1, 4000), "A-neu_2": hiss(2, 100)})
    with pytest.raises(TrnetError, match=r"A-neu_2.*100"):
        make_archives([(data, tmp_path / "out")], options, 1)


@pytest.mark.gpu
def test_on_a_gpu_they_are_what_they_are_on_a_cpu(options, sets, tmp_path):
    make_archives(sets, options, 1)
    there = [(data, tmp_path / "gpu" / out.name) for data, out in sets]
    make_archives(there, options, 1, gpu())
    for key, matrix in read(there).items():
        np.testing.assert_allclose(matrix, read(sets)[key], rtol=1e-3, atol=1e-3)
