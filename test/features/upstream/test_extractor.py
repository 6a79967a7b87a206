"""Hidden states as features: what each family gives is transformers' own, alone and in a batch."""

import json
import shutil

import pytest
import safetensors.torch
import soundfile
import torch
from shared import shared
from upstreams import DIM, FAMILIES, LAYERS, make_upstream

from trnet.config import Upstream
from trnet.features import feature_dim, fingerprint, make_extractor
from trnet.features.upstream import UpstreamExtractor
from trnet.features.upstream.hidden_states import layer_numbers
from trnet.features.upstream.weights import load_config
from trnet.utils.errors import TrnetError


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request, tmp_path_factory):
    return make_upstream(request.param, tmp_path_factory.mktemp(request.param) / "net")


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    return make_upstream("whisper", tmp_path_factory.mktemp("whisper") / "net")


def wav(samples: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(samples, generator=generator)


def reference(extractor: UpstreamExtractor, clip: torch.Tensor) -> list[torch.Tensor]:
    """All hidden states (frames, dim) as transformers gives them for one clip."""
    inputs, network = extractor.reads(clip[None]), extractor.network
    with torch.inference_mode():
        if "input_features" in inputs and hasattr(network, "embed_positions"):
            frames = inputs["input_features"].shape[-1] // 2  # a network whose longest clip is this one
            network.embed_positions.weight.data = network.embed_positions.weight.data[:frames]
            network.embed_positions.num_embeddings = frames
            network.max_source_positions = network.config.max_source_positions = frames
        return [state[0] for state in network(**inputs, output_hidden_states=True).hidden_states]


@pytest.mark.parametrize("samples", [16000, 23457])
def test_hidden_states_are_those_of_transformers(folder, samples):
    clip = wav(samples)
    states = reference(UpstreamExtractor(model=str(folder), layer=LAYERS), clip)
    assert len(states) == LAYERS + 1
    for layer, wanted in (
        (0, states[0]),
        (3, states[3]),
        (LAYERS, states[LAYERS]),
        ([1, LAYERS], (states[1] + states[LAYERS]) / 2),
        ("middle", (states[3] + states[4]) / 2),
    ):
        extractor = UpstreamExtractor(model=str(folder), layer=layer)
        found = extractor(clip)
        assert found.shape == (extractor.num_frames(samples), DIM) and found.dtype == torch.float32
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_a_clip_gets_in_a_batch_what_it_gets_alone(folder):
    extractor = UpstreamExtractor(model=str(folder))
    clips = [wav(16000, seed) * (1 + 5 * seed) for seed in range(3)]
    for clip, found in zip(clips, extractor.batch(clips), strict=True):
        torch.testing.assert_close(found, extractor(clip), rtol=1e-4, atol=1e-4)


def test_clips_of_any_lengths_are_read_as_alone_and_pass_gradients_on(folder):
    extractor = UpstreamExtractor(model=str(folder), window=1.0)
    samples = [18000, 6000, 18000, 4001]  # some of two windows
    wavs = torch.stack([torch.nn.functional.pad(wav(n, n), (0, 18000 - n), value=0.3) for n in samples])
    with torch.inference_mode():  # a network that was loaded without gradients passes them on later
        extractor.of_padded(wavs, torch.tensor(samples))
    found = extractor.of_padded(wavs.requires_grad_(), torch.tensor(samples))
    for clip, states, n in zip(wavs, found, samples, strict=True):
        wanted = extractor(clip[:n].detach())
        torch.testing.assert_close(states[: len(wanted)], wanted, rtol=1e-4, atol=1e-4)
        assert not states[len(wanted) :].any()
    found.square().sum().backward()
    assert torch.isfinite(wavs.grad).all() and wavs.grad.abs().amax(1).min() > 0
    assert not wavs.grad[3, 4001:].any() and not any(each.requires_grad for each in extractor.network.parameters())


def test_whisper_base_reads_real_speech_as_transformers_does_alone_and_in_a_batch():
    sounds = sorted(shared("data", "nemo", "samples").glob("*"))[:2]
    clips = [torch.from_numpy(soundfile.read(path, dtype="float32")[0]) for path in sounds]
    shorter = min(map(len, clips))
    extractor = UpstreamExtractor(model=str(shared("models", "whisper_base")))
    assert (extractor.count, extractor.dim, extractor.layers) == (6, 512, [3, 4])
    for clip, found in zip(clips, extractor.batch([clip[:shorter] for clip in clips]), strict=True):
        alone = extractor(clip[:shorter])
        states = reference(UpstreamExtractor(model=str(extractor.folder)), clip[:shorter])
        assert alone.shape == (shorter // 320, 512)
        torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(alone, (states[3] + states[4]) / 2, rtol=1e-4, atol=1e-4)


def test_frames_are_counted_for_any_length(folder):
    extractor = UpstreamExtractor(model=str(folder), window=1.0)
    for samples in (1, 319, 320, 399, 400, 719, 720, 721, 2000, 15999, 16000, 16100, 40000):
        frames = extractor.num_frames(samples)
        if frames:
            assert extractor(wav(samples)).shape == (frames, DIM)
        else:
            with pytest.raises(ValueError, match=str(samples)):
                extractor(wav(samples))


def test_long_audio_is_read_by_windows_each_for_itself(folder):
    extractor = UpstreamExtractor(model=str(folder), window=1.0)
    clip = wav(40000)
    parts = [extractor(part) for part in (clip[:16000], clip[16000:32000], clip[32000:])]
    torch.testing.assert_close(extractor(clip), torch.cat(parts))


def test_through_the_settings(whisper):
    options = Upstream(model=str(whisper), layer=2)
    assert feature_dim(options) == make_extractor(options).dim == DIM
    found = fingerprint(options)
    assert json.loads(json.dumps(found)) == found and found["layers"] == [2]
    assert fingerprint(Upstream(model=str(whisper), layer=[3, 4])) == fingerprint(Upstream(model=str(whisper)))
    assert options.record() == Upstream(model="elsewhere/net", layer=5).record()  # which the fingerprint tells apart


def test_the_fingerprint_tells_weights_apart(whisper, tmp_path):
    other = make_upstream("whisper", tmp_path / "net", seed=1)
    moved = shutil.copytree(whisper, tmp_path / "moved")
    assert fingerprint(Upstream(model=str(other))) != fingerprint(Upstream(model=str(whisper)))
    assert fingerprint(Upstream(model=str(moved))) == fingerprint(Upstream(model=str(whisper)))


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_the_fingerprint_tells_configurations_apart_but_not_how_they_were_saved(whisper, tmp_path, name):
    def with_key(folder, key, value):
        copy = shutil.copytree(whisper, tmp_path / folder)
        (copy / name).write_text(json.dumps(json.loads((copy / name).read_text()) | {key: value}))
        return fingerprint(Upstream(model=str(copy)))

    same, alone = fingerprint(Upstream(model=str(whisper))), {"config.json": "scale_embedding"}
    assert with_key("saved", "transformers_version", "4.1.0") == same
    changed = with_key("changed", alone.get(name, "do_normalize"), True)
    assert changed != same and changed | {"configuration": same["configuration"]} == same


@pytest.mark.parametrize(("count", "wanted"), [(6, [3, 4]), (12, [5, 6, 7, 8]), (24, [*range(9, 17)]), (2, [1, 2])])
def test_the_middle_is_the_middle_third(tmp_path, count, wanted):
    assert layer_numbers("middle", count, tmp_path) == wanted


def test_folders_are_named_by_network_and_layer():
    assert Upstream(model="openai/whisper-base").folder == "whisper-base_middle"
    assert Upstream(model="/models/my net/", layer=[3, 4]).folder == "my-net_3+4"


@pytest.mark.parametrize("layer", [-1, [], [3, 3], "last", 1.5])
def test_what_is_no_layer_is_refused(layer):
    with pytest.raises(ValueError, match="layer"):
        Upstream(model="openai/whisper-base", layer=layer)


def _cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def _other_network(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"d_model": 8}))


