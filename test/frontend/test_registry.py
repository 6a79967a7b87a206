"""Front-ends by name, by class path, and what is said about wrong names and options."""

import sys

import pytest
import torch

from trnet.frontend import FRONTENDS, FrontEnd, build_frontend
from trnet.utils.errors import TrnetError

HALVER = """
from trnet.frontend import FrontEnd


class Halver(FrontEnd):
    sample_rate = 8000

    def __init__(self, gain=0.5):
        super().__init__()
        self.gain = gain

    def enhance_equal(self, wav):
        return self.gain * wav


class Cutter(FrontEnd):
    def enhance_equal(self, wav):
        return wav[:, 1:]


class Stranger:
    pass
"""


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    package = tmp_path / "frontend_of_a_user"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "mine.py").write_text(HALVER)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("frontend_of_a_user")]:  # of another test's folder
        del sys.modules[name]
    return "frontend_of_a_user.mine"


def test_known_names():
    own = {"none", "cmgan", "nsnet2", "gtcrn", "dccrn", "dpt_fsnet"}
    assert set(FRONTENDS) == own | {"deepfilternet", "rnnoise", "asteroid", "speechbrain", "espnet", "enhanced_scp"}
    assert all(issubclass(cls, FrontEnd) for cls in FRONTENDS.values())


def test_none_returns_its_input_and_clears_the_padding():
    frontend = build_frontend({"frontend": "none"})
    wav = torch.rand(2, 50) - 0.5
    assert torch.equal(frontend.enhance(wav, None), wav)
    out = frontend.enhance(wav, torch.tensor([50, 20]))
    assert torch.equal(out[0], wav[0]) and torch.equal(out[1, :20], wav[1, :20])
    assert not out[1, 20:].any() and frontend.sample_rate == 16000


def test_a_users_class_is_found_by_its_path(user_module):
    config = {"frontend": f"{user_module}:Halver", "frontend_conf": {"gain": 0.25}, "other": 1}
    frontend = build_frontend(config)
    assert frontend.sample_rate == 8000
    assert torch.equal(frontend.enhance(torch.ones(1, 4)), torch.full((1, 4), 0.25))
    assert frontend.describe()["name"] == f"{user_module}:Halver"
    assert frontend.describe()["conf"] == {"gain": 0.25}
    default = build_frontend({"frontend": f"{user_module}:Halver"})
    assert default.describe()["conf"] == {"gain": 0.5}
    assert default.fingerprint() != frontend.fingerprint()


