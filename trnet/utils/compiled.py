"""Where PyTorch keeps what `torch.compile` made, so that a later process does not compile again."""

import functools
import os
import sys
import tempfile
from pathlib import Path


@functools.cache
def compile_cache() -> None:
    """Let inductor and Triton keep their code in ``XDG_CACHE_HOME`` or ``~/.cache``, unless the user named a folder.

    Both find it again by the code, the versions and the device. Nothing happens where no such folder can be made. Call
    it before the first compilation. PyTorch names a temporary folder as soon as it imports its compiler, as an
    optimizer does; that is not the user's.
    """
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trnet" / "inductor"
        root.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home
        return
    if os.access(root, os.W_OK):
        if _is_temporary(os.environ.get("TORCHINDUCTOR_CACHE_DIR", "")):
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(root)
        os.environ.setdefault("TRITON_CACHE_DIR", str(root / "triton"))


def _is_temporary(folder: str) -> bool:
    """Whether a folder is none, or the one that PyTorch takes by itself."""
    path = Path(folder)
    return not folder or (path.parent == Path(tempfile.gettempdir()) and path.name.startswith("torchinductor_"))


def cache_misses() -> int:
    """Graphs so far that this process compiled because inductor's cache did not have them."""
    dynamo = sys.modules.get("torch._dynamo.utils")  # not imported for this: it takes a second
    return 0 if dynamo is None else int(dynamo.counters["inductor"]["fxgraph_cache_miss"])
