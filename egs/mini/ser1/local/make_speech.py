"""Make the mini corpus: emotional utterances spoken by eSpeak NG, on disk like IEMOCAP.

Ten speakers in five sessions speak improvised and scripted dialogs.  An emotion changes pitch,
range, rate, effort and loudness, with so much spread that the classes overlap.  Same options,
same bytes::

    python local/make_speech.py --out downloads/mini --seed 1
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from espeak import RATE, Espeak, Prosody
from make_noise import coloured_noise, made_once
from tqdm import tqdm

from trnet.utils.errors import one_line_errors

MIN_SECONDS, MAX_SECONDS = 1.0, 2.5
CLASSES = ("ang", "hap", "neu", "sad")  # after merging exc into hap
VERSION = 1  # part of the stamp: raise it when the same options give other bytes


@dataclass(frozen=True)
class Speaker:
    """One voice: eSpeak voice, pitch in semitones, rate in wpm, level in dB, tilt in dB/octave."""

    name: str
    voice: str
    pitch: float
    rate: float
    level: float
    tilt: float


SPEAKERS = (
    Speaker("Ses01F", "en+f1", 0.0, 172, 1.0, 0.0),
    Speaker("Ses01M", "en-us+m3", 0.5, 165, -1.0, 0.3),
    Speaker("Ses02F", "en-us+f2", -1.0, 180, -3.0, 0.6),
    Speaker("Ses02M", "en-gb-scotland+m4", -0.5, 158, 2.5, 0.0),
    Speaker("Ses03F", "en-gb-scotland+f3", -1.5, 164, 0.0, -0.4),
    Speaker("Ses03M", "en-029+m1", 1.0, 176, -2.0, -0.3),
    Speaker("Ses04F", "en-gb-x-rp+f4", 1.0, 160, 3.0, -0.6),
    Speaker("Ses04M", "en-gb-x-gbclan+m6", 0.0, 184, 0.5, 0.2),
    Speaker("Ses05F", "en-us-nyc+f5", -0.5, 170, -1.5, 0.4),
    Speaker("Ses05M", "en-gb-x-gbcwmd+m2", 1.5, 168, 1.5, -0.2),
)


@dataclass(frozen=True)
class Manner:
    """How an emotion differs from neutral speech, at intensity 1.

    Attributes:
        word: the evaluators' name of the emotion.
        pitch: semitones.
        pitch_range: steps of eSpeak's 0 to 99 range setting.
        rate: factor.
        level, tilt: dB, and dB per octave above 500 Hz.
        vad: mean valence, activation and dominance, 1 to 5.
    """

    word: str
    pitch: float
    pitch_range: float
    rate: float
    level: float
    tilt: float
    vad: tuple[float, float, float]


MANNERS = {
    "neu": Manner("Neutral", 0.0, 0.0, 1.0, 0.0, 0.0, (3.0, 2.4, 2.6)),
    "ang": Manner("Anger", 0.6, 12.0, 1.15, 4.5, 2.2, (1.8, 3.8, 4.0)),
    "sad": Manner("Sadness", -2.3, -28.0, 0.83, -3.5, -1.8, (2.0, 2.0, 2.3)),
    "hap": Manner("Happiness", 3.6, 34.0, 1.05, 1.5, 0.3, (4.2, 3.3, 3.0)),
    "exc": Manner("Excited", 4.6, 40.0, 1.10, 2.5, 0.6, (4.3, 4.0, 3.4)),
    "fru": Manner("Frustration", 0.2, 4.0, 0.98, 2.0, 0.8, (2.1, 3.0, 3.2)),
    "xxx": Manner("Other", 0.5, 5.0, 1.0, 0.5, 0.2, (2.7, 2.8, 2.8)),
}
SPREAD = {"pitch": 1.0, "pitch_range": 9.0, "rate": 0.06, "level": 4.0, "tilt": 0.6}

IMPROVISED = """
I have been standing in this line for an hour. / You said the form was on the table. /
My brother is moving to the coast. / They called me back this morning. /
So this is the new apartment. / I never thought it would be today. /
She told me you would be here. / We can talk about it after dinner. /
Did you read the letter I sent? / Nobody knows what happens next. /
That was the last train home. / I left my bag at the counter. / Look at what they gave us. /
He wants to see everyone at noon. / It took them three weeks to answer. /
You have to hear this song. / There is someone at the door. / We drove all night to get there. /
I think the answer is on page nine. / Are you coming with us on Sunday?
"""
SCRIPTED = {
    "script01_1": """
How long have you been waiting? / Your mother kept the old chair. /
I saw the light from the road. / What did the doctor say to you? /
We were children in this house. / Give me the keys, please. / I know what you came to ask. /
The garden looks different now. / Tell me that it is not true. /
You always leave before the end. / He wrote to me every week. / Let us sit down for a minute.
""",
    "script02_2": """