def test_a_users_class_that_changes_the_length_is_refused(user_module):
    frontend = build_frontend({"frontend": f"{user_module}:Cutter"})
    with pytest.raises(TrnetError, match=r"\(1, 3\).*\(1, 4\)"):
        frontend.enhance(torch.ones(1, 4))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, ["'frontend' is None", "gtcrn"]),
        ({"frontend": "gtrcn"}, ["'gtrcn'", "did you mean 'gtcrn'", "none", "deepfilternet"]),
        ({"frontend": "GTCRN"}, ["did you mean 'gtcrn'"]),
        ({"frontend": "none", "frontend_cnf": {}}, ["frontend_cnf", "frontend_conf"]),
        ({"frontend": "none", "frontend_conf": ["x"]}, ["frontend_conf", "'none'"]),
        ({"frontend": "none", "frontend_conf": {"x": 1}}, ["'none'", "'x'"]),
        ({"frontend": "gtcrn", "frontend_conf": {"chekpoint": "a"}}, ["'chekpoint'", "did you mean 'checkpoint'"]),
        ({"frontend": "gtcrn"}, ["gtcrn", "checkpoint", "random"]),
        ({"frontend": "gtcrn", "frontend_conf": {"init": "zeros"}}, ["'zeros'", "random"]),
        ({"frontend": "gtcrn", "frontend_conf": {"init": "random", "checkpoint": "a"}}, ["checkpoint", "init"]),
        (
            {"frontend": "gtcrn", "frontend_conf": {"init": "random", "level_dbfs": 3}},
            ["level_dbfs"],
        ),
        ({"frontend": "gtcrn", "frontend_conf": {"checkpoint": 3}}, ["'gtcrn'", "checkpoint", "3"]),
        ({"frontend": "gtcrn", "frontend_conf": {"checkpoint": ""}}, ["'gtcrn'", "checkpoint"]),
        ({"frontend": "gtcrn", "frontend_conf": {"checkpoint": "a\0"}}, ["checkpoint", r"a\x00"]),
        ({"frontend": "enhanced_scp", "frontend_conf": {"scp": ["a", 3]}}, ["'enhanced_scp'", "scp"]),
        ({"frontend": "enhanced_scp", "frontend_conf": {"scp": [""]}}, ["'enhanced_scp'", "scp"]),
        ({"frontend": "enhanced_scp", "frontend_conf": {"scp": "a", "tolerance_s": 1e308}}, ["tolerance_s", "1e+308"]),
        ({"frontend": "cmgan", "frontend_conf": {"init": "random", "window_s": ".nan"}}, ["window_s", ".nan"]),
        ({"frontend": "cmgan", "frontend_conf": {"init": "random", "window_s": float("inf")}}, ["window_s", "inf"]),
        ({"frontend": "cmgan", "frontend_conf": {"init": "random", "fast": "yes"}}, ["fast", "'yes'"]),
        (
            {"frontend": "cmgan", "frontend_conf": {"init": "random", "num_channel": 10**12}},
            ["num_channel", "1000000000000"],
        ),
        ({"frontend": "dpt_fsnet", "frontend_conf": {"init": "random", "depth": 60}}, ["depth", "60", "12"]),
        (
            {"frontend": "nsnet2", "frontend_conf": {"checkpoint": "a.tar"}},
            ["'nsnet2'", "takes no file of weights", "leave out --frontend-checkpoint"],
        ),
        ({"frontend": "../../x:y"}, ["'../../x:y'", "package.module:Class"]),
        ({"frontend": "a/b"}, ["'a/b'"]),
        ({"frontend": ""}, ["'frontend' is ''"]),
        ({"frontend": "no_such_package.x:Y"}, ["no_such_package"]),
        ({"frontend": "trnet.frontend.base:Nothing"}, ["Nothing"]),
    ],
)
def test_mistakes_are_named_in_one_line(config, words):
    with pytest.raises(TrnetError) as caught:
        build_frontend(config)
    message = str(caught.value)
    assert "\n" not in message
    assert [w for w in words if w not in message] == []


@pytest.mark.parametrize("code", ["import no_such_package", "1 / 0", "def f(:", "raise KeyError('x')"])
def test_a_users_module_that_does_not_import_is_named_with_the_reason(user_module, tmp_path, code):
    (tmp_path / "frontend_of_a_user/broken.py").write_text(code)
    with pytest.raises(TrnetError, match="frontend_of_a_user.broken.*Error"):
        build_frontend({"frontend": "frontend_of_a_user.broken:Halver"})


def test_a_users_module_that_is_no_python_is_named_with_the_line(user_module, tmp_path):
    (tmp_path / "frontend_of_a_user/broken.py").write_text("import os\n\ndef f(:\n")
    with pytest.raises(TrnetError, match=r"\(SyntaxError: .*broken.py:3: .*\); mend the module there$"):
        build_frontend({"frontend": "frontend_of_a_user.broken:Halver"})


def test_a_number_in_quotes_is_a_number_and_others_stay_as_written():
    conf = {"init": "random", "level_dbfs": "-23"}
    assert build_frontend({"frontend": "gtcrn", "frontend_conf": conf}).describe()["conf"]["level_dbfs"] == -23
    conf = build_frontend({"frontend": "gtcrn", "frontend_conf": conf | {"level_dbfs": -23}}).describe()["conf"]
    assert repr(conf["level_dbfs"]) == "-23"  # as dumps made earlier have it


def test_a_class_that_is_no_frontend_is_refused(user_module):
    with pytest.raises(TrnetError, match="Stranger"):
        build_frontend({"frontend": f"{user_module}:Stranger"})
