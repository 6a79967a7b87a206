"""ONNX says what PyTorch says, at any length; utils/onnx_predict.py says it of files, without PyTorch."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
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
from near import ANSWER, WAVE, amplitudes, assert_near, assert_same_answer
from tiny import RATE, hiss, tone, write_wav
from trnet.train.forward import make_model

import trnet
from trnet.audio.reading import resampler
from trnet.bin import export, pack, predict
from trnet.config import Config, Encoder, Features, Pooling, System
from trnet.deploy.archive import json_bytes, origin_of, read_entries, write_archive
from trnet.deploy.model_file import ModelFile, read_model, write_model
from trnet.deploy.onnx_export import frontend_graph, graphs_of
from trnet.features.fbank import fbank
from trnet.frontend import build_frontend
from trnet.model.pooling import AttentionPooling
from trnet.utils.errors import TrnetError

pytest.importorskip("onnx", reason="needs the package onnx: pip install 'trnet[export]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'trnet[export]'")

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "utils/onnx_predict.py"


@pytest.fixture(scope="module")
def exported(packed_gtcrn, tmp_path_factory) -> Path:
    """The folder of an exported trnet with GTCRN."""
    out = tmp_path_factory.mktemp("exported")
    assert export.main([str(packed_gtcrn.model), "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "frontend.onnx", "ser.onnx"]
    return out


@pytest.fixture(scope="module")
def script():
    """utils/onnx_predict.py as a module."""
    spec = importlib.util.spec_from_file_location("onnx_predict", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def session(graph: Path | bytes):
    graph = graph if isinstance(graph, bytes) else str(graph)
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (1, 2), (1, 37), (3, 61), (2, 500)])
def test_the_recogniser_says_the_same_at_any_length(packed_gtcrn, exported, batch, frames):
    network = read_model(packed_gtcrn.model).make_network()
    noisy = 10 + 3 * torch.randn(batch, frames, 24)
    enhanced = noisy - torch.rand_like(noisy)
    expected = network(noisy, enhanced, torch.full((batch,), frames))
    logits, c = session(exported / "ser.onnx").run(None, {"noisy": noisy.numpy(), "enhanced": enhanced.numpy()})
    assert_near(logits, expected.logits)
    assert_near(c, expected.c, of=1.0)
    assert float(np.ptp(logits)) > 1e-2


OTHERS = {
    "baseline": (System(input="noisy"), Config(encoder=Encoder(channels=[8, 8]))),
    "release": (
        System(input="both", bridge=False),
        Config(
            encoder=Encoder(type="plain", channels=[4, 8], kernel=3, deltas=True, input_norm=True),
            pooling=Pooling(attention=0, values=6, clamp=3.0),
        ),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_so_do_other_systems_and_sizes(name, tmp_path):
    system, config = OTHERS[name]
    config = replace(config, features=Features(num_mel_bins=20))
    weights = make_model(config, system, 3).state_dict()
    model = ModelFile(tmp_path / "m.zip", name, system, config, ("a", "b", "c"), weights, None, None, {})
    graphs = graphs_of(model)
    assert list(graphs) == ["ser.onnx", "config.json"]
    network, loaded = model.make_network(), session(graphs["ser.onnx"])
    for frames in (1, 2, 3, 7, 16, 61, 200):
        inputs = [5 + torch.randn(1, frames, 20) for _ in loaded.get_inputs()]
        expected = network(*inputs, torch.tensor([frames]))
        named = {given.name: x.numpy() for given, x in zip(loaded.get_inputs(), inputs, strict=True)}
        assert_near(loaded.run(["logits"], named)[0], expected.logits)


FRONT_ENDS = {
    "cmgan": {"num_channel": 16},
    "dccrn": {"architecture": "DCCRN-CL-div4"},
    "dccrn, padded": {"architecture": "mini", "mask_bound": "sigmoid", "pad_ends": True, "level_dbfs": -26.0},
    "dpt_fsnet": {"channels": 16, "blocks": 1},
    "gtcrn": {"level_dbfs": -26.0},
}


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_front_ends_enhance_the_same_at_any_length(name):
    torch.manual_seed(3)
    config = {"frontend": name.split(",")[0], "frontend_conf": {"init": "random", **FRONT_ENDS[name]}}
    frontend = build_frontend(config)
    loaded = session(frontend_graph(frontend, 24_000))
    for batch, samples in ((1, 400), (2, 1000), (3, 8001), (1, 24_000)):
        wav = np.stack([hiss(row, samples) for row in range(batch)]).astype(np.float32)
        enhanced = loaded.run(None, {"wav": wav})[0]
        assert np.abs(enhanced - frontend.enhance(torch.from_numpy(wav)).numpy()).max() < WAVE
        assert np.abs(enhanced - wav).max() > 1e-3


@pytest.mark.parametrize("conf", [{"window_s": 4.0}, {"precision": "bf16"}])
def test_cmgan_has_no_graph_of_what_it_does_not_do_in_one_pass(conf):
    config = {"init": "random", "num_channel": 4, **conf}
    frontend = build_frontend({"frontend": "cmgan", "frontend_conf": config})
    assert frontend_graph(frontend, 64_001) is None
    assert (frontend_graph(frontend, 64_000) is None) == ("precision" in conf)


@pytest.mark.parametrize("samples", [1, 2, 255, 256])
def test_gtcrn_enhances_clips_of_some_samples(packed_gtcrn, exported, samples):
    frontend, wav = read_model(packed_gtcrn.model).make_frontend(), hiss(3, samples).astype(np.float32)[None]
    enhanced = session(exported / "frontend.onnx").run(None, {"wav": wav})[0]
    assert np.abs(enhanced - frontend.enhance(torch.from_numpy(wav)).numpy()).max() < WAVE


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
    features = Features(**conf)
    for wav in (tone("hap", 1, 9000), hiss(2, 3001), 0.02 * tone("sad", 3, 530)):
        ours = script.log_mels(wav, vars(features))
        assert_near(amplitudes(ours), amplitudes(fbank(torch.from_numpy(wav), features)), roundings=100)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 24414, 44101])
def test_resampling_is_torchaudios(script, rate):
    for samples in (1, 50, 45678):
        wav = hiss(4, samples)
        assert_near(script.resample(wav, (rate, RATE)), resampler(rate, RATE)(wav))


def test_the_script_says_what_trnet_predict_says_without_pytorch(packed_gtcrn, exported, tmp_path):
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
    predictor = trnet.Predictor.from_pretrained(packed_gtcrn.model)
    for each in said:
        expected = predictor(*soundfile.read(each["file"], dtype="float32"))
        assert each["seconds"] == pytest.approx(expected.seconds, abs=1e-4)
        assert_same_answer(each["emotion"], each["probabilities"], expected.emotion, expected.probabilities)
        assert each["c"] == pytest.approx(expected.c, abs=ANSWER)


def test_trnet_predict_hears_by_the_exported_networks_without_pytorch(packed_gtcrn, exported, tmp_path, capfd):
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
    assert predict.main([str(packed_gtcrn.model), *arguments]) == 1
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


def test_another_front_end_is_not_exported_and_said(packed, tmp_path, fails, capfd, monkeypatch, script):
    assert export.main([str(packed.model), "--out", str(tmp_path)]) == 0
    assert "has no graph" not in capfd.readouterr().out and script.Model.of(tmp_path).network is None
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"frontend": "nsnet2"}))
    assert script.main([str(tmp_path), "a.wav"]) == 1
    assert "without the front-end nsnet2; only trnet-predict with the packed model" in capfd.readouterr().err
    monkeypatch.setattr("trnet.deploy.onnx_export.find_spec", lambda name: None)
    assert "the package onnx is not installed" in fails(export.main, [str(packed.model), "--out", str(tmp_path)])


def test_a_model_file_answers_by_its_graphs_without_pytorch(packed_gtcrn, exported, tmp_path, capfd):
    with zipfile.ZipFile(packed_gtcrn.model) as opened:
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
        command = [sys.executable, *command, str(packed_gtcrn.model), file]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        said[name] = json.loads(done.stdout)
    assert predict.main([str(packed_gtcrn.model), file, "--engine", "torch", "--format", "jsonl"]) == 0
    expected = json.loads(capfd.readouterr().out)
    for each in said.values():
        assert_same_answer(each["emotion"], each["probabilities"], expected["emotion"], expected["probabilities"])


def without_graphs(packed, path: Path) -> Path:
    write_model(replace(read_model(packed.model), path=path, graphs={}))
    return path


def test_a_model_file_whose_front_end_has_no_graph_is_for_trnet_predict(tmp_path, script, capfd):
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as packed:
        packed.writestr("manifest.json", json.dumps({"entries": {}}))
        packed.writestr("model.json", json.dumps({"frontend": {"fingerprint": {"name": "nsnet2"}}}))
    assert script.main([str(tmp_path / "model.zip"), "a.wav"]) == 1
    said = capfd.readouterr().err
    assert "front-end nsnet2 has no ONNX graph; only trnet-predict" in said and "export" not in said


def test_a_model_file_without_graphs_answers_by_pytorch(packed_gtcrn, tmp_path, fails, capfd, script):
    plain = without_graphs(packed_gtcrn, tmp_path / "plain.zip")
    file = write_wav(tmp_path / "a.wav", tone("neu", 5, 12_345))
    assert predict.main([str(plain), file]) == 0
    by_auto = capfd.readouterr().out
    assert predict.main([str(packed_gtcrn.model), file, "--engine", "torch"]) == 0
    assert capfd.readouterr().out == by_auto
    by_graphs = [str(plain), file, "--engine", "onnx"]
    assert "was packed without graphs; give --engine torch" in fails(predict.main, by_graphs)
    assert script.main([str(plain), file]) == 1
    assert f"python -m trnet.bin.export {plain} --out FOLDER" in capfd.readouterr().err
    (tmp_path / "cut.zip").write_bytes(plain.read_bytes()[:1000])
    assert script.main([str(tmp_path / "cut.zip"), file]) == 1
    assert "neither an exported folder nor a packed model" in capfd.readouterr().err
    assert "give --engine torch" in fails(predict.main, [*by_graphs, "--ngpu", "1"])


def test_graphs_of_other_networks_are_refused(packed, packed_gtcrn, tmp_path):
    model, other = read_model(packed_gtcrn.model), read_model(packed.model)
    write_model(replace(model, path=tmp_path / "m.zip", graphs=other.graphs))
    with pytest.raises(TrnetError, match=r"m\.zip: onnx/ was made from other networks"):
        read_model(tmp_path / "m.zip")
    incomplete = {name: body for name, body in model.graphs.items() if name != "config.json"}
    write_model(replace(model, path=tmp_path / "m.zip", graphs=incomplete))
    with pytest.raises(TrnetError, match=r"m\.zip: onnx/ was made from other networks"):
        read_model(tmp_path / "m.zip")


def test_without_the_package_onnx_a_model_is_packed_without_graphs(packed, tmp_path, monkeypatch):
    monkeypatch.setattr("trnet.deploy.pack.find_spec", lambda name: None)
    assert pack.main([*packed.options, "--out", str(tmp_path / "m.zip")]) == 0
    assert read_model(tmp_path / "m.zip").graphs == {} != read_model(packed.model).graphs


def test_what_onnx_cannot_express_is_named_and_packed_without_graphs(packed, tmp_path, monkeypatch, fails, capfd):
    """An operator that ONNX lacks, in a part of somebody's own."""
    whole = AttentionPooling.forward
    odd = torch.special.bessel_j0
    monkeypatch.setattr(AttentionPooling, "forward", lambda *args: whole(*args) + odd(args[1]).mean())
    said = fails(export.main, [str(packed.model), "--out", str(tmp_path / "out")])
    assert "ONNX cannot express the network TRNet of trnet" in said and "special_bessel_j0" in said
    assert not (tmp_path / "out").exists()
    capfd.readouterr()
    assert pack.main([*packed.options, "--out", str(tmp_path / "m.zip")]) == 0
    told = capfd.readouterr().out
    assert "m.zip: is packed without graphs: ONNX cannot express" in told and "graph(" not in told
    assert read_model(tmp_path / "m.zip").graphs == {}


