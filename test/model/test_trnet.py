"""TRNet as a whole: padding moves nothing, h is calibrated, the gate is float32."""

import pytest
import torch
from near import assert_near
from ragged import LENGTHS, inputs

from trnet.model import build_model
from trnet.model.frames import ValidFrames

SMALL = {"encoder": {"channels": [8, 12, 16]}, "pooling": {"attention": 5}, "num_mels": 16, "num_classes": 3}
SMALL_PLAIN = SMALL | {
    "encoder": {"type": "plain", "channels": [8, 12, 16], "deltas": True, "input_norm": True},
    "pooling": {"values": 5, "attention": 0, "clamp": 1.0},
    "classifier": {"hidden": 7},
}


def trnet(conf: dict = SMALL) -> torch.nn.Module:
    torch.manual_seed(0)
    model = build_model({"model": "trnet", "model_conf": conf | {"gate": {"init": "random"}}})
    for module in model.modules():  # statistics and a bridge that are not those of the start
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(module.bias, std=0.5)
    for fc in (model.bridge.fc1, model.bridge.fc2):
        torch.nn.init.normal_(fc.weight)
    return model


@pytest.mark.parametrize("conf", [SMALL, SMALL_PLAIN], ids=["residual", "plain"])
def test_padding_moves_no_output_in_evaluation(conf):
    """Each utterance alone, in a batch, and in a batch that is padded further, with rubbish behind the end."""
    model = trnet(conf).eval()
    with torch.inference_mode():
        outs = [model(*inputs(total, rubbish)) for total, rubbish in ((31, 0.0), (47, 0.0), (40, 1e3))]
        noisy, enhanced, lengths = inputs()
        for b, length in enumerate(LENGTHS):
            alone = model(noisy[b : b + 1, :length], enhanced[b : b + 1, :length], lengths[b : b + 1])
            for out in outs:
                assert_near(out.c[b], alone.c[0], of=1.0)
                assert_near(out.compensated[b, :length], alone.compensated[0])
                assert_near(out.h[b], alone.h[0])
                assert_near(out.logits[b], alone.logits[0])


@pytest.mark.parametrize("conf", [SMALL, SMALL_PLAIN], ids=["residual", "plain"])
def test_padding_moves_no_statistic_and_no_gradient_in_training(conf):
    results = []
    for total, rubbish in ((31, 0.0), (50, 0.0), (50, 100.0)):
        model = trnet(conf).train()
        out = model(*inputs(total, rubbish))
        (out.logits.square().sum() + out.c.sum()).backward()
        results.append((out, dict(model.named_buffers()), {n: p.grad for n, p in model.named_parameters()}))
    first_out, first_buffers, first_grads = results[0]
    assert any("running_mean" in name for name in first_buffers)
    # a bias before a norm or a softmax has the gradient 0, what is left is of the size of what cancelled
    largest = max(float(grad.abs().max()) for grad in first_grads.values())
    for out, buffers, grads in results[1:]:
        assert_near(out.logits, first_out.logits)
        for name, value in buffers.items():
            assert_near(value, first_buffers[name], what=name)
        for name, grad in grads.items():
            assert_near(grad, first_grads[name], of=largest, what=name)


def test_trnet_returns_the_calibrated_h_that_its_classifier_hears():
    model = trnet().eval()
    noisy, enhanced, lengths = inputs()
    out = model(noisy, enhanced, lengths)
    assert out._fields == ("logits", "c", "compensated", "encoded", "h")
    assert out.logits.shape == (5, 3) and out.c.shape == (5,) and out.h.shape == (5, 16)
    assert out.compensated.shape == noisy.shape
    h = model.ser.represent(out.compensated, ValidFrames(lengths, noisy.shape[1]))
    assert_near(out.h, model.bridge(h, out.c))
    assert_near(out.logits, model.ser.classifier(out.h))
    assert not torch.allclose(out.h, h, atol=1e-2)


def test_the_gate_of_a_whole_network_is_float32_under_autocast():
    model = trnet().eval()
    plain = model(*inputs())
    with torch.autocast("cpu", torch.bfloat16):
        out = model(*inputs())
    assert out.c.dtype == out.compensated.dtype == torch.float32
    assert torch.equal(out.c, plain.c) and torch.equal(out.compensated, plain.compensated)


def test_wrong_shapes_are_refused_at_entry():
    model = trnet().eval()
    noisy, enhanced, lengths = inputs()
    with pytest.raises(AssertionError):
        model(noisy, enhanced[:, :-1], lengths)
    with pytest.raises(AssertionError):
        model(noisy, enhanced, lengths[:-1])