def _for_text(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))


def test_weights_that_are_not_read_may_be_missing_others_may_not(tmp_path):
    folder = make_upstream("data2vec-audio", tmp_path / "net")  # whose layers of positions are numbered, too
    clip = wav(16000)
    wanted = UpstreamExtractor(model=str(folder), layer=2)(clip)
    whole = safetensors.torch.load_file(folder / "model.safetensors")
    behind = ("masked_spec_embed", *(f"encoder.layers.{number}." for number in range(2, LAYERS)))
    kept = {name: value for name, value in whole.items() if not name.startswith(behind)}
    assert len(kept) < len(whole)
    safetensors.torch.save_file(kept, folder / "model.safetensors", {"format": "pt"})
    torch.testing.assert_close(UpstreamExtractor(model=str(folder), layer=2).cut()(clip), wanted, rtol=0, atol=0)
    for extractor in (
        UpstreamExtractor(model=str(folder), layer=2),
        UpstreamExtractor(model=str(folder), layer=3).cut(),
    ):
        with pytest.raises(TrnetError, match="weights lack encoder.layers.2"):
            extractor(clip)


def _preprocessor(folder, **values):
    (folder / "preprocessor_config.json").write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (
            lambda folder: _preprocessor(folder, feature_extractor_type="Wav2Vec2FeatureExtractor"),
            "preprocessor_config",
        ),
        (lambda folder: _preprocessor(folder, feature_extractor_type="WhisperFeatureExtractor"), "80 .*not 20"),
        (lambda folder: _preprocessor(folder), "preprocessor_config"),
        (lambda folder: (folder / "model.safetensors").unlink(), "weights"),
        (lambda folder: (folder / "config.json").unlink(), "config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "preprocessor_config.json"),
        (_cut, "net"),
        (_other_network, "net"),
        (_for_text, "bert"),
    ],
)
def test_a_folder_that_is_damaged_or_of_another_family_is_one_line(whisper, tmp_path, damage, names):
    folder = shutil.copytree(whisper, tmp_path / "net")
    damage(folder)
    with pytest.raises(TrnetError, match=names) as raised:
        UpstreamExtractor(model=str(folder))(wav(16000))
    assert str(folder) in str(raised.value) and "\n" not in str(raised.value)


