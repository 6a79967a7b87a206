"""Fetching corpora and weights, from a server on this machine: whole or not at all."""

import functools
import hashlib
import http.server
import shutil
import socket
import threading

import pytest

from trnet.bin import check_setup
from trnet.corpora import download
from trnet.corpora.download import Download, fetch
from trnet.corpora.nemo import NEMO
from trnet.utils.errors import TrnetError


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, in silence."""

    def log_message(self, *_):
        pass


@pytest.fixture
def address(tmp_path):
    """Where the files of `tmp_path` are served."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def archive(tmp_path, address):
    """nEMO's layout as GitHub packs it: one folder named after repository and branch."""
    folder = tmp_path / "src/nEMO-main"
    (folder / "samples").mkdir(parents=True)
    (folder / "data.tsv").write_text("file_id\n")
    shutil.make_archive(str(tmp_path / "main"), "zip", tmp_path / "src")
    return f"{address}/main.zip"


def test_an_archive_is_unpacked_where_its_layout_is_found(tmp_path, archive, capsys):
    target = tmp_path / "downloads/nemo"
    fetch(Download(archive, "CC0"), target)
    assert NEMO.locate(target) == target / "nEMO-main"
    assert "licence: CC0" in capsys.readouterr().out
    assert [path.name for path in target.parent.iterdir()] == ["nemo"]


def test_a_file_is_checked_by_its_digest(tmp_path, address):
    weights = tmp_path / "weights.tar"
    weights.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    fetch(Download(f"{address}/weights.tar", "MIT", digest), tmp_path / "downloads/a/w.tar")
    assert (tmp_path / "downloads/a/w.tar").read_bytes() == b"weights"
    with pytest.raises(TrnetError, match="cannot be fetched .*hash"):
        fetch(Download(f"{address}/weights.tar", "MIT", "0" * 64), tmp_path / "downloads/b/w.tar")
    assert not list((tmp_path / "downloads/b").iterdir())


def test_what_is_not_there_or_no_archive_leaves_nothing(tmp_path, address):
    (tmp_path / "broken.zip").write_bytes(b"PK, but no archive")
    for name in ("nowhere.zip", "broken.zip"):
        with pytest.raises(TrnetError, match=f"{name}: .*downloads/x"):
            fetch(Download(f"{address}/{name}", "CC0"), tmp_path / "downloads/x")
    assert not list((tmp_path / "downloads").iterdir())


def test_a_folder_that_holds_something_is_left_alone(tmp_path, archive):
    target = tmp_path / "downloads/nemo"
    target.mkdir(parents=True)
    (target / "mine.txt").write_text("mine")
    with pytest.raises(TrnetError, match="downloads/nemo: "):
        fetch(Download(archive, "CC0"), target)
    assert [path.name for path in target.iterdir()] == ["mine.txt"] and len(list(target.parent.iterdir())) == 1


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nPK", b"nonsense\r\n\r\n"])
@pytest.mark.parametrize("goes", [True, False])
def test_a_server_that_falls_silent_or_goes_away_is_given_up(tmp_path, monkeypatch, says, goes):
    monkeypatch.setattr(download, "SILENT_S", 0.2)
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            talk, _ = server.accept()
            with talk:
                talk.recv(1000)
                talk.sendall(says)
                goes or done.wait(10)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(TrnetError, match="main.zip: "):
            fetch(Download(f"http://127.0.0.1:{server.getsockname()[1]}/main.zip", "CC0"), tmp_path / "x")
        done.set()
        thread.join()
    assert not list(tmp_path.iterdir())


def test_stage_0_fetches_what_is_missing_when_asked_to(tiny, tmp_path, archive, fails, monkeypatch, capfd):
    monkeypatch.setitem(download.FREE_CORPORA, "nemo", Download(archive, "CC0"))
    args = ["--config", str(tiny.config_path), "--folders", f"nemo={tmp_path}/downloads/nemo"]
    assert "let stage 0 fetch it: --download true" in fails(check_setup.main, args)
    assert check_setup.main([*args, "--download", "true"]) == 0
    assert "downloads/nemo/nEMO-main" in capfd.readouterr().out


def test_every_address_is_one_of_a_free_corpus_or_of_weights_with_a_digest():
    for item in (*download.FREE_CORPORA.values(), *download.WEIGHTS.values()):
        assert item.url.startswith("https://") and item.licence
    assert all(len(item.sha256) == 64 for item in download.WEIGHTS.values())
