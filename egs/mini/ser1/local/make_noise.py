"""Make two families of noises: one on disk like ESC-50, one like the noise part of MUSAN.

The families share no recording, no generator and no kind of sound: the first one is stationary
or slowly modulated, the second one speech-like, transient or tonal.  The same options give the
same bytes::

    python local/make_noise.py --esc-dir downloads/esc --musan-dir downloads/musan --seed 1
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from espeak import RATE as MUSAN_RATE
from espeak import Espeak, crowd
from tqdm import tqdm

from trnet.utils.errors import TrnetError, one_line_errors
from trnet.utils.stamp import read_stamp

STAMP = ".made.json"
VERSION = 2  # part of the stamp: raise it when the same options give other bytes
ESC_RATE, ESC_SECONDS = 44100, 5.0
ESC_SOURCES, ESC_TAKES = 5, "AB"  # recordings per category, clips cut from each
PEAK = 0.9
Rng = np.random.Generator


def made_once(out: Path, options: dict[str, object], build: Callable[[Path], object]) -> bool:
    """Fill a folder completely or not at all.

    ``build`` writes into ``<out>.partial``, which takes the place of ``out`` when it is done;
    ``out/.made.json`` then holds the options.  A folder made with the same options is kept.

    Args:
        out: the folder to make.
        options: what its content depends on, JSON values.
        build: called with the folder to write into.

    Returns:
        True if the folder was made, False if it was there already.

    Raises:
        TrnetError: if ``out`` holds something that was not made here.
    """
    stamp = out / STAMP
    if read_stamp(stamp) == options:
        print(f"{out} is complete: nothing to do")
        return False
    if out.exists() and not stamp.is_file() and (not out.is_dir() or any(out.iterdir())):
        raise TrnetError(f"{out}: was not made by this script; move it away, or choose another")
    partial = out.with_name(out.name + ".partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    build(partial)
    (partial / STAMP).write_text(json.dumps(options, indent=1) + "\n", encoding="utf-8")
    if out.exists():
        shutil.rmtree(out)
    partial.rename(out)
    return True


def coloured_noise(samples: int, exponent: float, rng: Rng) -> np.ndarray:
    """Return Gaussian noise with a power spectrum of 1/f**exponent and unit RMS, (samples,)."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum *= np.arange(1, len(spectrum) + 1) ** (-exponent / 2.0)
    noise = np.fft.irfft(spectrum, samples)
    return noise / noise.std()


def band_noise(samples: int, rate: int, low: float, high: float, rng: Rng) -> np.ndarray:
    """Return Gaussian noise between two frequencies in Hz, smooth edges, unit RMS, (samples,)."""
    freq = np.maximum(np.fft.rfftfreq(samples, 1.0 / rate), 1.0)
    gain = 1.0 / np.sqrt((1.0 + (low / freq) ** 6) * (1.0 + (freq / high) ** 6))
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) * gain, samples)
    return noise / noise.std()


def wander(samples: int, rate: int, hertz: float, rng: Rng) -> np.ndarray:
    """Return a smooth random curve from 0 to 1 that changes ``hertz`` times a second."""
    knots = rng.random(max(4, int(samples / rate * hertz) + 2))
    return np.interp(np.linspace(0, len(knots) - 1, samples), np.arange(len(knots)), knots)


