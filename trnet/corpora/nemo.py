"""nEMO, Polish acted emotional speech (Christop, LREC-COLING 2024)."""

from collections.abc import Iterator
from pathlib import Path

from trnet.corpora.source import audio_files, by_stem, read_csv
from trnet.corpora.speech import SpeechCorpus, Utterance
from trnet.utils.errors import TrnetError

TABLE = "data.tsv"
COLUMNS = ("file_id", "emotion", "normalized_text", "speaker_id", "gender")
GENDERS = {"female": "f", "male": "m"}


def _files(folder: Path) -> list[Path]:
    return [folder / TABLE, *audio_files(folder / "samples")]


def read_nemo(folder: Path) -> Iterator[Utterance]:
    """The utterances of nEMO, labelled anger, fear, happiness, neutral, sadness or surprised."""
    table = folder / TABLE
    samples = by_stem(audio_files(folder / "samples"))
    for row in read_csv(table, COLUMNS, separator="\t", quotes=False):
        utt, speaker, gender = Path(row["file_id"]).stem, row["speaker_id"], row["gender"]
        if not speaker or not utt.startswith(f"{speaker}_"):
            raise TrnetError(f"{table}: file_id '{utt}' does not start with speaker_id '{speaker}_'; mend the line")
        if gender not in GENDERS:
            raise TrnetError(f"{table}: {utt}: gender '{gender}' is neither female nor male; mend the line")
        text, audio = row["normalized_text"], samples.get(utt)
        yield Utterance(utt, speaker, row["emotion"], audio, GENDERS[gender], text, where=str(table))


NEMO = SpeechCorpus(
    title="nEMO",
    layout=TABLE,
    origin="amu-cai/nEMO on GitHub or Hugging Face",
    folders=("nEMO", "nemo", "nEMO-main"),
    files=_files,
    read=read_nemo,
)
