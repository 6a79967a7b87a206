"""In which order files of tests are begun: no worker of pytest-xdist shall be left with a long one at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
# of a minute or more; the last two need what the first leaves, and would wait for it
LONGEST = ("egs/test_mini_recipe", "egs/test_nemo_formats", "egs/test_iemocap_format", "docs/test_site")
LONGEST += ("bin/test_train", "egs/test_mini_again", "egs/test_mini_encoders")
FILES = [TESTS / f"{name}.py" for name in LONGEST]


def longest_first(items: list[pytest.Item]) -> None:
    """Sort tests: the longest files, others with recipes, others with slow tests, all others; a file stays together."""
    ranks: dict[Path, int] = {}
    for item in items:
        rank = 0 if item.get_closest_marker("recipe") else 1 if item.get_closest_marker("slow") else 2
        ranks[item.path] = min(rank, ranks.get(item.path, rank))
    for rank, path in enumerate(FILES, start=-len(FILES)):
        ranks[path] = rank
    items.sort(key=lambda item: ranks[item.path])
