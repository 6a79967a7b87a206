"""What matters in a line of an error: the file, the key, the value; how it is said may change."""


def assert_names(line: str, words: str) -> None:
    """Each of the blank-separated words is in the line."""
    missing = [word for word in words.split() if word not in line]
    assert not missing, f"{missing} not in: {line}"
