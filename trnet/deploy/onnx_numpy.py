#!/usr/bin/env python3
"""Emotion of audio files by networks that `python -m trnet.bin.export` or `pack` wrote, without PyTorch.

    %(prog)s MODEL FILE...

One JSON object a file on stdout, as `trnet-predict --format jsonl` writes them; what fails is one line on stderr, and
the exit status is 1. Needs numpy, onnxruntime, soundfile, and soxr for files of another rate than the model's, and
nothing of trnet: this file can be copied elsewhere. A file is read as a whole: for hours of audio there is
trnet-predict, which also notices more damage. Here a WAV that was cut short is, and a file that decodes to less than
libsndfile says; not noticed are a cut file of another container, a second recording behind the first (of two files
joined by cat), and a WAV header of a stream that states no length.
"""

import argparse
import hashlib
import json
import math
import os
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import soundfile
from onnxruntime.capi import onnxruntime_pybind11_state as states

onnxruntime.disable_telemetry_events()  # nothing about anyone's audio or models leaves the machine
CANNOT = tuple(
    getattr(states, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
)
FEATURES: dict[str, type | tuple[type, ...]] = {
    "sample_rate": int,
    "num_mel_bins": int,
    "max_frames": int,
    "frame_length": (int, float),
    "frame_shift": (int, float),
    "low_freq": (int, float),
    "high_freq": (int, float),
    "window": str,
    "pad": str,
}
EXPORTED = ("none", "gtcrn", "dccrn", "cmgan", "dpt_fsnet")  # front-ends that python -m trnet.bin.export writes
NEEDS_PYTORCH = "only trnet-predict with the packed model (trnet and PyTorch installed) answers by it"
SILENCE_RMS = 1e-5  # -100 dB of full scale
RATES = (1_000, 1_000_000)  # Hz, of recordings
CANCELLED = 0.01  # of the power that channels without anything in common leave in their mean
FLOOR = float(np.finfo(np.float32).eps)  # of mel energies


class Unusable(Exception):
    """A file that cannot be predicted; its message says why."""


def resample(wav: np.ndarray, rates: tuple[int, int]) -> np.ndarray:
    """(n,) at one of two rates, Hz, to the other: ceil(n * new / old) samples, as trnet-predict has them."""
    old, new = rates
    if old == new:
        return wav
    try:
        import soxr
    except ImportError:
        raise Unusable(f"is at {old} Hz, not {new}; install soxr (pip install soxr), or convert it") from None
    padded = np.pad(wav, (0, math.ceil(old / new) + 1))  # soxr alone rounds the length
    return soxr.resample(padded, old, new, quality="HQ")[: -(-len(wav) * new // old)]


def frame_window(kind: str, size: int) -> np.ndarray:
    """Kaldi's window of a frame, (size,)."""
    angle = 2 * np.pi * np.arange(size) / (size - 1)
    hann = 0.5 - 0.5 * np.cos(angle)
    return {
        "povey": hann**0.85,
        "hanning": hann,
        "hamming": 0.54 - 0.46 * np.cos(angle),
        "rectangular": np.ones(size),
        "blackman": 0.42 - 0.5 * np.cos(angle) + 0.08 * np.cos(2 * angle),
    }[kind]


def mel_bank(conf: Mapping[str, Any], n_fft: int) -> np.ndarray:
    """Triangles even on the mel scale, (mels, n_fft / 2 + 1)."""

    def mel(hertz: Any) -> Any:
        return 1127 * np.log(1 + hertz / 700)

    rate = conf["sample_rate"]
    low, high = mel(conf["low_freq"]), mel(conf["high_freq"] or rate / 2)
    edges = np.linspace(low, high, conf["num_mel_bins"] + 2)[:, None]
    place = mel(np.arange(n_fft // 2) * rate / n_fft)[None, :]
    rising = (place - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - place) / (edges[2:] - edges[1:-1])
    return np.pad(np.maximum(0, np.minimum(rising, falling)), ((0, 0), (0, 1)))  # nothing at half the rate


def log_mels(wav: np.ndarray, conf: Mapping[str, Any]) -> np.ndarray:
    """Kaldi's log mel filter banks without dither, (frames, mels) float32, of samples (n,) in [-1, 1]."""
    size = round(conf["frame_length"] * conf["sample_rate"] / 1000)
    shift = round(conf["frame_shift"] * conf["sample_rate"] / 1000)
    if len(wav) < size:
        raise Unusable(f"is shorter than a frame of {conf['frame_length']:g} ms")
    frames = np.lib.stride_tricks.sliding_window_view(wav.astype(np.float64) * 32768, size)[::shift]
    frames = frames[: conf["max_frames"]]
    frames = frames - frames.mean(axis=1, keepdims=True)
    frames = frames - 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    n_fft = 1 << (size - 1).bit_length()
    power = np.abs(np.fft.rfft(frames * frame_window(conf["window"], size), n_fft)) ** 2
    return np.log(np.maximum(power @ mel_bank(conf, n_fft).T, FLOOR)).astype(np.float32)


def read_mono(file: Path) -> tuple[np.ndarray, int]:
    """Samples (n,), the mean of all channels, and their rate in Hz."""
    if not file.is_file():
        raise Unusable("is no regular file" if file.exists() else "no such file")
    try:
        stated = soundfile.info(os.fsencode(file))
        samples, rate = soundfile.read(os.fsencode(file), dtype="float32", always_2d=True)
        cut = is_cut_wav(file)
    except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError, OSError) as error:
        raise Unusable(f"is no audio that libsndfile reads ({_line(error)})") from None
    if not RATES[0] <= rate <= RATES[1]:
        raise Unusable(f"states {rate} Hz, which no recording has")
    if not len(samples) or not np.isfinite(samples).all():
        raise Unusable("holds NaN or infinite samples" if len(samples) else "holds no samples")
    if cut or (stated.format != "MP3" and len(samples) < stated.frames):
        raise Unusable("holds less audio than its header states; fetch it again")
    mono, channels = samples.mean(axis=1), samples.shape[1]
    power = np.square(samples, dtype=np.float64).sum() / channels**2
    if channels > 1 and np.square(mono, dtype=np.float64).sum() < CANCELLED * power:
        raise Unusable(f"its {channels} channels cancel in their mean; give one of them")
    return mono, rate


def is_cut_wav(file: Path) -> bool:
    """Whether a RIFF WAV holds less than its header states; lengths of 2 GiB and more are those of streams."""
    size = file.stat().st_size
    with open(file, "rb") as stream:
        head = stream.read(12)
        while head[:4] == b"RIFF" and head[8:] == b"WAVE" and len(chunk := stream.read(8)) == 8:
            length = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"data":
                return stream.tell() + length > size and length < 0x7FFF0000
            stream.seek(length + length % 2, os.SEEK_CUR)
    return False


class Model:
    """The exported networks and their settings."""

    def __init__(self, read: Callable[[str], bytes], where: str, again: str = "export the model again") -> None:
        """read(name) gives the bytes of a file, which errors call `where` + name; `again` is what they advise."""
        self.read, self.where, self.again = read, where, again
        try:
            self.conf = json.loads(read("config.json"))
            if (self.conf["format"], self.conf["version"]) != ("trnet-onnx", 2):
                raise Unusable(f"{where}config.json: is not of trnet-onnx 2; {again}")
            self.features, self.classes = self.conf["features"], self.conf["classes"]
            frontend, graphs = self.conf["frontend"], self.conf["sha256"]
            if not all(isinstance(self.features[key], kind) for key, kind in FEATURES.items()):
                raise ValueError("features of another kind")
            self.temperature = self.conf.get("temperature", 1.0)  # that logits are divided by
            if not isinstance(self.temperature, int | float) or not 0.01 <= self.temperature <= 100:
                raise ValueError("the temperature is no number from 0.01 to 100")
            if not isinstance(self.classes, list) or len(set(map(str, self.classes))) != len(self.classes):
                raise ValueError("classes are no list of names")
            self.ser = self.session("ser.onnx")
            self.network = self.session("frontend.onnx") if "frontend.onnx" in graphs else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unusable(f"{where}config.json: is damaged ({error!r}); {again}") from None
        if self.network is None and frontend not in (None, "none"):
            raise Unusable(f"{where}config.json: the export is without the front-end {frontend}; {NEEDS_PYTORCH}")
        logits = self.ser.get_outputs()[0].shape[-1]
        if logits != len(self.classes):
            raise Unusable(f"{where}config.json: lists {len(self.classes)} classes for {logits} logits; {again}")

    @classmethod
    def of(cls, path: Path) -> "Model":
        """Of a folder that was exported, or of a packed model with graphs."""
        if path.is_dir():
            return cls(lambda name: _regular(path / name).read_bytes(), f"{path}/")
        try:
            _regular(path)
            with zipfile.ZipFile(path) as packed:
                files = {name[5:]: packed.read(name) for name in packed.namelist() if name.startswith("onnx/")}
                listed = json.loads(packed.read("manifest.json"))["entries"]
                frontend = json.loads(packed.read("model.json"))["frontend"] if not files else None
                frontend = frontend["fingerprint"]["name"] if frontend else "none"
            whole = all(hashlib.sha256(body).hexdigest() == listed[f"onnx/{n}"]["sha256"] for n, body in files.items())
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise Unusable(f"{path}: is neither an exported folder nor a packed model ({error})") from None
        if not whole:
            raise Unusable(f"{path}: its graphs are not what manifest.json says; fetch or pack it again")
        if not files:
            if frontend not in EXPORTED:
                raise Unusable(f"{path}: its front-end {frontend} has no ONNX graph; {NEEDS_PYTORCH}")
            advice = f"write them with: python -m trnet.bin.export {path} --out FOLDER, and give that FOLDER"
            raise Unusable(f"{path}: was packed without graphs; {advice}")
        return cls(files.__getitem__, f"{path}: onnx/", "fetch or pack the model again")

    def session(self, name: str) -> onnxruntime.InferenceSession:
        """A network, if it is the one that was exported with config.json, and holds all its weights itself."""
        graph = self.read(name)
        if hashlib.sha256(graph).hexdigest() != self.conf["sha256"][name]:
            raise Unusable(f"{self.where}{name}: is not what was exported with config.json; {self.again}")
        if b"location" in graph:  # the key, in ONNX, of the name of a file with weights
            raise Unusable(f"{self.where}{name}: has weights in other files; {self.again}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # more spin while they wait, and take the cores from NumPy
        options.log_severity_level = 4  # errors are reported once, by this file
        try:
            return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except CANNOT as error:
            raise Unusable(f"{self.where}{name}: {_line(error)}; {self.again}") from None

    def window(self, wav: np.ndarray) -> tuple[np.ndarray, float | None]:
        """Probabilities (classes,) and c (None where the system has none) of samples (n,) of one window."""
        try:
            return self._window(wav)
        except (*CANNOT, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise Unusable(f"the graphs cannot compute it ({_line(error)})") from None

    def _window(self, wav: np.ndarray) -> tuple[np.ndarray, float | None]:
        span = self.span()
        if self.features["pad"] == "repeat" and len(wav) < span:
            wav = np.resize(wav, span)
        inputs = {}
        for name in (given.name for given in self.ser.get_inputs()):
            clip = wav
            if name == "enhanced" and self.network is not None:
                peak = max(1.0, float(np.abs(wav).max()))
                clip = self.network.run(None, {"wav": (wav / peak)[None]})[0][0] * peak
            inputs[name] = log_mels(clip, self.features)[None]
        logits, *c = self.ser.run(None, inputs)
        odds = np.exp((logits[0] - logits[0].max()) / self.temperature)
        return odds / odds.sum(), float(c[0][0]) if c else None

    def span(self) -> int:
        """Samples of the longest window."""
        per_ms = self.features["sample_rate"] / 1000
        shift = round(self.features["frame_shift"] * per_ms)
        return round(self.features["frame_length"] * per_ms) + (self.features["max_frames"] - 1) * shift

    def predict(self, file: str) -> dict[str, Any]:
        """The prediction of a file: the mean over its windows, the last of them moved back, silent ones left out."""
        samples, rate = read_mono(Path(file))
        wav, span = resample(samples, (rate, self.features["sample_rate"])), self.span()
        starts = [*range(0, max(1, len(wav) - span), span), max(0, len(wav) - span)]
        pieces = [wav[start : start + span] for start in dict.fromkeys(starts)]
        loud = [piece for piece in pieces if np.sqrt(np.mean(piece.astype(np.float64) ** 2)) >= SILENCE_RMS]
        if not loud:
            raise Unusable("is silent from beginning to end")
        rows, cs = zip(*map(self.window, loud), strict=True)
        probs, classes = np.mean(rows, axis=0), self.classes
        c = None if cs[0] is None else float(np.mean(cs))
        return {
            "file": str(file),
            "seconds": round(len(wav) / self.features["sample_rate"], 6),
            "emotion": classes[int(probs.argmax())],
            "probabilities": {name: round(float(p), 6) for name, p in zip(classes, probs, strict=True)},
            "c": c if c is None else round(c, 6),
        }


def _regular(path: Path) -> Path:
    """The path, if no pipe or device is there, which might never end."""
    if path.exists() and not path.is_file():
        raise OSError("is no regular file")
    return path


def _line(error: Exception) -> str:
    """The message of an exception, in a line."""
    return " ".join(str(error).split())[:200]


def main(args: list[str] | None = None) -> int:
    """Write the prediction of each file; 1 if something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", type=Path, help="a folder of python -m trnet.bin.export, or a packed model with graphs"
    )
    parser.add_argument("files", nargs="+", help="audio files")
    opts = parser.parse_args(args)
    try:
        model = Model.of(opts.model)
    except Unusable as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    failed = 0
    for file in opts.files:
        try:
            print(json.dumps(model.predict(file)), flush=True)
        except Unusable as error:
            failed = 1
            shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in file)
            print(f"error: {shown}: {error}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main())
