"""check_frontend: what keeps the rules passes, and each rule that is broken is named."""

import sys

import numpy as np
import pytest
import yaml
from tiny import CONFIG, hiss, speech_dir, write_wav

from trnet.bin import check_frontend

BROKEN = """
import torch
from trnet.frontend import FrontEnd


class Late(FrontEnd):
    def enhance_equal(self, wav):
        return torch.nn.functional.pad(wav, (40, 0))[:, : wav.shape[1]]


class Unseeded(FrontEnd):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.rand(3))

    def enhance_equal(self, wav):
        return wav


class Stateful(FrontEnd):
    def __init__(self):
        super().__init__()
        self.count = 0

    def enhance_equal(self, wav):
        self.count += 1
        return wav / self.count


class Mixing(FrontEnd):
    def enhance_equal(self, wav):
        return wav + 0.1 * wav.mean(dim=0) * (len(wav) - 1)


class Impatient(FrontEnd):
    def enhance_equal(self, wav):
        return wav.unfold(1, 512, 512) is not None and wav


class Mute(FrontEnd):
    def enhance_equal(self, wav):
        return 0 * wav
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(frontend, conf): arguments of check_frontend for two sets of clips of one length."""
    (tmp_path / "own_broken.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("own_broken", None)
    for name in ("a", "b"):
        speech_dir(tmp_path / "data", name, {f"S1F-{name}_{key}": hiss(ord(name) + key, 4000) for key in range(3)})

    def arguments(frontend: str, conf: dict) -> list[str]:
        (tmp_path / "conf.yaml").write_text(yaml.safe_dump({**CONFIG, "frontend": frontend, "frontend_conf": conf}))
        return ["--config", str(tmp_path / "conf.yaml"), "--sets", f"{tmp_path}/data/a {tmp_path}/data/b", "--num", "2"]

    return arguments


def test_a_front_end_that_keeps_the_rules_passes(run, capsys):
    assert check_frontend.main(run("none", {})) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and all(line.startswith("ok ") for line in lines)


@pytest.mark.parametrize(
    ("name", "rule", "problem"),
    [
        ("Late", "is aligned with its input", "40 samples late"),
        ("Unseeded", "is the same when built again", "its fingerprint differs"),
        ("Stateful", "has the same output again", "utterance S1F-a_0: differs by up to"),
        ("Mixing", "has the same output in a batch as alone", "utterance S1F-a_0: differs by up to"),
        ("Impatient", "accepts a clip of 25 ms", "RuntimeError: maximum size for tensor"),
        ("Mute", "keeps the length, is finite, does not silence speech", "silence"),
    ],
)
def test_each_broken_rule_is_named(run, capsys, name, rule, problem):
    assert check_frontend.main(run(f"own_broken:{name}", {})) == 1
    said = capsys.readouterr()
    failed = [line for line in said.out.splitlines() if line.startswith("FAILED")]
    assert any(line.startswith(f"FAILED  {rule}: ") and problem in line for line in failed)
    assert len(failed) == (2 if name == "Stateful" else 1)
    assert f"own_broken:{name}: {len(failed)} of {2 if name == 'Mute' else 6} rules" in said.err


def test_audio_enhanced_elsewhere_with_a_delay_is_found(run, tmp_path, capsys):
    lines = []
    for name in ("a", "b"):
        for key in range(3):
            late = np.roll(hiss(ord(name) + key, 4000), 160 if name == "b" else 0)
            lines.append(f"S1F-{name}_{key} {write_wav(tmp_path / f'made/{name}{key}.wav', late)}\n")
    (tmp_path / "made.scp").write_text("".join(lines))
    assert check_frontend.main(run("enhanced_scp", {"scp": str(tmp_path / "made.scp")})) == 1
    out = capsys.readouterr().out
    assert out.count("ok ") == 3 and "utterance S1F-b_0: " in out and "160 samples late" in out


def test_what_cannot_be_tried_is_one_line(run, fails):
    assert "--num: 0" in fails(check_frontend.main, [*run("none", {}), "--num", "0"])
    assert "'nonne'" in fails(check_frontend.main, run("nonne", {}))
