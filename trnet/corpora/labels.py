"""The label map: which emotion class a corpus's own label stands for, and which labels are left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from trnet.errors import TrnetError, nearest


def read_plain_yaml(path: Path, what: str) -> dict[str, object]:
    """A YAML mapping whose scalars stay the strings they are written as (``no``, ``001``).

    Raises: TrnetError for a missing file, bad YAML, or anything but a mapping.
    """
    try:
        tree = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (FileNotFoundError, IsADirectoryError):
        raise TrnetError(f"{path}: no such {what}; see egs/*/ser1/conf") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TrnetError(f"{path}: is not YAML: {error}; mend it there") from None
    if not isinstance(tree, dict) or not tree:
        raise TrnetError(f"{path}: is no {what}; write 'key: value' lines")
    return tree


@dataclass(frozen=True)
class LabelMap:
    """Corpus label -> class, or None where the label's utterances are left out."""

    path: Path
    classes: Mapping[str, str | None]

    def class_of(self, label: str, utt: str, where: str | Path) -> str | None:
        """The class of an utterance labelled `label`; None if it is left out.

        Raises: TrnetError naming utterance, label and file if the map does not know the label.
        """
        if label not in self.classes:
            raise TrnetError(
                f"{where}: utterance {utt} has the label '{label}', which {self.path} does not map; add "
                f"'{label}: CLASS' there ('{label}: null' leaves it out){nearest(label, list(self.classes))}"
            )
        return self.classes[label]


def read_label_map(path: Path) -> LabelMap:
    """Read a label map: YAML lines ``label: class`` or ``label: null``.

    Raises: TrnetError for a missing or malformed file, or a map that keeps fewer than two classes.
    """
    classes: dict[str, str | None] = {}
    for label, name in read_plain_yaml(path, "label map").items():
        if not isinstance(name, str) or " " in name:
            raise TrnetError(f"{path}: '{label}' must have one word or null, not {name}; mend it there")
        classes[label] = None if name in ("", "null", "~") else name
    if len(set(classes.values()) - {None}) < 2:
        raise TrnetError(f"{path}: keeps fewer than two classes; map labels to two or more")
    return LabelMap(Path(path), classes)