@pytest.mark.parametrize("name", ["config.json", "ser.onnx"])
def test_an_export_overwrites_exports_only(packed, tmp_path, fails, name):
    (tmp_path / name).write_text('{"mine": 1}')
    assert f"holds a {name} that no export wrote" in fails(export.main, [str(packed.model), "--out", str(tmp_path)])
    assert (tmp_path / name).read_text() == '{"mine": 1}' and len(list(tmp_path.iterdir())) == 1
    out = ["--out", str(tmp_path / "out")]
    assert export.main([str(packed.model), *out]) == export.main([str(packed.model), *out]) == 0


def test_a_pack_overwrites_models_only(packed, tmp_path, fails):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    assert f"--out {path}: is there already" in fails(pack.main, [*packed.options, "--out", str(path)])
    assert path.read_text() == "mine"


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


def forged(packed, path: Path, model=None, config=None, **graphs: bytes) -> Path:
    """A model file with JSON of its model and graphs, or graphs, changed; every size and digest as it should be."""
    entries = read_entries(packed.model)
    for name, change in (("model.json", model), ("onnx/config.json", config)):
        if change is not None:
            said = json.loads(entries[name])
            change(said)
            entries[name] = json_bytes(said)
    entries |= {f"onnx/{name}.onnx": body for name, body in graphs.items()}
    said = json.loads(entries["onnx/config.json"])
    said["made_from"] = origin_of(entries)
    said["sha256"] = {name: hashlib.sha256(entries[f"onnx/{name}"]).hexdigest() for name in said["sha256"]}
    write_archive(path, entries | {"onnx/config.json": json_bytes(said)})
    return path


