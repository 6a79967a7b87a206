"""A front-end inside a packed model: its name, options and weights, or the package that holds the weights."""

from pathlib import Path

import torch

from trnet.deploy.archive import FRONTEND, brief
from trnet.deploy.metadata import COMPARED, PackedFrontEnd
from trnet.deploy.tensors import read_tensors, write_tensors
from trnet.frontend import FRONTENDS, FrontEnd, build_frontend
from trnet.frontend.own_code import named_in_errors
from trnet.utils.errors import TrnetError, first_line
from trnet.utils.state_dict import misfits

HARMLESS = ("none", "gtcrn", "cmgan", "dccrn", "dpt_fsnet", "nsnet2", "deepfilternet", "rnnoise")
"""Front-ends that run no code but trnet's and that of a pinned package; others ask for trust."""


def pack_frontend(frontend: FrontEnd) -> tuple[PackedFrontEnd, bytes | None]:
    """The section of a front-end in a model file, and its weights (safetensors) where they go into the file.

    Raises:
        TrnetError: If the front-end reads audio from disk, or is one of another toolkit with a local model.
    """
    if frontend.needs_ids:
        raise TrnetError(f"front-end {frontend.name}: knows listed utterances only; a packed model takes any audio")
    fingerprint = frontend.fingerprint()
    untrained = frontend.untrained_conf()
    if untrained is not None:
        conf = {key: value for key, value in untrained.items() if key not in ("checkpoint", "init")}
        packed = PackedFrontEnd(conf=conf, fingerprint=fingerprint, weights=FRONTEND)
        return packed, write_tensors(frontend.state_dict())
    paths = [frontend.conf[key] for key in frontend.path_options if frontend.conf.get(key) is not None]
    if any(Path(str(path)).exists() for path in paths):
        raise TrnetError(
            f"front-end {frontend.name}: its model {paths[0]} is a file here, which a packed model cannot name; "
            "use one of a hub, or a front-end of trnet's own"
        )
    return PackedFrontEnd(conf=frontend.conf, fingerprint=fingerprint, weights=frontend.package), None


def unpack_frontend(packed: PackedFrontEnd, weights: bytes | None, name: str, trust: bool = False) -> FrontEnd:
    """The front-end that `pack_frontend` packed. TrnetError if it cannot be built, needs trust, or is another."""
    kind, conf, fingerprint = packed.name, packed.conf, packed.fingerprint
    if kind not in HARMLESS and not trust:
        what = "a model of another toolkit" if kind in FRONTENDS else "a Python class that is not trnet's own"
        raise TrnetError(
            f"{name}: its front-end {kind} is {what}, whose code would run; give --trust if you trust the model"
        )
    if strays := sorted({"checkpoint", "init"} & conf.keys()):
        raise TrnetError(f"{name}: frontend_conf.{strays[0]} is not for a packed model; pack it again")
    if weights is not None:
        config = {"frontend": kind, "frontend_conf": conf | {"init": "random"}}
        state = read_tensors(weights, f"{name}: {packed.weights}")
        try:
            with torch.device("meta"):  # shapes alone: what the weights do not fill is not allocated
                outline = build_frontend(config)
        except (RuntimeError, TypeError, ValueError, ArithmeticError) as error:  # sizes that PyTorch cannot count
            raise TrnetError(f"{name}: no {kind} has such sizes ({brief(first_line(error))}); pack it again") from None
        if faults := misfits(outline, state):
            raise TrnetError(f"{name}: {packed.weights} does not fit {kind} ({faults}); pack it again")
        frontend = build_frontend(config)
        frontend.load_state_dict(state)
        frontend.conf, frontend.checkpoint_sha256 = fingerprint.get("conf", conf), fingerprint["checkpoint_sha256"]
    else:
        frontend = build_frontend({"frontend": kind, "frontend_conf": conf})
    with named_in_errors(kind, "give its fingerprint"):
        here = frontend.fingerprint()
    if changed := [key for key in COMPARED if here[key] != fingerprint[key]]:
        key = changed[0]
        raise TrnetError(
            f"{name}: was packed with another front-end {kind} than is installed ({key} {brief(fingerprint[key])}, "
            f"here {here[key]}); install what it names, or pack the model again"
        )
    return frontend
