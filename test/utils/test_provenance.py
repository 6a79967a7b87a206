"""What is recorded of the commit: changed and unknown code is marked."""

import shutil
import subprocess

import pytest
import torch

from trnet.utils import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of one commit that holds trnet/utils/provenance.py and conf.yaml."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    (tmp_path / "trnet/utils").mkdir(parents=True)
    (tmp_path / "trnet/utils/provenance.py").write_text("")
    (tmp_path / "conf.yaml").write_text("a: 1")
    (tmp_path / ".gitignore").write_text("exp/\n")
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "first")):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)
    return tmp_path


def test_what_git_does_not_know_is_marked(checkout):
    clean = provenance.commit()
    assert len(clean) == 10 and int(clean, 16)
    (checkout / "notes.txt").write_text("decides nothing")
    (checkout / "exp").mkdir()
    (checkout / "exp/config.yaml").write_text("ignored")
    assert provenance.commit() == clean
    (checkout / "mine.yaml").write_text("a: 2")
    assert provenance.commit() == f"{clean}+untracked"
    (checkout / "conf.yaml").write_text("a: 3")
    assert provenance.commit() == f"{clean}-dirty+untracked"
    (checkout / "mine.yaml").unlink()
    assert provenance.commit() == f"{clean}-dirty"


@pytest.mark.parametrize("name", ["front_end.py", "a/local/run.sh", "kernel.cpp"])
def test_code_of_any_kind_counts(checkout, name):
    (checkout / name).parent.mkdir(parents=True, exist_ok=True)
    (checkout / name).write_text("")
    assert provenance.commit().endswith("+untracked")


def test_a_copy_of_a_checkout_can_be_told_its_commit(checkout, monkeypatch):
    monkeypatch.setenv("TRNET_COMMIT", "0123abc")
    assert provenance.commit() == "0123abc"


def test_a_package_inside_another_checkout_is_not_of_its_commit(checkout, monkeypatch):
    (checkout / "venv/trnet").mkdir(parents=True)
    monkeypatch.setattr(provenance, "CHECKOUT", checkout / "venv")
    assert provenance.commit().startswith("no checkout, version")


@pytest.mark.parametrize(
    "git", [None, "exit 128  # fatal: detected dubious ownership", "exec sleep 60"], ids=["missing", "refuses", "hangs"]
)
def test_a_git_that_cannot_say(tmp_path, monkeypatch, git):
    if git:
        (tmp_path / "git").write_text(f"#!/bin/sh\n{git}\n")
        (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin" if git else str(tmp_path))
    monkeypatch.setattr(provenance, "PATIENCE_S", 0.3)
    assert provenance.commit().startswith("no checkout, version")


CPUINFO = """processor\t: 0
model name\t: Some Processor 7
flags\t\t: fpu avx2{flag}

processor\t: 1
model name\t: Another
flags\t\t: fpu amx_bf16
"""


@pytest.mark.parametrize(("flag", "says"), [(" amx_bf16 amx_tile", True), (" amx_tile", False)])
def test_a_processor_that_multiplies_in_bf16_is_said(tmp_path, monkeypatch, flag, says):
    (tmp_path / "cpuinfo").write_text(CPUINFO.format(flag=flag))
    monkeypatch.setattr(provenance, "CPUINFO", tmp_path / "cpuinfo")
    found = provenance.machine(torch.device("cpu"))
    assert found.startswith("Some Processor 7, ") and ("and AMX" in found) == says
