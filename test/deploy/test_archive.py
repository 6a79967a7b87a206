"""The zip: what is refused at reading, before anything is unpacked."""

from __future__ import annotations

import io
import zipfile

import pytest
from model_files import entries_of, zipped

from trnet.deploy import archive
from trnet.deploy.archive import ABOUT, FRONTEND, WEIGHTS, read_entries, write_archive
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # its fixtures bring PyTorch


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.999])
def test_a_zip_cut_short_is_refused(model, tmp_path, keep):
    whole = model.read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(TrnetError, match=r"cut\.zip: "):
        read_entries(tmp_path / "cut.zip")


def test_a_changed_byte_is_refused(model, tmp_path):
    whole = bytearray(model.read_bytes())
    for place in (len(whole) // 2, 60, len(whole) - 30):
        broken = bytearray(whole)
        broken[place] ^= 0x10
        (tmp_path / "m.zip").write_bytes(broken)
        with pytest.raises(TrnetError, match=r"m\.zip"):
            read_entries(tmp_path / "m.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_entries_that_do_not_belong_are_refused(model, tmp_path):
    entries = entries_of(model)
    with zipfile.ZipFile(model) as opened:
        good = [(name, opened.read(name)) for name in opened.namelist()]
    path = tmp_path / "m.zip"
    for extra, message in (
        (("../../evil.py", b"x"), r"unknown entry '\.\./\.\./evil\.py'"),
        (("/etc/passwd", b"x"), "unknown entry '/etc/passwd'"),
        (("code.pkl", b"x"), "unknown entry 'code.pkl'"),
        ((ABOUT, b"{}"), "duplicate entry 'about.json'"),
        ((FRONTEND, b"x"), "entry 'frontend.safetensors' and manifest.json do not agree"),
    ):
        zipped(path, [*good, extra])
        with pytest.raises(TrnetError, match=message):
            read_entries(path)
    zipped(path, [item for item in good if item[0] != WEIGHTS])
    with pytest.raises(TrnetError, match="entry 'model.safetensors' is missing"):
        read_entries(path)
    write_archive(path, entries | {"code.pkl": b"x"})  # listed in the manifest, too
    with pytest.raises(TrnetError, match=r"unknown entry 'code\.pkl'"):
        read_entries(path)
    zipped(path, [("a.txt", b"x")])
    with pytest.raises(TrnetError, match=r"manifest\.json"):
        read_entries(path)
    path.write_bytes(b"no zip")
    with pytest.raises(TrnetError, match=r"m\.zip: "):
        read_entries(path)
    with pytest.raises(TrnetError, match=r"none\.zip: "):
        read_entries(tmp_path / "none.zip")


def test_a_zip_bomb_is_refused_before_anything_is_unpacked(model, tmp_path, monkeypatch):
    with zipfile.ZipFile(model) as opened:
        good = dict((name, opened.read(name)) for name in opened.namelist())
    path = zipped(tmp_path / "m.zip", [*(good | {WEIGHTS: bytes(50_000_000)}).items()], zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *args: pytest.fail("was unpacked"))
    with pytest.raises(TrnetError, match="compressed"):
        read_entries(path)
    large = bytes(archive.MAX_JSON_BYTES + 1)
    zipped(path, [*(good | {ABOUT: large}).items()])
    with pytest.raises(TrnetError, match="'about.json' has 4000001 bytes"):
        read_entries(path)


def test_entries_that_lie_over_each_other_are_refused(model, tmp_path):
    """A directory that claims more than the file holds."""
    content = io.BytesIO(model.read_bytes())
    with zipfile.ZipFile(content, "a") as opened:
        info = opened.getinfo(WEIGHTS)
        twin = zipfile.ZipInfo("twin")
        twin.header_offset, twin.file_size, twin.compress_size, twin.CRC = (
            info.header_offset,
            info.file_size + 10**9,
            info.file_size + 10**9,
            info.CRC,
        )
        opened.filelist.append(twin)
        opened._didModify = True
    (tmp_path / "m.zip").write_bytes(content.getvalue())
    with pytest.raises(TrnetError, match=r"m\.zip: .* bytes"):
        read_entries(tmp_path / "m.zip")


def test_another_format_or_version_is_named(model, tmp_path, monkeypatch):
    entries = entries_of(model)
    monkeypatch.setattr(archive, "VERSION", 2)
    write_archive(tmp_path / "m.zip", entries)
    monkeypatch.undo()
    with pytest.raises(TrnetError, match=r"m\.zip: .*trnet-model version 2"):
        read_entries(tmp_path / "m.zip")
    monkeypatch.setattr(archive, "FORMAT", "other")
    write_archive(tmp_path / "m.zip", entries)
    monkeypatch.undo()
    with pytest.raises(TrnetError, match=r"m\.zip: .*'other'"):
        read_entries(tmp_path / "m.zip")


def test_a_name_of_an_entry_of_any_length_is_one_short_line(model, tmp_path):
    with zipfile.ZipFile(model) as opened:
        good = [(name, opened.read(name)) for name in opened.namelist()]
    zipped(tmp_path / "m.zip", [*good, ("\x1b[31m" + "x" * 60_000, b"")])
    with pytest.raises(TrnetError, match="unknown entry") as caught:
        read_entries(tmp_path / "m.zip")
    assert len(str(caught.value)) < 1000 and "\x1b" not in str(caught.value)
