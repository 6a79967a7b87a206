"""A tree in IEMOCAP's very format: labels, transcriptions, what macOS leaves behind, and tiny recordings."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

WHOLE_COUNTS = {  # ang, hap + exc, neu, sad, as the corpus has them
    "Ses01F": (147, 132, 171, 78),
    "Ses01M": (82, 146, 213, 116),
    "Ses02F": (67, 166, 135, 113),
    "Ses02M": (70, 161, 227, 84),
    "Ses03F": (92, 128, 130, 172),
    "Ses03M": (148, 158, 190, 133),
    "Ses04F": (205, 185, 76, 62),
    "Ses04M": (122, 118, 182, 81),
    "Ses05F": (78, 159, 221, 132),
    "Ses05M": (92, 283, 163, 113),
}
LEFT_OUT = {"fru": 1849, "sur": 107, "fea": 40, "oth": 3, "dis": 2, "xxx": 2507}
HAPPY = 595  # of the 1636 of class hap, the others are exc
SCRIPTED = 2588  # of the 5531
OTHER_WEARER = 2750  # of the 5531: the speaker is not who wears the markers
IMPROVISED_DIALOGS = {1: 7, 2: 8, 3: 8, 4: 8, 5: 8}
SPLIT_TAKES = {"Ses03M": ("05a", "05b", "08a", "08b")}
SCRIPTS = ("01_1", "01_2", "01_3", "02_1", "02_2", "03_1", "03_2")


@dataclass(frozen=True)
class Turn:
    """One labelled turn: its dialog, who speaks (F or M), its number and label."""

    dialog: str
    letter: str
    number: int
    label: str

    @property
    def name(self) -> str:
        return f"{self.dialog}_{self.letter}{self.number:03d}"


def dialogs(wearer: str, scripted: bool) -> list[str]:
    """Dialogs in which `wearer` (Ses01F) has the markers: 80 improvised and 71 scripted in all."""
    if scripted:
        extra = ["01_1b"] if wearer == "Ses05M" else []
        return [f"{wearer}_script{part}" for part in [*SCRIPTS, *extra]]
    takes = [f"{n:02d}" for n in range(1, IMPROVISED_DIALOGS[int(wearer[4])] + 1)]
    split = SPLIT_TAKES.get(wearer, ())
    return [f"{wearer}_impro{take}" for take in sorted({*takes, *split} - {s[:2] for s in split})]


def _spread(n: int, total: int) -> list[bool]:
    """`n` True among `total`, evenly spread."""
    return [(i + 1) * n // total > i * n // total for i in range(total)]


def whole_corpus() -> list[Turn]:
    """10,039 turns with the true counts per speaker and class, and all that is left out."""
    kept = [
        (speaker, label)
        for speaker, row in WHOLE_COUNTS.items()
        for label, count in zip(("ang", "hap", "neu", "sad"), row, strict=True)
        for _ in range(count)
    ]
    happy = iter(_spread(HAPPY, sum(label == "hap" for _, label in kept)))
    kept = [(speaker, "exc" if label == "hap" and not next(happy) else label) for speaker, label in kept]
    speakers = list(WHOLE_COUNTS)
    labels = [label for label, count in LEFT_OUT.items() for _ in range(count)]
    others = [(speakers[i % 10], label) for i, label in enumerate(labels)]
    flags = list(zip(_spread(SCRIPTED, 5531), _spread(OTHER_WEARER, 5531), strict=True))
    flags += [(i % 3 == 0, i % 2 == 0) for i in range(len(others))]
    turns: list[Turn] = []
    spoken: dict[str, int] = {}
    for i, ((speaker, label), (scripted, other)) in enumerate(zip(kept + others, flags, strict=True)):
        letter = speaker[-1]
        wearer = speaker[:-1] + ("FM".replace(letter, "") if other else letter)
        choice = dialogs(wearer, scripted)
        dialog = choice[i // 7 % len(choice)]
        number = spoken.get(dialog + letter, 0)
        spoken[dialog + letter] = number + 1
        turns.append(Turn(dialog, letter, number, label))
    return turns


def small_corpus() -> list[Turn]:
    """A dozen turns: every special dialog name, both speakers, labels that are kept and that are not."""
    return [
        Turn("Ses01F_impro01", "F", 0, "neu"),
        Turn("Ses01F_impro01", "M", 0, "ang"),
        Turn("Ses01F_impro01", "M", 1, "fru"),
        Turn("Ses02M_script02_2", "F", 3, "sad"),
        Turn("Ses03M_impro05a", "M", 0, "exc"),
        Turn("Ses03M_impro05b", "F", 0, "hap"),
        Turn("Ses03M_impro08a", "F", 11, "sad"),
        Turn("Ses03M_impro08b", "M", 12, "xxx"),
        Turn("Ses04F_script01_3", "F", 7, "ang"),
        Turn("Ses05M_script01_1b", "M", 41, "neu"),
        Turn("Ses05M_script01_1b", "F", 2, "hap"),
    ]


def _label_lines(turns: Iterable[Turn]) -> str:
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    for i, turn in enumerate(turns):
        lines.append(f"[{i}.2901 - {i}.8357]\t{turn.name}\t{turn.label}\t[2.5000, 2.5000, 2.5000]")
        lines += ["C-E2:\tNeutral;\t()", "C-F1:\tAnger; Frustration;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
    return "\n".join(lines)


def _transcription_lines(turns: Iterable[Turn]) -> str:
    lines = [f"{turn.name} [006.2901-008.2357]: Excuse me, {turn.name[-4:]}." for turn in turns]
    dialog = lines[0].split(" ")[0].rsplit("_", 1)[0]
    return "\n".join([f"{dialog}_FXX0 [000.1000-000.9000]: Hello.", *lines, "M: [LAUGHTER]"]) + "\n"


def write_tree(root: Path, turns: Iterable[Turn], leftovers: bool = True) -> Path:
    """Write ``root/IEMOCAP_full_release``; the recordings are links to one 40 ms file. Returns that folder."""
    top = root / "IEMOCAP_full_release"
    top.mkdir(parents=True)
    tiny = root / "tiny.wav"
    soundfile.write(tiny, np.random.default_rng(0).normal(0, 0.1, 640), 16000, subtype="PCM_16")
    grouped: dict[str, list[Turn]] = {}
    for turn in turns:
        grouped.setdefault(turn.dialog, []).append(turn)
    for dialog, spoken in grouped.items():
        session = top / f"Session{dialog[4]}"
        labels, texts, wavs = (
            session / "dialog/EmoEvaluation",
            session / "dialog/transcriptions",
            session / f"sentences/wav/{dialog}",
        )
        for folder in (labels / "Categorical", labels / "Attribute", labels / "Self-evaluation", texts, wavs):
            folder.mkdir(parents=True, exist_ok=True)
        (labels / f"{dialog}.txt").write_text(_label_lines(spoken))
        (labels / f"Categorical/{dialog}_e2_cat.txt").write_text(f"{spoken[0].name} :Anger; ()\n")
        (labels / f"Attribute/{dialog}_e2_atr.txt").write_text(f"[1 - 2]\t{spoken[0].name}\tang\t[1, 1, 1]\n")
        (texts / f"{dialog}.txt").write_text(_transcription_lines(spoken))
        for turn in spoken:
            os.link(tiny, wavs / f"{turn.name}.wav")
        if leftovers:
            (labels / f"._{dialog}.txt").write_bytes(b"\x00\x05\x16\x07[\xb0\x00\n[1 - 2]\tbroken\n")
            (texts / f"._{dialog}.txt").write_bytes(b"\x00\x05\x16\x07\xff")
            (wavs / f"._{spoken[0].name}.wav").write_bytes(b"\x00\x05\x16\x07")
            (labels / ".DS_Store").write_bytes(b"\x00Bud1")
    return top
