"""Leave-one-speaker-out folds: nobody who tests or validates is trained on."""

from pathlib import Path

import numpy as np
import pytest

from trnet.config import Folds, load_config
from trnet.corpora import SPEECH
from trnet.corpora.contract import read_contract
from trnet.folds import (
    Fold,
    folds_of,
    group_by_balance,
    make_folds,
    noise_groups,
    official_folds,
    pick_folds,
    text_folds,
)
from trnet.kaldi.data_dir import DataDir, write_data_dir
from trnet.utils.errors import TrnetError

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
        (["A", "B", "C"], ["1", "2", "3"], "same_group", "fold 1: .*A .*utt2group .* 0 "),
        (["A", "B", "C", "D"], ["1", "1", "1", "2"], "same_group", "A .*utt2group .* 2 "),
        (["A", "B"], ["1", "1"], "same_group", "fold 1: .*utt2group"),
        (["A", "B"], ["1", "2"], "next", "fold 1: .*utt2group"),
        (["A", "B", "C"], ["1", "1", "1"], "next", "fold 1: .*utt2group"),
        (["A"], ["1"], "next", "fold 1: .*utt2group"),
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
    with pytest.raises(TrnetError, match=f"--folds {number}: .*1 to 10"):
        pick_folds(iemocap(), [1, number])


def table(speakers: dict[str, dict[str, int]]) -> tuple[dict[str, str], dict[str, str]]:
    """utt2spk and utt2emo of speaker -> class -> utterances."""
    rows = [(f"{s}-{c}{i}", s, c) for s, counts in speakers.items() for c, n in counts.items() for i in range(n)]
    return {u: s for u, s, _ in rows}, {u: c for u, _, c in rows}


def data_dir(root, **tables) -> DataDir:
    return write_data_dir(root / "data", tables)


def test_groups_are_even_disjoint_and_each_tested_once(tmp_path):
    rng = np.random.default_rng(0)
    utt2spk, utt2emo = table(
        {f"s{i:02}": {c: int(rng.integers(0, 40)) for c in ("ang", "neu", "sad")} for i in range(30)}
    )
    conf = Folds(kind="groups", count=5, valid="next")
    data = data_dir(tmp_path, utt2spk=utt2spk, utt2emo=utt2emo, utt2group=utt2spk)
    folds = folds_of(data, conf)
    assert [f.test_speaker for f in folds] == ["g01", "g02", "g03", "g04", "g05"]
    assert [f.valid_speaker for f in folds] == ["g02", "g03", "g04", "g05", "g01"]
    assert sorted(utt for f in folds for utt in f.test) == sorted(utt2spk)
    for fold in folds:
        parts = [{utt2spk[utt] for utt in part} for part in (fold.train, fold.valid, fold.test)]
        assert sum(map(len, parts)) == 30 and len(set.union(*parts)) == 30
        for emotion in ("ang", "neu", "sad"):
            share = sum(utt2emo[u] == emotion for u in fold.test) / sum(e == emotion for e in utt2emo.values())
            assert share == pytest.approx(0.2, abs=0.05)
    shuffled = dict(reversed(utt2spk.items()))
    again = data_dir(tmp_path / "again", utt2spk=shuffled, utt2emo=utt2emo, utt2group=shuffled)
    assert folds_of(again, conf) == folds


def test_speakers_of_one_recording_situation_stay_in_one_group(tmp_path):
    utt2spk, utt2emo = table({s: {"neu": 4} for s in "ABCDEF"})
    utt2group = {u: {"A": "1", "B": "1", "C": "2", "D": "2", "E": "3", "F": "3"}[s] for u, s in utt2spk.items()}
    utt2group["B-neu0"] = "2"  # ties A and B to C and D
    data = data_dir(tmp_path, utt2spk=utt2spk, utt2emo=utt2emo, utt2group=utt2group)
    with pytest.raises(TrnetError, match="folds.count: 3 .* 2 speakers"):
        folds_of(data, Folds(kind="groups", count=3, valid="next"))
    assert {s: g for s, g in zip(utt2spk.values(), group_by_balance(data, 2).values(), strict=True)} == {
        **dict.fromkeys("ABCD", "g01"),
        **dict.fromkeys("EF", "g02"),
    }


def test_noise_is_dealt_to_what_a_fold_holds_out(tmp_path):
    utt2spk, utt2emo = table({s: {"neu": 2} for s in "ABCD"})
    data = data_dir(tmp_path, utt2spk=utt2spk, utt2emo=utt2emo, utt2group=utt2spk)
    assert noise_groups(data, Folds()) is None  # utt2group itself
    groups = noise_groups(data, Folds(kind="groups", count=4, valid="next"))
    assert len(set(groups.values())) == 4 and set(groups) == set(utt2spk)
    split = {u: {"A": "train", "B": "train", "C": "dev", "D": "test"}[s] for u, s in utt2spk.items()}
    official = data_dir(tmp_path / "official", utt2spk=utt2spk, utt2split=split)
    assert noise_groups(official, Folds(kind="official", valid="dev")) == split


def test_an_official_split_has_a_fold_for_each_test_part():
    utt2spk = {f"{s}-{i}": s for s in "ABCDE" for i in range(2)}
    split = dict(A="train", B="train", C="dev", D="test1", E="test2")
    folds = official_folds(utt2spk, {u: split[s] for u, s in utt2spk.items()}, False)
    assert [(f.number, f.test_speaker, f.test) for f in folds] == [
        (1, "test1", ("D-0", "D-1")),
        (2, "test2", ("E-0", "E-1")),
    ]
    assert all((f.train, f.valid) == (("A-0", "A-1", "B-0", "B-1"), ("C-0", "C-1")) for f in folds)