Do you remember that summer? / The boat was gone when I came. / I would not change a thing. /
Why did you keep it a secret? / It is only a piece of paper. / They will be back by Friday. /
You could have told me before. / Come over here and look at it. / That is all that I can say. /
We made a promise, both of us. / I heard your voice on the stairs. / Nothing here belongs to me.
""",
}
IMPROVISED_DIALOGS = ("F_impro01", "M_impro02", "F_impro04")
SCRIPTED_SHARE = 0.4
CLASS_OFFSET = {"ang": 0, "hap": 1, "neu": 0, "sad": -1}
VARIATION = (0, 1, 0, 0, -1, 1, 0, -1, 0, 1)


@dataclass(frozen=True)
class Turn:
    """One utterance to speak: dialog, turn name, speaker, label and sentence."""

    dialog: str
    name: str
    speaker: Speaker
    label: str
    text: str


def sentences(text: str) -> list[str]:
    """Split one of the texts above at its slashes."""
    return [" ".join(sentence.split()) for sentence in text.split(" /")]


def class_counts(utts_per_emotion: int) -> dict[str, dict[str, int]]:
    """Return the utterances per speaker and class, exc counted as hap, by the size alone."""
    varied = utts_per_emotion >= 4
    return {
        speaker.name: {
            name: utts_per_emotion + varied * (CLASS_OFFSET[name] + VARIATION[(row + 3 * column) % len(VARIATION)])
            for column, name in enumerate(CLASSES)
        }
        for row, speaker in enumerate(SPEAKERS)
    }


def contract_lines(counts: dict[str, dict[str, int]]) -> str:
    """Return the counts in the YAML form of ``conf/contract.yaml``, without its comment."""
    rows = (", ".join(f"{name}: {n}" for name, n in row.items()) for row in counts.values())
    return "".join(f"{name}: {{{row}}}\n" for name, row in zip(counts, rows, strict=True))


def labels_of(row: int, utts_per_emotion: int) -> list[str]:
    """Return the labels the speaker of this row speaks, fru and xxx included, in fixed order."""
    counts = class_counts(utts_per_emotion)[SPEAKERS[row].name]
    labels = [name for name in CLASSES for _ in range(counts[name])]
    happy = [place for place, label in enumerate(labels) if label == "hap"]
    for place in happy[(len(happy) + row % 2) // 2 :]:
        labels[place] = "exc"
    left_out = ["fru"] * max(1, utts_per_emotion // 5) + ["xxx"] * max(1, utts_per_emotion // 10)
    return labels + left_out


def plan_session(session: int, utts_per_emotion: int, seed: int) -> list[Turn]:
    """Lay out the dialogs of one session (1 to 5): who says what, in speaking order."""
    rng = np.random.default_rng([seed, session])
    suffix = "b" if session == 5 else ""  # as some takes of the real corpus are named
    scripts = {"F_script01_1": "script01_1", f"M_script02_2{suffix}": "script02_2"}
    cast: dict[str, list[tuple[Speaker, str]]] = {}
    for row in (2 * session - 2, 2 * session - 1):
        labels = [str(label) for label in rng.permutation(labels_of(row, utts_per_emotion))]
        scripted = round(SCRIPTED_SHARE * len(labels))
        for place, label in enumerate(labels):
            names = tuple(scripts) if place < scripted else IMPROVISED_DIALOGS
            cast.setdefault(names[place % len(names)], []).append((SPEAKERS[row], label))
    turns = []
    for dialog in sorted(cast):
        lines = sentences(SCRIPTED[scripts[dialog]] if dialog in scripts else IMPROVISED)
        if dialog not in scripts:
            lines = [str(line) for line in rng.permutation(lines)]
        spoken = {"F": 0, "M": 0}
        for place, pick in enumerate(rng.permutation(len(cast[dialog]))):
            speaker, label = cast[dialog][pick]
            who = speaker.name[-1]
            full = f"Ses{session:02d}{dialog}"
            turn_name = f"{full}_{who}{spoken[who]:03d}"
            turns.append(Turn(full, turn_name, speaker, label, lines[place % len(lines)]))
            spoken[who] += 1
    return turns


def speak_turn(engine: Espeak, turn: Turn, rng: np.random.Generator) -> np.ndarray:
    """Speak one turn; samples of shape (n,), 16 kHz, 1.0 to 2.5 s, peak at most 0.9.

    Raises:
        EspeakError: if eSpeak NG does not know the voice.
    """
    manner, speaker = MANNERS[turn.label], turn.speaker
    drift = {name: spread * float(rng.standard_normal()) for name, spread in SPREAD.items()}
    force = float(rng.uniform(0.5, 1.3))  # from hardly noticeable to plain
    semitones = speaker.pitch + force * manner.pitch + drift["pitch"]
    rate = speaker.rate * manner.rate**force * (1.0 + drift["rate"])
    seed = int(rng.integers(1, 2**31 - 1))
    for _ in range(6):
        prosody = Prosody(
            rate=round(rate),
            pitch=round(50 + semitones * 50 / 12),
            pitch_range=round(48 + force * manner.pitch_range + drift["pitch_range"]),
            tilt=speaker.tilt + force * manner.tilt + drift["tilt"],
        )
        wave = engine.speak(turn.text, speaker.voice, prosody, seed)
        if MIN_SECONDS <= len(wave) / RATE <= MAX_SECONDS:
            break
        rate *= 0.92 if len(wave) < MIN_SECONDS * RATE else 1.08
    wave = np.pad(wave[: int(MAX_SECONDS * RATE)], (0, max(0, int(MIN_SECONDS * RATE) - len(wave))))
    level = -27.0 + speaker.level + force * manner.level + drift["level"]
    wave *= 10.0 ** (np.clip(level, -42.0, -15.0) / 20.0) / wave.std()
    floor = coloured_noise(len(wave), 1.0, rng) + 0.5 * coloured_noise(len(wave), 0.0, rng)
    wave += floor / floor.std() * wave.std() * 10.0 ** (-rng.uniform(40.0, 45.0) / 20.0)
    return wave * min(1.0, 0.9 / float(np.abs(wave).max()))


def judged(label: str, rng: np.random.Generator) -> tuple[str, list[str]]:
    """Make up three evaluators; return the mean [V, A, D] text and their lines."""
    words = [MANNERS[label].word] * 3
    if label == "xxx" or rng.random() < 0.4:
        words[2] = "Surprise"
    if label == "xxx":
        words[:2] = ["Neutral", "Frustration"]
    marks = rng.normal(MANNERS[label].vad, 0.6, size=(2, 3))
    scores = np.clip(np.rint(marks), 1, 5).astype(int)
    lines = [f"C-E{row + 2}:\t{word};\t()" for row, word in enumerate(words)]
    lines += [
        f"A-E{row + 2}:\tval {val}; act {act}; dom  {dom};\t()" for row, (val, act, dom) in enumerate(scores.tolist())
    ]
    return "[" + ", ".join(f"{mean:.4f}" for mean in scores.mean(axis=0)) + "]", lines


def write_session(root: Path, session: int, turns: list[Turn], seed: int, engine: Espeak, bar: tqdm) -> None:
    """Write the wavs, label files and transcriptions of one session below ``root``.

    Raises:
        OSError: if a file cannot be written.
        EspeakError: if eSpeak NG does not know a voice.
    """
    folder = root / f"Session{session}"
    labels, said, clock = {}, {}, {}
    for place, turn in enumerate(turns):
        rng = np.random.default_rng([seed, session, place])
        wave = speak_turn(engine, turn, rng)
        path = folder / "sentences" / "wav" / turn.dialog / f"{turn.name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wave, RATE, subtype="PCM_16")
        start = clock.get(turn.dialog, 6.2901) + float(rng.uniform(0.2, 1.2))
        end = clock[turn.dialog] = start + len(wave) / RATE
        means, evaluators = judged(turn.label, rng)
        labels.setdefault(turn.dialog, ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"])
        first = f"[{start:.4f} - {end:.4f}]\t{turn.name}\t{turn.label}\t{means}"
        labels[turn.dialog] += [first, *evaluators, ""]
        line = f"{turn.name} [{start:08.4f}-{end:08.4f}]: {turn.text}"
        said.setdefault(turn.dialog, []).append(line)
        bar.update()
    for kind, texts in (("EmoEvaluation", labels), ("transcriptions", said)):
        (folder / "dialog" / kind).mkdir(parents=True)
        for dialog, lines in texts.items():
            path = folder / "dialog" / kind / f"{dialog}.txt"
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_speech(root: Path, seed: int, utts_per_emotion: int) -> dict[str, dict[str, int]]:
    """Write the whole corpus below ``root`` and return its class counts."""
    sessions = {number: plan_session(number, utts_per_emotion, seed) for number in range(1, 6)}
    turns = sum(map(len, sessions.values()))
    with Espeak() as engine, tqdm(total=turns, desc="mini speech", unit="utt") as bar:
        for number, planned in sessions.items():
            write_session(root, number, planned, seed, engine, bar)
    return class_counts(utts_per_emotion)


@one_line_errors
def main() -> None:
    """Read the options, make the corpus unless it is there, print its counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--seed", type=int, default=1, help="0 or more")
    parser.add_argument("--utts-per-emotion", type=int, default=10, help="about, per speaker")
    args = parser.parse_args()
    if args.seed < 0 or args.utts_per_emotion < 1:
        parser.error("--seed must be 0 or more and --utts-per-emotion 1 or more")
    size = args.utts_per_emotion
    options = {"maker": "make_speech", "version": VERSION, "seed": args.seed, "size": size}
    if made_once(args.out, options, lambda root: make_speech(root, args.seed, size)):
        print(contract_lines(class_counts(size)), end="")


if __name__ == "__main__":
    sys.exit(main())
