"""C++ that is compiled on first use."""

import os
import shutil

import pytest

from trnet import native

SQUARE = 'extern "C" int square(int x) { return x * x; }\n'
needs_compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    path = tmp_path / "square.cpp"
    path.write_text(SQUARE)
    native.load.cache_clear()
    yield path
    native.load.cache_clear()


@needs_compiler
def test_compiled_once_and_found_again(source, tmp_path, monkeypatch):
    assert native.load(source).square(7) == 49
    (kept,) = (tmp_path / "cache/trnet").iterdir()
    compiled = kept.stat().st_mtime_ns
    native.load.cache_clear()
    assert native.load(source).square(8) == 64
    assert [path.stat().st_mtime_ns for path in (tmp_path / "cache/trnet").iterdir()] == [compiled]


@needs_compiler
def test_another_source_or_another_compiler_is_another_library(source, tmp_path, monkeypatch):
    assert native.load(source).square(3) == 9
    source.write_text(SQUARE.replace("x * x", "x * x * x"))
    native.load.cache_clear()
    assert native.load(source).square(3) == 27
    monkeypatch.setenv("CXX", "c++ -DNOTHING")
    native.load.cache_clear()
    assert native.load(source).square(3) == 27
    assert len(list((tmp_path / "cache/trnet").iterdir())) == 3


@pytest.mark.parametrize("compiler", ["", "no-such-compiler"])
def test_without_a_compiler_there_is_none_and_no_word(source, monkeypatch, capfd, compiler):
    monkeypatch.setenv("CXX", compiler)
    assert native.load(source) is None
    assert capfd.readouterr() == ("", "")


@needs_compiler
@pytest.mark.parametrize("fault", ["source", "folder", "compiler"])
def test_what_does_not_compile_is_one_line(source, tmp_path, monkeypatch, capfd, fault):
    if fault == "source":
        source.write_text("no C++\n")
    elif fault == "folder":
        monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    else:
        monkeypatch.setenv("CXX", shutil.which("false"))
    assert native.load(source) is None
    out, err = capfd.readouterr()
    assert not out and err.startswith("square.cpp: not compiled") and err.count("\n") == 1
    assert not list((tmp_path / "cache").rglob("*.so"))
