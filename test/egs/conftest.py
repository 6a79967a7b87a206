"""What the recipes' tests share: the corpora that the mini recipe makes, and the folder in which it has run."""

from pathlib import Path

import pytest
from mini import RECIPE, make_mini
from once import once
from recipes import copy_recipes, run


@pytest.fixture(scope="session")
def made_corpora(tmp_path_factory) -> Path:
    """``downloads/`` of the mini recipe after its stage 0: mini, esc and musan; not to be changed."""

    def make(root: Path) -> None:
        copy_recipes(root)
        run(root / RECIPE, "--stage", "0", "--stop-stage", "0")

    return once(tmp_path_factory, "made_corpora", make) / RECIPE / "downloads"


@pytest.fixture(scope="session")
def recipe(made_corpora, tmp_path_factory) -> Path:
    """The mini recipe after all its stages; a test may add folders of runs, and change nothing."""
    return once(tmp_path_factory, "mini", lambda root: make_mini(root, made_corpora)) / RECIPE