def reverse_classes(said):
    said["classes"] = said["classes"][::-1]


@pytest.mark.parametrize("engine", ["torch", "onnx"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": reverse_classes}, "onnx/config.json and model.json do not agree (classes)"),
        ({"config": lambda said: said["features"].update(sample_rate=8000)}, "do not agree (features)"),
        ({"config": lambda said: said.update(frontend=None)}, "do not agree (frontend)"),
        ({"config": lambda said: said.pop("input")}, "do not agree (input)"),
        ({"model": lambda said: said["features"].update(pad="repeat")}, "do not agree (features)"),
        ({"model": lambda said: said.update(classes=["a"])}, "'classes' is no list of names"),
        ({"model": lambda said: said["features"].update(max_frames=100_000)}, "hears more than 600 s at once"),
    ],
)
def test_a_forged_model_is_refused_by_both_engines(packed_gtcrn, tmp_path, fails, engine, changes, message):
    path = forged(packed_gtcrn, tmp_path / "m.zip", **changes)
    assert message in fails(predict.main, [str(path), "a.wav", "--engine", engine])


def with_weights_elsewhere(graph: bytes, folder: Path) -> bytes:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(graph)
    onnx.external_data_helper.convert_model_to_external_data(model, location="secret.bin", size_threshold=300)
    onnx.external_data_helper.write_external_data_tensors(model, str(folder))
    return model.SerializeToString()


