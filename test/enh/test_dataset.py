"""Segments of an epoch: a function of seed and epoch, whoever reads them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from trnet.enh import dataset
from trnet.enh.dataset import Pair, Pairs, epoch_batches, epoch_order, segment_of
from trnet.kaldi.data_dir import DataDir
from trnet.utils.errors import TrnetError
from trnet.utils.workers import Workers


def test_segments():
    pair = Pair(*(np.arange(10, dtype=np.float32) + shift for shift in (0, 100)))
    for place, start in ((0.0, 0), (0.5, 3), (0.999, 6)):
        noisy, clean = segment_of(pair, 4, place)
        assert noisy.tolist() == list(range(start, start + 4)) and (clean - noisy == 100).all()
    assert segment_of(pair, 13, 0.7).noisy.tolist() == [*range(10), 0, 1, 2]


@pytest.mark.slow
def test_an_epoch_is_the_same_whoever_reads_it(pairs, monkeypatch):
    monkeypatch.setattr(dataset, "AHEAD", 2)
    data = Pairs(DataDir(pairs / "train"))
    with Workers(2, "read") as workers:
        found = [list(epoch_batches(data, 1600, 2, 9, each, 1, 2)[1]) for each in (None, workers)]
    assert len(found[0]) == len(found[1]) == 4  # the ninth utterance fills no batch
    for one, other in zip(*found, strict=True):
        assert one.utts == other.utts and one.noisy.shape == (2, 1600)
        assert torch.equal(one.noisy, other.noisy) and torch.equal(one.clean, other.clean)
    orders = [epoch_order(data.utts, 8, 1, epoch) for epoch in (1, 2)]
    assert orders[0] != orders[1] and len({utt for utt, _ in orders[0]}) == 8


@pytest.mark.slow
@pytest.mark.parametrize("nj", [1, 2])
def test_an_error_of_a_reading_process_is_its_message_alone(pairs, tmp_path, monkeypatch, nj):
    data, broken = Pairs(DataDir(pairs / "train")), tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    files = replace(data.files(data.utts[0]), clean=broken)
    monkeypatch.setattr(data, "files", lambda utt: files)
    with pytest.raises(TrnetError) as caught, Workers(nj, "read") as workers:
        list(epoch_batches(data, 1600, 4, 8, workers if nj > 1 else None, 1, 1)[1])
    assert str(caught.value).startswith(f"{broken}: ") and "\n" not in str(caught.value)


def test_a_pair_without_a_partner_is_named(pairs):
    data = Pairs(DataDir(pairs / "train"))
    with pytest.raises(TrnetError, match=r"clean\.scp: .*nobody"):
        data.files("nobody")
