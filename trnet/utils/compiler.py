"""C++ that is compiled where it runs: on first use, for this very processor, kept in the user's cache.

Only what PyTorch does too, slower, is written in C++, so a machine without a compiler does without.
"""

import ctypes
import fcntl
import functools
import hashlib
import logging
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

logger = logging.getLogger(__name__)

FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared")
THIS_PROCESSOR = ("-march=native", "-mcpu=native")  # x86 and others; some compilers know but one of them
LONGEST_S = 300  # that a compiler may take
FAILED = (OSError, ValueError, RuntimeError, subprocess.SubprocessError)

_one_at_a_time = threading.Lock()


def load(source: Path) -> ctypes.CDLL | None:
    """The ``extern "C"`` functions of a C++ file; None without a compiler, or (logged) where it fails.

    ``CXX`` names the compiler, otherwise ``c++`` is it. What was compiled is found again by the source, the compiler
    and the processor, so homes that several machines share do no harm.
    """
    with _one_at_a_time:
        return _load(source, os.environ.get("CXX", "c++"))


@functools.cache
def _load(source: Path, named: str) -> ctypes.CDLL | None:
    try:
        compiler = shlex.split(named)
        if not compiler or shutil.which(compiler[0]) is None:
            return None
        command, known = _command(compiler)
        made_from = b"\0".join([source.read_bytes(), shlex.join(command).encode(), known])
        name = f"{source.stem}-{hashlib.sha256(made_from).hexdigest()[:16]}.so"
        if (folder := _cache()) is not None:
            return _kept(source, command, folder / name)
        with tempfile.TemporaryDirectory() as made:  # a library that is loaded needs its file no more
            return ctypes.CDLL(str(_compile(source, command, Path(made) / name)))
    except FAILED as error:
        lines = (getattr(error, "stderr", b"") or b"").decode(errors="replace").strip().splitlines()
        why = lines[0] if lines else error
        logger.warning("%s: PyTorch does its work, slower (%s); set CXX= to silence this", source.name, why)
        return None


def _command(compiler: list[str]) -> tuple[list[str], bytes]:
    """How to compile, and the macros that say which compiler and processor that is."""
    for this_processor in THIS_PROCESSOR:
        command = [*compiler, *FLAGS, this_processor, "-x", "c++"]
        result = subprocess.run([*command, "-dM", "-E", os.devnull], capture_output=True, timeout=LONGEST_S)
        if result.returncode == 0:
            break
    result.check_returncode()
    return command, result.stdout


def _cache() -> Path | None:
    """Where libraries are kept, ``XDG_CACHE_HOME`` or ``~/.cache``; None where nothing can be."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trnet"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home
        return None
    return folder if os.access(folder, os.W_OK) else None


def _kept(source: Path, command: list[str], path: Path) -> ctypes.CDLL:
    """The library at `path`, compiled by one process if it is not there, and again if it is damaged."""
    with open(path.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.is_file():
            try:
                return ctypes.CDLL(str(path))
            except OSError:
                path.unlink()
        with tempfile.TemporaryDirectory(dir=path.parent) as made:
            _compile(source, command, Path(made) / path.name).replace(path)
    return ctypes.CDLL(str(path))


def _compile(source: Path, command: list[str], out: Path) -> Path:
    subprocess.run([*command, str(source), "-o", str(out)], check=True, capture_output=True, timeout=LONGEST_S)
    return out
