"""The count contract: how many utterances a whole copy of a corpus has, so that a part of it is not taken for all."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trnet.corpora.labels import read_plain_yaml
from trnet.corpora.source import shorten
from trnet.errors import TrnetError

NO_CONTRACT = "none"


@dataclass(frozen=True)
class Contract:
    """Expected counts by cell: ``Ses01F ang`` (speaker, class) for speech; ``clips`` and ``sources`` for noise."""

    path: Path
    counts: Mapping[str, int]

    def check(self, found: Mapping[str, int], root: Path) -> None:
        """Hold what was found in `root` against the contract.

        Raises: TrnetError with the cells that differ, expected and found.
        """
        cells = list(self.counts) + sorted(set(found) - set(self.counts))
        differing = [
            f"{cell}: expected {self.counts.get(cell, 0)}, found {found.get(cell, 0)}"
            for cell in cells
            if self.counts.get(cell, 0) != found.get(cell, 0)
        ]
        if differing:
            raise TrnetError(
                f"{root}: {len(differing)} of {len(cells)} counts are not those of {self.path} "
                f"({shorten(differing, separator='; ')}); complete the copy, "
                f"or give --contract {NO_CONTRACT} to prepare it as it is"
            )


def read_contract(option: str | Path) -> Contract | None:
    """Read a contract: YAML lines ``speaker: {class: count}`` or ``cell: count``; None for ``none``.

    Raises: TrnetError for a missing or malformed file, or a count that is no number.
    """
    if str(option) == NO_CONTRACT:
        return None
    counts: dict[str, int] = {}
    for key, value in read_plain_yaml(Path(option), "contract").items():
        inner = {f"{key} {name}": n for name, n in value.items()} if isinstance(value, dict) else {key: value}
        for cell, number in inner.items():
            if not isinstance(number, str) or not number.isdecimal():
                raise TrnetError(f"{option}: '{cell}' must be a count, not '{number}'; mend it there")
            counts[cell] = int(number)
    return Contract(Path(option), counts)
