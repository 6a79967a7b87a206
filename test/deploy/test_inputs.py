"""What names recordings: lists, folders, commands, and what names nothing."""

from __future__ import annotations

import csv
import io
import json
import os

import pytest
from tiny import RATE, hiss, tone, write_wav

from trnet.bin import predict

pytestmark = pytest.mark.slow  # the module as a whole


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_lists_and_folders_that_name_nothing_are_named(model, tmp_path, run_predict):
    write_wav(tmp_path / "a.wav", tone("ang", 1, 9000))
    (tmp_path / "wav.scp").write_text(f"utt2 {tmp_path}/a.wav\nutt1 sox a.wav |\nutt3 {tmp_path}/none.wav\n")
    (tmp_path / "bad.scp").write_text(f"only-an-id\nutt4\t{tmp_path}/a.wav\nutt4 {tmp_path}/a.wav\n")
    (tmp_path / "empty").mkdir()
    arguments = [tmp_path / "wav.scp", tmp_path / "bad.scp", tmp_path / "empty", tmp_path / "none.scp"]
    status, out, err = run_predict(model, *arguments, "--format", "jsonl")
    assert status == 1 and [json.loads(line)["file"] for line in out.splitlines()] == ["utt2", "utt4"]
    for message in (
        "error: utt1: ",
        "is a pipe; give --allow-pipes true",
        f"error: utt3: {tmp_path}/none.wav: no such file; mend the path in {tmp_path}/wav.scp",
        "bad.scp:1: 'only-an-id' is not 'id path'",
        "bad.scp:3: duplicate id utt4",
        "empty: holds no audio files",
        "none.scp: is no readable list",
    ):
        assert message in err


def test_what_may_not_be_looked_at_does_not_stop_the_others(model, tmp_path, capfd, monkeypatch):
    (tmp_path / "open/closed").mkdir(parents=True)
    file = write_wav(tmp_path / "open/a.wav", hiss(1, RATE))
    long = "x" * 300
    (tmp_path / "l.scp").write_text(f"long {long}\nu {file}\n")
    scandir = os.scandir

    def look(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", look)
    asked = [str(tmp_path / "open"), long, str(tmp_path / "l.scp"), file]
    assert predict.main([str(model), *asked, "--format", "jsonl"]) == 1
    out, err = capfd.readouterr()
    assert [json.loads(line)["file"] for line in out.splitlines()] == [file, "u", file]
    assert f"error: {tmp_path}/open/closed: Permission denied" in err
    assert f"error: {long}: File name too long" in err and f"error: long: {long}: File name too long" in err


def test_a_list_is_read_from_any_folder_with_tabs_and_a_byte_order_mark(model, tmp_path, run_predict, monkeypatch):
    write_wav(tmp_path / "set/wav/a.wav", tone("ang", 1, 9000))
    write_wav(tmp_path / "here/b.wav", tone("sad", 1, 9000))
    scp = tmp_path / "set/wav.scp"
    lines = "u1 wav/a.wav\nu2\twav/a.wav\r\nu3 b.wav\nu4 wav\nu5 wav.scp\nu6 x.ark:12\nu7\n"
    scp.write_bytes(b"\xef\xbb\xbf" + lines.encode())
    monkeypatch.chdir(tmp_path / "here")
    status, out, err = run_predict(model, scp, "--format", "csv")
    assert status == 1 and [row["file"] for row in rows_of(out)] == ["u1", "u2", "u3"]
    for message in ("u4: ", "u5: ", "u6: x.ark:12 is a place in an archive", "wav.scp:7: 'u7' is not"):
        assert f"error: {message}" in err or message in err
    assert "u4: " in err and "is a folder" in err and "is a list itself" in err


def test_commands_of_a_list_run_where_they_are_allowed(model, tmp_path, run_predict):
    file = write_wav(tmp_path / "a.wav", tone("ang", 1, 9000))
    (tmp_path / "wav.scp").write_text(f"u1 cat {file} | cat |\nu2 cat {file}; touch x |\nu3 cat {tmp_path}/none |\n")
    arguments = (model, tmp_path / "wav.scp", "--format", "jsonl")
    assert run_predict(*arguments)[2].count("is a pipe; give --allow-pipes true") == 3
    status, out, err = run_predict(*arguments, "--allow-pipes", "true")
    assert status == 1 and [json.loads(line)["file"] for line in out.splitlines()] == ["u1"]
    assert "u2: " in err and "needs a shell" in err and "u3: cat failed (exit status 1" in err
