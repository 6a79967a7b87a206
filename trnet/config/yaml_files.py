"""YAML files read safely: numbers in plain digits, no key twice, nothing deep, endless, or that makes objects."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from trnet.utils.errors import TrnetError, printable
from trnet.utils.files import read_text
from trnet.utils.numbers import NUMBER, WHOLE, real, whole

LARGEST = 10 << 20  # bytes of a file
DEEPEST = 32  # mappings and lists inside each other
STANDARD = "tag:yaml.org,2002:"  # what !! stands for
MOST = 200_000  # values, those behind aliases (*name) counted wherever they are named


class _Checked(yaml.SafeLoader):
    """What trnet refuses of YAML, reported with the place."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.sizes: dict[int, int] = {}  # values below a node, by its id; -1 while it is being read

    def compose_node(self, parent: Any, index: Any) -> yaml.Node:
        event = self.peek_event()
        if getattr(event, "tag", None):
            raise _problem(
                f"the tag {event.tag.replace(STANDARD, '!!')} is not taken; leave it out, put quotes around a text",
                event,
            )
        self.depth += 1
        if self.depth > DEEPEST:
            raise _problem(f"lists or mappings lie more than {DEEPEST} deep in each other", event)
        node = super().compose_node(parent, index)
        assert node is not None
        self.depth -= 1
        if isinstance(event, yaml.AliasEvent) and id(node) not in self.sizes:
            raise _problem(f"*{event.anchor} stands inside of what it stands for", event)
        if id(node) not in self.sizes:
            self.sizes[id(node)] = 1 + self._below(node)
        if self.sizes[id(node)] > MOST:
            raise _problem(f"more than {MOST} values, those behind aliases counted", event)
        return node

    def _below(self, node: yaml.Node) -> int:
        if isinstance(node, yaml.SequenceNode):
            return sum(self.sizes[id(item)] for item in node.value)
        if not isinstance(node, yaml.MappingNode):
            return 0
        keys: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and keys.setdefault(key.value, key) is not key:
                raise _problem(f"the key '{key.value}' is there twice, in line {_line(keys[key.value])} too", key)
        return sum(self.sizes[id(key)] + self.sizes[id(value)] for key, value in node.value)


def _line(where: Any) -> int:
    return where.start_mark.line + 1


class _Refused(yaml.MarkedYAMLError):
    """What YAML allows, and trnet does not."""


def _problem(problem: str, where: Any) -> _Refused:
    return _Refused(problem=problem, problem_mark=where.start_mark)


class _Values(_Checked):
    """Texts, true and false, null, and numbers as `trnet.utils.numbers` reads them; nothing else."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in ("bool", "null", "merge")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Words(_Checked):
    """Nothing but texts, as they are written (``no``, ``001``)."""

    yaml_implicit_resolvers = {}


def _add_numbers() -> None:
    for name, pattern, read in (("int", WHOLE, whole), ("float", NUMBER, real)):

        def construct(_: yaml.Loader, node: yaml.Node, read: Callable[[str], float] = read) -> float | str:
            try:
                return read(node.value)
            except ValueError:  # out of all bounds: stays a text, which whoever wants a number names with its key
                return node.value

        tag = f"{STANDARD}{name}"
        _Values.add_implicit_resolver(tag, re.compile(rf"(?:{pattern.pattern})\Z"), list("-+.0123456789"))
        _Values.add_constructor(tag, construct)


_add_numbers()


def read_mapping(path: Path, what: str, words: bool = False) -> dict[Any, Any]:
    """The mapping that a YAML file (or a pipe) holds; with `words` all scalars stay the texts they are written as.

    Raises:
        TrnetError: In one line for a file that is missing ("no such `what`"), no YAML or no mapping, and for what the
            module's first line says.
    """
    path = Path(path)
    try:
        text = read_text(path, LARGEST)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise TrnetError(f"{path}: no such {what}; name one that is there") from None
    except UnicodeDecodeError:
        raise TrnetError(f"{path}: is no {what}, as it is no text in UTF-8; save it as UTF-8") from None
    return parse_mapping(text, str(path), what, words)


def parse_mapping(text: str, path: str, what: str, words: bool = False) -> dict[Any, Any]:
    """The mapping that the text of a YAML file holds; see :func:`read_mapping`."""
    try:
        loader = (_Words if words else _Values)(text)
        tree = loader.get_single_data()
    except yaml.YAMLError as error:
        kind = "" if isinstance(error, _Refused) else "is not YAML: "
        raise TrnetError(f"{path}{_place(error)}: {kind}{_reason(error)}; mend it there") from None
    if tree is None or tree == "":
        raise TrnetError(f"{path}: holds nothing; write 'key: value' lines")
    if not isinstance(tree, dict):
        raise TrnetError(f"{path}: is not a YAML mapping, so no {what}; write 'key: value' lines")
    return tree


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f":{mark.line + 1}"


def _reason(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        return f"the character {error.character:#x} must not be in it"
    return printable(getattr(error, "problem", None) or str(error))
