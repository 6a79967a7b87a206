"""A corpus as training and scoring see it: utterances, labels, folds, transcripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from trnet.config import Config
from trnet.folds import Fold, folds_of
from trnet.kaldi.data_dir import DataDir
from trnet.runs.text_normalisation import Transcripts, transcripts_of
from trnet.utils.errors import TrnetError


@dataclass(frozen=True)
class Dataset:
    """The clean data dir of a corpus under a configuration."""

    data: DataDir
    config: Config

    @property
    def corpus(self) -> str:
        """Name of the corpus: that of its data dir."""
        return self.data.path.name

    @property
    def utts(self) -> Sequence[str]:
        """Utterance ids in C order."""
        return self.data.utts

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Emotion classes in C order."""
        return tuple(sorted(set(self.data["utt2emo"].values())))

    @cached_property
    def labels(self) -> dict[str, int]:
        """Class index of each utterance."""
        index = {name: number for number, name in enumerate(self.classes)}
        return {utt: index[emotion] for utt, emotion in self.data["utt2emo"].items()}

    @cached_property
    def folds(self) -> list[Fold]:
        """All folds."""
        return folds_of(self.data, self.config.folds)

    def transcripts(self, fold: Fold) -> Transcripts:
        """Normalised transcripts of a fold's training utterances.

        Raises:
            TrnetError: If none can be used.
        """
        return transcripts_of(self.data, fold.train, self.config.features)

    def check_classes(self, fold: Fold) -> None:
        """Make sure that a fold trains on every class.

        Raises:
            TrnetError: Naming those that it does not.
        """
        there = {self.labels[utt] for utt in fold.train}
        if missing := [name for index, name in enumerate(self.classes) if index not in there]:
            left_out = f" once {fold.test_speaker} and {fold.valid_speaker} are left out" if fold.valid else ""
            raise TrnetError(
                f"fold {fold.number}: nothing to train on of class {', '.join(missing)}{left_out}; map it to another "
                "class or to null in conf/labels.yaml"
            )
