"""The label map: which emotion class a corpus's own label stands for, and which labels are left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trnet.config.yaml_files import read_mapping
from trnet.utils.errors import TrnetError, nearest
from trnet.utils.names import safe_name
from trnet.utils.numbers import shown


@dataclass(frozen=True)
class LabelMap:
    """Corpus label -> class, or None where the label's utterances are left out."""

    path: Path
    classes: Mapping[str, str | None]

    def class_of(self, label: str, utt: str, where: str | Path) -> str | None:
        """The class of an utterance; None if it is left out. TrnetError for a label that the map does not have."""
        if label not in self.classes:
            raise TrnetError(
                f"{where}: utterance {utt} has the label '{label}', which {self.path} does not map; add "
                f"'{label}: CLASS' there ('{label}: null' leaves it out){nearest(label, list(self.classes))}"
            )
        return self.classes[label]


def read_label_map(path: Path) -> LabelMap:
    """Read YAML lines ``label: class`` or ``label: null``. TrnetError if it keeps fewer than two classes."""
    classes: dict[str, str | None] = {}
    for label, name in read_mapping(path, "label map", words=True).items():
        if not isinstance(name, str) or len(name.split()) > 1:
            raise TrnetError(f"{path}: '{label}' must have one word or null, not {shown(name)}; mend it there")
        classes[label] = None if name in ("", "null", "~") else safe_name(name, f"{path}: class of '{label}'")
    if len(set(classes.values()) - {None}) < 2:
        raise TrnetError(f"{path}: keeps fewer than two classes; map labels to two or more")
    return LabelMap(Path(path), classes)
