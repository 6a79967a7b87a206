"""utils/onnx_predict.py: trnet-predict's predictions without PyTorch and without trnet."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from model_files import SCRIPT
from near import ANSWER, amplitudes, assert_near, assert_same_answer
from tiny import RATE, hiss, tone, write_wav

import trnet
from trnet.audio.resampling import resample
from trnet.bin import predict
from trnet.config import Fbank
from trnet.deploy.model_file import read_model, write_model
from trnet.features.fbank import fbank

pytestmark = pytest.mark.slow  # the module as a whole


@pytest.mark.parametrize(
    "conf",
    [
        {},
        {"window": "hamming", "num_mel_bins": 40, "low_freq": 60.0, "high_freq": 7000.0},
        {"window": "hanning", "frame_length": 32.0, "frame_shift": 12.0},
        {"window": "blackman", "max_frames": 7},
        {"window": "rectangular", "sample_rate": 8000},
    ],
)
def test_log_mels_are_kaldis(script, conf):
    features = Fbank(**conf)
    for wav in (tone("hap", 1, 9000), hiss(2, 3001), 0.02 * tone("sad", 3, 530)):
        ours = script.log_mels(wav, features.plain())
        assert_near(amplitudes(ours), amplitudes(fbank(torch.from_numpy(wav), features)), roundings=100)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 24414, 44101])
def test_resampling_is_trnets(script, rate):
    for samples in (1, 50, 45678):
        wav = hiss(4, samples)
        assert_near(script.resample(wav, (rate, RATE)), resample(wav, rate, RATE))


def test_the_script_says_what_trnet_predict_says_without_pytorch(model_gtcrn, exported, tmp_path):
    files = [write_wav(tmp_path / "a.wav", tone("neu", 5, 12_345))]
    files.append(write_wav(tmp_path / "long.wav", np.concatenate([tone(c, 2, 60_000) for c in ("ang", "sad")])))
    files.append(write_wav(tmp_path / "loud.wav", 6 * hiss(1, 9000)))
    soundfile.write(tmp_path / "stereo.flac", np.tile(hiss(2, 44100)[:, None], (1, 2)), 44100)
    files.append(str(tmp_path / "stereo.flac"))
    bad = [str(tmp_path / "none.wav"), write_wav(tmp_path / "silent.wav", np.zeros(9000))]
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')\n")
    (tmp_path / "trnet.py").write_text("raise SystemExit('trnet was imported')\n")
    command = [sys.executable, str(SCRIPT), str(exported), *files, *bad]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and [each["file"] for each in said] == files, done.stderr
    assert "none.wav: no such file" in done.stderr and "silent.wav: is silent" in done.stderr
    predictor = trnet.Predictor.from_pretrained(model_gtcrn)
    for each in said:
        expected = predictor(*soundfile.read(each["file"], dtype="float32"))
        assert each["seconds"] == pytest.approx(expected.seconds, abs=1e-4)
        assert_same_answer(each["emotion"], each["probabilities"], expected.emotion, expected.probabilities)
        assert each["c"] == pytest.approx(expected.c, abs=ANSWER)


def without_graphs(model: Path, path: Path) -> Path:
    write_model(replace(read_model(model), path=path, graphs={}))
    return path


def test_a_model_file_whose_front_end_has_no_graph_is_for_trnet_predict(tmp_path, script, capfd):
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as packed:
        packed.writestr("manifest.json", json.dumps({"entries": {}}))
        packed.writestr("model.json", json.dumps({"frontend": {"fingerprint": {"name": "nsnet2"}}}))
    assert script.main([str(tmp_path / "model.zip"), "a.wav"]) == 1
    said = capfd.readouterr().err
    assert "front-end nsnet2 has no ONNX graph; only trnet-predict" in said and "export" not in said


def test_a_model_file_without_graphs_answers_by_pytorch(model_gtcrn, tmp_path, fails, capfd, script):
    plain = without_graphs(model_gtcrn, tmp_path / "plain.zip")
    file = write_wav(tmp_path / "a.wav", tone("neu", 5, 12_345))
    assert predict.main([str(plain), file]) == 0
    by_auto = capfd.readouterr().out
    assert predict.main([str(model_gtcrn), file, "--engine", "torch"]) == 0
    assert capfd.readouterr().out == by_auto
    by_graphs = [str(plain), file, "--engine", "onnx"]
    assert "was packed without graphs; give --engine torch" in fails(predict.main, by_graphs)
    assert script.main([str(plain), file]) == 1
    assert f"python -m trnet.bin.export {plain} --out FOLDER" in capfd.readouterr().err
    (tmp_path / "cut.zip").write_bytes(plain.read_bytes()[:1000])
    assert script.main([str(tmp_path / "cut.zip"), file]) == 1
    assert "neither an exported folder nor a packed model" in capfd.readouterr().err
    assert "give --engine torch" in fails(predict.main, [*by_graphs, "--ngpu", "1"])


def test_the_script_refuses_graphs_that_the_manifest_does_not_know(model_gtcrn, tmp_path, script, capfd):
    path = tmp_path / "m.zip"
    with zipfile.ZipFile(model_gtcrn) as whole, zipfile.ZipFile(path, "w") as out:
        for name in whole.namelist():
            body = whole.read(name)
            out.writestr(name, body.replace(b'"ang"', b'"gna"') if name == "onnx/config.json" else body)
    assert script.main([str(path), "a.wav"]) == 1
    assert "its graphs are not what manifest.json says" in capfd.readouterr().err


@pytest.mark.parametrize(
    "features", [{"frame_shift": 0}, {"window": "flat"}, {"max_frames": "many"}, {"num_mel_bins": 0}, {"pad": None}]
)
def test_the_script_says_of_odd_features_what_is_wrong(exported, tmp_path, script, capfd, features):
    folder = shutil.copytree(exported, tmp_path / "copy")
    config = json.loads((folder / "config.json").read_text())
    config["features"] |= features
    (folder / "config.json").write_text(json.dumps(config))
    assert script.main([str(folder), write_wav(tmp_path / "a.wav", tone("neu", 5, 12_345))]) == 1
    said = capfd.readouterr().err
    assert said.startswith("error: ") and "Traceback" not in said


def test_what_a_graph_cannot_compute_is_one_line(exported, tmp_path, script, capfd):
    folder = shutil.copytree(exported, tmp_path / "copy")
    config = json.loads((folder / "config.json").read_text())
    config["features"]["num_mel_bins"] += 1  # which the graph does not take
    (folder / "config.json").write_text(json.dumps(config))
    file = write_wav(tmp_path / "a.wav", tone("neu", 5, 12_345))
    for answer in (predict.main, script.main):
        assert answer([str(folder), file]) == 1
        said = capfd.readouterr()
        assert "a.wav: the graphs cannot compute it" in said.err and "Traceback" not in said.err
