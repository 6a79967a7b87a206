"""IEMOCAP: the facts of the corpus, and the mistakes that other toolkits make in preparing it."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from iemocap_tree import whole_corpus

from trnet.corpora.contract import read_contract
from trnet.corpora.iemocap import IEMOCAP, TURN
from trnet.corpora.labels import read_label_map
from trnet.kaldi.data_dir import DataDir
from trnet.kaldi.validate import validate_data_dir
from trnet.utils.errors import TrnetError


@pytest.fixture(scope="module")
def whole(whole_iemocap, tmp_path_factory, conf) -> DataDir:
    """The prepared whole corpus."""
    labels = read_label_map(conf("iemocap", "labels.yaml"))
    contract = read_contract(conf("iemocap", "contract.yaml"))
    return IEMOCAP.prepare(whole_iemocap, tmp_path_factory.mktemp("data"), labels, contract)


def test_tree_has_the_corpus_counts():
    turns = whole_corpus()
    assert len(turns) == 10039 and len({t.name for t in turns}) == 10039
    assert len({t.dialog for t in turns}) == 151
    assert all(TURN.match(t.name) for t in turns)
    assert Counter(t.label for t in turns)["exc"] == 1041


@pytest.mark.slow
def test_whole_corpus_has_5531_utterances(whole):
    assert len(whole.utts) == 5531
    assert Counter(whole["utt2emo"].values()) == {"ang": 1103, "hap": 1636, "neu": 1708, "sad": 1084}
    assert validate_data_dir(whole.path, ("text", "utt2dur", "utt2emo", "utt2group", "utt2style")) == []
    assert whole["spk2gender"]["Ses03F"] == "f" and whole["spk2gender"]["Ses03M"] == "m"


def test_groups_are_sessions(whole):
    held_out = Counter(whole["utt2group"].values())
    assert [5531 - held_out[f"Ses0{n}"] for n in range(1, 6)] == [4446, 4508, 4380, 4500, 4290]


def test_mistake_1_speaker_is_the_last_letter_not_the_wearer(whole):
    for utt, speaker in whole["utt2spk"].items():
        turn = utt.split("-")[1]
        assert speaker == turn[:5] + turn.rsplit("_", 1)[1][0]
    assert sum(spk != utt.split("-")[1][:6] for utt, spk in whole["utt2spk"].items()) == 2750


def test_mistake_2_names_without_fixed_positions(small_iemocap, tmp_path, iemocap_labels):
    data = IEMOCAP.prepare(small_iemocap, tmp_path / "data", iemocap_labels)
    for utt in (
        "Ses03M-Ses03M_impro05a_M000",
        "Ses03F-Ses03M_impro05b_F000",
        "Ses03F-Ses03M_impro08a_F011",
        "Ses05M-Ses05M_script01_1b_M041",
    ):
        assert data["text"][utt] == f"Excuse me, {utt[-4:]}."
    assert not any("XX" in utt for utt in data.utts)


def test_mistake_3_improvised_and_excited_are_kept(whole):
    assert Counter(whole["utt2style"].values()) == {"scripted": 2588, "improvised": 2943}
    assert Counter(whole["utt2emo"].values())["hap"] == 595 + 1041


def test_mistake_4_leftovers_of_macos_are_passed_over(small_iemocap, tmp_path, iemocap_labels):
    assert list(small_iemocap.rglob("._*.txt")) and list(small_iemocap.rglob(".DS_Store"))
    assert len(IEMOCAP.prepare(small_iemocap, tmp_path / "data", iemocap_labels).utts) == 9


def test_mistake_5_ids_start_with_the_speaker(whole):
    assert all(utt.startswith(f"{spk}-") for utt, spk in whole["utt2spk"].items())
    speakers = [whole["utt2spk"][utt] for utt in whole.utts]
    assert speakers == sorted(speakers)


def test_mistake_7_style_tells_scripted_from_improvised(whole):
    assert all(style == ("scripted" if "_script" in utt else "improvised") for utt, style in whole["utt2style"].items())


def test_evaluators_and_other_folders_do_not_vote(small_iemocap, tmp_path, iemocap_labels):
    data = IEMOCAP.prepare(small_iemocap, tmp_path / "data", iemocap_labels)
    assert data["utt2emo"]["Ses01F-Ses01F_impro01_F000"] == "neu"  # Categorical and Attribute say anger


def test_root_may_be_the_release_or_its_parent(small_iemocap, tmp_path, iemocap_labels):
    one = IEMOCAP.prepare(small_iemocap, tmp_path / "one", iemocap_labels)
    two = IEMOCAP.prepare(small_iemocap.parent, tmp_path / "two", iemocap_labels)
    assert one["wav.scp"] == two["wav.scp"]


def test_relative_root_stays_relative(small_iemocap, tmp_path, iemocap_labels, monkeypatch):
    monkeypatch.chdir(small_iemocap.parent)
    data = IEMOCAP.prepare(Path("IEMOCAP_full_release"), tmp_path / "data", iemocap_labels)
    assert all(path.startswith("IEMOCAP_full_release/Session") for path in data["wav.scp"].values())


def test_windows_line_ends_and_latin_comments(small_iemocap, tmp_path, iemocap_labels):
    path = next(small_iemocap.glob("Session1/dialog/EmoEvaluation/Ses*.txt"))
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n").replace(b"()", b"(caf\xe9)"))
    assert len(IEMOCAP.prepare(small_iemocap, tmp_path / "data", iemocap_labels).utts) == 9


def test_unknown_label_names_utterance_file_and_mend(small_iemocap, tmp_path, iemocap_labels):
    path = small_iemocap / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    path.write_text(path.read_text().replace("\tneu\t", "\tneutral\t"))
    with pytest.raises(TrnetError, match=r"impro01.txt:3: .*Ses01F_impro01_F000 .*'neutral'.*labels.yaml"):
        IEMOCAP.prepare(small_iemocap, tmp_path / "data", iemocap_labels)


def test_malformed_label_line_is_named(small_iemocap, tmp_path, iemocap_labels):
    path = small_iemocap / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    path.write_text(path.read_text() + "[1.0 - 2.0]\tSes01F_what\tneu\n")
    with pytest.raises(TrnetError, match="Ses01F_impro01.txt:17: .*Ses01F_what"):
        IEMOCAP.prepare(small_iemocap, tmp_path / "data", iemocap_labels)


@pytest.mark.parametrize("what", ["empty", "UTF-16", "without brackets"])
def test_a_label_file_that_says_nothing_is_named_also_without_a_contract(small_iemocap, tmp_path, iemocap_labels, what):
    path = min(small_iemocap.glob("Session1/dialog/EmoEvaluation/Ses*.txt"))
    text = path.read_text(encoding="utf-8")
    path.write_bytes(
        {"empty": b"", "UTF-16": text.encode("utf-16"), "without brackets": text.replace("[", "(").encode()}[what]
    )
    with pytest.raises(TrnetError, match=path.name):
        IEMOCAP.prepare(small_iemocap, tmp_path / "data", iemocap_labels)


def test_turn_labelled_in_two_files_is_named(small_iemocap, tmp_path, iemocap_labels):
    folder = small_iemocap / "Session1/dialog/EmoEvaluation"
    shutil.copy(folder / "Ses01F_impro01.txt", folder / "Ses01F_impro01 copy.txt")
    with pytest.raises(TrnetError, match="impro01.txt:3: .*Ses01F_impro01_F000 .*impro01 copy.txt:3"):
        IEMOCAP.prepare(small_iemocap, tmp_path / "data", iemocap_labels)


def test_missing_recording_is_an_error_under_a_contract(small_iemocap, tmp_path, iemocap_labels, conf, capsys):
    next(small_iemocap.rglob("Ses01F_impro01_F000.wav")).unlink()
    contract = read_contract(conf("iemocap", "contract.yaml"))
    with pytest.raises(TrnetError, match="1 utterance .*Ses01F_impro01_F000.*--contract none"):
        IEMOCAP.prepare(small_iemocap, tmp_path / "data", iemocap_labels, contract)
    assert len(IEMOCAP.prepare(small_iemocap, tmp_path / "data", iemocap_labels).utts) == 8
    assert "Ses01F_impro01_F000" in capsys.readouterr().err


def test_missing_transcription_is_a_warning(small_iemocap, tmp_path, iemocap_labels, capsys):
    (small_iemocap / "Session4/dialog/transcriptions/Ses04F_script01_3.txt").unlink()
    data = IEMOCAP.prepare(small_iemocap, tmp_path / "data", iemocap_labels)
    assert data["text"]["Ses04F-Ses04F_script01_3_F007"] == ""
    assert "warning: 1 utterance without transcription: Ses04F" in capsys.readouterr().err
    assert validate_data_dir(data.path, ("text",)) == []


def test_part_of_the_corpus_breaks_the_contract(small_iemocap, tmp_path, iemocap_labels, conf):
    contract = read_contract(conf("iemocap", "contract.yaml"))
    with pytest.raises(TrnetError, match=r"40 of 40 counts .*Ses01F ang: expected 147, found 0;.*and 32 more.*none"):
        IEMOCAP.prepare(small_iemocap, tmp_path / "data", iemocap_labels, contract)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("make", [False, True])
def test_missing_corpus_says_where_to_get_it(tmp_path, iemocap_labels, make):
    if make:
        (tmp_path / "nothing").mkdir()
    with pytest.raises(TrnetError, match="IEMOCAP is not there .*--corpus-dir.*sail.usc.edu/iemocap") as caught:
        IEMOCAP.prepare(tmp_path / "nothing", tmp_path / "data", iemocap_labels)
    assert ("EmoEvaluation" in str(caught.value)) == make
