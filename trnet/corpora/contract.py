"""The count contract: how many utterances a whole copy of a corpus has, to notice an incomplete one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trnet.config.yaml_files import read_mapping
from trnet.utils.errors import TrnetError
from trnet.utils.numbers import shown, whole
from trnet.utils.text import shorten

NO_CONTRACT = "none"
BY = ("speaker", "split", "corpus", "listed")


@dataclass(frozen=True)
class Contract:
    """Expected counts by cell: ``Ses01F ang`` (speaker, class) for speech; ``clips`` and ``sources`` for noise.

    Where counts per speaker are not published, `by` says what the first word of a cell is instead of the speaker:
    ``split`` (``train ang``, the corpus's own parts) or ``corpus`` (``all ang``). ``listed`` counts the utterances that
    the corpus lists in each of its parts (``train``), whatever their label.
    """

    path: Path
    counts: Mapping[str, int]
    by: str = "speaker"

    def check(self, found: Mapping[str, int], root: Path) -> None:
        """Compare what was found in `root` with the contract.

        Raises:
            TrnetError: With the cells that differ.
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

    A line ``by: split``, ``by: corpus`` or ``by: listed`` names what is counted instead of speakers.

    Raises:
        TrnetError: For a missing or malformed file, or a count that is no number.
    """
    if str(option) == NO_CONTRACT:
        return None
    counts: dict[str, int] = {}
    tree = read_mapping(Path(option), "contract", words=True)
    by = tree.pop("by", BY[0])
    if by not in BY:
        raise TrnetError(f"{option}: 'by: {shown(by)}' is none of {' '.join(BY)}; mend it there")
    for key, value in tree.items():
        inner = {f"{key} {name}": n for name, n in value.items()} if isinstance(value, dict) else {key: value}
        for cell, number in inner.items():
            try:
                counts[cell] = whole(number, 0, 1_000_000_000)
            except ValueError as error:
                raise TrnetError(f"{option}: '{cell}' must be a count: {error}; mend it there") from None
    return Contract(Path(option), counts, by)