@pytest.mark.parametrize("kind", ["rubbish", "empty", "elsewhere"])
def test_a_graph_that_is_none_or_reads_files_is_refused(packed_gtcrn, exported, tmp_path, fails, script, capfd, kind):
    with contextlib.chdir(tmp_path):
        graph = {"rubbish": b"\x0a" * 300, "empty": b""}.get(kind)
        if kind == "elsewhere":
            graph = with_weights_elsewhere((exported / "ser.onnx").read_bytes(), tmp_path)
            assert session(graph).get_inputs() and (tmp_path / "secret.bin").exists()  # ONNX Runtime does read it
        path = forged(packed_gtcrn, tmp_path / "m.zip", ser=graph)
        said = fails(predict.main, [str(path), "a.wav"])
        assert f"{path}: onnx/ser.onnx: " in said and "pack the model again, or give --engine torch" in said
        assert ("has weights in other files" in said) == (kind == "elsewhere")
        assert script.main([str(path), "a.wav"]) == 1
        assert "Traceback" not in capfd.readouterr().err


def test_the_script_refuses_graphs_that_the_manifest_does_not_know(packed_gtcrn, tmp_path, script, capfd):
    path = tmp_path / "m.zip"
    with zipfile.ZipFile(packed_gtcrn.model) as whole, zipfile.ZipFile(path, "w") as out:
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
