"""What the recipes' tests share: the corpora that the mini recipe makes."""

from pathlib import Path

import pytest
from once import once
from recipes import copy_recipes, run


@pytest.fixture(scope="session")
def made_corpora(tmp_path_factory) -> Path:
    """``downloads/`` of the mini recipe after its stage 0: mini, esc and musan; not to be changed."""

    def make(root: Path) -> None:
        run(copy_recipes(root) / "mini/ser1", "--stage", "0", "--stop-stage", "0")

    return once(tmp_path_factory, "made_corpora", make) / "egs/mini/ser1/downloads"
