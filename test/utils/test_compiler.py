"""C++ that is compiled on first use."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from shared import needs_compiler

from trnet.utils import compiler as native

SQUARE = 'extern "C" int square(int x) { return x * x; }\n'


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    path = tmp_path / "square.cpp"
    path.write_text(SQUARE)
    native._load.cache_clear()
    yield path
    native._load.cache_clear()


@needs_compiler
def test_compiled_once_and_found_again(source, tmp_path, monkeypatch):
    assert native.load(source).square(7) == 49
    (kept,) = (tmp_path / "cache/trnet").glob("*.so")
    compiled = kept.stat().st_mtime_ns
    native._load.cache_clear()
    assert native.load(source).square(8) == 64
    assert [path.stat().st_mtime_ns for path in (tmp_path / "cache/trnet").glob("*.so")] == [compiled]


@needs_compiler
def test_another_source_or_another_compiler_is_another_library(source, tmp_path, monkeypatch):
    assert native.load(source).square(3) == 9
    source.write_text(SQUARE.replace("x * x", "x * x * x"))
    native._load.cache_clear()
    assert native.load(source).square(3) == 27
    monkeypatch.setenv("CXX", "c++ -DNOTHING")
    native._load.cache_clear()
    assert native.load(source).square(3) == 27
    assert len(list((tmp_path / "cache/trnet").glob("*.so"))) == 3


@needs_compiler
def test_a_damaged_library_is_compiled_again(source, tmp_path):
    code = "import sys, pathlib; from trnet.utils import compiler; compiler.load(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(source)], check=True)  # this process would still have it
    (kept,) = (tmp_path / "cache/trnet").glob("*.so")
    kept.write_bytes(b"\x7fELF")
    assert native.load(source).square(4) == 16
    assert len(list((tmp_path / "cache/trnet").glob("*.so"))) == 1 and kept.stat().st_size > 1000


@needs_compiler
def test_many_threads_compile_once(source, monkeypatch):
    calls, run = [], native.subprocess.run
    monkeypatch.setattr(native.subprocess, "run", lambda *a, **k: (calls.append(a[0]), run(*a, **k))[1])
    with ThreadPoolExecutor(8) as pool:
        assert [library.square(5) for library in pool.map(native.load, [source] * 8)] == [25] * 8
    assert len(calls) == 2  # which compiler it is, and the compiling


@needs_compiler
def test_without_a_home_it_is_compiled_for_this_process(source, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    assert native.load(source).square(6) == 36

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    native._load.cache_clear()
    assert native.load(source).square(7) == 49


@needs_compiler
def test_a_compiler_that_knows_another_name_for_this_processor(source, tmp_path, monkeypatch):
    picky = tmp_path / "picky"
    picky.write_text("""#!/bin/sh
for option; do
    case $option in -march=native) exit 1 ;; -mcpu=native) ;; *) set -- "$@" "$option" ;; esac
    shift
done
exec c++ "$@"
""")
    picky.chmod(0o755)
    monkeypatch.setenv("CXX", str(picky))
    assert native.load(source).square(9) == 81


@pytest.mark.parametrize("compiler", ["", "no-such-compiler"])
def test_without_a_compiler_there_is_none_and_no_word(source, monkeypatch, capfd, compiler):
    monkeypatch.setenv("CXX", compiler)
    assert native.load(source) is None
    assert capfd.readouterr() == ("", "")


@needs_compiler
@pytest.mark.parametrize("fault", ["source", "quote", "compiler"])
def test_what_does_not_compile_is_one_line(source, tmp_path, monkeypatch, capfd, fault):
    if fault == "source":
        source.write_text("no C++\n")
    elif fault == "quote":
        monkeypatch.setenv("CXX", "c++ '")
    else:
        monkeypatch.setenv("CXX", shutil.which("false"))
    assert native.load(source) is None
    out, err = capfd.readouterr()
    assert not out and "square.cpp: PyTorch does its work" in err and err.count("\n") == 1
    assert not list((tmp_path / "cache").rglob("*.so"))
