"""Damaged runs of front-ends: said in one line, nothing lost, and the advice works when it is followed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from trnet.bin import evaluate_frontend, train_frontend
from trnet.frontend import build_frontend
from trnet.runs.checkpoint import load_checkpoint, save_checkpoint
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole

pytest.importorskip("pesq")
pytest.importorskip("pystoi")


@pytest.fixture(scope="module")
def finished(pairs, tmp_path_factory, write_config) -> list[str]:
    """Options of a small DCCRN that was trained for an epoch; not to be changed."""
    exp = tmp_path_factory.mktemp("damaged") / "exp"
    config = write_config(training={"max_epochs": 1})
    options = ["--configs", str(config), "--data", str(pairs), "--exp", str(exp)]
    assert train_frontend.main(options) == 0
    return options


@pytest.fixture(params=["finished", "stopped"])
def run(request, finished, tmp_path) -> tuple[list[str], Path]:
    """Options that are content with this epoch, or want a second, and the folder of the run."""
    shutil.copytree(finished[-1], tmp_path / "exp")
    more = [] if request.param == "finished" else ["--max-epochs", "2"]
    return [*finished[:-1], str(tmp_path / "exp"), *more], tmp_path / "exp/dccrn/seed1"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("name", ["frontend.pt", "last.pt"])
def test_damage_is_said_and_both_pieces_of_advice_work(run, name, damage, tmp_path, fails, capfd):
    options, folder = run
    whole = (folder / name).read_bytes()
    damage(folder / name)
    if name == "last.pt" and damage is Path.unlink:  # asked for: trained anew, what is left is kept
        assert train_frontend.main(options) == 0
        assert "last.pt" in capfd.readouterr().out
        assert list(folder.parent.glob("seed1.*.incomplete/frontend.pt"))
        return
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for _ in range(2):
        assert f"{folder}/{name}: " in fails(train_frontend.main, options)
    assert kept == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    shutil.copytree(folder, tmp_path / "damaged")
    (folder / name).write_bytes(whole)
    assert train_frontend.main(options) == 0
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "damaged", folder)
    shutil.move(folder, tmp_path / "elsewhere")
    assert train_frontend.main(options) == 0
    build_frontend({"frontend": "dccrn", "frontend_conf": {"checkpoint": str(folder / "frontend.pt")}})


def test_a_damaged_front_end_is_neither_scored_nor_loaded(finished, tmp_path, fails):
    shutil.copytree(finished[-1], tmp_path / "exp")
    path = tmp_path / "exp/dccrn/seed1/frontend.pt"
    flip(path)
    assert f"{path}: " in fails(evaluate_frontend.main, [*finished[:-1], str(tmp_path / "exp")])
    with pytest.raises(TrnetError, match=r"frontend\.pt: .*checksum"):
        build_frontend({"frontend": "dccrn", "frontend_conf": {"checkpoint": str(path)}})


@pytest.mark.parametrize(
    ("change", "entry"),
    [
        (lambda state: state.pop("steps"), "'steps'"),
        (lambda state: state["method"].pop("optimizers"), "method.optimizers"),
        (lambda state: state["method"].update(modules={"network": {}}), "missing"),
        (lambda state: state["method"]["optimizers"].update(network={}), "method.optimizers.network"),
        (lambda state: state["history"][0].pop("valid_pesq"), "'valid_pesq'"),
        (lambda state: next(iter(state["method"]["modules"]["network"].values())).fill_(torch.nan), "not finite"),
    ],
)
def test_a_last_pt_of_another_form_is_said(finished, tmp_path, fails, change, entry):
    shutil.copytree(finished[-1], tmp_path / "exp")
    path = tmp_path / "exp/dccrn/seed1/last.pt"
    state = load_checkpoint(path)
    change(state)
    save_checkpoint(path, state)
    said = fails(train_frontend.main, [*finished[:-1], str(tmp_path / "exp"), "--max-epochs", "2"])
    assert f"{path}: " in said and entry in said


def test_a_damaged_run_does_not_stop_the_others(finished, tmp_path, fails):
    shutil.copytree(finished[-1], tmp_path / "exp")
    cut(tmp_path / "exp/dccrn/seed1/last.pt")
    said = fails(train_frontend.main, [*finished[:-1], str(tmp_path / "exp"), "--seeds", "1 2"])
    assert "seed1/last.pt: " in said and "1 of 2 runs failed" in said
    assert (tmp_path / "exp/dccrn/seed2/frontend.pt").is_file()
