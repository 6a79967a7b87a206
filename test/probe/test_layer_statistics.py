"""Statistics of all layers: those of the features, made once, resumed, never those of another network."""

import numpy as np
import pytest
import torch
from near import assert_near
from tiny import Tiny, hiss, speech_dir
from upstreams import DIM, LAYERS, make_upstream

from trnet.audio.crop import read_cropped
from trnet.conditions import CLEAN, Condition
from trnet.config import Upstream
from trnet.features import make_extractor
from trnet.kaldi.data_dir import DataDir
from trnet.probe import layer_statistics
from trnet.probe.layer_statistics import layer_groups, make_layer_statistics
from trnet.utils.errors import TrnetError

NOISY = Condition("esc", 10.0)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    return make_upstream("whisper", tmp_path_factory.mktemp("whisper") / "net")


@pytest.fixture
def pooled(monkeypatch) -> list[str]:
    """The utterances that statistics are computed of, as they are."""
    calls, whole = [], layer_statistics._pooled

    def counted(clip):
        calls.append(clip.name)
        return whole(clip)

    monkeypatch.setattr(layer_statistics, "_pooled", counted)
    monkeypatch.setattr(layer_statistics, "PART", 20)
    return calls


def sets_of(tiny: Tiny) -> list[tuple[DataDir, Condition]]:
    return [(tiny.data, CLEAN), (DataDir(tiny.root / "data/tiny_esc_10db"), NOISY)]


def make(tiny: Tiny, whisper, dump, sets=None, utts=None, **options):
    features = Upstream(model=str(whisper), **options)
    return make_layer_statistics(sets or sets_of(tiny), utts or tiny.data.utts, features, dump, 1, CPU)


def test_they_are_those_of_the_features_of_each_layer(tiny, whisper, tmp_path):
    found = make(tiny, whisper, tmp_path)
    assert [each.folder for each in found] == [tmp_path / f"net_layers/raw/tiny{end}" for end in ("", "_esc_10db")]
    assert found[1].layers == ("0", "1", "2", "3", "4", "5", "6", "middle")
    for layer in (0, LAYERS, "middle"):
        options = Upstream(model=str(whisper), layer=layer)
        extractor = make_extractor(options)
        for (data, condition), each in zip(sets_of(tiny), found, strict=True):
            values = each.of_layer(str(layer))
            assert values.shape == (48, 2 * DIM) and values.dtype == np.float32
            for row in (0, 31, 47):
                clip = data.clip(condition.utt(tiny.data.utts[row]))
                states = extractor(torch.from_numpy(read_cropped(clip, options)))
                assert_near(values[row, :DIM], states.mean(dim=0))
                assert_near(values[row, DIM:], states.std(dim=0, correction=0))


def test_what_is_there_is_not_made_again(tiny, whisper, tmp_path, pooled):
    first = [each.digest() for each in make(tiny, whisper, tmp_path)]
    assert len(pooled) == 96 and first[0] != first[1]
    pooled.clear()
    assert [each.digest() for each in make(tiny, whisper, tmp_path)] == first and not pooled
    assert [each.digest() for each in make(tiny, whisper, tmp_path, layer=2)] == first and not pooled


def test_what_was_stopped_goes_on_and_what_was_changed_is_mended(tiny, whisper, tmp_path, pooled, monkeypatch):
    first = [each.digest() for each in make(tiny, whisper, tmp_path / "whole")]
    pooled.clear()
    counted = layer_statistics._pooled

    def stopped(clip):
        if len(pooled) == 70:  # 48 of the first set, 22 of the second
            raise KeyboardInterrupt
        return counted(clip)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layer_statistics, "_pooled", stopped)
        with pytest.raises(KeyboardInterrupt):
            make(tiny, whisper, tmp_path / "some")
    pooled.clear()
    found = make(tiny, whisper, tmp_path / "some")
    assert len(pooled) == 28 and [each.digest() for each in found] == first
    part = found[0].folder / "000020.npy"
    part.write_bytes(part.read_bytes()[:-4] + b"long")
    pooled.clear()
    assert [each.digest() for each in make(tiny, whisper, tmp_path / "some")] == first and len(pooled) == 20


def test_another_network_or_window_or_set_is_made_anew(tiny, whisper, tmp_path, pooled):
    first = make(tiny, whisper, tmp_path)[0].digest()
    other = make_upstream("whisper", tmp_path / "other/net", seed=1)
    for options in ({"whisper": other}, {"max_seconds": 0.4}, {"utts": tiny.data.utts[:30]}):
        pooled.clear()
        again = make(tiny, options.pop("whisper", whisper), tmp_path, **options)
        assert len(pooled) in (96, 60) and again[0].digest() != first


def test_middle_is_compared_where_it_is_a_mean_of_several(tmp_path):
    assert layer_groups(6, tmp_path)["middle"] == [3, 4] and len(layer_groups(12, tmp_path)) == 14
    assert "middle" not in layer_groups(3, tmp_path)


def test_a_clip_that_is_too_short_is_named(tiny, whisper, tmp_path):
    data = speech_dir(tmp_path / "data", "short", {"S1F-ang_1": hiss(1, 4000), "S2F-neu_1": hiss(2, 200)})
    with pytest.raises(TrnetError, match="S2F-neu_1") as raised:
        make(tiny, whisper, tmp_path, [(data, CLEAN)], data.utts)
    assert "\n" not in str(raised.value)
