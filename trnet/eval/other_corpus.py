"""Testing on another corpus than the one trained on: its data dir and features, made by a recipe of its own."""

from dataclasses import dataclass
from pathlib import Path

from trnet.kaldi.validate import valid_data_dir
from trnet.runs.experiment import Experiment
from trnet.utils.errors import TrnetError


@dataclass(frozen=True)
class OtherCorpus(Experiment):
    """A corpus that is only tested on; its features are those that the configuration of the training asks for.

    Where `features.layer` is `auto`, that is the layer of each fold of the training.
    """

    def fold_name(self, number: int) -> str:
        """What a fold is called in results: the model of that fold, tested on this corpus."""
        return f"{number}@{self.dataset.corpus}"


def other_corpus(trained: Experiment, data: Path) -> OtherCorpus:
    """The corpus of a data dir, whose features lie in the ``dump`` folder beside its ``data`` (with the same tag).

    Raises:
        TrnetError: If it is missing, is the corpus that was trained on, or has classes that the models do not know.
    """
    data = Path(data)
    dump = data.parent.parent / data.parent.name.replace("data", "dump", 1)
    tables = valid_data_dir(data, ("utt2emo", "utt2group", "utt2dur"), audio=False)
    other = OtherCorpus(trained.config, tables, dump, trained.exp, trained.layers)
    if other.dataset.corpus == trained.dataset.corpus:
        raise TrnetError(f"--test-corpus {data}: is the corpus trained on, which stage 7 tests without this option")
    known = trained.dataset.classes
    if unknown := sorted(set(other.dataset.classes) - set(known)):
        raise TrnetError(
            f"--test-corpus {data}: has classes that are not trained on: {' '.join(unknown)} (the models know "
            f"{' '.join(known)}); map them to one of these or to null in its recipe's conf/labels.yaml"
        )
    return other


def tested_classes(trained: Experiment, other: OtherCorpus) -> str:
    """Which classes are tested, in a line of a report."""
    shared = f"{' '.join(other.dataset.classes)}, shared by both corpora"
    absent = [name for name in trained.dataset.classes if name not in other.dataset.classes]
    if not absent:
        return shared
    return (
        f"{shared}; the models also know {' '.join(absent)}, which has no recall here and is always a wrong prediction"
    )
