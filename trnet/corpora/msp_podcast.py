"""MSP-Podcast (Lotfian and Busso, IEEE Trans. Affective Computing 2019): podcasts, 16 kHz, in parts of its own.

``Labels/labels_consensus.csv`` (``labels_concensus.csv`` in older releases), ``Audios/MSP-PODCAST_0001_0008.wav``,
``Transcripts/MSP-PODCAST_0001_0008.txt``. Each release has more of it.
"""

from collections.abc import Iterator
from pathlib import Path

from trnet.corpora.source import audio_files, by_stem, matching, read_csv, read_lines
from trnet.corpora.speech import SpeechCorpus, Utterance
from trnet.utils.errors import TrnetError

COLUMNS = ("FileName", "EmoClass", "SpkrID", "Gender", "Split_Set")
PARTS = {"train": "train", "development": "dev", "validation": "dev"}
GENDERS = {"Male": "m", "Female": "f"}
UNKNOWN = "Unknown"


def _table(folder: Path) -> Path:
    return matching(folder, MSP_PODCAST.layout)[0]


def _recordings(folder: Path) -> list[Path]:
    return audio_files(folder / "Audios") + audio_files(folder / "Audio")


def _files(folder: Path) -> list[Path]:
    return [_table(folder), *_recordings(folder), *matching(folder, "Transcripts/MSP-PODCAST_*.txt")]


def _speaker(row: dict[str, str], part: str) -> str:
    """A speaker's id; a voice that the corpus does not know is one of its podcast's and part's own."""
    if row["SpkrID"] == UNKNOWN:
        return f"{UNKNOWN}_{row['FileName'].split('_')[1]}_{part}"
    return f"spk{row['SpkrID'].replace(' ', '_')}"


def read_msp_podcast(folder: Path) -> Iterator[Utterance]:
    """The utterances of MSP-Podcast, labelled A, C, D, F, H, N, O, S, U or X; `split` is train, dev, test1 ...

    Raises:
        TrnetError: For a table without the columns of the corpus, or an unknown part.
    """
    table = _table(folder)
    clips = by_stem(_recordings(folder))
    for number, row in enumerate(read_csv(table, COLUMNS), 2):
        name, part = Path(row["FileName"]).stem, row["Split_Set"].lower()
        if part not in PARTS and not part.startswith("test"):
            raise TrnetError(f"{table}:{number}: unknown Split_Set '{row['Split_Set']}'; take the corpus's own file")
        part = PARTS.get(part, part)
        speaker, script = _speaker(row, part), folder / "Transcripts" / f"{name}.txt"
        yield Utterance(
            f"{speaker}-{name}",
            speaker,
            row["EmoClass"],
            clips.get(name),
            GENDERS.get(row["Gender"]),
            " ".join(read_lines(script)) if script.is_file() else "",
            part,
        )


MSP_PODCAST = SpeechCorpus(
    title="MSP-Podcast",
    layout="Labels/labels_con[cs]ensus.csv",
    origin="the MSP laboratory (licence form)",
    folders=("MSP-PODCAST", "MSP-Podcast"),
    files=_files,
    read=read_msp_podcast,
)
