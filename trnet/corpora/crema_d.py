"""CREMA-D (Cao et al., IEEE Trans. Affective Computing 2014): 91 actors, 12 sentences, 7442 recordings at 16 kHz.

``AudioWAV/1001_DFA_ANG_XX.wav``: actor, sentence, the emotion that was acted, intensity; ``VideoDemographics.csv``
has the actors' sex.
"""

from collections.abc import Iterator
from pathlib import Path

from trnet.corpora.source import read_csv
from trnet.corpora.speech import SpeechCorpus, Utterance, named, recordings

SENTENCES = {
    "DFA": "Don't forget a jacket",
    "IEO": "It's eleven o'clock",
    "IOM": "I'm on my way to the meeting",
    "ITH": "I think I have a doctor's appointment",
    "ITS": "I think I've seen this before",
    "IWL": "I would like a new alarm clock",
    "IWW": "I wonder what this is about",
    "MTI": "Maybe tomorrow it will be cold",
    "TAI": "The airplane is almost full",
    "TIE": "That is exactly what happened",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
SILENT = "1076_MTI_SAD_XX"  # holds no speech
SEXES = {"Male": "m", "Female": "f"}
TABLE = "VideoDemographics.csv"


def _files(folder: Path) -> list[Path]:
    return [path for path in [folder / TABLE] if path.is_file()] + recordings("AudioWAV")(folder)


def _genders(folder: Path) -> dict[str, str]:
    """Actor -> f or m; some copies of the corpus are without the table."""
    if not (folder / TABLE).is_file():
        return {}
    rows = read_csv(folder / TABLE, ("ActorID", "Sex"))
    return {row["ActorID"]: SEXES[row["Sex"]] for row in rows if row["Sex"] in SEXES}


def read_crema_d(folder: Path) -> Iterator[Utterance]:
    """The utterances of CREMA-D, labelled ANG, DIS, FEA, HAP, NEU or SAD; without the one that has no speech."""
    genders = _genders(folder)
    pattern = rf"(\d{{4}})_({'|'.join(SENTENCES)})_(ANG|DIS|FEA|HAP|NEU|SAD)_(?:LO|MD|HI|XX?)"
    for path, match in named(recordings("AudioWAV")(folder), pattern, "1001_DFA_ANG_XX.wav"):
        actor, sentence, emotion = match.groups()
        if path.stem != SILENT:
            yield Utterance(path.stem, actor, emotion, path, genders.get(actor), SENTENCES[sentence])


CREMA_D = SpeechCorpus(
    title="CREMA-D",
    layout="AudioWAV",
    origin="CheyneyComputerScience/CREMA-D on GitHub (with git lfs)",
    folders=("CREMA-D", "CREMA-D-master"),
    files=_files,
    read=read_crema_d,
)
