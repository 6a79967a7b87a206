"""Models on hidden states: the network behind them is on the hub, in a folder, or in the model file."""

from __future__ import annotations

import csv
import json
import logging
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from model_files import CLASSES, entries_of, make_model, predicted_sets, with_json
from near import ANSWER, assert_same_answer
from tiny import RATE, hiss, tone, write_wav
from upstreams import DIM, FAMILIES, LAYERS, make_upstream

import trnet
from trnet.bin import demo, export, pack, predict, push
from trnet.config import Upstream
from trnet.deploy import onnx_export
from trnet.deploy.archive import UPSTREAM_CONFIG, UPSTREAM_WEIGHTS, write_archive
from trnet.deploy.model_file import read_model
from trnet.deploy.onnx_export import frontend_graph
from trnet.deploy.upstreams import hub_place, open_upstream, pack_features
from trnet.features.upstream import UpstreamExtractor
from trnet.features.upstream.weights import find_folder
from trnet.frontend import FrontEnd
from trnet.utils.errors import TrnetError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def features_in(folder: Path, **more) -> dict:
    return {"features": {"type": "upstream", "model": str(folder), "max_seconds": 0.5, **more}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A tiny Whisper; not to be changed."""
    return make_upstream("whisper", tmp_path_factory.mktemp("whisper") / "tiny net")


@pytest.fixture(scope="module")
def named(folder, tmp_path_factory) -> Path:
    """A model that names the folder; not to be changed."""
    path = tmp_path_factory.mktemp("named") / "named.zip"
    make_model(path, **features_in(folder))
    return path


@pytest.fixture(scope="module")
def carrying(folder, tmp_path_factory) -> Path:
    """The same model with the network in it; not to be changed."""
    path = tmp_path_factory.mktemp("carrying") / "carrying.zip"
    make_model(path, embed_upstream=True, **features_in(folder))
    return path


@pytest.fixture
def cached(folder, tmp_path, monkeypatch) -> Path:
    """The folder as a hub that cannot be reached has left it in its cache, ``somebody/tiny-<...>``."""
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    repo = tmp_path / "cache/models--somebody--tiny"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs/main").write_text(COMMIT)
    find_folder.cache_clear()
    yield Path(shutil.copytree(folder, repo / "snapshots" / COMMIT))
    find_folder.cache_clear()


def speech(samples: int = 9000) -> np.ndarray:
    return tone("hap", 3, samples)


def answer(predictor: trnet.Predictor, wav: np.ndarray | None = None) -> list[float]:
    found = predictor(speech() if wav is None else wav, RATE)
    return [*found.probabilities.values(), found.c]


def without_path(model: Path, path: Path) -> bool:
    """Whether nothing in a file, which is not compressed, is the path or the folder above."""
    return all(str(each).encode() not in model.read_bytes() for each in (path, path.parent))


def test_a_folder_is_named_without_its_path(named, folder):
    assert without_path(named, folder)
    features = read_model(named).settings.features
    assert (features.model, features.source, features.dim, features.layers) == ("tiny-net", "folder", DIM, [3, 4])
    with pytest.raises(TrnetError, match="tiny-net.*--upstream FOLDER"):
        trnet.Predictor.from_pretrained(named)


def test_it_answers_alike_with_the_folder_and_with_the_network_in_the_file(named, carrying, folder):
    wanted = answer(trnet.Predictor.from_pretrained(named, upstream=folder))
    assert without_path(carrying, folder)
    assert answer(trnet.Predictor.from_pretrained(carrying)) == pytest.approx(wanted, abs=1e-6)
    assert answer(trnet.Predictor.from_pretrained(carrying, upstream=folder)) == pytest.approx(wanted, abs=1e-6)


def test_a_hub_is_named_by_id_and_commit(cached, named, folder, tmp_path):
    model = make_model(tmp_path / "hub.zip", **features_in(Path("somebody/tiny")))
    features = read_model(model.path).settings.features
    assert (features.model, features.revision, features.source) == ("somebody/tiny", COMMIT, "hub")
    wanted = answer(trnet.Predictor.from_pretrained(named, upstream=folder))
    assert answer(trnet.Predictor.from_pretrained(model.path)) == pytest.approx(wanted, abs=1e-6)
    assert hub_place(cached) == ("somebody/tiny", COMMIT) and hub_place(folder) is None
    shutil.rmtree(cached)
    find_folder.cache_clear()
    with pytest.raises(TrnetError, match="somebody/tiny.*--upstream FOLDER"):
        trnet.Predictor.from_pretrained(model.path)
    assert answer(trnet.Predictor.from_pretrained(model.path, upstream=folder)) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("layer", [0, "middle", LAYERS])
def test_what_is_carried_gives_the_same_features(kind, layer, tmp_path):
    folder = make_upstream(kind, tmp_path / "net")
    options = Upstream(model=str(folder), layer=layer)
    packed, files = pack_features(options, embed=True)
    clip = torch.from_numpy(speech())
    found = open_upstream(packed, files, "model")
    torch.testing.assert_close(found(clip), UpstreamExtractor(**options.options())(clip), rtol=0, atol=0)
    layers = {int(number) for name in weights_of(files) for number in re.findall(r"encoder\.layers\.(\d+)\.", name)}
    assert layers == set(range(max(packed.layers)))
    assert not any(name.startswith("decoder") for name in weights_of(files))


def weights_of(files: dict[str, bytes]) -> dict[str, torch.Tensor]:
    return safetensors.torch.load(files["model.safetensors"])


def test_weights_that_came_in_two_bytes_are_carried_in_two(folder, tmp_path):
    half = Path(shutil.copytree(folder, tmp_path / "half"))
    whole = safetensors.torch.load_file(folder / "model.safetensors")
    halves = {name: each.half() for name, each in whole.items()}
    safetensors.torch.save_file(halves, half / "model.safetensors", {"format": "pt"})
    _, in_half = pack_features(Upstream(model=str(half)), embed=True)
    _, in_single = pack_features(Upstream(model=str(folder)), embed=True)
    assert {each.dtype for each in weights_of(in_half).values()} == {torch.float16}
    assert len(in_half["model.safetensors"]) < 0.7 * len(in_single["model.safetensors"])


def test_other_weights_are_refused(named, carrying, tmp_path, folder):
    other = make_upstream("whisper", tmp_path / "other", seed=1)
    for model in (named, carrying):
        with pytest.raises(TrnetError, match="other weights of tiny-net"):
            trnet.Predictor.from_pretrained(model, upstream=other)
    with pytest.raises(TrnetError, match="no such folder"):
        trnet.Predictor.from_pretrained(named, upstream=tmp_path / "gone")


def test_the_same_weights_with_another_configuration_are_refused(named, carrying, tmp_path, folder):
    other = shutil.copytree(folder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"activation_function": "relu"}))
    for model in (named, carrying):
        with pytest.raises(TrnetError, match="has the weights of tiny-net, but another config.json"):
            trnet.Predictor.from_pretrained(model, upstream=other)


@pytest.fixture
def frontend_graph_once(monkeypatch, graph_of_gtcrn) -> None:
    """The graph of the front-end is not made anew for each network behind it."""
    monkeypatch.setattr(onnx_export, "frontend_graph", graph_of_gtcrn)


@pytest.fixture(scope="module")
def graph_of_gtcrn() -> Callable[[FrontEnd, int], bytes]:
    """`frontend_graph`, which makes one for each state of a front-end and length."""
    made: dict[tuple[bytes, int], bytes] = {}

    def graph(frontend: FrontEnd, longest: int) -> bytes:
        state = safetensors.torch.save({name: each.contiguous() for name, each in frontend.state_dict().items()})
        if (state, longest) not in made:
            made[state, longest] = frontend_graph(frontend, longest)
        return made[state, longest]

    return graph


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whisper", "wav2vec2", "wavlm", "hubert", "data2vec-audio"])
@pytest.mark.parametrize("layer", ["middle", LAYERS])
def test_exported_networks_answer_as_pytorch_does(kind, layer, tmp_path, run_predict, frontend_graph_once):
    pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'trnet[export]'")
    pytest.importorskip("onnx", reason="needs onnx: pip install 'trnet[export]'")
    folder, path = make_upstream(kind, tmp_path / "net"), tmp_path / "m.zip"
    make_model(path, "gtcrn", **features_in(folder, layer=layer))
    out = tmp_path / "onnx"
    assert export.main([str(path), "--out", str(out), "--upstream", str(folder)]) == 0
    files = [write_wav(tmp_path / f"{n}.wav", speech(n)) for n in (2000, 7001, 20000)]
    short = write_wav(tmp_path / "short.wav", hiss(1, 390))
    status, exported, err = run_predict(out, *files, short, "--format", "csv")
    assert status == 1 and "short.wav: lasts 24 ms" in err
    _, by_torch, _ = run_predict(path, *files, "--format", "csv", "--upstream", folder)
    rows = [list(csv.DictReader(text.splitlines())) for text in (exported, by_torch)]
    assert len(rows[0]) == len(rows[1]) == 3
    for found, wanted in zip(*rows, strict=True):
        assert by_class(found) == pytest.approx(by_class(wanted), abs=ANSWER)
        assert float(found["c"]) == pytest.approx(float(wanted["c"]), abs=ANSWER)


@pytest.mark.slow
@pytest.mark.parametrize("more", [{"system": {"input": "noisy"}}, {"gate": {"resolution": "frame"}}])
def test_so_do_other_systems(more, folder, tmp_path, script):
    """By the script that does without trnet, too."""
    path, out = tmp_path / "m.zip", tmp_path / "onnx"
    make_model(path, **features_in(folder), **more)
    assert export.main([str(path), "--out", str(out), "--upstream", str(folder)]) == 0
    wanted = trnet.Predictor.from_pretrained(path, upstream=folder)(speech(20000), RATE)
    found = script.Model.of(out).predict(write_wav(tmp_path / "a.wav", speech(20000)))
    assert found["probabilities"] == pytest.approx(wanted.probabilities, abs=ANSWER)
    assert found["c"] == (wanted.c if wanted.c is None else pytest.approx(wanted.c, abs=ANSWER))


def test_what_has_no_graph_is_one_line(named, folder, tmp_path, fails):
    stacked = make_upstream("wav2vec2-bert", tmp_path / "net")
    make_model(tmp_path / "m.zip", **features_in(stacked))
    options = ["--out", str(tmp_path / "onnx"), "--upstream", str(stacked)]
    assert "wav2vec2-bert" in fails(export.main, [str(tmp_path / "m.zip"), *options])
    assert not (tmp_path / "onnx").exists()
    line = fails(predict.main, [str(named), "a.wav", "--engine", "onnx", "--upstream", str(folder)])
    assert "--engine torch" in line


def test_an_upstream_for_log_mels_is_refused(model, folder):
    with pytest.raises(TrnetError, match="leave it out"):
        trnet.Predictor.from_pretrained(model, upstream=folder)


def test_other_versions_are_a_warning(named, folder, tmp_path, caplog):
    def older(value: dict) -> None:
        value["features"]["versions"] = {"transformers": "4.1", "torch": "1.0"}

    changed = with_json(named, tmp_path / "older.zip", "model.json", older)
    with caplog.at_level(logging.WARNING):
        assert answer(trnet.Predictor.from_pretrained(changed, upstream=folder))
    assert "transformers 4.1" in caplog.text and "last digits" in caplog.text


def test_without_transformers_it_says_how_to_install_it(carrying, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(TrnetError, match="pip install"):
        trnet.Predictor.from_pretrained(carrying)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auto_map", {"AutoConfig": "somebody/net--code.Config"}),
        ("auto_map", "code"),
        ("attn_implementation", "eager"),
        ("_attn_implementation", "eager"),
        ("activation_function", "somebody/kernel"),
        ("quantization_config", {"quant_method": "bitsandbytes"}),
        ("architectures", [{"a": 1}]),
    ],
)
def test_a_carried_configuration_cannot_bring_code(carrying, tmp_path, key, value, fails):
    model = with_json(carrying, tmp_path / "m.zip", UPSTREAM_CONFIG, lambda config: config.update({key: value}))
    line = fails(predict.main, [str(model), "speech.wav"])
    assert key in line and UPSTREAM_CONFIG in line


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"upstream/pytorch_model.bin": b"."}, "unknown entry"),
        ({"upstream/../evil.json": b"{}"}, "unknown entry"),
        ({UPSTREAM_WEIGHTS: b"not tensors"}, "damaged"),
        ({UPSTREAM_CONFIG: b'{"model_type": "somebodys"}'}, "damaged"),
        ({UPSTREAM_CONFIG: None}, "do not agree"),
        ({UPSTREAM_WEIGHTS: None}, "do not agree"),
    ],
)
def test_a_damaged_network_in_a_file_is_one_line(carrying, tmp_path, change, names, fails):
    entries = {name: body for name, body in (entries_of(carrying) | change).items() if body is not None}
    write_archive(tmp_path / "m.zip", entries)
    line = fails(predict.main, [str(tmp_path / "m.zip"), "speech.wav"])
    assert names in line and "m.zip" in line


@pytest.mark.parametrize("name", ["/root/net", "../net", "a/b/c", ".net", "a:b"])
def test_a_model_file_names_no_path(named, tmp_path, name, fails):
    def rename(value: dict) -> None:
        value["features"]["model"] = name

    changed = with_json(named, tmp_path / "m.zip", "model.json", rename)
    assert "m.zip" in fails(predict.main, [str(changed), "speech.wav", "--upstream", str(tmp_path)])


def test_a_clip_shorter_than_a_frame_is_one_line_and_the_others_go_on(named, folder, tmp_path, run_predict):
    short = write_wav(tmp_path / "short.wav", hiss(1, 390))  # a frame of the network's, none of the gate's
    files = [write_wav(tmp_path / "a.wav", speech()), short, write_wav(tmp_path / "b.wav", speech(40000))]
    status, out, err = run_predict(named, *files, "--upstream", folder, "--format", "jsonl", "--windows")
    said = [json.loads(line) for line in out.splitlines()]
    assert status == 1 and [Path(each["file"]).name for each in said] == ["a.wav", "b.wav"]
    assert "short.wav: lasts 24 ms" in err and len(said[1]["windows"]) == 5
    predictor = trnet.Predictor.from_pretrained(named, upstream=folder)
    assert predictor.longest == 0.5
    windows = [answer(predictor, speech(40000)[start : start + 8000])[:-1] for start in range(0, 40000, 8000)]
    for found, alone in zip(said[1]["windows"], windows, strict=True):
        assert list(found["probabilities"].values()) == pytest.approx(alone, abs=1e-4)


def test_the_card_names_the_network(named, carrying, tmp_path):
    assert push.main([str(named), str(tmp_path / "named")]) == push.main([str(carrying), str(tmp_path / "own")]) == 0
    cards = [(tmp_path / name / "README.md").read_text() for name in ("named", "own")]
    assert all("tiny-net" in card and "MIT" in card for card in cards)
    assert "--upstream" in cards[0] and "--upstream" not in cards[1]


def test_the_page_shows_log_mels(named, folder, tmp_path, monkeypatch):
    from trnet.deploy.demo import predict_file

    path = Path(write_wav(tmp_path / "a.wav", speech()))
    _, pictures, _ = predict_file(trnet.Predictor.from_pretrained(named, upstream=folder), path)
    assert set(pictures) == {"noisy", "enhanced"}
    assert demo.get_parser().parse_args([str(named), "--upstream", str(folder)]).upstream == folder


def by_class(row: dict[str, str]) -> dict[str, float]:
    return {cls: float(row[cls]) for cls in CLASSES}


@pytest.mark.slow
def test_a_trained_model_answers_as_stage_7_does(packed_upstream, tmp_path, run_predict):
    """Given the network or carrying it, in other batches than there; the same run is packed to the same file."""
    folder = Path(packed_upstream.experiment.config.features.model)
    carrying, again = tmp_path / "carrying.zip", tmp_path / "again.zip"
    for path in (carrying, again):
        assert pack.main([*packed_upstream.options, "--embed-upstream", "--out", str(path)]) == 0
    assert carrying.read_bytes() == again.read_bytes()
    assert without_path(carrying, folder) and without_path(packed_upstream.model, folder)
    scp = tmp_path / "wav.scp"
    for model, given in ((carrying, []), (packed_upstream.model, ["--upstream", folder])):
        for expected in predicted_sets(packed_upstream.predictions, packed_upstream.tiny.root / "data", scp):
            status, out, _ = run_predict(model, scp, "--format", "csv", "--batch-size", "3", *given)
            rows = list(csv.DictReader(out.splitlines()))
            assert status == 0 and [row["file"] for row in rows] == list(expected)
            for found in rows:
                wanted = expected[found["file"]]
                assert_same_answer(found["emotion"], by_class(found), wanted["pred"], by_class(wanted))
                assert float(found["c"]) == pytest.approx(float(wanted["c"]), abs=ANSWER)