def harmonics(phase: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum sines at multiples of a phase in radians (n,), one weight for each; shape (n,)."""
    return sum(weight * np.sin((k + 1) * phase) for k, weight in enumerate(weights))


def coloured(samples: int, rate: int, rng: Rng) -> np.ndarray:
    """Noise of any colour from white to brown."""
    return coloured_noise(samples, float(rng.uniform(0.0, 2.0)), rng)


def mains_hum(samples: int, rate: int, rng: Rng) -> np.ndarray:
    """Mains hum with harmonics over a little noise."""
    phase = 2 * np.pi * rng.choice([50.0, 60.0]) * np.arange(samples) / rate
    weights = rng.uniform(0.3, 1.0, 12) / np.arange(1, 13)
    return harmonics(phase, weights) + 0.15 * coloured_noise(samples, 0.8, rng)


def engine(samples: int, rate: int, rng: Rng) -> np.ndarray:
    """Harmonics of a wandering firing rate and noise that pulses with it."""
    low, high = np.sort(rng.uniform(25.0, 90.0, 2))
    phase = 2 * np.pi * np.cumsum(low + (high - low) * wander(samples, rate, 0.7, rng)) / rate
    tone = harmonics(phase, rng.uniform(0.1, 1.0, 20) / np.arange(1, 21) ** 0.7)
    return tone + (1.0 + np.sin(phase)) * band_noise(samples, rate, 150.0, 2500.0, rng)


def rain(samples: int, rate: int, rng: Rng) -> np.ndarray:
    """A hiss of many drops and some that stand out."""
    drops = rng.standard_normal(samples) * (rng.random(samples) < rng.uniform(60, 300) / rate)
    ring = rng.standard_normal(rate // 100) * np.exp(-np.arange(rate // 100) / (0.0015 * rate))
    near = np.convolve(drops, ring)[:samples]
    hiss = band_noise(samples, rate, float(rng.uniform(600, 1800)), 9000.0, rng)
    return hiss + rng.uniform(0.4, 1.2) * near / near.std()


def wind(samples: int, rate: int, rng: Rng) -> np.ndarray:
    """Low gusts with a faint whistle."""
    gust = wander(samples, rate, float(rng.uniform(0.5, 1.5)), rng) ** 2
    rumble = band_noise(samples, rate, 30.0, float(rng.uniform(200, 500)), rng)
    pitch = float(rng.uniform(500, 1200))
    whistle = band_noise(samples, rate, pitch * 0.9, pitch * 1.1, rng)
    return (0.1 + gust) * rumble + 0.25 * gust**2 * whistle


def surf(samples: int, rate: int, rng: Rng) -> np.ndarray:
    """Pink noise in slow swells."""
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * rng.uniform(0.15, 0.4) * np.arange(samples) / rate)
    return (0.12 + swell**1.5) * coloured_noise(samples, float(rng.uniform(0.7, 1.2)), rng)


def rotor(samples: int, rate: int, rng: Rng) -> np.ndarray:
    """Low noise chopped ten to twenty times a second."""
    turns = rng.uniform(10.0, 20.0) * np.arange(samples) / rate
    chop = np.exp(-float(rng.uniform(3.0, 6.0)) * (turns % 1.0))
    return chop * band_noise(samples, rate, 40.0, float(rng.uniform(500, 1500)), rng)


def fan(samples: int, rate: int, rng: Rng) -> np.ndarray:
    """Broad airflow with a faint blade tone."""
    phase = 2 * np.pi * rng.uniform(90.0, 280.0) * np.arange(samples) / rate
    flow = band_noise(samples, rate, 100.0, float(rng.uniform(2500, 7000)), rng)
    return flow + rng.uniform(0.05, 0.3) * harmonics(phase, 1.0 / np.arange(1, 7))


def clicks(samples: int, rate: int, rng: Rng) -> np.ndarray:
    """Irregular short bursts over an almost silent room."""
    wave = 0.01 * coloured_noise(samples, 1.0, rng)
    for start in rng.integers(0, samples - rate // 2, int(samples / rate * rng.uniform(3, 8))):
        size = int(rng.uniform(0.004, 0.12) * rate)
        burst = coloured_noise(size, float(rng.uniform(-0.5, 0.8)), rng)
        wave[start : start + size] += rng.uniform(0.2, 1.0) * burst * np.linspace(1, 0, size) ** 2
    return wave


def knocks(samples: int, rate: int, rng: Rng) -> np.ndarray:
    """Groups of knocks on wood: damped resonances."""
    wave = 0.01 * coloured_noise(samples, 1.0, rng)
    time = np.arange(rate // 5) / rate
    modes = rng.uniform(90.0, 700.0, 4)
    thud = sum(np.sin(2 * np.pi * mode * time) * np.exp(-time * mode / 8) for mode in modes)
    place = float(rng.uniform(0.1, 0.6))
    while place < samples / rate - 0.3:
        for _knock in range(int(rng.integers(2, 6))):
            start = int(place * rate)
            if start + len(thud) < samples:
                wave[start : start + len(thud)] += rng.uniform(0.5, 1.0) * thud
            place += float(rng.uniform(0.15, 0.3))
        place += float(rng.uniform(0.5, 1.5))
    return wave


def siren(samples: int, rate: int, rng: Rng) -> np.ndarray:
    """A tone that sweeps up and down, with two overtones and a faint echo of the street."""
    time = np.arange(samples) / rate
    sweep = 0.5 - 0.5 * np.cos(2 * np.pi * rng.uniform(0.2, 2.5) * time)
    low = float(rng.uniform(400, 800))
    phase = 2 * np.pi * np.cumsum(low * rng.uniform(1.6, 2.6) ** sweep) / rate
    tone = harmonics(phase, np.array([1.0, 0.4, 0.2]))
    return tone + 0.5 * np.roll(tone, int(0.11 * rate)) + 0.02 * coloured_noise(samples, 1.0, rng)


def chirps(samples: int, rate: int, rng: Rng) -> np.ndarray:
    """Bird-like short sweeps between 2 and 6 kHz."""
    wave = 0.01 * coloured_noise(samples, 1.0, rng)
    for start in rng.integers(0, samples - rate // 2, int(samples / rate * rng.uniform(2, 5))):
        size = int(rng.uniform(0.05, 0.3) * rate)
        pitch = np.geomspace(*rng.uniform(2000.0, 6000.0, 2), size)
        call = np.sin(2 * np.pi * np.cumsum(pitch) / rate) * np.hanning(size)
        wave[start : start + size] += rng.uniform(0.3, 1.0) * call
    return wave


def chords(samples: int, rate: int, rng: Rng) -> np.ndarray:
    """Plucked chords of a simple progression."""
    wave = 0.005 * coloured_noise(samples, 1.0, rng)
    beat = int(rng.uniform(0.35, 0.9) * rate)
    root = float(rng.uniform(110.0, 220.0))
    for start in range(0, samples - 1, beat):
        size = min(2 * beat, samples - start)
        time = np.arange(size) / rate
        step = int(rng.choice([0, 5, 7, 9]))
        for note in (0, int(rng.choice([3, 4])), 7, 12):
            phase = 2 * np.pi * root * 2.0 ** ((step + note) / 12) * time
            sound = harmonics(phase, 1.0 / np.arange(1, 7) ** 1.2)
            wave[start : start + size] += sound * np.exp(-3.0 * time)
    return wave


def fax(samples: int, rate: int, rng: Rng) -> np.ndarray:
    """A fax machine: a warbling carrier whose sidebands hiss, in passages and pauses."""
    carrier = float(rng.uniform(1200.0, 2400.0))
    steps = np.repeat(rng.choice([-1.0, 1.0], samples // (rate // 300) + 1), rate // 300)[:samples]
    tone = np.sin(2 * np.pi * np.cumsum(carrier + rng.uniform(100, 400) * steps) / rate)
    passage = 0.05 + (wander(samples, rate, 2.0, rng) > 0.35)
    return passage * (tone + 0.7 * band_noise(samples, rate, carrier * 0.4, carrier * 2.2, rng))


def thunder(samples: int, rate: int, rng: Rng) -> np.ndarray:
    """Rolling low rumble with crackle on top of its claps."""
    roll = wander(samples, rate, float(rng.uniform(2.0, 5.0)), rng) ** 2
    crackle = roll**3 * band_noise(samples, rate, 300.0, 4000.0, rng)
    return (0.05 + roll) * coloured_noise(samples, 2.2, rng) + 0.5 * crackle


def rustle(samples: int, rate: int, rng: Rng) -> np.ndarray:
    """Paper: bright noise that flutters in strokes."""
    flutter = wander(samples, rate, float(rng.uniform(12.0, 30.0)), rng) ** 2
    stroke = 0.1 + wander(samples, rate, 1.5, rng)
    return flutter * stroke * band_noise(samples, rate, float(rng.uniform(900, 2000)), 7500.0, rng)


MATCHED = (coloured, mains_hum, engine, rain, wind, surf, rotor, fan)
UNMATCHED = (crowd, rustle, siren, thunder, knocks, fax, chords, rustle, clicks, thunder, chirps, fax)
CONTINUOUS = (crowd, siren, chords)  # what MUSAN's ANNOTATIONS calls background noises
UNMATCHED_FILES, SOUND_BIBLE_EVERY = 24, 6  # every sixth file goes to sound-bible


def levelled(wave: np.ndarray, rng: Rng) -> np.ndarray:
    """Scale a wave (n,) to a random level of -30 to -16 dBFS RMS, its peak to 0.9 at most."""
    wave = wave - wave.mean()
    wave = wave * 10.0 ** (rng.uniform(-30.0, -16.0) / 20.0) / wave.std()
    return wave * min(1.0, PEAK / float(np.abs(wave).max()))


def make_esc(root: Path, seed: int) -> int:
    """Write the matched family below ``root`` like ESC-50; return the number of clips."""
    (root / "meta").mkdir()
    (root / "audio").mkdir()
    rows = []
    size = int(ESC_RATE * ESC_SECONDS)
    for target, maker in enumerate(tqdm(MATCHED, desc="matched noise", unit="category")):
        for fold in range(1, ESC_SOURCES + 1):
            rng = np.random.default_rng([seed, 50, target, fold])
            source = 100000 + 100 * target + fold
            recording = levelled(maker(size * len(ESC_TAKES), ESC_RATE, rng), rng)
            for place, take in enumerate(ESC_TAKES):
                name = f"{fold}-{source}-{take}-{target}.wav"
                clip = recording[place * size : (place + 1) * size]
                soundfile.write(root / "audio" / name, clip, ESC_RATE, subtype="PCM_16")
                rows.append((name, fold, target, maker.__name__, False, source, take))
    header = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
    with (root / "meta" / "esc50.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *sorted(rows)])
    return len(rows)


def make_musan(root: Path, seed: int) -> int:
    """Write the unmatched family below ``root`` like MUSAN's noise part; return its files.

    Raises:
        EspeakError: if the babble cannot be spoken.
    """
    files = {"free-sound": 0, "sound-bible": 0}
    background = []
    for part in files:
        (root / "noise" / part).mkdir(parents=True)
    with Espeak() as speech:
        for place in tqdm(range(UNMATCHED_FILES), desc="unmatched noise", unit="file"):
            rng = np.random.default_rng([seed, 16, place])
            part = "sound-bible" if place % SOUND_BIBLE_EVERY == 5 else "free-sound"
            maker = UNMATCHED[place % len(UNMATCHED)]
            size = int(rng.uniform(6.0, 16.0) * MUSAN_RATE)
            source = speech if maker is crowd else MUSAN_RATE
            wave = levelled(maker(size, source, rng), rng)
            name = f"noise-{part}-{files[part]:04d}"
            path = root / "noise" / part / f"{name}.wav"
            soundfile.write(path, wave, MUSAN_RATE, subtype="PCM_16")
            files[part] += 1
            if part == "free-sound" and maker in CONTINUOUS:
                background.append(f"{name}\n")
    header = "The following files are background noises:\n"
    annotations = root / "noise" / "free-sound" / "ANNOTATIONS"
    annotations.write_text(header + "".join(background), encoding="utf-8")
    return UNMATCHED_FILES


@one_line_errors
def main() -> None:
    """Read the options and make what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--esc-dir", type=Path, required=True, help="folder of the matched family")
    parser.add_argument("--musan-dir", type=Path, required=True, help="of the unmatched family")
    parser.add_argument("--seed", type=int, default=1, help="0 or more")
    args = parser.parse_args()
    if args.seed < 0:
        parser.error("--seed must be 0 or more")
    for out, build in ((args.esc_dir, make_esc), (args.musan_dir, make_musan)):
        options = {"maker": build.__name__, "version": VERSION, "seed": args.seed}
        if made_once(out, options, lambda root, build=build: build(root, args.seed)):
            print(f"{out} made")


if __name__ == "__main__":
    sys.exit(main())
