"""The losses against values worked out by hand."""

import math

import pytest
import torch
from near import assert_near

from trnet.enh.config import EnhConfig
from trnet.enh.discriminator import MetricDiscriminator, normalised_pesq
from trnet.enh.losses import complex_l1, magnitude, magnitude_l1, si_snr_loss, spectrum
from trnet.enh.methods import build_method
from trnet.frontend.cmgan.spectral import compress, istft, stft
from trnet.utils.errors import TrnetError


def test_si_snr_is_the_ratio_of_what_is_along_the_clean_speech_to_the_rest():
    clean = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    across = torch.tensor([[1.0, 1.0, -1.0, -1.0]])  # orthogonal, of the same energy, both without a mean
    for factor in (1.0, 0.1):
        estimate = 3 * clean + 3 * factor * across + 7  # level and mean do not count
        assert si_snr_loss(estimate, clean).item() == pytest.approx(20 * math.log10(factor), abs=1e-4)


def test_si_snr_is_a_mean_over_the_batch_in_db():
    clean = torch.tensor([[1.0, -1.0, 1.0, -1.0]] * 2)
    across = torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    estimate = torch.cat([clean[:1] + 0.1 * across, clean[1:] + 0.01 * across])
    assert si_snr_loss(estimate, clean).item() == pytest.approx(-(20 + 40) / 2, abs=1e-3)


def test_si_snr_of_silence_has_a_finite_gradient():
    estimate = torch.zeros(2, 100, requires_grad=True)
    si_snr_loss(estimate, torch.stack([torch.zeros(100), torch.randn(100)])).backward()
    assert bool(estimate.grad.isfinite().all())


def test_losses_of_the_spectrum():
    estimate = torch.tensor([[[3 + 4j, 0j]]])
    clean = torch.tensor([[[0 + 1j, -2 + 0j]]])
    assert magnitude_l1(estimate, clean).item() == pytest.approx((abs(5 - 1) + abs(0 - 2)) / 2, abs=1e-4)
    assert complex_l1(estimate, clean).item() == pytest.approx(((3 + 3) + (2 + 0)) / 2, abs=1e-6)


def test_spectrum_is_the_fourier_transform_of_windowed_frames():
    wav = torch.randn(1, 700)
    spec = spectrum(wav)
    assert spec.shape == (1, 257, 4)
    frame = wav[0, :512] * torch.hann_window(512)
    assert_near(torch.view_as_real(spec[0, :, 1]), torch.view_as_real(torch.fft.rfft(frame)))


def test_magnitude_of_nothing_has_a_finite_gradient():
    real = torch.zeros(3, requires_grad=True)
    magnitude(real, torch.zeros(3)).sum().backward()
    assert real.grad.tolist() == [0, 0, 0]


def test_pesq_on_the_discriminators_scale():
    assert normalised_pesq(torch.tensor([1.0, 2.75, 4.5])).tolist() == [0, 0.5, 1]


def test_discriminator_estimates_one_number_an_utterance_and_can_learn_it():
    """Of 10 draws of weights, 12 steps lower the error to between 4 and 51 % of it."""
    torch.manual_seed(0)
    network = MetricDiscriminator(channels=4)
    clean = torch.rand(2, 32, 41)
    estimate = torch.stack([clean[0], torch.rand(32, 41)])
    wanted = torch.tensor([1.0, 0.2])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    before = (network(clean, estimate) - wanted).square().mean().item()
    for _ in range(12):
        optimizer.zero_grad()
        guess = network(clean, estimate)
        assert guess.shape == (2,) and bool(((guess > 0) & (guess < 1)).all())
        (guess - wanted).square().mean().backward()
        optimizer.step()
    assert (guess - wanted).square().mean().item() < 0.8 * before


def test_discriminators_weights_have_spectral_norm_1():
    network = MetricDiscriminator(channels=4)
    for _ in range(30):  # power iterations
        network(torch.rand(1, 32, 33), torch.rand(1, 32, 33))
    network.eval()
    for layer in (network.convolutions[0], network.convolutions[3], network.score[0]):
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


def one_step(loss: dict, pesq=lambda pairs: [2.75] * len(pairs)) -> dict[str, float]:
    """The losses of CMGAN's first step; the same weights and batch at every call."""
    torch.manual_seed(1)
    method = build_method(EnhConfig(frontend="cmgan", sizes={"num_channel": 4}, loss=loss), pesq)
    method.train(True)
    losses = method.step(0.1 * torch.randn(2, 1600), 0.1 * torch.randn(2, 1600))
    return {name: loss.item() for name, loss in losses.items()}


def test_cmgans_loss_is_the_papers_weighted_sum():
    parts = one_step({})
    weighted = 0.1 * parts["ri"] + 0.9 * parts["magnitude"] + 0.2 * parts["time"] + 0.05 * parts["gan"]
    assert parts["loss"] == pytest.approx(weighted, rel=1e-5) and parts["discriminator"] > 0


def test_cmgan_without_a_discriminator_asks_for_no_pesq():
    def never(pairs):
        raise AssertionError("asked")

    parts = one_step({"gan": 0.0}, never)
    assert set(parts) == {"loss", "ri", "magnitude", "time"}


def test_cmgans_discriminator_rests_where_pesq_finds_no_speech():
    assert one_step({}, lambda pairs: [math.nan] * len(pairs))["discriminator"] == 0
    half = one_step({}, lambda pairs: [math.nan, 2.75])["discriminator"]
    assert half > 0 and math.isfinite(half)


def test_cmgans_parts_are_nought_for_a_perfect_estimate(monkeypatch):
    """A network that hands back the clean spectrum: all but the GAN's part vanish."""
    method = build_method(EnhConfig(frontend="cmgan", sizes={"num_channel": 4}, loss={"gan": 0.0}), None)
    wav = 0.1 * torch.randn(2, 3200)
    anchor = torch.zeros(1, requires_grad=True)
    monkeypatch.setattr(type(method.network), "forward", lambda self, spec: (spec[:, 1] + anchor, spec[:, 2] + anchor))
    parts = method.step(wav, wav)
    assert parts["ri"] < 1e-10 and parts["magnitude"] < 1e-6 and parts["time"] < 1e-4
    assert_near(istft(stft(wav)), wav)
    assert compress(stft(wav)).shape == (2, 3, 33, 201)


@pytest.mark.parametrize(
    ("frontend", "loss", "message"),
    [
        ("cmgan", {"magnitud": 1.0}, "'loss.magnitud'; did you mean 'magnitude'?"),
        ("cmgan", {"gan": -1.0}, "loss.gan: -1.0"),
        ("cmgan", {"ri": 0.0, "magnitude": 0.0, "time": 0.0}, "magnitude"),
        ("dccrn", {"time": 1.0}, "'loss.time'"),
        ("dpt_fsnet", {"magnitude": 0.0, "complex": 0.0}, "complex"),
    ],
)
def test_loss_weights_that_do_not_exist(frontend, loss, message):
    sizes = {"cmgan": {"num_channel": 4}, "dccrn": {"architecture": "mini"}, "dpt_fsnet": {}}[frontend]
    with pytest.raises(TrnetError, match="loss") as caught:
        build_method(EnhConfig(frontend=frontend, sizes=sizes, loss=loss), None)
    assert message in str(caught.value)
