"""CMGAN: equal to its authors' code, with a rule where that has no answer, and fit to be trained."""

import pickle
from pathlib import Path

import pytest
import torch
from near import WAVE, assert_near

from trnet.frontend import build_frontend
from trnet.frontend.cmgan import TscNet, conformer
from trnet.frontend.cmgan.conformer import RelativeAttention
from trnet.frontend.cmgan.spectral import compress, decompress, istft, overlap_add, pad_to_hop, stft, unit_rms
from trnet.utils.errors import TrnetError

REFERENCE = Path(__file__).parents[1] / "data/cmgan_small.pt"


@pytest.fixture(scope="module")
def reference():
    return torch.load(REFERENCE, weights_only=True)


@pytest.fixture(scope="module")
def official(reference, tmp_path_factory):
    """The front-end with the reference's weights, 16 channels."""
    path = tmp_path_factory.mktemp("cmgan") / "ckpt"
    torch.save(reference["state_dict"], path)
    return build(checkpoint=str(path), num_channel=16)


def build(**conf):
    return build_frontend({"frontend": "cmgan", "frontend_conf": conf})


def tiny(**conf):
    """A front-end of 4 channels, the same weights at every call."""
    torch.manual_seed(3)
    return build(init="random", num_channel=4, **conf)


def noise(*shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("which", ["", "2"])
def test_waveform_is_the_references(official, reference, which):
    """The second input is no whole number of hops long."""
    with torch.inference_mode():
        out = official.enhance(reference[f"input{which}"][None])[0]
    assert out.shape == reference[f"output{which}"].shape
    assert (out - reference[f"output{which}"]).abs().max() < WAVE


def test_spectra_are_the_references(official, reference):
    """The transform before compression, whose slope at an empty bin is infinite: there the last bits of an FFT count.

    Compression and network of the reference's own spectrum.
    """
    scaled, rms = unit_rms(reference["input"][None])
    assert_near(1 / rms[0], reference["rms_c"])
    compressed = reference["spec_in"]  # real and imaginary part
    spec = decompress(*compressed.unbind(dim=1))
    assert_near(torch.view_as_real(stft(pad_to_hop(scaled))), torch.view_as_real(spec))
    heard = compress(spec)
    assert_near(heard[:, 1:], compressed)
    assert_near(heard[:, 0], compressed.square().sum(dim=1).sqrt())
    with torch.no_grad():
        out = official.network(heard)
    for got, wanted in zip(out, (reference["out_real"], reference["out_imag"]), strict=True):
        assert_near(got, wanted[:, 0])


def test_size_of_the_papers_model():
    network = TscNet()
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    assert sizes == {
        "dense_encoder": 259776,
        **{f"TSCB_{i}": 257824 for i in (1, 2, 3, 4)},
        "mask_decoder": 271823,
        "complex_decoder": 271938,
    }
    assert sum(sizes.values()) == 1834833 and len(network.state_dict()) == 359
    assert bool((network.mask_decoder.prelu_out.weight == -0.25).all())


def test_attention_in_blocks_is_attention(monkeypatch):
    """Against the formula, past the farthest position that has an embedding of its own."""
    torch.manual_seed(0)
    attention = RelativeAttention(8).eval()
    q, k, v = torch.randn(3, 2, 4, 600, 2).unbind(0)
    distance = (torch.arange(600)[:, None] - torch.arange(600)).clamp(-512, 512)
    table = attention.rel_pos_emb.weight[distance + 512]  # (600, 600, 2)
    scores = torch.einsum("bhid,bhjd->bhij", q, k) + torch.einsum("bhid,ijd->bhij", q, table)
    wanted = (scores / 2**0.5).softmax(dim=3) @ v
    for held in (1, 2**18, 2**40):
        monkeypatch.setattr(conformer, "SCORES", held)
        assert_near(attention.attend(q, k, v), wanted)


def save(path, content) -> str:
    torch.save(content, path)
    return str(path)


def test_checkpoints_bare_and_wrapped(tmp_path):
    state = tiny().network.state_dict()
    for content in (state, {"epoch": 3, "generator": state, "discriminator": {}}, {"model": state}):
        loaded = build(checkpoint=save(tmp_path / "ckpt", content), num_channel=4)
        got = loaded.network.state_dict()
        assert all(torch.equal(got[key], state[key]) for key in state)
        assert len(loaded.describe()["checkpoint_sha256"]) == 64


def refusal(**conf) -> str:
    with pytest.raises(TrnetError) as caught:
        build(**conf)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_checkpoints_that_do_not_fit(tmp_path):
    state = tiny().network.state_dict()
    both = save(tmp_path / "both", {"model": state, "generator": state})
    assert "'model' and 'generator'" in refusal(checkpoint=both, num_channel=4)
    whole = save(tmp_path / "whole", state)
    assert "misshapen dense_encoder.conv_1.0.weight (4, 3, 1, 1) for (64, 3, 1, 1)" in refusal(checkpoint=whole)
    del state["TSCB_3.freq_conformer.attn.fn.rel_pos_emb.weight"]
    state["TSCB_5.post_norm.bias"] = torch.zeros(4)
    state["mask_decoder.prelu_out.weight"] = torch.zeros(257)
    message = refusal(checkpoint=save(tmp_path / "bent", state), num_channel=4)
    assert "missing TSCB_3.freq_conformer.attn.fn.rel_pos_emb.weight" in message
    assert "extra TSCB_5.post_norm.bias" in message
    assert "misshapen mask_decoder.prelu_out.weight (257,) for (201,)" in message
    assert "no weights" in refusal()


@pytest.mark.parametrize("num_channel", [0, 6, -4, 64.0, True, "many"])
def test_channels_out_of_range(num_channel):
    assert "num_channel" in refusal(init="random", num_channel=num_channel)


@pytest.mark.slow
def test_odd_inputs_come_out_finite(odd_clips):
    frontend = tiny()
    for name, clip in odd_clips.items():
        out = frontend.enhance(clip[None])
        assert out.shape == (1, len(clip)) and bool(out.isfinite().all()), name
        assert out.any() or name == "silence", name
    for samples in (99, 200, 201, 300, 301):
        assert frontend.enhance(noise(1, samples)).isfinite().all(), samples


def test_silence_stays_silent_beside_speech():
    out = tiny().enhance(torch.stack([torch.zeros(4000), noise(4000)]))
    assert not out[0].any() and out[1].any() and out.isfinite().all()


@pytest.mark.parametrize(
    ("samples", "padded"), [(1, 300), (150, 300), (201, 300), (300, 300), (301, 400), (8037, 8100)]
)
def test_clips_are_lengthened_by_their_own_start(samples, padded):
    wav = noise(2, samples)
    out = pad_to_hop(wav)
    assert out.shape == (2, padded)
    assert torch.equal(out, wav[:, torch.arange(padded) % samples])


def test_level_does_not_matter():
    frontend, wav = tiny(), noise(1, 4000)
    assert (frontend.enhance(0.01 * wav) / 0.01 - frontend.enhance(wav)).abs().max() < WAVE


def test_compression_is_undone_and_has_gradients_at_empty_bins():
    wav = noise(1, 4000)
    wav[:, 1000:2000] = 0
    spec = stft(wav).requires_grad_()
    magnitude, real, imag = compress(spec).unbind(dim=1)
    assert_near(magnitude, spec.abs().transpose(1, 2) ** 0.3)
    assert not magnitude[0, 12:18].any() and magnitude[0, 25:].all()
    back = istft(decompress(real, imag))
    assert_near(back, wav)
    back.square().sum().backward()
    assert spec.grad.isfinite().all()


def test_batch_equals_alone_whatever_lies_behind_a_clip():
    frontend = tiny()
    sizes = [3000, 1111, 3000, 320, 0]
    wav = torch.full((len(sizes), max(sizes)), float("nan"))
    for row, size in enumerate(sizes):
        wav[row, :size] = (row + 1) * noise(len(sizes), size)[row]
    out = frontend.enhance(wav, torch.tensor(sizes))
    for row, size in enumerate(sizes):
        alone = frontend.enhance(wav[row : row + 1, :size])[0]
        assert torch.allclose(out[row, :size], alone, rtol=0, atol=WAVE)
        assert not out[row, size:].any()


def test_deterministic_and_fit_for_a_worker():
    frontend, wav = tiny(), noise(1, 2000)
    wanted = frontend.enhance(wav)
    assert torch.equal(frontend.enhance(wav), wanted)
    assert torch.equal(pickle.loads(pickle.dumps(frontend)).enhance(wav), wanted)
    assert torch.equal(tiny().enhance(wav), wanted)
    with torch.inference_mode():
        assert torch.equal(tiny().enhance(wav), wanted)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_another_device_says_the_same():
    frontend, wav = tiny(window_s=0.5, overlap_s=0.1, context_s=0.1), noise(2, 12000)
    wanted = frontend.enhance(wav)
    got = frontend.cuda().enhance(wav.cuda())
    assert got.is_cuda and (got.cpu() - wanted).abs().max() < 1e-3


def test_the_generator_learns():
    """Every weight gets a gradient, through the inverse transform too; a few steps lower the loss.

    By a tenth: of 5 draws of weights, the least was by 27 %.
    """
    torch.manual_seed(0)
    network = TscNet(4).train()
    clean = torch.sin(torch.arange(800) * 0.3)[None] * torch.linspace(0, 1, 800)
    noisy, rms = unit_rms(pad_to_hop(clean + 3 * noise(1, 800)))
    clean = clean / rms
    wanted = compress(stft(clean))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(6):
        real, imag = network(compress(stft(noisy)))
        spectral = (real - wanted[:, 1]).square().mean() + (imag - wanted[:, 2]).square().mean()
        loss = spectral + (istft(decompress(real, imag)) - clean).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
        weights = [(n, p) for n, p in network.named_parameters() if n.endswith("weight")]  # norms cancel some biases
        assert [n for n, p in weights if not p.grad.any()] == []
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0], losses


@pytest.mark.parametrize("frames", [4, 5, 30])
def test_overlap_and_add_is_the_inverse_transform(frames):
    """What a GPU computes."""
    spec = torch.randn(2, 201, frames, dtype=torch.complex64)
    assert_near(overlap_add(spec), istft(spec))
