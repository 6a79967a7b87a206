"""What all front-ends share: frozen, strict about batches, told apart by their fingerprints."""

import json
import shutil

import pytest
import torch
from near import WAVE, assert_near

from trnet.frontend import build_frontend
from trnet.frontend.base import FrontEnd, at_level
from trnet.utils.errors import TrnetError


@pytest.fixture
def frontend():
    return build_frontend({"frontend": "gtcrn", "frontend_conf": {"init": "random"}})


@pytest.mark.parametrize(
    ("wav", "lengths"),
    [
        (torch.zeros(10), None),
        (torch.zeros(1, 1, 10), None),
        (torch.zeros(1, 10, dtype=torch.float64), None),
        (torch.zeros(2, 10), torch.tensor([10])),
        (torch.zeros(2, 10), torch.tensor([10, 11])),
        (torch.zeros(2, 10), torch.tensor([10, -1])),
        (torch.tensor([[0.0, float("nan")]]), None),
    ],
)
def test_malformed_batches_are_refused(wav, lengths):
    with pytest.raises(TrnetError):
        build_frontend({"frontend": "none"}).enhance(wav, lengths)


def test_what_lies_in_the_padding_does_not_matter(frontend):
    wav = torch.full((1, 900), float("nan"))
    wav[0, :600] = 0.1 * torch.randn(600)
    out = frontend.enhance(wav, torch.tensor([600]))
    assert (out[0, :600] - frontend.enhance(wav[:, :600])[0]).abs().max() < WAVE
    assert not out[0, 600:].any()


def test_empty_clips_pass(frontend):
    assert frontend.enhance(torch.zeros(2, 0)).shape == (2, 0)
    out = frontend.enhance(torch.ones(2, 300), torch.tensor([0, 300]))
    assert not out[0].any() and out[1].any()


def test_training_what_follows_moves_nothing(frontend):
    owner = torch.nn.ModuleDict({"frontend": frontend, "head": torch.nn.Linear(2, 2)})
    before = {k: v.clone() for k, v in frontend.state_dict().items()}
    owner.train()
    out = frontend.enhance(0.1 * torch.randn(2, 2000))
    assert not out.requires_grad and not any(m.training for m in frontend.modules())
    assert not any(p.requires_grad for p in frontend.parameters())
    assert all(torch.equal(v, before[k]) for k, v in frontend.state_dict().items())
    assert owner["head"].training


def test_input_is_left_alone(frontend):
    wav = 0.1 * torch.randn(2, 1000)
    kept = wav.clone()
    frontend.enhance(wav, torch.tensor([1000, 500]))
    assert torch.equal(wav, kept)


def test_fingerprints_tell_front_ends_apart_but_not_paths(frontend, tmp_path):
    first = tmp_path / "a.tar"
    torch.save({"model": frontend.network.state_dict()}, first)
    second = tmp_path / "b.tar"
    shutil.copy(first, second)
    loaded, moved = (
        build_frontend({"frontend": "gtcrn", "frontend_conf": {"checkpoint": str(p)}}) for p in (first, second)
    )
    assert loaded.fingerprint() == moved.fingerprint()
    assert loaded.describe()["conf"]["checkpoint"] == str(first)
    assert len(loaded.fingerprint()["checkpoint_sha256"]) == 64
    others = [
        frontend,
        build_frontend({"frontend": "none"}),
        build_frontend({"frontend": "gtcrn", "frontend_conf": {"init": "random"}}),
        build_frontend({"frontend": "gtcrn", "frontend_conf": {"checkpoint": str(first), "level_dbfs": -20}}),
    ]
    keys = [json.dumps(f.fingerprint(), sort_keys=True) for f in (loaded, *others)]
    assert len(set(keys)) == len(keys)
    with torch.no_grad():
        moved.network.dpgrnn1.intra_fc.bias[0] += 1
    assert loaded.fingerprint() != moved.fingerprint()


def test_level_is_reached_without_clipping():
    generator = torch.Generator().manual_seed(1)
    wav = torch.randn(3, 4000, generator=generator) * torch.tensor([[1e-3], [0.1], [0.0]])
    wav[1, 7] = 0.9
    scaled, gain = at_level(wav, -14.0)
    assert scaled[0].square().mean().sqrt().item() == pytest.approx(10 ** (-14 / 20), rel=1e-4)
    assert scaled[1].abs().max().item() == pytest.approx(1.0, rel=1e-4)
    assert gain[2].item() == 1
    assert_near(scaled / gain, wav)


class Scarce(FrontEnd):
    """Doubles what it hears, no more than `most` clips at a time."""

    most = 2

    def enhance_equal(self, wav: torch.Tensor) -> torch.Tensor:
        if len(wav) > self.most:
            raise torch.OutOfMemoryError
        return 2 * wav


def test_a_batch_that_a_gpu_does_not_hold_goes_in_halves():
    frontend, wav = Scarce(), torch.randn(7, 50)
    lengths = torch.tensor([50] * 5 + [30] * 2)
    out = frontend.enhance(wav, lengths)
    assert all(torch.equal(row[:size], 2 * clip[:size]) for row, clip, size in zip(out, wav, lengths, strict=True))
    frontend.most = 0
    with pytest.raises(torch.OutOfMemoryError):
        frontend.enhance(wav)
