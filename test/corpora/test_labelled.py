"""Corpora labelled recording by recording, each on a tree in its own layout, naming and sampling rate."""

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from trnet.corpora import SPEECH
from trnet.corpora.contract import Contract, read_contract
from trnet.corpora.labels import read_label_map
from trnet.kaldi.data_dir import DataDir
from trnet.kaldi.validate import SPEECH_TABLES, validate_data_dir
from trnet.utils.errors import TrnetError

MELD_HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
MSP_HEADER = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"
MSP_ROWS = (
    "MSP-PODCAST_0001_0008.wav,N,4.1,4.0,4.2,127,Male,Test1",
    "MSP-PODCAST_0002_0033.wav,H,4.8,5.0,5.2,7,Female,Train",
    "MSP-PODCAST_0002_0034.wav,A,4.8,5.0,5.2,Unknown,Unknown,Train",
    "MSP-PODCAST_0003_0001.wav,S,4.8,5.0,5.2,70,Female,Development",
    "MSP-PODCAST_0003_0002.wav,X,4.8,5.0,5.2,70,Female,Development",
)


def meld_tables(root: Path) -> None:
    """The three tables: quoted commas, speakers of several words, labels of all kinds, the clip that is missing."""
    rows = {
        "train": ('1,"also I was the, point person",Chandler,neutral,neutral,0,0,8,21,"0:16,059","0:21,731"',),
        "dev": ("1,Hey!,All,joy,positive,1,5,4,4,a,b", "2,Did they?,Phoebe,neutral,neutral,110,7,6,11,a,b"),
        "test": ("1,No.,Dr. Green,anger,negative,3,1,4,4,a,b", "2,Ew,Ross,disgust,negative,3,2,4,4,a,b"),
    }
    for part, lines in rows.items():
        text = "\r\n".join([MELD_HEADER, *lines]) + "\r\n"
        (root / f"{part}_sent_emo.csv").write_bytes(text.encode("utf-8"))
    (root / "train_splits/._dia0_utt0.wav").write_bytes(b"left by macOS")
    (root / "train_splits/dia0_utt0.mp4").write_bytes(b"film")


def esd_texts(root: Path) -> None:
    """Scripts in the encodings that the corpus has, one line with blanks for tabs."""
    (root / "0003/0003.txt").write_bytes("0003_000351\t打远一看，它们的确很是美丽，\t生气\r\n".encode("utf-16"))
    (root / "0004/0004.txt").write_bytes("0004_000701\t他对谁都那么友好。\t快乐\n".encode("gb2312"))
    (root / "0011/0011.txt").write_text("0011_000351\tThe nine the eggs, I keep.\tAngry\n", encoding="utf-8")
    (root / "0016/0016.txt").write_bytes("0016_001055  That’s  it.  Sad\n".encode("cp1252"))


def shemo_texts(root: Path) -> None:
    rows = [{"id": "F03S02", "gender": "female", "emotion": "sad", "transcript": "\ufeffچی گفتی؟", "ipa": "tʃi"}]
    (root / "shemo.json").write_text(json.dumps(rows), encoding="utf-8")


def msp_tables(root: Path) -> None:
    (root / "Labels").mkdir()
    (root / "Labels/labels_consensus.csv").write_text("\n".join([MSP_HEADER, *MSP_ROWS]) + "\n")
    (root / "Transcripts").mkdir()
    (root / "Transcripts/MSP-PODCAST_0001_0008.txt").write_text("i was\nthere")


@dataclass(frozen=True)
class Tree:
    """Recordings below the corpus's folder, tables beside them, and what becomes of it.

    expected: utterance -> (speaker, class, gender, text, split).
    """

    files: tuple[str, ...]
    expected: dict[str, tuple]
    rate: int = 16000
    channels: int = 1
    tables: Callable[[Path], None] = field(default=lambda root: None)


