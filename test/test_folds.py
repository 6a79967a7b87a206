"""Leave-one-speaker-out folds: nobody who tests or validates is trained on."""

import re

import numpy as np
import pytest

from trnet.errors import TrnetError
from trnet.folds import Fold, make_folds, pick_folds

IEMOCAP = [f"Ses0{session}{sex}" for session in range(1, 6) for sex in "FM"]


def corpus(speakers: list[str], groups: list[str], takes: int = 3) -> tuple[dict[str, str], dict[str, str]]:
    """utt2spk and utt2group with so many utterances a speaker, in no good order."""
    utts = [(f"{spk}-{take}", spk, group) for take in range(takes) for spk, group in zip(speakers, groups, strict=True)]
    return {u: s for u, s, _ in reversed(utts)}, {u: g for u, _, g in utts}


def iemocap(valid: str = "same_group") -> list[Fold]:
    return make_folds(*corpus(IEMOCAP, [spk[:5] for spk in IEMOCAP]), valid)


def check(folds: list[Fold], utt2spk: dict[str, str], utt2group: dict[str, str]) -> None:
    """What every set of folds keeps."""
    assert [f.number for f in folds] == list(range(1, len(folds) + 1))
    assert [f.test_speaker for f in folds] == sorted(set(utt2spk.values()))
    assert sorted(utt for f in folds for utt in f.test) == sorted(utt2spk)  # each utterance is tested once
    for fold in folds:
        speakers = [{utt2spk[u] for u in part} for part in (fold.train, fold.valid, fold.test)]
        assert speakers[1] == {fold.valid_speaker} and speakers[2] == {fold.test_speaker}
        assert not speakers[0] & speakers[1] and not speakers[0] & speakers[2] and not speakers[1] & speakers[2]
        held_out = {utt2group[u] for u in fold.valid + fold.test}
        assert not held_out & {utt2group[u] for u in fold.train}
        assert set(fold.train) == {u for u in utt2spk if utt2group[u] not in held_out}
        for part in (fold.train, fold.valid, fold.test):
            assert list(part) == sorted(part)


def test_iemocap_has_ten_folds_validated_by_the_other_speaker_of_the_session():
    folds = iemocap()
    check(folds, *corpus(IEMOCAP, [spk[:5] for spk in IEMOCAP]))
    assert len(folds) == 10
    first, second = folds[:2]
    assert (first.test_speaker, first.valid_speaker) == ("Ses01F", "Ses01M")
    assert (second.test_speaker, second.valid_speaker) == ("Ses01M", "Ses01F")
    assert {u[:5] for u in first.train} == {"Ses02", "Ses03", "Ses04", "Ses05"}
    assert len(first.train) == 8 * 3 and first.train == second.train


def test_next_validates_on_the_next_speaker_and_wraps_around():
    speakers = ["EB0", "IC0", "KD0", "KS0"]
    tables = corpus(speakers, speakers)
    folds = make_folds(*tables, "next")
    check(folds, *tables)
    assert [f.valid_speaker for f in folds] == ["IC0", "KD0", "KS0", "EB0"]
    assert {u[:3] for u in folds[3].train} == {"IC0", "KD0"}


def test_next_keeps_the_groups_of_both_out_of_training():
    folds = make_folds(*corpus(IEMOCAP, [spk[:5] for spk in IEMOCAP]), "next")
    second = folds[1]  # Ses01M, validated by Ses02F: neither session trains
    assert (second.test_speaker, second.valid_speaker) == ("Ses01M", "Ses02F")
    assert {u[:5] for u in second.train} == {"Ses03", "Ses04", "Ses05"}


@pytest.mark.parametrize("seed", range(8))
def test_no_speaker_or_group_is_shared_whatever_the_corpus(seed):
    """Groups of one to three speakers, speakers in one or two groups."""
    rng = np.random.default_rng(seed)
    speakers = [f"s{i:02}" for i in range(12)]
    utts = [f"{spk}-{take}" for spk in speakers for take in range(4)]
    utt2spk = {utt: utt[:3] for utt in utts}
    home = {spk: i // 2 for i, spk in enumerate(rng.permutation(speakers))}
    extra = rng.choice(speakers)  # this one was recorded on two occasions
    utt2group = {u: f"g{home[u[:3]]}" + ("b" if u[:3] == extra and u.endswith("3") else "") for u in utts}
    for valid in ("same_group", "next"):
        check(make_folds(utt2spk, utt2group, valid), utt2spk, utt2group)


@pytest.mark.parametrize(
    ("speakers", "groups", "valid", "message"),
    [
        (["A", "B", "C"], ["1", "2", "3"], "same_group", "fold 1: speaker A shares utt2group with 0 other speakers"),
        (["A", "B", "C", "D"], ["1", "1", "1", "2"], "same_group", "A shares utt2group with 2 other speakers"),
        (["A", "B"], ["1", "1"], "same_group", "fold 1: nothing is left to train on"),
        (["A", "B"], ["1", "2"], "next", "fold 1: nothing is left to train on"),
        (["A", "B", "C"], ["1", "1", "1"], "next", "fold 1: nothing is left to train on"),
        (["A"], ["1"], "next", "fold 1: nothing is left to train on"),
    ],
)
def test_groups_that_allow_no_folds_are_refused(speakers, groups, valid, message):
    with pytest.raises(TrnetError, match=message):
        make_folds(*corpus(speakers, groups), valid)


def test_folds_are_picked_by_number_once_each_and_in_order():
    folds = iemocap()
    assert [f.number for f in pick_folds(folds, [3, 1, 3])] == [1, 3]
    assert pick_folds(folds, []) == folds


@pytest.mark.parametrize("number", [11, 0, -1])
def test_a_fold_that_is_none_is_named_with_those_there_are(number):
    with pytest.raises(TrnetError, match=re.escape(f"--folds {number}: there are folds 1 to 10")):
        pick_folds(iemocap(), [1, number])
