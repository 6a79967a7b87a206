"""A small ctypes wrapper around the eSpeak NG library of the ``espeakng-loader`` wheel.

Only what the mini recipe needs: text and a few prosody settings in, trimmed 16 kHz samples out.
The library keeps global state: one process holds one engine, and the exact samples depend on
what it spoke before.  A process that speaks the same things in the same order repeats itself.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from trnet.utils.errors import TrnetError, missing_package

try:
    import espeakng_loader
    import soxr
except ModuleNotFoundError as error:
    raise SystemExit(f"error: {missing_package(error.name or 'espeakng-loader', 'mini')}") from None

RATE = 16000  # sample rate of everything returned here, Hz
CROWD_VOICES = ("en+m7", "en+m8", "en+adam", "en+max", "en-us+paul", "en+belinda", "en-us+linda",
                "en+steph", "en-gb-x-rp+anika", "en-029+shelby")  # fmt: skip
CROWD_TEXTS = (
    "The market opens at half past eight on weekdays, and closes at four.",
    "Add two spoons of flour, stir it slowly, and wait until it thickens.",
    "The bridge was closed for repairs, so the buses took the river road.",
    "Seven of the twelve samples were measured again on the second day.",
    "Turn left behind the library, then follow the wall to the yellow gate.",
    "The museum shows maps, coins and tools from the old harbour town.",
)
_OUTPUT_SYNCHRONOUS = 2  # espeak_Synth returns when the last callback has been made
_INIT_DONT_EXIT = 0x8000  # report a missing data folder instead of ending the process
_CHARS_UTF8 = 1
_POS_CHARACTER = 1
_PARAM_RATE, _PARAM_VOLUME, _PARAM_PITCH, _PARAM_RANGE = 1, 2, 3, 4
_MAX_DATA_PATH = 150  # the library copies the path into a fixed buffer of 160 bytes
_SYNTH_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class EspeakError(TrnetError):
    """eSpeak NG refused a call."""


@dataclass(frozen=True)
class Prosody:
    """How a sentence is spoken.

    Attributes:
        rate: speaking rate in words per minute, 80 to 450.
        pitch: base pitch, 0 to 99; 50 is the voice's own, 50 steps are one octave.
        pitch_range: liveliness of the pitch contour, 0 (monotone) to 99; 50 is normal.
        volume: synthesiser volume, 0 to 100; above 100 the library itself may clip.
        tilt: vocal effort, in dB per octave above 500 Hz, applied to the library's samples.
    """

    rate: int = 175
    pitch: int = 50
    pitch_range: int = 50
    volume: int = 70
    tilt: float = 0.0

    def clipped(self) -> Prosody:
        """Return a copy with every value inside the range the library accepts."""
        return Prosody(
            rate=int(np.clip(self.rate, 80, 450)),
            pitch=int(np.clip(self.pitch, 0, 99)),
            pitch_range=int(np.clip(self.pitch_range, 0, 99)),
            volume=int(np.clip(self.volume, 0, 100)),
            tilt=self.tilt,
        )


class Espeak:
    """The synthesiser, opened once per process.

    Use as a context manager::

        with Espeak() as engine:
            wave = engine.speak("Excuse me.", "en+f2", Prosody(rate=160), seed=1)

    Raises:
        EspeakError: if the library or its voice data cannot be opened.
    """

    def __init__(self) -> None:
        data_path = str(espeakng_loader.get_data_path()).encode()
        if len(data_path) > _MAX_DATA_PATH:
            raise EspeakError(
                f"the voice data path has {len(data_path)} bytes, eSpeak NG allows "
                f"{_MAX_DATA_PATH}: put the Python environment in a shorter path"
            )
        self._lib = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        self._libc = ctypes.CDLL(None)
        self._chunks: list[np.ndarray] = []
        self._callback = _SYNTH_CALLBACK(self._collect)  # kept: the library holds the pointer
        self._lib.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        self._lib.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        self._rate = int(self._lib.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, data_path, _INIT_DONT_EXIT))
        if self._rate <= 0:
            raise EspeakError("eSpeak NG found no voice data in the espeakng-loader wheel")
        self._lib.espeak_SetSynthCallback(self._callback)
        self._voice = ""

    def _collect(self, samples: ctypes._Pointer, count: int, _events: int | None) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0

    def speak(self, text: str, voice: str, prosody: Prosody, seed: int) -> np.ndarray:
        """Speak one sentence.

        Args:
            text: the sentence.
            voice: a voice with an optional variant, for example ``en-us+m3``; the library
                silently ignores a variant it does not have.
            prosody: how to speak it; values out of range are clipped.
            seed: seed of the library's random sources (aspiration, flutter).

        Returns:
            Samples, shape (n,), float64, about -1 to 1, at 16 kHz, silence at the ends cut.

        Raises:
            EspeakError: if the voice is unknown or nothing was spoken.
        """
        if voice != self._voice:
            if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
                raise EspeakError(f"eSpeak NG knows no voice {voice!r}")
            self._voice = voice
        settings = prosody.clipped()
        for parameter, value in (
            (_PARAM_RATE, settings.rate),
            (_PARAM_VOLUME, settings.volume),
            (_PARAM_PITCH, settings.pitch),
            (_PARAM_RANGE, settings.pitch_range),
        ):
            self._lib.espeak_SetParameter(parameter, value, 0)
        self._lib.espeak_ng_SetRandSeed(seed)
        self._libc.srand(seed)
        self._chunks = []
        encoded = text.encode()
        status = self._lib.espeak_Synth(encoded, len(encoded) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None)
        if status != 0 or not self._chunks:
            raise EspeakError(f"eSpeak NG did not speak {text!r} (status {status})")
        wave = np.concatenate(self._chunks).astype(np.float64) / 32768.0
        wave = soxr.resample(trim_silence(wave, self._rate), self._rate, RATE)
        return tilted(wave, settings.tilt) if settings.tilt else wave

    def close(self) -> None:
        """Release the library's buffers."""
        self._lib.espeak_Terminate()

    def __enter__(self) -> Espeak:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def trim_silence(wave: np.ndarray, rate: int, below_peak_db: float = 35.0, pad_s: float = 0.04) -> np.ndarray:
    """Cut leading and trailing silence.

    Args:
        wave: samples, shape (n,).
        rate: sample rate in Hz.
        below_peak_db: a sample this far below the peak counts as silent, in dB.
        pad_s: silence kept on either side, in seconds.

    Returns:
        The inner samples, shape (m,) with m <= n; the wave itself if it is all zeros.
    """
    level = np.abs(wave)
    peak = float(level.max(initial=0.0))
    if peak == 0.0:
        return wave
    loud = np.flatnonzero(level > peak * 10.0 ** (-below_peak_db / 20.0))
    pad = int(round(pad_s * rate))
    return wave[max(0, int(loud[0]) - pad) : int(loud[-1]) + 1 + pad]