TREES = {
    "emodb": Tree(
        ("wav/03a01Fa.wav", "wav/16b10Wb.wav", "wav/09a07La.wav"),
        {
            "03a01Fa": ("03", "hap", "m", "Der Lappen liegt auf dem Eisschrank.", None),
            "16b10Wb": ("16", "ang", "f", "Die wird auf dem Platz sein, wo wir sie immer hinlegen.", None),
        },
    ),
    "ravdess": Tree(
        (
            *("Actor_01/03-01-05-02-01-02-01.wav", "Actor_02/03-01-01-01-02-01-02.wav"),
            *("Actor_02/03-01-02-01-02-01-02.wav", "Actor_02/03-02-05-01-02-01-02.wav"),  # calm, song
        ),
        {
            "01-03-01-05-02-01-02-01": ("01", "ang", "m", "Kids are talking by the door", None),
            "02-03-01-01-01-02-01-02": ("02", "neu", "f", "Dogs are sitting by the door", None),
        },
        rate=48000,
        channels=2,  # a few are
    ),
    "crema_d": Tree(
        (
            *("AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1002_IEO_SAD_LO.wav", "AudioWAV/1002_IEO_DIS_HI.wav"),
            *("AudioWAV/1040_ITH_SAD_X.wav", "AudioWAV/1076_MTI_SAD_XX.wav"),  # misnamed in older copies; silent
        ),
        {
            "1001_DFA_ANG_XX": ("1001", "ang", "m", "Don't forget a jacket", None),
            "1002_IEO_SAD_LO": ("1002", "sad", "f", "It's eleven o'clock", None),
            "1040_ITH_SAD_X": ("1040", "sad", "m", "I think I have a doctor's appointment", None),
        },
        tables=lambda root: (root / "VideoDemographics.csv").write_text(
            '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
            '1002,21,"Female","Caucasian","Not Hispanic"\n1040,42,"Male","Caucasian","Not Hispanic"\n'
        ),
    ),
    "savee": Tree(
        ("DC/sa01.wav", "DC/su01.wav", "KL/n30.wav"),
        {"DC_sa01": ("DC", "sad", "m", "", None), "KL_n30": ("KL", "neu", "m", "", None)},
        rate=44100,
    ),
    "tess": Tree(
        (
            *("OAF_angry/OAF_back_angry.wav", "OAF_neutral/OA_bite_neutral.wav", "YAF_sad/YAF_youth_sad.wav"),
            *("YAF_pleasant_surprised/YAF_back_ps.wav", "copy/OAF_angry/OAF_back_angry.wav"),
        ),
        {
            "OAF_back_angry": ("OAF", "ang", "f", "Say the word back", None),
            "OAF_bite_neutral": ("OAF", "neu", "f", "Say the word bite", None),
            "YAF_youth_sad": ("YAF", "sad", "f", "Say the word youth", None),
        },
        rate=24414,
    ),
    "emovo": Tree(
        ("f1/gio-f1-b1.wav", "m3/rab-m3-d2.wav", "m3/sor-m3-d2.wav"),
        {
            "f1-gio-f1-b1": ("f1", "hap", "f", "Gli operai si alzano presto.", None),
            "m3-rab-m3-d2": ("m3", "ang", "m", "Porti con te quella cosa?", None),
        },
        rate=48000,
        channels=2,
    ),
    "esd": Tree(
        (
            *("0003/Angry/0003_000351.wav", "0004/Happy/test/0004_000701.wav", "0016/Sad/evaluation/0016_001055.wav"),
            *("0011/Angry/train/0011_000351.wav", "0011/Surprise/train/0011_001402.wav"),
        ),
        {
            "0003_000351": ("0003", "ang", "f", "打远一看，它们的确很是美丽，", None),
            "0004_000701": ("0004", "hap", "m", "他对谁都那么友好。", None),
            "0011_000351": ("0011", "ang", "m", "The nine the eggs, I keep.", None),
            "0016_001055": ("0016", "sad", "f", "That’s it.", None),
        },
        tables=esd_texts,
    ),
    "shemo": Tree(
        ("female/F03S02.wav", "male/M25A57.wav", "male/M02F01.wav"),
        {"F03S02": ("F03", "sad", "f", "چی گفتی؟", None), "M25A57": ("M25", "ang", "m", "", None)},
        rate=44100,
        tables=shemo_texts,
    ),
    "urdu": Tree(
        ("Angry/SM1_F10_A010.wav", "Happy/SM17_F1_H047.wav", "Neutral/SM20_F1_N05.wav", "Sad/SF10_F1_S01.wav"),
        {
            "SM1-SM1_F10_A010": ("SM1", "ang", "m", "", None),  # before SM17 by speaker and by id
            "SM17-SM17_F1_H047": ("SM17", "hap", "m", "", None),
            "SM20-SM20_F1_N05": ("SM20", "neu", "m", "", None),
            "SF10-SF10_F1_S01": ("SF10", "sad", "f", "", None),
        },
        rate=44100,
    ),
    "meld": Tree(
        (
            *("train_splits/dia0_utt0.wav", "dev_splits_complete/dia1_utt5.wav", "dev_splits_complete/dia66_utt9.wav"),
            *("output_repeated_splits_test/dia3_utt1.wav", "output_repeated_splits_test/dia3_utt2.wav"),
            "output_repeated_splits_test/final_videos_testdia3_utt1.wav",
        ),
        {
            "Chandler-train_dia0_utt0": ("Chandler", "neu", None, "also I was the, point person", "train"),
            "All-dev_dia1_utt5": ("All", "hap", None, "Hey!", "dev"),
            "Dr._Green-test_dia3_utt1": ("Dr._Green", "ang", None, "No.", "test"),
        },
        tables=meld_tables,
    ),
    "msp_podcast": Tree(
        tuple(f"Audios/{row.split(',')[0]}" for row in MSP_ROWS),
        {
            "spk127-MSP-PODCAST_0001_0008": ("spk127", "neu", None, "i was there", "test1"),
            "spk7-MSP-PODCAST_0002_0033": ("spk7", "hap", None, "", "train"),
            "Unknown_0002_train-MSP-PODCAST_0002_0034": ("Unknown_0002_train", "ang", None, "", "train"),
            "spk70-MSP-PODCAST_0003_0001": ("spk70", "sad", None, "", "dev"),
        },
        tables=msp_tables,
    ),
}


