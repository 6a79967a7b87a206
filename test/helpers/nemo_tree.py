"""Tiny corpora as they lie on disk: nEMO's tables and audio, ESC-50's, a folder of noises."""

from __future__ import annotations

from pathlib import Path

from tiny import hiss, tone, write_wav

EMOTIONS = {"anger": "ang", "happiness": "hap", "neutral": "neu", "sadness": "sad"}
COLUMNS = ("file_id", "emotion", "raw_text", "normalized_text", "speaker_id", "gender", "age")


def write_nemo(root: Path, speakers: int = 3, takes: int = 2) -> Path:
    """``nemo/`` of speakers A0, B0, ...: `takes` utterances of each emotion, a third of a second each."""
    lines, key = ["\t".join(COLUMNS)], 0
    for number in range(speakers):
        speaker = f"{chr(ord('A') + number)}0"
        for emotion, label in EMOTIONS.items():
            for take in range(takes):
                key += 1
                utt = f"{speaker}_{label}_{take}"
                write_wav(root / "nemo/samples" / f"{utt}.wav", tone(label, key, 5000 + 60 * key))
                lines.append("\t".join([f"{utt}.wav", emotion, "La.", "la", speaker, "female", "30"]))
    (root / "nemo/data.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root / "nemo"


def write_esc(root: Path, sources: int = 4) -> Path:
    """``esc/`` of one clip each of so many recordings."""
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for number in range(sources):
        write_wav(root / "esc/audio" / f"1-{number}-A-0.wav", hiss(number, 8000))
        lines.append(f"1-{number}-A-0.wav,1,0,rain,True,{number},A")
    (root / "esc/meta").mkdir(parents=True)
    (root / "esc/meta/esc50.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root / "esc"


def write_noises(root: Path, count: int = 4) -> Path:
    """``nonspeech/`` of so many noises."""
    for number in range(count):
        write_wav(root / "nonspeech" / f"n{number}.wav", hiss(100 + number, 8000))
    return root / "nonspeech"
