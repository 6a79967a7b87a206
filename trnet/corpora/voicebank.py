"""VoiceBank+DEMAND (Valentini-Botinhao 2017): pairs of noisy and clean speech at 48 kHz, 28 speakers, 2 for the test.

Edinburgh DataShare 10283/2791: ``clean_<set>_wav/p226_001.wav`` and ``noisy_<set>_wav/p226_001.wav`` for the sets
``trainset_28spk`` and ``testset``. The noise and the SNR of each file stand in ``log_<set>.txt``, where that is there.
"""

from pathlib import Path

from trnet.corpora.pairs import NoisyPair
from trnet.corpora.source import Corpus, audio_files, by_stem, read_lines
from trnet.utils.errors import TrnetError
from trnet.utils.text import counted, shorten

VOICEBANK = Corpus(
    title="VoiceBank+DEMAND",
    layout="noisy_testset_wav",
    origin="datashare.ed.ac.uk/handle/10283/2791 (unpack the zip files beside each other)",
    folders=("DS_10283_2791",),
)


def _folder(root: Path, kind: str, name: str) -> Path:
    """``<kind>_<name>_wav``, which some unpack into a folder of the same name."""
    outer = VOICEBANK.locate(root) / f"{kind}_{name}_wav"
    for folder in (outer / outer.name, outer):
        if folder.is_dir():
            return folder
    raise TrnetError(f"{outer}: no such folder; unpack {outer.name}.zip there, from {VOICEBANK.origin}")


def voicebank_files(root: Path, name: str) -> list[Path]:
    """Every file of a set that the preparation reads.

    Raises:
        TrnetError: If the corpus or the set is not there.
    """
    files = [path for kind in ("clean", "noisy") for path in audio_files(_folder(root, kind, name))]
    return [*files, *_logs(root, name)]


def _logs(root: Path, name: str) -> list[Path]:
    """The list of noises and SNRs, where it is there."""
    base = VOICEBANK.locate(root)
    found = [folder / f"log_{name}.txt" for folder in (base, base / "logfiles")]
    return [path for path in found if path.is_file()][:1]


def _read_log(path: Path) -> dict[str, tuple[str, float]]:
    """Noise and SNR in dB by utterance: lines ``p232_001 bus 17.5``."""
    noises = {}
    for number, line in enumerate(read_lines(path), 1):
        cells = line.split()
        if not cells:
            continue
        try:
            utt, noise, snr = cells
            noises[utt.removesuffix(".wav")] = (noise, float(snr))
        except ValueError:
            raise TrnetError(f"{path}:{number}: '{line}' is not 'file noise SNR'; take the corpus's own file") from None
    return noises


def read_voicebank(root: Path, name: str) -> list[NoisyPair]:
    """The pairs of a set; the speaker is what stands before the underscore. TrnetError if one lacks its partner."""
    folders = {kind: _folder(root, kind, name) for kind in ("noisy", "clean")}
    noisy, clean = (by_stem(audio_files(folder)) for folder in folders.values())
    for kind, lacking in (
        ("clean", sorted(noisy.keys() - clean.keys())),
        ("noisy", sorted(clean.keys() - noisy.keys())),
    ):
        if lacking:
            raise TrnetError(
                f"{folders[kind]}: {counted(len(lacking), 'recording')} without {kind} partner there "
                f"({shorten(lacking, 3)}); complete the copy"
            )
    if not noisy:
        raise TrnetError(f"{folders['noisy']}: no recordings in it; complete the copy")
    noises = {utt: known for log in _logs(root, name) for utt, known in _read_log(log).items()}
    unknown = (None, None)
    return [
        NoisyPair(utt, utt.partition("_")[0], path, clean[utt], *noises.get(utt, unknown))
        for utt, path in sorted(noisy.items())
    ]
