"""RAVDESS (Livingstone and Russo, PLoS ONE 2018): 24 actors, two statements, 1440 spoken recordings at 48 kHz.

``Actor_12/03-01-06-01-02-01-12.wav``: modality (03 audio only), channel (01 speech, 02 song), emotion, intensity,
statement, repetition, actor. Odd actors are men.
"""

from collections.abc import Iterator
from pathlib import Path

from trnet.corpora.speech import SpeechCorpus, Utterance, named, recordings

STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}


def read_ravdess(folder: Path) -> Iterator[Utterance]:
    """The spoken utterances of RAVDESS, labelled 01 to 08; songs, which some unpack beside them, are passed over."""
    pattern = r"03-(0[12])-(0[1-8])-0[12]-(0[12])-0[12]-(\d\d)"
    for path, match in named(RAVDESS.files(folder), pattern, "03-01-06-01-02-01-12.wav"):
        channel, emotion, statement, actor = match.groups()
        if channel == "01":
            gender = "m" if int(actor) % 2 else "f"
            yield Utterance(f"{actor}-{path.stem}", actor, emotion, path, gender, STATEMENTS[statement])


RAVDESS = SpeechCorpus(
    title="RAVDESS",
    layout="Actor_*",
    origin="zenodo.org/records/1188976 (Audio_Speech_Actors_01-24.zip)",
    folders=("RAVDESS", "Audio_Speech_Actors_01-24"),
    files=recordings("Actor_*"),
    read=read_ravdess,
)
