"""Systems from their configuration: what they read and give, the gate beside other features, somebody's own."""

import pytest
import torch
from near import assert_near

from trnet.config import ModelConfig, build
from trnet.model.batch import Batch
from trnet.model.systems import make_system, run_system, ser_module
from trnet.utils.errors import TrnetError

LENGTHS = torch.tensor([9, 5])
SMALL = {"features": {"num_mel_bins": 10}, "encoder": {"channels": [4], "kernel": 3}, "pooling": {"attention": 3}}


def system_of(system: dict, **parts) -> torch.nn.Module:
    torch.manual_seed(1)
    return make_system(build(ModelConfig, SMALL | parts | {"system": system}), 4)


def batch(dim: int = 10, mels: int | None = None) -> Batch:
    generator = torch.Generator().manual_seed(0)

    def features(size: int, frames: int = 9) -> torch.Tensor:
        return torch.randn(2, frames, size, generator=generator) + 5

    more = {}
    if mels is not None:
        more = {"noisy_mels": features(mels, 12), "enhanced_mels": features(mels, 12)}
        more["mel_lengths"] = torch.tensor([12, 7])
    return Batch((), LENGTHS, torch.tensor([0, 1]), features(dim), features(dim), **more)


@pytest.mark.parametrize("name", ["noisy", "enhanced"])
def test_a_baseline_reads_its_one_input(name):
    model, given = system_of({"input": name}).eval(), batch()
    assert model.inputs == (name,)
    out = model(given)
    assert_near(out.logits, model.classifier(model.represent(getattr(given, name), given.frames)))
    assert out.c is None and out.compensated is None and out.h.shape == (2, 4)


def test_trnet_reads_both_and_mixes_them_by_c():
    model, given = system_of({"bridge": True}).eval(), batch()
    assert model.inputs == ("noisy", "enhanced")
    out = model(given)
    c = out.c[:, None, None]
    assert_near(out.compensated, c * given.noisy + (1 - c) * given.enhanced)
    assert out.logits.shape == (2, 4) and out.h.shape == (2, 4)


FEATURES = {"features": {"type": "own_parts:Energies"}, "gate": {"features": {"num_mel_bins": 6}}}


def test_beside_other_features_the_gate_reads_log_mels():
    """As many frames of them as there are, which need not be those of the features; padding moves nothing."""
    model, given = system_of({"bridge": True}, **FEATURES).eval(), batch(3, mels=6)
    assert model.gate.fc.in_features == 6
    out = model(given)
    c, _ = model.gate(given.noisy_mels, given.enhanced_mels, given.mel_frames)
    assert_near(out.c, c, of=1.0)
    weight = c[:, None, None]
    assert_near(out.compensated, weight * given.noisy + (1 - weight) * given.enhanced)
    given.noisy_mels[1, 7:] = given.enhanced_mels[1, 7:] = 99.0
    assert_near(model(given).c, out.c, of=1.0)


def test_a_system_of_ones_own():
    model, given = system_of({"model": "own_parts:Late", "options": {"share": 0.25}}).eval(), batch()
    out = model(given)
    h = [model.ser.represent(x, given.frames) for x in (given.noisy, given.enhanced)]
    assert_near(out.h, 0.25 * h[0] + 0.75 * h[1])
    assert ser_module(model) is model.ser


@pytest.mark.parametrize("name", ["Raises", "NoModule"])
def test_a_class_that_makes_no_system_is_named_in_one_line(name):
    with pytest.raises(TrnetError, match=f"own_parts:{name}: ") as caught:
        system_of({"model": f"own_parts:{name}"})
    assert "\n" not in str(caught.value)


def test_what_a_class_gives_in_another_shape_is_named_with_it():
    own, given = system_of({"model": "own_parts:Misshapen"}), batch()
    with pytest.raises(TrnetError, match=rf"own_parts:Misshapen: c .*{len(given.lengths)} x 1"):
        run_system(own, given)
    halving = system_of({"input": "noisy"}, encoder={"type": "own_parts:Halving"})
    with pytest.raises(TrnetError, match="Halving: .*lengths"):
        run_system(halving, given)


def test_a_system_without_a_ser_module_is_named():
    with pytest.raises(TrnetError, match="Linear: .*ser"):
        ser_module(torch.nn.Linear(2, 2))
