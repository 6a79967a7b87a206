"""Transcripts in the spelling that CTC learns, and which utterances have none."""

import shutil

import pytest
from training import spoken

from trnet.config import Fbank
from trnet.kaldi.data_dir import DataDir
from trnet.runs.text_normalisation import normalise, transcripts_of
from trnet.utils.errors import TrnetError


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("„Ród smoka” to serial.", "ród smoka to serial"),
        ("Nie — no,ŻÓŁĆ!", "nie no żółć"),
        ("I'm not,  ’kay' [LAUGHTER] 'fine' it’s", "i'm not kay fine it's"),
        ("o\u0301 ﬁ ２", "ó fi 2"),  # composed, ligature, full width
        ("हिन्दी", "हिन्दी"),  # vowel signs are marks, not letters
        ("[BREATHING] ... ▁ '", ""),
    ],
)
def test_transcripts_are_spelled_without_case_and_punctuation(text, spelled):
    assert normalise(text) == spelled == normalise(spelled)


def test_what_is_empty_or_cropped_has_no_transcript(tiny, tmp_path):
    """45 frames are 0.465 s; the utterances have 0.35 to 0.62 s."""
    data = spoken(tiny, tmp_path).experiment.data
    utts = data.utts
    data["text"].update({utts[0]: "", utts[1]: "[LAUGHTER]"})
    del data["text"][utts[2]]
    found = transcripts_of(data, utts, Fbank(max_frames=45))
    whole = [utt for utt in utts[3:] if float(data["utt2dur"][utt]) <= 0.465]
    assert list(found.texts) == whole and 5 < len(whole) < len(utts) - 3
    assert (found.silent, found.cut) == (3, len(utts) - 3 - len(whole))
    with pytest.raises(TrnetError, match="48 .*3 .*45 "):
        transcripts_of(data, utts, Fbank(max_frames=20))
    data["text"].clear()
    with pytest.raises(TrnetError, match="tiny/text: .*48 .*48 .*0 "):
        transcripts_of(data, utts, Fbank())
    shutil.copytree(data.path, tmp_path / "tiny", ignore=shutil.ignore_patterns("text"))
    with pytest.raises(TrnetError, match="tiny/text: .*training.ctc_weight: 0"):
        transcripts_of(DataDir(tmp_path / "tiny"), utts, Fbank())


@pytest.mark.parametrize("value", [None, "nan", "long", "-1"])
def test_a_duration_that_is_none_is_named(tiny, tmp_path, value):
    data = spoken(tiny, tmp_path).experiment.data
    utt = data.utts[3]
    if value is None:
        del data["utt2dur"][utt]
    else:
        data["utt2dur"][utt] = value
    with pytest.raises(TrnetError, match=f"utt2dur: {utt}: "):
        transcripts_of(data, data.utts, Fbank())
