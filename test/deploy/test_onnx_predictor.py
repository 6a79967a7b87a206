"""trnet-predict by graphs: without PyTorch, and what is refused."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from model_files import SCRIPT, open_graph, with_graphs
from near import ANSWER, assert_same_answer
from tiny import hiss, tone, write_wav

from trnet.bin import predict

pytestmark = pytest.mark.slow  # the module as a whole


def test_trnet_predict_hears_by_the_exported_networks_without_pytorch(model_gtcrn, exported, tmp_path, capfd):
    soundfile.write(tmp_path / "long.flac", np.tile(hiss(2, 441_000)[:, None], (1, 2)), 44100)
    write_wav(tmp_path / "a.wav", tone("neu", 5, 12_345))
    write_wav(tmp_path / "silent.wav", np.zeros(9000))
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap/torch.py").write_text("raise SystemExit('torch was imported')\n")
    arguments = [str(tmp_path), "--windows", "--format", "jsonl"]
    command = [sys.executable, "-m", "trnet.bin.predict", str(exported), *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "trap"), *sys.path])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and "silent.wav: is silent" in done.stderr and "real-time factor" in done.stderr
    assert predict.main([str(model_gtcrn), *arguments]) == 1
    expected = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [len(each["windows"]) for each in said] == [1, 2]

    for ours, theirs in zip(said, expected, strict=True):
        assert (ours["file"], ours["seconds"]) == (theirs["file"], theirs["seconds"])
        for one, other in zip([ours, *ours["windows"]], [theirs, *theirs["windows"]], strict=True):
            assert_same_answer(one["emotion"], one["probabilities"], other["emotion"], other["probabilities"])
            assert one["c"] == pytest.approx(other["c"], abs=ANSWER)


@pytest.mark.parametrize("file", ["ser.onnx", "frontend.onnx", "config.json"])
def test_a_damaged_export_is_refused(exported, tmp_path, fails, file):
    folder = shutil.copytree(exported, tmp_path / "copy")
    (folder / file).write_bytes((folder / file).read_bytes()[:-100])
    said = fails(predict.main, [str(folder), "a.wav"])
    assert f"{folder}/{file}" in said and "export the model again" in said
    for option in (["--ngpu", "1"], ["--engine", "torch"]):
        assert "name the packed model" in fails(predict.main, [str(exported), "a.wav", *option])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["a", "b", "c", "d", "e"]}, "lists 5 classes for 4 logits"),
        ({"classes": None}, "is damaged"),
        ({"sha256": {}}, "is damaged"),
        ({"features": {"hop": 3}}, "is damaged"),
        ({"version": 1}, "is not of trnet-onnx 2"),
    ],
)
def test_an_export_with_another_config_is_refused(exported, tmp_path, fails, change, message):
    folder = shutil.copytree(exported, tmp_path / "copy")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    said = fails(predict.main, [str(folder), "a.wav"])
    assert f"{folder}/config.json: {message}" in said and "export the model again" in said


def test_a_model_file_answers_by_its_graphs_without_pytorch(model_gtcrn, exported, tmp_path, capfd):
    with zipfile.ZipFile(model_gtcrn) as opened:
        for file in ("config.json", "ser.onnx", "frontend.onnx"):
            assert opened.read(f"onnx/{file}") == (exported / file).read_bytes()
    file = write_wav(tmp_path / "a.wav", tone("neu", 5, 12_345))
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap/torch.py").write_text("raise SystemExit('torch was imported')\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "trap"), *sys.path])}
    said = {}
    for name, command in {
        "auto": ["-m", "trnet.bin.predict", "--format", "jsonl"],
        "onnx": ["-m", "trnet.bin.predict", "--format", "jsonl", "--engine", "onnx"],
        "script": [str(SCRIPT)],
    }.items():
        command = [sys.executable, *command, str(model_gtcrn), file]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        said[name] = json.loads(done.stdout)
    assert predict.main([str(model_gtcrn), file, "--engine", "torch", "--format", "jsonl"]) == 0
    expected = json.loads(capfd.readouterr().out)
    for each in said.values():
        assert_same_answer(each["emotion"], each["probabilities"], expected["emotion"], expected["probabilities"])


def reverse_classes(said):
    said["classes"] = said["classes"][::-1]


def long_windows(said):
    said["features"]["max_frames"] = 100_000


@pytest.mark.parametrize("engine", ["torch", "onnx"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"onnx/config.json": reverse_classes}, "onnx/config.json and model.json do not agree (classes)"),
        ({"onnx/config.json": lambda said: said["features"].update(sample_rate=8000)}, "do not agree (features)"),
        ({"onnx/config.json": lambda said: said.update(frontend=None)}, "do not agree (frontend)"),
        ({"onnx/config.json": lambda said: said.pop("input")}, "do not agree (input)"),
        ({"model.json": lambda said: said["features"].update(pad="repeat")}, "do not agree (features)"),
        ({"model.json": lambda said: said.update(classes=["a"])}, "(classes)"),
        ({"model.json": long_windows, "onnx/config.json": long_windows}, "600 s"),
    ],
)
def test_a_forged_model_is_refused_by_both_engines(model_gtcrn, tmp_path, fails, engine, changes, message):
    path = with_graphs(model_gtcrn, tmp_path / "m.zip", changes)
    assert message in fails(predict.main, [str(path), "a.wav", "--engine", engine])


def with_weights_elsewhere(graph: bytes, folder: Path) -> bytes:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(graph)
    onnx.external_data_helper.convert_model_to_external_data(model, location="secret.bin", size_threshold=300)
    onnx.external_data_helper.write_external_data_tensors(model, str(folder))
    return model.SerializeToString()


@pytest.mark.parametrize("kind", ["rubbish", "empty", "elsewhere"])
def test_a_graph_that_is_none_or_reads_files_is_refused(model_gtcrn, exported, tmp_path, fails, script, capfd, kind):
    with contextlib.chdir(tmp_path):
        graph = {"rubbish": b"\x0a" * 300, "empty": b""}.get(kind)
        if kind == "elsewhere":
            graph = with_weights_elsewhere((exported / "ser.onnx").read_bytes(), tmp_path)
            assert open_graph(graph).get_inputs() and (tmp_path / "secret.bin").exists()  # ONNX Runtime does read it
        path = with_graphs(model_gtcrn, tmp_path / "m.zip", {}, ser=graph)
        said = fails(predict.main, [str(path), "a.wav"])
        assert f"{path}: onnx/ser.onnx: " in said and "pack the model again, or give --engine torch" in said
        assert ("has weights in other files" in said) == (kind == "elsewhere")
        assert script.main([str(path), "a.wav"]) == 1
        assert "Traceback" not in capfd.readouterr().err
