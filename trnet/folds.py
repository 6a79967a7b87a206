"""Folds, numbered from 1: leave one speaker out (Section 4.3), one group of speakers out, a corpus's own parts, or all
speakers at once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from trnet.config import Folds
from trnet.kaldi.data_dir import DataDir
from trnet.utils.errors import TrnetError

TEXTS = 10  # valid: texts validates on every tenth of them
EVERYONE = "all"  # what the draws of a fold of all speakers are named by


@dataclass(frozen=True)
class Fold:
    """One fold: who is tested and who validates, and the utterances of each part in C order.

    `test_speaker` and `valid_speaker` name a speaker, a group (``g01``), or a part of an official split; empty: nobody.
    draws: test speaker of the first fold that trains on the same utterances; all of them make the same random draws,
    so they share one trajectory of weights where nothing else differs.
    """

    number: int
    test_speaker: str
    valid_speaker: str
    train: tuple[str, ...] = field(repr=False)
    valid: tuple[str, ...] = field(repr=False)
    test: tuple[str, ...] = field(repr=False)
    draws: str

    @property
    def title(self) -> str:
        """Name for a message."""
        return f"fold {self.number}" if self.test_speaker else "on all speakers"


def folds_of(data: DataDir, conf: Folds) -> list[Fold]:
    """All folds of a corpus, by the rule `conf`."""
    if conf.kind == "official":
        return official_folds(data["utt2spk"], _utt2split(data), conf.shared_speakers)
    if conf.kind == "groups":
        return group_folds(group_by_balance(data, conf.count))
    if conf.kind == "all":
        return [fold_of_all(data["utt2spk"])]
    if conf.valid == "texts":
        return text_folds(data["utt2spk"], data["text"])
    return make_folds(data["utt2spk"], data["utt2group"], conf.valid, conf.validators)


def noise_groups(data: DataDir, conf: Folds) -> dict[str, str] | None:
    """What takes the place of utt2group in noisy sets: groups that must not share a noise; None: utt2group itself."""
    if conf.kind == "official":
        return dict(_utt2split(data))
    return group_by_balance(data, conf.count) if conf.kind == "groups" else None


def _utt2split(data: DataDir) -> Mapping[str, str]:
    if not data.has("utt2split"):
        raise TrnetError(f"{data.path}: the corpus has no split of its own; use 'folds.kind: speakers' or 'groups'")
    return data["utt2split"]


def make_folds(utt2spk: Mapping[str, str], utt2group: Mapping[str, str], valid: str, validators: int = 1) -> list[Fold]:
    """All folds of a corpus.

    Validation is the other speaker of the test speaker's group (``same_group``, IEMOCAP's session) or the next
    `validators` speakers in C order (``next``). Training leaves out the whole groups of them all, so no recording
    situation is shared.

    Raises:
        TrnetError: If a group has not the one other speaker that ``same_group`` asks for, or nothing is left.
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
            judges = others
        else:
            judges = [speakers[(number + i) % len(speakers)] for i in range(validators)]
        held_out = groups[test_speaker].union(*(groups[judge] for judge in judges))
        train = tuple(u for u in utts if utt2group[u] not in held_out)
        fold = Fold(
            number,
            test_speaker,
            " ".join(judges),
            train=train,
            valid=tuple(u for u in utts if utt2spk[u] in judges),
            test=tuple(u for u in utts if utt2spk[u] == test_speaker),
            draws=next((earlier.draws for earlier in folds if earlier.train == train), test_speaker),
        )
        if not fold.train or test_speaker in judges:
            raise TrnetError(
                f"fold {number}: nothing is left to train on; utt2group holds too few groups, or folds.validators is "
                "too large"
            )
        folds.append(fold)
    return folds


def text_folds(utt2spk: Mapping[str, str], text: Mapping[str, str]) -> list[Fold]:
    """One fold a speaker, for corpora of two or three: validation is every tenth text of the other speakers.

    It shares the speakers of training, but none of its texts; the test speaker is in no other part.

    Raises:
        TrnetError: For a single speaker, or too few texts.
    """
    utts = sorted(utt2spk)
    speakers = sorted(set(utt2spk.values()))
    held_out = set(sorted(set(text.values()))[::TEXTS])
    folds = []
    for number, speaker in enumerate(speakers, 1):
        others = [utt for utt in utts if utt2spk[utt] != speaker]
        valid = tuple(utt for utt in others if text[utt] in held_out)
        train = tuple(utt for utt in others if text[utt] not in held_out)
        if not valid or not train:
            raise TrnetError(f"fold {number}: 'folds.valid: texts' needs two speakers and two texts; use another rule")
        test = tuple(utt for utt in utts if utt2spk[utt] == speaker)
        who = f"a tenth of {' '.join(s for s in speakers if s != speaker)}"
        folds.append(Fold(number, speaker, who, train, valid, test, speaker))
    return folds


def fold_of_all(utts: Iterable[str]) -> Fold:
    """The one fold that trains on everyone, for a model to be used: nobody validates, nobody is tested."""
    return Fold(1, "", "", train=tuple(sorted(utts)), valid=(), test=(), draws=EVERYONE)


