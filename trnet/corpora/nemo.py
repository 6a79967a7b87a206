"""nEMO, Polish acted emotional speech (Christop, LREC-COLING 2024)."""

from pathlib import Path

from trnet.corpora.contract import Contract
from trnet.corpora.labels import LabelMap
from trnet.corpora.source import Source, audio_files, by_stem, read_columns
from trnet.corpora.speech import Utterance, leave_out_missing, write_speech
from trnet.kaldi.data_dir import DataDir
from trnet.utils.errors import TrnetError

NEMO = Source(
    title="nEMO",
    layout="data.tsv",
    option="--corpus-dir",
    origin="amu-cai/nEMO on GitHub or Hugging Face",
    folders=("nEMO", "nemo", "nEMO-main"),
)
COLUMNS = ("file_id", "emotion", "normalized_text", "speaker_id", "gender")
GENDERS = {"female": "f", "male": "m"}


def nemo_files(root: Path) -> list[Path]:
    """Every file that the preparation reads: the table and the samples.

    Raises: TrnetError if nEMO is not there.
    """
    folder = NEMO.locate(root)
    return [folder / "data.tsv", *audio_files(folder / "samples")]


def _utterance(row: dict[str, str], emotion: str, audio: Path, where: str) -> Utterance:
    """One row of the table; a fold holds out a speaker."""
    utt, speaker = Path(row["file_id"]).stem, row["speaker_id"]
    if not speaker or not utt.startswith(f"{speaker}_"):
        raise TrnetError(f"{where}: file_id '{utt}' does not start with speaker_id '{speaker}_'; mend the line")
    if row["gender"] not in GENDERS:
        raise TrnetError(f"{where}: gender '{row['gender']}' is neither female nor male; mend the line")
    return Utterance(utt, speaker, GENDERS[row["gender"]], speaker, emotion, row["normalized_text"], audio)


def prepare_nemo(
    root: Path,
    out: Path,
    label_map: LabelMap,
    contract: Contract | None = None,
    nj: int = 1,
    channel: int | None = None,
) -> DataDir:
    """Write the data directory `out` of nEMO in `root` (the folder of data.tsv, or the one above it).

    Utterances keep nEMO's names (``EB0_anger_1``); samples are matched by name without suffix.
    Raises: TrnetError for a missing or incomplete corpus, an unmapped label, unusable audio.
    """
    table = NEMO.locate(root) / "data.tsv"
    samples = by_stem(audio_files(table.parent / "samples"))
    utterances: dict[str, Utterance] = {}
    missing: list[str] = []
    for row in read_columns(table, "\t", COLUMNS):
        stem = Path(row["file_id"]).stem
        emotion = label_map.class_of(row["emotion"], stem, table)
        if emotion is None:
            continue
        if stem in utterances:
            raise TrnetError(f"{table}: {stem} stands there twice; delete one of the two lines")
        if stem in samples:
            utterances[stem] = _utterance(row, emotion, samples[stem], f"{table}: {stem}")
        else:
            missing.append(stem)
    leave_out_missing(table.parent / "samples", missing, contract)
    return write_speech(root, out, utterances.values(), contract, nj, channel=channel)
