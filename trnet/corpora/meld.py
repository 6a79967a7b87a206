"""MELD (Poria et al., ACL 2019): 13708 utterances of a television series, in parts of its own, as MP4.

``train_sent_emo.csv``, ``dev_sent_emo.csv``, ``test_sent_emo.csv``, and clips ``dia0_utt0.mp4`` in ``train_splits``,
``dev_splits_complete``, ``output_repeated_splits_test``. libsndfile does not read MP4: what is read is the recording of
the same name (``dia0_utt0.wav``) beside it, which stage 0 of the recipe makes with ffmpeg.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from trnet.corpora.source import audio_files, by_stem, matching, read_csv
from trnet.corpora.speech import SpeechCorpus, Utterance
from trnet.utils.errors import TrnetError

PARTS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
BROKEN = {("train", "dia125_utt3"), ("dev", "dia110_utt7")}  # damaged, and missing, as they are given out


def _table(folder: Path, part: str) -> Path:
    return folder / f"{part}_sent_emo.csv"


def _clips(folder: Path, part: str) -> list[Path]:
    return [path for path in audio_files(folder / PARTS[part]) if re.fullmatch(r"dia\d+_utt\d+", path.stem)]


def _files(folder: Path) -> list[Path]:
    return [path for part in PARTS for path in (_table(folder, part), *_clips(folder, part))]


def read_meld(folder: Path) -> Iterator[Utterance]:
    """The utterances of MELD, but for the two whose clips are broken; `split` is the part.

    Speakers are the names of the table, which are the series' parts: six of them speak in every part.

    Raises:
        TrnetError: For a missing table, or clips of which there is the film alone.
    """
    for part, name in PARTS.items():
        clips = by_stem(_clips(folder, part))
        if not clips and matching(folder, f"{name}/dia*.mp4"):
            raise TrnetError(f"{folder / name}: holds films alone; let stage 0 take their sound out (it needs ffmpeg)")
        for row in read_csv(_table(folder, part), COLUMNS):
            clip = f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"
            if (part, clip) in BROKEN:
                continue
            speaker = re.sub(r"[^\w.]+", "_", row["Speaker"].strip())
            yield Utterance(
                f"{speaker}-{part}_{clip}", speaker, row["Emotion"], clips.get(clip), text=row["Utterance"], split=part
            )


MELD = SpeechCorpus(
    title="MELD",
    layout="train_sent_emo.csv",
    origin="declare-lab/MELD on GitHub (MELD.Raw.tar.gz; unpack the archives in it too)",
    folders=("MELD", "MELD.Raw"),
    files=_files,
    read=read_meld,
)