@pytest.fixture
def grow(tmp_path, write_wav) -> Callable[[str], Path]:
    """grow("emodb"): the folder of its tree."""

    def make(name: str) -> Path:
        root, tree = tmp_path / "corpus", TREES[name]
        for file in tree.files:
            write_wav(root / file, 0.1, tree.rate, tree.channels)
        tree.tables(root)
        return root

    return make


@pytest.fixture
def prepare(tmp_path, conf) -> Callable[..., DataDir]:
    """prepare("emodb", root): its data directory, with the recipe's own label map."""

    def make(name: str, root: Path, contract: Contract | None = None) -> DataDir:
        labels = read_label_map(conf(name, "labels.yaml"))
        return SPEECH[name].prepare(root, tmp_path / "data", labels, contract)

    return make


def test_every_corpus_has_a_tree_here():
    assert set(TREES) == set(SPEECH) - {"nemo", "iemocap"}  # which have tests of their own


@pytest.mark.parametrize("name", TREES)
def test_real_layout(grow, prepare, name):
    data, expected = prepare(name, grow(name)), TREES[name].expected
    assert set(data.utts) == set(expected)
    for utt, (speaker, emotion, gender, text, split) in expected.items():
        assert (data["utt2spk"][utt], data["utt2emo"][utt], data["text"][utt]) == (speaker, emotion, text)
        assert gender is None or data["spk2gender"][speaker] == gender
        assert split is None or data["utt2split"][utt] == split
    assert data["utt2group"] == data["utt2spk"]
    assert data.has("spk2gender") == all(gender for _, _, gender, _, _ in expected.values())
    assert data.has("utt2split") == any(split for *_, split in expected.values())
    assert validate_data_dir(data.path, SPEECH_TABLES) == []


@pytest.mark.parametrize("name", TREES)
def test_all_that_is_read_is_in_the_digest(grow, name):
    root = grow(name)
    files = {str(path.relative_to(root)) for path in SPEECH[name].all_files(root)}
    unused = {f for f in TREES[name].files if "copy" in f or "final_videos" in f}
    assert set(TREES[name].files) - unused <= files
    tables = {str(path.relative_to(root)) for path in root.rglob("*") if path.suffix in (".csv", ".txt", ".json")}
    assert files - set(TREES[name].files) == tables