def balanced_groups(utt2unit: Mapping[str, str], utt2emo: Mapping[str, str], count: int) -> dict[str, str]:
    """Unit -> group (``g01`` ...): `count` groups with class counts that are about equal.

    Units with the class that fewest units have go first, and the larger before the smaller, each to the group that has
    least of what it brings. A function of the tables alone: no seed.

    Raises:
        TrnetError: If there are fewer units than groups.
    """
    units: dict[str, Counter[str]] = {}
    for utt, unit in utt2unit.items():
        units.setdefault(unit, Counter())[utt2emo[utt]] += 1
    if len(units) < count:
        raise TrnetError(f"folds.count: {count} groups of {len(units)} speakers that differ in group; take fewer")
    total = Counter(utt2emo[utt] for utt in utt2unit)
    holders = Counter(c for own in units.values() for c in own)

    def order(name: str) -> tuple[int, int, str]:
        return min(holders[c] for c in units[name]), -sum(units[name].values()), name

    groups: list[Counter[str]] = [Counter() for _ in range(count)]
    home: dict[str, str] = {}
    for unit in sorted(units, key=order):
        own = units[unit]
        overlap = [sum(n * group[c] / total[c] ** 2 for c, n in own.items()) for group in groups]
        best = min(range(count), key=lambda i: (overlap[i], sum(groups[i].values()), i))
        groups[best] += own
        home[unit] = f"g{best + 1:0{max(2, len(str(count)))}d}"
    return home


def group_by_balance(data: DataDir, count: int) -> dict[str, str]:
    """Utterance -> group of `count`; speakers who share an utt2group stay together. TrnetError if they are too few."""
    unit = _units(data["utt2spk"], data["utt2group"])
    home = balanced_groups(unit, data["utt2emo"], count)
    return {utt: home[unit[utt]] for utt in sorted(unit)}


def _units(utt2spk: Mapping[str, str], utt2group: Mapping[str, str]) -> dict[str, str]:
    """Utterance -> the first speaker, in C order, of all who are tied to its speaker by shared groups."""
    unit = {speaker: speaker for speaker in set(utt2spk.values())}
    speakers_of: dict[str, set[str]] = {}
    for utt, group in utt2group.items():
        speakers_of.setdefault(group, set()).add(utt2spk[utt])
    for speakers in speakers_of.values():
        tied = {unit[speaker] for speaker in speakers}
        unit |= {speaker: min(tied) for speaker, name in unit.items() if name in tied}
    return {utt: unit[speaker] for utt, speaker in utt2spk.items()}


def group_folds(utt2group: Mapping[str, str]) -> list[Fold]:
    """One fold a group: it is tested, the next one in C order validates, the others train."""
    names = sorted(set(utt2group.values()))
    part = {name: tuple(sorted(u for u, group in utt2group.items() if group == name)) for name in names}
    folds = []
    for number, tested in enumerate(names, 1):
        valid = names[number % len(names)]
        train = tuple(sorted(utt for name in names if name not in (tested, valid) for utt in part[name]))
        folds.append(Fold(number, tested, valid, train, part[valid], part[tested], tested))
    return folds


def official_folds(utt2spk: Mapping[str, str], utt2split: Mapping[str, str], shared_speakers: bool) -> list[Fold]:
    """The corpus's own parts: ``train``, ``dev``, and one fold for each part ``test...``.

    Raises:
        TrnetError: For a part that is missing or unknown, or speakers in two parts, unless `shared_speakers`.
    """
    parts: dict[str, list[str]] = {}
    for utt in sorted(utt2split):
        parts.setdefault(utt2split[utt], []).append(utt)
    tests = sorted(name for name in parts if name.startswith("test"))
    if unknown := sorted(parts.keys() - {"train", "dev", *tests}):
        raise TrnetError(f"utt2split: part '{unknown[0]}' is none of train, dev, test...; mend the preparation")
    if not tests or "train" not in parts or "dev" not in parts:
        raise TrnetError(f"utt2split: has {' '.join(sorted(parts))}; an official split needs train, dev and test")
    parts_of: dict[str, set[str]] = {}
    for utt, speaker in utt2spk.items():
        parts_of.setdefault(speaker, set()).add(utt2split[utt])
    shared = sorted(speaker for speaker, names in parts_of.items() if len(names) > 1)
    if shared and not shared_speakers:
        raise TrnetError(
            f"utt2split: {len(shared)} speakers are in two parts or more ({' '.join(shared[:3])}): the test would be "
            "of voices in training; 'folds.shared_speakers: true' says that this is meant"
        )
    train, valid = tuple(parts["train"]), tuple(parts["dev"])
    return [
        Fold(number, name, "dev", train, valid, tuple(parts[name]), tests[0]) for number, name in enumerate(tests, 1)
    ]


def pick_folds(folds: list[Fold], numbers: list[int]) -> list[Fold]:
    """The folds of these numbers (all if none is given).

    Raises:
        TrnetError: For a number that is no fold.
    """
    for number in numbers:
        if not 1 <= number <= len(folds):
            raise TrnetError(f"--folds {number}: there are folds 1 to {len(folds)}; choose among them")
    return [folds[n - 1] for n in sorted(set(numbers))] if numbers else folds
