"""Checkpoints of asteroid's ``DCCRNet``, such as JorisCos/DCCRNet_Libri1Mix_enhsingle_16k.

The format is that of asteroid's ``BaseModel.serialize`` (github.com/asteroid-team/asteroid, MIT), a dict with
``model_name``, ``model_args`` and ``state_dict``.
"""

from typing import Any

from torch import Tensor

from trnet.frontend.checkpoint import mismatch, state_of
from trnet.frontend.dccrn.transform import FilterBank
from trnet.utils.errors import TrnetError

_ARGS = {
    "architecture": "architecture",
    "stft_n_filters": "n_fft",
    "stft_kernel_size": "window",
    "stft_stride": "hop",
    "sample_rate": "sample_rate",
}
_BOUNDS = {"tanh": "tanh", "BDT": "tanh", "sigmoid": "sigmoid", "BDSS": "sigmoid", "UBD": "none", None: "none"}


def asteroid_parts(loaded: dict[str, Any], path: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """:class:`DccrnConfig` fields and state_dict of a checkpoint of asteroid's. TrnetError if it is another model's."""
    where = f"checkpoint {path}"
    if loaded["model_name"] != "DCCRNet":
        raise TrnetError(f"{where}: it is of asteroid's {loaded['model_name']!r}: give one of DCCRNet")
    args = loaded.get("model_args")
    if not isinstance(args, dict):
        raise TrnetError(f"{where}: no dict 'model_args' in it: give the file that asteroid writes")
    optional = {key: args[key] for key in ("mask_bound", "n_freqs", "n_src") if key in args}
    if faults := mismatch((*_ARGS, *optional), args):
        raise TrnetError(f"{where}: model_args: {faults}: give a DCCRNet saved by asteroid 0.4 or later")
    conf = {ours: args[theirs] for theirs, ours in _ARGS.items()}
    for key in ("sample_rate", "n_fft", "window", "hop"):
        if isinstance(conf[key], float) and conf[key].is_integer():
            conf[key] = int(conf[key])  # asteroid's sampling rates are floats
        if not isinstance(conf[key], int) or conf[key] < 1:
            raise TrnetError(f"{where}: model_args: {key} is {conf[key]!r}: it has to be a whole number above 0")
    bound = args.get("mask_bound", "tanh")
    if bound not in tuple(_BOUNDS):
        raise TrnetError(f"{where}: model_args.mask_bound is {bound!r}: the known ones are tanh, sigmoid and None")
    if (speakers := args.get("n_src", 1)) != 1:
        raise TrnetError(f"{where}: model_args.n_src is {speakers!r}: give a model of one speaker")
    if (bins := args.get("n_freqs", conf["n_fft"] // 2)) != conf["n_fft"] // 2:
        raise TrnetError(f"{where}: model_args.n_freqs is {bins!r}: it has to be half of stft_n_filters")
    state = state_of(loaded, path, "state_dict")
    for side in ("encoder", "decoder"):  # early files of asteroid lack the window, which depends on the sizes only
        key = f"{side}.filterbank.torch_window"
        if key not in state:
            state[key] = FilterBank(conf["n_fft"], conf["window"], conf["hop"]).torch_window
    return conf | {"mask_bound": _BOUNDS[bound], "pad_ends": False}, state