@pytest.mark.parametrize("name", TREES)
def test_nothing_there(tmp_path, prepare, name):
    with pytest.raises(TrnetError, match="is not there .no such folder.*--corpus-dir"):
        prepare(name, tmp_path / "no")


@pytest.mark.parametrize("name", sorted(TREES.keys() - {"meld", "msp_podcast"}))
def test_a_recording_with_another_name_is_refused(grow, prepare, write_wav, name):
    root = grow(name)
    stranger = (root / TREES[name].files[0]).with_name("take two.wav")
    write_wav(stranger)
    with pytest.raises(TrnetError, match="take two.wav: is not named like"):
        prepare(name, root)


WHOLE = {  # what a speaker's utterances of a class are called: file of the number-th, and how many numbers there are
    "emodb": lambda s, c, i: f"wav/{s}{('a01', 'a02', 'a04', 'a05')[i // 26]}{c}{chr(97 + i % 26)}.wav",
    "ravdess": lambda s, c, i: f"Actor_{s}/03-01-{c}-0{1 + i // 4}-0{1 + i // 2 % 2}-0{1 + i % 2}-{s}.wav",
    "savee": lambda s, c, i: f"ALL/{s}_{c}{i + 1:02d}.wav",
    "emovo": lambda s, c, i: f"{s}/{c}-{s}-{'b1 b2 b3 l1 l2 l3 l4 n1 n2 n3 n4 n5 d1 d2'.split()[i]}.wav",
    "tess": lambda s, c, i: f"{s}_word{chr(97 + i // 26)}{chr(97 + i % 26)}_{c}.wav",
    "urdu": lambda s, c, i: f"{dict(A='Angry', H='Happy', N='Neutral', S='Sad')[c]}/{s}_F{i + 1}_{c}0{i + 1}.wav",
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_copy_keeps_the_contract_and_a_part_of_it_does_not(
    tmp_path, conf, prepare, write_wav, headers_only, name
):
    contract = read_contract(conf(name, "contract.yaml"))
    label_of = {c: label for label, c in read_label_map(conf(name, "labels.yaml")).classes.items() if c}
    one = write_wav(tmp_path / "one.wav", 0.05)
    files = []
    for cell, count in contract.counts.items():
        speaker, emotion = cell.split()
        files += [tmp_path / "corpus" / WHOLE[name](speaker, label_of[emotion], i) for i in range(count)]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(one, path)
    data = prepare(name, tmp_path / "corpus", contract)
    assert Counter(f"{data['utt2spk'][u]} {e}" for u, e in data["utt2emo"].items()) == contract.counts
    files[0].unlink()
    with pytest.raises(TrnetError, match="1 of .* counts are not those of .*contract.yaml"):
        prepare(name, tmp_path / "corpus", contract)


def test_counts_by_class_and_by_part(grow, prepare, tmp_path):
    path = tmp_path / "contract.yaml"
    path.write_text("by: corpus\nall: {ang: 1, sad: 2}\n")
    root = grow("crema_d")
    assert len(prepare("crema_d", root, read_contract(path)).utts) == 3
    (root / "AudioWAV/1001_DFA_ANG_XX.wav").unlink()
    with pytest.raises(TrnetError, match="1 of 2 counts .*all ang: expected 1, found 0"):
        prepare("crema_d", root, read_contract(path))


def test_meld_is_counted_by_its_parts(grow, prepare, tmp_path):
    path = tmp_path / "contract.yaml"
    path.write_text("by: split\ntrain: {neu: 1}\ndev: {hap: 1}\ntest: {ang: 2}\n")
    with pytest.raises(TrnetError, match="1 of 3 counts .*test ang: expected 2, found 1"):
        prepare("meld", grow("meld"), read_contract(path))


def test_msp_podcast_is_counted_by_what_it_lists(conf, grow, prepare, tmp_path):
    of_release = read_contract(conf("msp_podcast", "contract_1.11.yaml"))
    assert of_release.by == "listed" and sum(of_release.counts.values()) == 149_307
    root = grow("msp_podcast")
    with pytest.raises(TrnetError, match=r"counts are not those of .*contract_1.11.yaml .train: expected 84030, found"):
        prepare("msp_podcast", root, of_release)
    table = (root / "Labels/labels_consensus.csv").read_text().splitlines()
    parts = Counter(dict(Train="train", Development="dev").get(p, p.lower()) for p in split_sets(table))
    path = tmp_path / "contract.yaml"
    path.write_text(yaml.safe_dump({"by": "listed", **parts}))
    kept = prepare("msp_podcast", root, read_contract(path))
    assert len(kept.utts) < sum(parts.values())  # those of other labels are listed, too


def split_sets(table: list[str]) -> list[str]:
    place = table[0].split(",").index("Split_Set")
    return [line.split(",")[place] for line in table[1:]]


PUBLISHED = {"emodb": 339, "ravdess": 672, "crema_d": 4899, "savee": 300, "tess": 1600, "emovo": 336, "esd": 28000}
PUBLISHED |= {"shemo": 2737, "urdu": 400, "meld": 11351}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_totals(conf, name):
    assert sum(read_contract(conf(name, "contract.yaml")).counts.values()) == PUBLISHED[name]


@pytest.mark.parametrize("name", TREES)
def test_the_label_map_gives_the_common_classes(conf, name):
    classes = set(read_label_map(conf(name, "labels.yaml")).classes.values()) - {None}
    assert {"ang", "hap", "neu", "sad"} <= classes  # a corpus of one's own may have more
    assert name not in PUBLISHED or len(classes) == 4


def test_meld_without_its_sound(grow, prepare):
    root = grow("meld")
    (root / "train_splits/dia0_utt0.wav").unlink()
    with pytest.raises(TrnetError, match="train_splits: holds films alone; let stage 0"):
        prepare("meld", root)


def test_meld_with_a_missing_clip(grow, prepare, tmp_path, capsys):
    root = grow("meld")
    (root / "dev_splits_complete/dia1_utt5.wav").unlink()
    with pytest.raises(TrnetError, match="1 utterance .*All-dev_dia1_utt5.*--contract none"):
        prepare("meld", root, Contract(tmp_path, {}, "split"))
    assert len(prepare("meld", root).utts) == 2
    assert "left out" in capsys.readouterr().err


def test_two_copies_of_one_utterance(grow, prepare, write_wav):
    root = grow("tess")
    write_wav(root / "OAF_back_angry.wav", 0.1)
    with pytest.raises(TrnetError, match="OAF_back_angry is there twice"):
        prepare("tess", root)


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "message"),
    [
        ("meld", "dev_sent_emo.csv", "Dialogue_ID", "Dialogue", "dev_sent_emo.csv:1: no column 'Dialogue_ID'"),
        ("meld", "test_sent_emo.csv", "1,No.,", "1,", "test_sent_emo.csv:2: .* cells"),
        ("msp_podcast", "Labels/labels_consensus.csv", "SpkrID", "Speaker", "no column 'SpkrID'"),
        ("msp_podcast", "Labels/labels_consensus.csv", "Test1", "Held", "csv:2: unknown Split_Set 'Held'"),
        ("meld", "test_sent_emo.csv", "1,No.,", f'1,"{"x" * 200_000}', "test_sent_emo.csv:2: field larger than"),
        ("shemo", "shemo.json", '"transcript": "', '"transcript": 3, "": "', "is not a list of id and transcript"),
        ("shemo", "shemo.json", '"id"', '"name"', "shemo.json: is not a list of id and transcript"),
    ],
)
def test_broken_tables(grow, prepare, name, file, old, new, message):
    path = grow(name) / file
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(TrnetError, match=message):
        prepare(name, path.parent if path.parent.name == "corpus" else path.parent.parent)


def test_without_the_tables_that_some_copies_lack(grow, prepare, capsys):
    root = grow("crema_d")
    (root / "VideoDemographics.csv").unlink()
    assert not prepare("crema_d", root).has("spk2gender")
    assert "gender of 3 speakers" in capsys.readouterr().out
