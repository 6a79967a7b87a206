"""Checkpoints: read back to the bit, refused when they are another model's or broken."""

import pytest
import torch

from trnet.runs.checkpoint import load_checkpoint, load_part, load_weights, save_checkpoint
from trnet.utils.errors import TrnetError


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
    with pytest.raises(TrnetError, match=r"last\.pt: .*whole copy"):
        load_checkpoint(path)


def test_files_that_are_no_checkpoints_are_refused(tmp_path):
    (tmp_path / "text.pt").write_text("hello")
    torch.save({"model": {}}, tmp_path / "other.pt")
    torch.save([1], tmp_path / "list.pt")
    with pytest.raises(TrnetError, match="text.pt: "):
        load_checkpoint(tmp_path / "text.pt")
    for name in ("other.pt", "list.pt"):
        with pytest.raises(TrnetError, match=f"{name}: .*trnet"):
            load_checkpoint(tmp_path / name)
    with pytest.raises(TrnetError, match="none.pt: no such "):
        load_checkpoint(tmp_path / "none.pt")


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("run",)

    torch.save({"format": "trnet-1", "model": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(TrnetError, match="evil.pt: "):
        load_checkpoint(tmp_path / "evil.pt")


def test_a_changed_bit_is_found_which_torch_load_does_not_look_for(tmp_path):
    path = tmp_path / "best.pt"
    save_checkpoint(path, {"model": {"w": torch.ones(1000)}})
    content = bytearray(path.read_bytes())
    place = content.index(torch.ones(3).numpy().tobytes())
    content[place + 400] ^= 1
    path.write_bytes(content)
    assert not torch.equal(torch.load(path, weights_only=True)["model"]["w"], torch.ones(1000))
    with pytest.raises(TrnetError, match=r"best.pt: .*checksum"):
        load_checkpoint(path)


ROWS = [{"epoch": 1, "valid_uar": 30.0, "c_clean": None}, {"epoch": 2, "valid_uar": 40.0, "c_clean": 0.5}]


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("history", None),
        ("history", 3),
        ("history", {"epoch": 1}),
        ("history", [1, 2]),
        ("history", ROWS[1:]),
        ("history", [{"epoch": 1, "valid_uar": "high"}]),
        ("history", [{"epoch": 1, "valid_uar": 10**400}]),
        ("history", [{"epoch": 1, "valid_uar": float("inf")}]),
        ("history", [{"epoch": 1, 3: 1.0}]),
        ("model", None),
        ("model", [torch.zeros(2)]),
        ("model", {"w": 3}),
        ("model", {1: torch.zeros(2)}),
        ("epoch", None),
        ("epoch", "1"),
        ("epoch", -1),
        ("epoch", True),
        ("optimizer", torch.zeros(3)),
        ("trained_with", "here"),
        ("classes", [1]),
    ],
)
def test_an_entry_that_is_missing_or_of_another_form_is_named(tmp_path, entry, value):
    whole = {"model": {"w": torch.zeros(2)}, "history": ROWS, "epoch": 2, "optimizer": {}, "trained_with": ["x"]}
    whole["classes"] = ["ang", "sad"]
    path = tmp_path / "last.pt"
    save_checkpoint(path, whole)
    load_checkpoint(path, *whole, columns=["valid_uar"])
    changed = whole | {entry: value}
    if value is None:
        del changed[entry]
    save_checkpoint(path, changed)
    with pytest.raises(TrnetError, match=rf"last\.pt: entry '{entry}'"):
        load_checkpoint(path, *whole)


def test_a_history_without_the_column_that_is_read_is_refused(tmp_path):
    save_checkpoint(tmp_path / "last.pt", {"history": [{"epoch": 1, "valid_uar": None}]})
    with pytest.raises(TrnetError, match=r"last\.pt: 'valid_uar'"):
        load_checkpoint(tmp_path / "last.pt", "history", columns=["valid_uar"])


def adam(steps: int = 1) -> tuple[torch.nn.Linear, torch.optim.Adam]:
    """A layer and its optimizer after some steps."""
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    for _ in range(steps):
        layer(torch.ones(1, 3)).sum().backward()
        optimizer.step()
    return layer, optimizer


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.clear(),
        lambda state: state.update(param_groups=3),
        lambda state: state["param_groups"].append({}),
        lambda state: state["param_groups"][0].update(lr=float("nan")),
        lambda state: state["param_groups"][0].update(lr="fast"),
        lambda state: state["state"].update({0: {"step": torch.tensor(1.0)}}),
        lambda state: state["state"][0].update(exp_avg=torch.zeros(7)),
        lambda state: state["state"][0].update(step=torch.zeros(2)),
        lambda state: state.update(state=[1]),
    ],
)
def test_an_optimizer_of_something_else_is_refused_before_it_steps(change):
    state = adam()[1].state_dict()
    load_part(adam(0)[1], state, "last.pt", "optimizer")
    change(state)
    with pytest.raises(TrnetError, match="last.pt: entry 'optimizer'"):
        load_part(adam(0)[1], state, "last.pt", "optimizer")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(2, 3, dtype=torch.float64), "of another type weight torch.float64 for torch.float32"),
        (torch.zeros(2, 3, dtype=torch.int64), "of another type weight torch.int64"),
        (torch.full((2, 3), float("nan")), "not finite weight"),
        (torch.zeros(2, 3).to_sparse(), "no tensors weight"),
        (3, "no tensors weight"),
    ],
)
def test_weights_that_are_no_such_numbers_are_refused(value, message):
    layer = torch.nn.Linear(3, 2)
    with pytest.raises(TrnetError, match=f"best.pt: .*{message}"):
        load_weights(layer, layer.state_dict() | {"weight": value}, "best.pt")


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
