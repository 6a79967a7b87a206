"""Checkpoints are read with weights_only and fit exactly, or are refused in one line."""

import pytest
import torch

from trnet.frontend import build_frontend
from trnet.frontend.gtcrn import Gtcrn
from trnet.utils.errors import TrnetError


class Payload:
    """What weights_only has to keep out."""


def build(path):
    return build_frontend({"frontend": "gtcrn", "frontend_conf": {"checkpoint": str(path)}})


def refusal(path) -> str:
    with pytest.raises(TrnetError) as caught:
        build(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


@pytest.fixture
def state():
    return Gtcrn().state_dict()


def test_a_fitting_checkpoint_is_loaded(tmp_path, state):
    state["dpgrnn2.inter_fc.bias"] = torch.arange(16.0)
    torch.save({"epoch": 3, "optimizer": {}, "model": state}, tmp_path / "good.tar")
    got = build(tmp_path / "good.tar").network.state_dict()
    assert set(got) == set(state) and all(torch.equal(got[k], state[k]) for k in state)


def test_absent_foreign_and_broken_files(tmp_path, state):
    refusal(tmp_path / "absent.tar")
    refusal(tmp_path)
    for content in (b"", b"not a checkpoint", b"PK\x03\x04 cut short"):
        (tmp_path / "junk.tar").write_bytes(content)
        refusal(tmp_path / "junk.tar")
    torch.save({"model": state}, tmp_path / "whole.tar")
    (tmp_path / "half.tar").write_bytes((tmp_path / "whole.tar").read_bytes()[:90000])
    refusal(tmp_path / "half.tar")


def test_pickled_code_is_not_run(tmp_path, state):
    torch.save({"model": state, "extra": Payload()}, tmp_path / "evil.tar")
    assert "weights_only" in refusal(tmp_path / "evil.tar")


def test_files_without_the_weights(tmp_path, state):
    torch.save(state, tmp_path / "bare.tar")
    message = refusal(tmp_path / "bare.tar")
    assert "'model'" in message and "erb.erb_fc.weight" in message and "more" in message
    torch.save([1, 2], tmp_path / "list.tar")
    assert "no dict" in refusal(tmp_path / "list.tar")
    torch.save({"model": {"epoch": 3}}, tmp_path / "odd.tar")
    assert "'model'" in refusal(tmp_path / "odd.tar")
    torch.save({"model": {}}, tmp_path / "empty.tar")
    assert "'model'" in refusal(tmp_path / "empty.tar")


def test_keys_that_do_not_fit_are_listed(tmp_path, state):
    del state["dpgrnn1.intra_fc.bias"]
    state["head.weight"] = torch.zeros(2)
    state["decoder.de_convs.4.bn.bias"] = torch.zeros(3)
    state["dpgrnn2.inter_fc.bias"] = torch.full((16,), float("nan"))
    torch.save({"model": state}, tmp_path / "bent.tar")
    message = refusal(tmp_path / "bent.tar")
    assert "missing dpgrnn1.intra_fc.bias" in message
    assert "extra head.weight" in message
    assert "misshapen decoder.de_convs.4.bn.bias (3,) for (2,)" in message
    assert "not finite dpgrnn2.inter_fc.bias" in message