def test_a_network_of_normalised_samples_needs_its_preprocessor(tmp_path):
    folder = make_upstream("wav2vec2", tmp_path / "net")
    (folder / "preprocessor_config.json").unlink()
    UpstreamExtractor(model=str(folder))  # its first convolution normalises; there is nothing to know
    config = json.loads((folder / "config.json").read_text()) | {"feat_extract_norm": "layer"}
    (folder / "config.json").write_text(json.dumps(config))
    load_config.cache_clear()
    with pytest.raises(TrnetError, match="preprocessor_config.json, which says if samples are normalised"):
        UpstreamExtractor(model=str(folder))
    _preprocessor(folder, feature_extractor_type="WhisperFeatureExtractor")
    with pytest.raises(TrnetError, match="80 values at a time, not 1"):
        UpstreamExtractor(model=str(folder))


def test_a_window_longer_than_whisper_reads_is_one_line(whisper, tmp_path):
    with pytest.raises(TrnetError, match="features.window: .*1500 frames.*60 s are 3000"):
        UpstreamExtractor(model=str(whisper), window=60)
    others = make_upstream("hubert", tmp_path / "net")
    UpstreamExtractor(model=str(others), window=60)


def test_a_layer_that_is_not_there_is_one_line(whisper):
    with pytest.raises(TrnetError, match=f"7.*0 to {LAYERS}"):
        UpstreamExtractor(model=str(whisper), layer=7)


def test_another_rate_is_one_line(whisper):
    with pytest.raises(TrnetError, match="16000"):
        UpstreamExtractor(model=str(whisper), sample_rate=8000)


def test_a_hub_that_cannot_be_reached_says_how_to_bring_a_folder(monkeypatch, tmp_path):
    pytest.importorskip("transformers")
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(TrnetError, match="nobody/no-such-network") as raised:
        UpstreamExtractor(model="nobody/no-such-network")
    assert "FOLDER" in str(raised.value)


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(TrnetError, match="no such folder"):
        UpstreamExtractor(model=str(tmp_path / "gone"))


def test_without_transformers_it_says_how_to_install_it(whisper, tmp_path, monkeypatch):
    import sys

    folder = shutil.copytree(whisper, tmp_path / "net")  # whose configuration has not been read
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(TrnetError, match="upstream"):
        UpstreamExtractor(model=str(folder))


@pytest.mark.parametrize("window", [30, 1])
def test_pooled_states_are_the_mean_and_deviation_of_those_of_transformers(folder, window):
    clip, groups = wav(37000), [[0], [3], [LAYERS], [3, 4]]
    extractor = UpstreamExtractor(model=str(folder), window=window)
    pooled = extractor.pooled(clip, groups)
    assert pooled.shape == (len(groups), 2 * DIM) and pooled.dtype == torch.float32
    parts = [reference(UpstreamExtractor(model=str(folder)), part) for part in clip.split(16000 * window)]
    for found, numbers in zip(pooled, groups, strict=True):
        states = torch.cat([torch.stack([part[k] for k in numbers]).mean(dim=0) for part in parts])
        wanted = torch.cat([states.mean(dim=0), states.std(dim=0, correction=0)])
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_pooled_needs_a_frame(folder):
    with pytest.raises(ValueError, match="100"):
        UpstreamExtractor(model=str(folder)).pooled(wav(100), [[0]])
