"""Transcripts of the training speech of a fold, in the spelling that CTC learns."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from trnet.audio.crop import is_cut
from trnet.config import Features
from trnet.kaldi.data_dir import DataDir
from trnet.utils.errors import TrnetError
from trnet.utils.numbers import real

EVENT = re.compile(r"\[[^\]]*\]")  # [LAUGHTER], [BREATHING]


@lru_cache(maxsize=1 << 16)
def normalise(text: str) -> str:
    """Words in lower case, one blank between them: no punctuation, no ``[LAUGHTER]``.

    Letters, their marks and digits of any script stay (NFKC), and apostrophes inside a word. A data directory's
    `text` is as the corpus has it; here alone it is changed.
    """
    text = unicodedata.normalize("NFKC", EVENT.sub(" ", text)).lower().replace("’", "'")
    kept = (sign if sign == "'" or unicodedata.category(sign)[0] in "LMN" else " " for sign in text)
    words = (word.strip("'") for word in "".join(kept).split())
    return " ".join(word for word in words if word)


@dataclass(frozen=True)
class Transcripts:
    """Normalised transcripts by utterance id, and how many utterances have none that can be used.

    `silent` have no transcript; `cut` are cropped, so that the transcript says more.
    """

    texts: dict[str, str]
    silent: int
    cut: int


def transcripts_of(data: DataDir, utts: Sequence[str], features: Features) -> Transcripts:
    """The transcripts of some utterances; no other line of `text` is read.

    Raises:
        TrnetError: If none can be used.
    """
    path = data.path / "text"
    if not data.has("text"):
        raise TrnetError(f"{path}: no such file; CTC needs it: run stage 1, or set training.ctc_weight: 0")
    found = {utt: text for utt in utts if (text := normalise(data["text"].get(utt, "")))}
    whole = {utt: text for utt, text in found.items() if not is_cut(_seconds(data, utt), features)}
    if not whole:
        raise TrnetError(
            f"{path}: of {len(utts)} training utterances {len(utts) - len(found)} have no transcript and {len(found)} "
            "are longer than features.max_frames; CTC needs some: complete the table, or set training.ctc_weight: 0"
        )
    return Transcripts(whole, len(utts) - len(found), len(found) - len(whole))


def _seconds(data: DataDir, utt: str) -> float:
    """Duration of an utterance; TrnetError if utt2dur does not say it."""
    try:
        return real(data["utt2dur"][utt], 0)
    except (KeyError, ValueError) as error:
        why = "no line" if isinstance(error, KeyError) else str(error)
        raise TrnetError(f"{data.path}/utt2dur: {utt}: {why}; run stage 1 again") from None