def tilted(wave: np.ndarray, db_per_octave: float) -> np.ndarray:
    """Tilt the spectrum above 500 Hz.

    Args:
        wave: samples, shape (n,), at 16 kHz.
        db_per_octave: slope above 500 Hz, positive for a brighter sound.

    Returns:
        The filtered samples, shape (n,).
    """
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(wave), 1.0 / RATE), 500.0) / 500.0)
    gain = 10.0 ** (db_per_octave * octaves / 20.0)
    return np.fft.irfft(np.fft.rfft(wave) * gain, len(wave))


def crowd(samples: int, engine: Espeak, rng: np.random.Generator) -> np.ndarray:
    """Mix five to eight people who talk at once.

    Args:
        samples: length of the mixture, at 16 kHz.
        engine: the synthesiser.
        rng: source of the voices, texts, levels and pauses.

    Returns:
        The mixture, shape (samples,), of no particular level.

    Raises:
        EspeakError: if a sentence cannot be spoken.
    """
    mixture = np.zeros(samples)
    for voice in rng.choice(CROWD_VOICES, int(rng.integers(5, 9)), replace=False):
        manner = Prosody(rate=int(rng.integers(150, 200)), pitch=int(rng.integers(38, 62)))
        start = -int(rng.integers(0, RATE))
        gain = float(rng.uniform(0.5, 1.0))
        while start < samples:
            text = str(rng.choice(CROWD_TEXTS))
            spoken = engine.speak(text, str(voice), manner, int(rng.integers(1, 2**31 - 1)))
            first, last = max(start, 0), min(start + len(spoken), samples)
            if last > first:
                mixture[first:last] += gain / spoken.std() * spoken[first - start : last - start]
            start += len(spoken) + int(rng.uniform(0.05, 0.3) * RATE)
    return mixture
