"""Any setting from the command line: ``--set "training.lr=5e-4 encoder.channels=[16,32]"``."""

import re
from collections.abc import Sequence
from typing import Any

from trnet.config.yaml_files import parse_mapping
from trnet.utils.errors import TrnetError

KEY = re.compile(r"(?:^|(?<=\s))([^\s=\[\]{},:'\"]+)=")


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """The nested mapping that texts ``key=value key=value`` say; a value is YAML, and a later one comes on top.

    Raises:
        TrnetError: For a text that does not begin with ``key=``, an empty part of a key, or a value that is no YAML.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        keys = list(KEY.finditer(text))
        if not keys or text[: keys[0].start()].strip():
            raise TrnetError(f"--set '{text}': write key=value, as in --set \"training.lr=5e-4 encoder.kernel=3\"")
        while keys:
            key, *keys = keys
            value, inside = _value(key[1], text[key.end() :], [other.start() - key.end() for other in keys])
            _put(settings, key[1], value)
            keys = keys[inside:]
    return settings


def _value(key: str, text: str, others: Sequence[int]) -> tuple[Any, int]:
    """The value at the beginning of a text, and how many of the `others`, where keys may begin, lie inside of it."""
    found: TrnetError | None = None
    for inside, end in enumerate((*others, len(text))):
        value = text[:end].strip()
        try:
            return parse_mapping(f"value: {value}", f"--set {key}={value}", "setting")["value"], inside
        except TrnetError as error:  # of quotes or brackets that go on
            found = found or error
    assert found is not None
    raise found


def _put(settings: dict[str, Any], key: str, value: Any) -> None:
    *above, name = key.split(".")
    if not all((*above, name)):
        raise TrnetError(f"--set {key}: a part of the key is empty; write section.key=value")
    for each in above:
        inner = settings.setdefault(each, {})
        if not isinstance(inner, dict):
            raise TrnetError(f"--set {key}: '{each}' was set to a value before; set one of the two")
        settings = inner
    settings[name] = value
