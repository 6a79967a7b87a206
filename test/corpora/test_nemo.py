"""nEMO: its table as it is given out, samples in any container."""

from collections import Counter

import pytest

from trnet.corpora.contract import read_contract
from trnet.corpora.labels import read_label_map
from trnet.corpora.nemo import NEMO
from trnet.kaldi.validate import validate_data_dir
from trnet.utils.errors import TrnetError

HEADER = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"
ROWS = [
    "WR0_surprised_64.wav\tsurprised\tUcho wykrywa.\tucho wykrywa\t        WR0\tmale\t23",
    "EB0_neutral_13.wav\tneutral\tInteresuje mnie.\tinteresuje mnie\t        EB0\tfemale\t27",
    "KS0_sadness_38.wav\tsadness\t„Ród” to serial.\t„ród” to serial\t        KS0\tmale\t23",
]


@pytest.fixture
def nemo(tmp_path, write_wav):
    """Three rows as nEMO has them, speaker ids padded with blanks; the samples 24 kHz."""
    root = tmp_path / "nEMO"
    for row in ROWS:
        write_wav(root / "samples" / row.split("\t")[0], rate=24000)
    (root / "data.tsv").write_text("\n".join([HEADER, *ROWS]) + "\n", encoding="utf-8")
    return root


@pytest.fixture
def labels(conf):
    return read_label_map(conf("nemo", "labels.yaml"))


def test_real_format(nemo, tmp_path, labels, capsys):
    data = NEMO.prepare(nemo, tmp_path / "data", labels)
    assert data["utt2spk"] == {"EB0_neutral_13": "EB0", "KS0_sadness_38": "KS0"}
    assert data["utt2emo"] == {"EB0_neutral_13": "neu", "KS0_sadness_38": "sad"}
    assert data["utt2group"] == data["utt2spk"]
    assert data["spk2gender"] == {"EB0": "f", "KS0": "m"}
    assert data["text"]["KS0_sadness_38"] == "„ród” to serial"
    assert data["utt2dur"]["EB0_neutral_13"] == "0.5"
    assert capsys.readouterr().out == "2 recordings at 24000 Hz: resampled to 16000 Hz\n"
    assert validate_data_dir(data.path, ("text", "utt2emo", "utt2group", "spk2gender")) == []


def test_samples_are_matched_by_stem(nemo, tmp_path, labels):
    sample = nemo / "samples/EB0_neutral_13.wav"
    sample.rename(sample.with_suffix(".flac"))  # libsndfile goes by content
    data = NEMO.prepare(nemo, tmp_path / "data", labels)
    assert data["wav.scp"]["EB0_neutral_13"].endswith("EB0_neutral_13.flac")


def test_two_recordings_of_one_stem_are_refused(nemo, tmp_path, labels, write_wav):
    write_wav(nemo / "samples/EB0_neutral_13.flac")
    with pytest.raises(TrnetError, match="same name; keep one"):
        NEMO.prepare(nemo, tmp_path / "data", labels)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\tspeaker_id", "\tspeaker", "data.tsv:1: no column 'speaker_id'"),
        ("\tmale\t23\nEB0", "\tmale\nEB0", "data.tsv:2: 6 cells, the header has 7"),
        ("\tfemale", "\tother", "EB0_neutral_13: gender 'other' is neither"),
        ("        EB0", "        EB1", "'EB0_neutral_13' does not start with speaker_id 'EB1_'"),
        ("\tneutral\t", "\tcalm\t", "utterance EB0_neutral_13 has the label 'calm'"),
        (ROWS[2], ROWS[1], "data.tsv: EB0_neutral_13 is there twice"),
    ],
)
def test_broken_table(nemo, tmp_path, labels, old, new, message):
    table = nemo / "data.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(TrnetError, match=message):
        NEMO.prepare(nemo, tmp_path / "data", labels)


def test_missing_sample_is_an_error_under_a_contract(nemo, tmp_path, labels, conf, capsys):
    (nemo / "samples/EB0_neutral_13.wav").unlink()
    with pytest.raises(TrnetError, match="nEMO: 1 utterance .*EB0_neutral_13.*--contract none"):
        NEMO.prepare(nemo, tmp_path / "data", labels, read_contract(conf("nemo", "contract.yaml")))
    assert NEMO.prepare(nemo, tmp_path / "data", labels).utts == ["KS0_sadness_38"]
    assert "left out" in capsys.readouterr().err


def test_nothing_there(tmp_path, labels):
    with pytest.raises(TrnetError, match="nEMO is not there .no such folder.*--corpus-dir.*amu-cai/nEMO"):
        NEMO.prepare(tmp_path / "no", tmp_path / "data", labels)


def test_shared_copy_keeps_the_contract(shared_data, tmp_path, labels, conf, headers_only):
    data = NEMO.prepare(shared_data("nemo"), tmp_path / "data", labels, read_contract(conf("nemo", "contract.yaml")))
    assert Counter(data["utt2emo"].values()) == {"ang": 749, "hap": 749, "neu": 809, "sad": 769}
    assert len(set(data["utt2spk"].values())) == 9
    assert sum(map(float, data["utt2dur"].values())) / 3600 == pytest.approx(2.1, abs=0.05)
    assert validate_data_dir(data.path) == []


def test_some_shared_samples_are_decoded(shared_data, tmp_path, labels, headers_only):
    root = shared_data("nemo")
    (tmp_path / "nEMO").mkdir()
    (tmp_path / "nEMO/samples").symlink_to(root / "samples")
    lines = (root / "data.tsv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "nEMO/data.tsv").write_text("\n".join(lines[:40]) + "\n", encoding="utf-8")
    by_header = NEMO.prepare(tmp_path / "nEMO", tmp_path / "headers", labels)["utt2dur"]
    headers_only.undo()
    assert NEMO.prepare(tmp_path / "nEMO", tmp_path / "data", labels)["utt2dur"] == by_header
