"""C++ that is compiled where it runs: on first use, for this very processor, kept in the user's cache.

Only what PyTorch does too, slower, is written in C++, so a machine without a compiler does without.
"""

import ctypes
import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FLAGS = ("-std=c++17", "-O3", "-march=native", "-fPIC", "-shared")


@functools.cache
def load(source: Path) -> ctypes.CDLL | None:
    """The functions of a C++ file that are ``extern "C"``.

    ``CXX`` names the compiler, otherwise ``c++`` is it. What was compiled is found again by the source, the compiler
    and the processor, so homes that several machines share do no harm.

    Returns:
        None without a compiler, which is silent, or where it fails, which is said in a line.
    """
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    if not compiler or shutil.which(compiler[0]) is None:
        return None
    try:
        return ctypes.CDLL(str(_compiled(source, compiler)))
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", b"") or b"").decode(errors="replace").strip().splitlines()
        why = said[0] if said else error
        print(f"{source.name}: not compiled, PyTorch does its work ({why}); CXX= names no compiler", file=sys.stderr)
        return None


def _compiled(source: Path, compiler: list[str]) -> Path:
    """The library, compiled if it is not there yet."""
    asked = [*compiler, *FLAGS, "-x", "c++"]
    known = subprocess.run([*asked, "-dM", "-E", os.devnull], check=True, capture_output=True).stdout  # its own macros
    digest = hashlib.sha256(b"\0".join([source.read_bytes(), shlex.join(asked).encode(), known])).hexdigest()
    kept = _folder() / f"{source.stem}-{digest[:16]}.so"
    if not kept.is_file():
        with tempfile.TemporaryDirectory(dir=kept.parent) as made:
            new = Path(made) / kept.name
            subprocess.run([*asked, str(source), "-o", str(new)], check=True, capture_output=True)
            new.replace(kept)
    return kept


def _folder() -> Path:
    """Where libraries are kept: ``XDG_CACHE_HOME`` or ``~/.cache``."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trnet"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
