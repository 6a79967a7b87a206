"""Tests that take longest are begun first."""

from types import SimpleNamespace

from order import FILES, TESTS, longest_first


def item(path, *marks):
    return SimpleNamespace(path=path, get_closest_marker=lambda name: name in marks)


def test_the_longest_files_are_there():
    assert all(path.is_file() for path in FILES)


def test_longest_files_then_recipes_then_slow_ones_and_each_file_whole():
    short, slow, recipe = (TESTS / f"test_{name}.py" for name in ("short", "slow", "recipe"))
    items = [item(short), item(slow), item(slow, "slow"), item(recipe, "recipe"), *map(item, reversed(FILES))]
    longest_first(items)
    assert [each.path for each in items] == [*FILES, recipe, slow, slow, short]
