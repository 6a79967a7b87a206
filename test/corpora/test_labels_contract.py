"""Label maps and contracts: what their YAML may hold, and what is said when it does not."""

from pathlib import Path

import pytest

from trnet.corpora.contract import read_contract
from trnet.corpora.labels import read_label_map
from trnet.utils.errors import TrnetError


def test_label_map_keeps_what_is_written(tmp_path):
    path = tmp_path / "labels.yaml"
    path.write_text("no: neu\n01: ang\nxxx: null\nfea:\n")
    assert read_label_map(path).classes == {"no": "neu", "01": "ang", "xxx": None, "fea": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds nothing"),
        ("- ang\n", "no label map"),
        ("a: [b\n", "is not YAML"),
        ("a: {b: c}\n", "'a' must have one word or null"),
        ("a: two words\n", "one word"),
        ("a: ../ang\n", "class of 'a': '../ang'"),
        ("a: ang\na: hap\n", "'a' is there twice"),
        ("a: ang\nb: ang\nc: null\n", "fewer than two classes"),
    ],
)
def test_bad_label_map(tmp_path, text, message):
    path = tmp_path / "labels.yaml"
    path.write_text(text)
    with pytest.raises(TrnetError, match=f"labels.yaml:.*{message}"):
        read_label_map(path)


def test_unknown_label_hints_at_the_nearest(tmp_path):
    path = tmp_path / "labels.yaml"
    path.write_text("neutral: neu\nanger: ang\n")
    with pytest.raises(TrnetError, match="a.txt: utterance u1 has the label 'neutrl'.*did you mean 'neutral'"):
        read_label_map(path).class_of("neutrl", "u1", Path("a.txt"))


def test_no_contract():
    assert read_contract("none") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("S1: {ang: many}\n", "'S1 ang' must be a count: 'many'"),
        ("S1: {ang: \u0663}\n", "'S1 ang' must be a count"),
        ("S1: {ang: 1_0}\n", "'S1 ang' must be a count: '1_0'"),
        ("S1: {ang: -1}\n", "'S1 ang' must be a count: -1 must be from 0"),
        ("S1: {ang: 1, ang: 2}\n", "'ang' is there twice"),
        (f"S1: {{ang: {'1' * 5000}}}\n", "'S1 ang' must be a count"),
        ("S1: [1]\n", "must be a count"),
        ("by: {a: b}\n", "'by: .*' is none of"),
        ("x\n", "mapping"),
    ],
)
def test_bad_contract(tmp_path, text, message):
    path = tmp_path / "contract.yaml"
    path.write_text(text)
    with pytest.raises(TrnetError, match=f"contract.yaml:.*{message}"):
        read_contract(path)


def test_missing_files(tmp_path):
    with pytest.raises(TrnetError, match="no such contract"):
        read_contract(tmp_path / "c.yaml")
    with pytest.raises(TrnetError, match="no such label map"):
        read_label_map(tmp_path / "l.yaml")


def test_contract_diff_counts_what_it_does_not_show(tmp_path):
    path = tmp_path / "contract.yaml"
    path.write_text("".join(f"S{i:02d}: {{ang: 5}}\n" for i in range(11)))
    contract = read_contract(path)
    with pytest.raises(TrnetError) as caught:
        contract.check({"S00 ang": 5, "S01 ang": 4, "S99 sad": 1}, Path("root"))
    message = str(caught.value)
    assert message.startswith("root: 11 of 12 counts are not those of ")
    assert "S01 ang: expected 5, found 4; " in message and message.count("expected") == 8 and "and 3 more" in message
    assert "--contract none" in message


@pytest.mark.parametrize("corpus", ["iemocap", "nemo", "mini"])
def test_the_recipes_own_files_fit_each_other(conf, corpus):
    labels = read_label_map(conf(corpus, "labels.yaml"))
    classes = set(labels.classes.values()) - {None}
    assert classes == {"ang", "hap", "neu", "sad"}
    contract = read_contract(conf(corpus, "contract.yaml"))
    assert {cell.split(" ")[1] for cell in contract.counts} == classes
    expected = {"iemocap": 5531, "nemo": 3076}
    assert sum(contract.counts.values()) == expected.get(corpus, sum(contract.counts.values()))
