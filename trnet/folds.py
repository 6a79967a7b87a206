"""Leave-one-speaker-out folds (Section 4.3), numbered from 1 in C order of the test speakers."""

from collections.abc import Mapping
from dataclasses import dataclass

from trnet.errors import TrnetError


@dataclass(frozen=True)
class Fold:
    """One fold: its test and validation speaker, and the utterances of each part in C order.

    draws: test speaker of the first fold that trains on the same utterances; all of them make the same random draws,
    so that they share one trajectory of weights where nothing else tells them apart.
    """

    number: int
    test_speaker: str
    valid_speaker: str
    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]
    draws: str


def make_folds(utt2spk: Mapping[str, str], utt2group: Mapping[str, str], valid: str) -> list[Fold]:
    """All folds of a corpus.

    Validation is the other speaker of the test speaker's group (``same_group``, IEMOCAP's session) or the next
    speaker in C order (``next``). Training leaves out the whole groups of both, so no recording situation is shared.

    Raises: TrnetError if a group has not the one other speaker that ``same_group`` asks for, or nothing is left.
    """
    utts = sorted(utt2spk)
    speakers = sorted(set(utt2spk.values()))
    groups: dict[str, set[str]] = {spk: {utt2group[u] for u in utts if utt2spk[u] == spk} for spk in speakers}
    folds: list[Fold] = []
    for number, test_speaker in enumerate(speakers, 1):
        if valid == "same_group":
            others = [s for s in speakers if s != test_speaker and groups[s] & groups[test_speaker]]
            if len(others) != 1:
                raise TrnetError(
                    f"fold {number}: speaker {test_speaker} shares utt2group with {len(others)} other speakers, "
                    "'folds.valid: same_group' needs one; use 'folds.valid: next'"
                )
            valid_speaker = others[0]
        else:
            valid_speaker = speakers[number % len(speakers)]
        held_out = groups[test_speaker] | groups[valid_speaker]
        train = tuple(u for u in utts if utt2group[u] not in held_out)
        fold = Fold(
            number,
            test_speaker,
            valid_speaker,
            train=train,
            valid=tuple(u for u in utts if utt2spk[u] == valid_speaker),
            test=tuple(u for u in utts if utt2spk[u] == test_speaker),
            draws=next((earlier.draws for earlier in folds if earlier.train == train), test_speaker),
        )
        if not fold.train or valid_speaker == test_speaker:
            raise TrnetError(f"fold {number}: nothing is left to train on; utt2group holds too few groups")
        folds.append(fold)
    return folds


def pick_folds(folds: list[Fold], numbers: list[int]) -> list[Fold]:
    """The folds of these numbers (all if none is given).

    Raises: TrnetError for a number that is no fold.
    """
    for number in numbers:
        if not 1 <= number <= len(folds):
            raise TrnetError(f"--folds {number}: there are folds 1 to {len(folds)}; choose among them")
    return [folds[n - 1] for n in sorted(set(numbers))] if numbers else folds
