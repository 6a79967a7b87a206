"""What several folders of tests share: how a test begins, the tiny corpus, a disk that is full."""

from __future__ import annotations

import os
import random
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from order import longest_first
from started_python import python, share
from tiny import Tiny, make_tiny
from waveforms import make_waveforms

from trnet.utils import files, logs

BROWSERS = ("chromium", "chromium-headless-shell", "google-chrome", "chrome", "chromium-browser")
logs.configure()  # as commands do: what a library reports is in capsys too
THREADS = int(os.environ.get("TRNET_TEST_THREADS", "1"))


def pytest_configure(config: pytest.Config) -> None:
    """Several processes of tests share the Python that commands are forked from."""
    if config.getoption("numprocesses", None):
        share()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever takes longest comes first."""
    longest_first(items)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked ``gpu`` is skipped where PyTorch has no GPU."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a GPU")


@pytest.fixture(scope="session", autouse=True)
def thread_count():
    """One thread, here and in commands that tests start: nothing is taken from others on the machine.

    Another number by $TRNET_TEST_THREADS, to see that no verdict hangs on it.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", str(THREADS))
        yield
    torch.set_num_threads(before)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup():
    """Every fixture, of whatever scope, begins with its threads: commands that ran before it set their own."""
    torch.set_num_threads(THREADS)


@pytest.fixture(autouse=True)
def begun_alike(thread_count):
    """Whatever ran before, a test has its threads, draws the same random numbers, and sees what trnet logs."""
    torch.set_num_threads(THREADS)
    logs.configure()  # trnet-predict, say, is silent about what works
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Tiny:
    """The tiny corpus with its features; not to be changed."""
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def mixed(tiny, tmp_path_factory) -> Tiny:
    """The tiny corpus with a front-end and a pretrained network, whose gate mixes waveforms; not to be changed."""
    return make_waveforms(tiny, tmp_path_factory.mktemp("mixed"))


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium: $TRNET_BROWSER, one on the path, or playwright's own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    with playwright.sync_playwright() as driver:
        found = [os.environ.get("TRNET_BROWSER"), *map(shutil.which, BROWSERS), driver.chromium.executable_path]
        path = next((path for path in found if path and Path(path).exists()), None)
        if path is None:
            pytest.skip("needs a Chromium: apt-get install chromium-headless-shell, or set TRNET_BROWSER to one")
        microphone = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]  # it beeps
        opened = driver.chromium.launch(executable_path=path, args=["--no-sandbox", *microphone])
        yield opened
        opened.close()


@pytest.fixture
def disk_full(monkeypatch) -> Callable[[Path], None]:
    """disk_full(path): this process's next try to write `path` meets a full disk, that of /dev/full."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    full: set[Path] = set()
    new_file = files._new_file

    def on_full_disk(path: Path) -> Path:
        partial = new_file(path)
        if path in full:
            full.remove(path)
            partial.unlink()
            partial.symlink_to("/dev/full")
        return partial

    def fill(path: Path) -> None:
        full.add(path)
        monkeypatch.setattr(files, "_new_file", on_full_disk)

    return fill


@pytest.fixture
def fails(capfd) -> Callable[..., str]:
    """fails(main, args): main ends with a status that is not 0 and one line ``error: ...``; that line."""

    def run(main: Callable, args: list[str]) -> str:
        capfd.readouterr()
        try:
            status = main(args)
        except SystemExit as stopped:
            status = stopped.code
        err = capfd.readouterr().err
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert status not in (0, None), err
        assert len(lines) == 1 and "Traceback" not in err, err
        others = [line for line in re.split(r"[\r\n]", err) if line.strip() and line not in lines]
        assert all("|" in line for line in others), err  # progress bars, and nothing else
        return lines[0]

    return run


@pytest.fixture
def forked_commands(monkeypatch) -> None:
    """Commands of trnet that this process starts by ``sys.executable`` run in a Python that has imported PyTorch."""
    monkeypatch.setattr(sys, "executable", str(python()))


@pytest.fixture
def partials() -> Callable[[Path], list[Path]]:
    """partials(folder): files that a stopped write left there."""
    return lambda folder: [path for path in Path(folder).rglob("*") if ".partial-" in path.name]
