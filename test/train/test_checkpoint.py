"""Checkpoints: read back to the bit, refused when they are another model's or broken."""

import pytest
import torch

from trnet.errors import TrnetError
from trnet.train.checkpoint import load_checkpoint, load_weights, save_checkpoint


def test_a_checkpoint_comes_back_to_the_bit(tmp_path):
    state = {"model": torch.nn.Linear(3, 2).state_dict(), "history": [{"epoch": 1, "c_clean": None, "uar": 0.1}]}
    save_checkpoint(tmp_path / "a.pt", state)
    loaded = load_checkpoint(tmp_path / "a.pt")
    assert loaded["history"] == state["history"] and loaded["format"] == "trnet-1"
    assert all(torch.equal(loaded["model"][key], state["model"][key]) for key in state["model"])


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, -1])
def test_a_checkpoint_cut_short_is_refused(tmp_path, keep):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"model": {"w": torch.zeros(1000)}})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(TrnetError, match="last.pt: is no readable checkpoint .*; delete it and train again"):
        load_checkpoint(path)


def test_files_that_are_no_checkpoints_are_refused(tmp_path):
    (tmp_path / "text.pt").write_text("hello")
    torch.save({"model": {}}, tmp_path / "other.pt")
    torch.save([1], tmp_path / "list.pt")
    with pytest.raises(TrnetError, match="text.pt: is no readable checkpoint"):
        load_checkpoint(tmp_path / "text.pt")
    for name in ("other.pt", "list.pt"):
        with pytest.raises(TrnetError, match=f"{name}: is not a checkpoint of trnet"):
            load_checkpoint(tmp_path / name)
    with pytest.raises(TrnetError, match="none.pt: no such checkpoint"):
        load_checkpoint(tmp_path / "none.pt")


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("run",)

    torch.save({"format": "trnet-1", "model": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(TrnetError, match="no readable checkpoint"):
        load_checkpoint(tmp_path / "evil.pt")


def test_weights_of_another_model_are_refused_by_key(tmp_path):
    own = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    before = {key: value.clone() for key, value in own.state_dict().items()}
    weights = own.state_dict() | {"2.weight": torch.zeros(1), "0.weight": torch.zeros(2, 4)}
    del weights["1.running_mean"]
    with pytest.raises(TrnetError) as caught:
        load_weights(own, weights, tmp_path / "best.pt")
    message = str(caught.value)
    assert "best.pt: is a checkpoint of another model" in message
    for part in ("missing 1.running_mean", "extra 2.weight", "misshapen 0.weight (2, 4) for (2, 3)"):
        assert part in message
    assert all(torch.equal(value, before[key]) for key, value in own.state_dict().items())