def test_an_official_split_that_shares_speakers_must_be_meant():
    utt2spk = {"A-0": "A", "A-1": "A", "B-0": "B", "C-0": "C"}
    split = {"A-0": "train", "A-1": "test", "B-0": "dev", "C-0": "train"}
    with pytest.raises(TrnetError, match="1 speakers .*A.*folds.shared_speakers: true"):
        official_folds(utt2spk, split, False)
    assert official_folds(utt2spk, split, True)[0].test == ("A-1",)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"A-0": "train", "B-0": "dev", "C-0": "eval"}, "utt2split: .*eval.*train, dev, test"),
        (
            {"A-0": "train", "B-0": "train", "C-0": "test"},
            "utt2split: .*test train.*dev",
        ),
    ],
)
def test_an_official_split_that_is_none(split, message):
    with pytest.raises(TrnetError, match=message):
        official_folds({utt: utt[0] for utt in split}, split, False)


def test_a_corpus_without_a_split_has_no_official_folds(tmp_path):
    data = data_dir(tmp_path, utt2spk={"A-0": "A"})
    with pytest.raises(TrnetError, match="folds.kind: speakers"):
        folds_of(data, Folds(kind="official", valid="dev"))


def test_two_speakers_validate_on_texts_that_training_does_not_hear(tmp_path):
    utt2spk = {f"{s}-{w:02}-{e}": s for s in ("OAF", "YAF") for w in range(20) for e in ("ang", "neu")}
    text = {u: f"Say the word {u.split('-')[1]}" for u in utt2spk}
    data = data_dir(tmp_path, utt2spk=utt2spk, text=text)
    folds = folds_of(data, Folds(valid="texts"))
    assert [f.test_speaker for f in folds] == ["OAF", "YAF"]
    for fold in folds:
        assert {utt2spk[u] for u in fold.test} == {fold.test_speaker} and len(fold.test) == 40
        assert {utt2spk[u] for u in fold.train + fold.valid} == {"OAF", "YAF"} - {fold.test_speaker}
        assert len(fold.valid) == 4 and not {text[u] for u in fold.train} & {text[u] for u in fold.valid}
    with pytest.raises(TrnetError, match="folds.valid: texts"):
        text_folds(dict.fromkeys(utt2spk, "OAF"), text)


EGS = Path(__file__).parents[1] / "egs"
CONTRACTS = {
    name: EGS / name / "ser1/conf/contract.yaml" for name in SPEECH if name != "iemocap"
}  # there groups are sessions
BY_SPEAKER = [name for name, path in CONTRACTS.items() if path.is_file() and read_contract(path).by == "speaker"]


@pytest.mark.parametrize("name", BY_SPEAKER)
def test_no_fold_of_a_recipe_lacks_a_class(tmp_path, name):
    speakers: dict[str, dict[str, int]] = {}
    for cell, count in read_contract(CONTRACTS[name]).counts.items():
        speakers.setdefault(cell.split()[0], {})[cell.split()[1]] = count
    utt2spk, utt2emo = table(speakers)
    text = {u: u.rpartition("-")[2] for u in utt2spk}
    data = data_dir(tmp_path, utt2spk=utt2spk, utt2emo=utt2emo, utt2group=utt2spk, text=text)
    for fold in folds_of(data, load_config(EGS / name / "ser1/conf/recipe.yaml").folds):
        for part in (fold.train, fold.valid, fold.test):
            assert {utt2emo[u] for u in part} == set(utt2emo.values()), (fold.number, fold.test_speaker)


def test_the_default_rule_is_that_of_the_paper(tmp_path):
    utt2spk, utt2group = corpus(IEMOCAP, [spk[:5] for spk in IEMOCAP])
    data = data_dir(tmp_path, utt2spk=utt2spk, utt2group=utt2group)
    assert folds_of(data, Folds()) == iemocap() and folds_of(data, Folds(valid="next")) == iemocap("next")
    for name in ("iemocap", "mini", "nemo"):
        conf = load_config(EGS / name / "ser1/conf/recipe.yaml").folds
        assert conf == Folds(valid="next" if name == "nemo" else "same_group")


def test_several_speakers_may_validate():
    """The next two after the test speaker, around the end; training hears nobody of the three."""
    speakers = [f"s{i}" for i in range(6)]
    utt2spk, utt2group = corpus(speakers, speakers)
    folds = make_folds(utt2spk, utt2group, "next", 2)
    assert [fold.valid_speaker for fold in folds][-2:] == ["s5 s0", "s0 s1"]
    for fold in folds:
        names = {fold.test_speaker, *fold.valid_speaker.split()}
        assert len(names) == 3 and {utt2spk[utt] for utt in fold.train} == set(speakers) - names
        assert {utt2spk[utt] for utt in fold.valid} == set(fold.valid_speaker.split())
    with pytest.raises(TrnetError, match="folds.validators"):
        make_folds(utt2spk, utt2group, "next", 6)


def test_a_fold_prints_without_its_utterances():
    assert repr(iemocap()[0]) == "Fold(number=1, test_speaker='Ses01F', valid_speaker='Ses01M', draws='Ses01F')"
