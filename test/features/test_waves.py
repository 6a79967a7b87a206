"""Waveforms for a cache: cropped as features are, noisy ones of data dirs, enhanced ones of stage 3."""

import numpy as np
import pytest
import torch
from tiny import RATE, hiss, write_wav

from trnet.audio.crop import crop_settings
from trnet.conditions import CLEAN, Condition
from trnet.config import Upstream
from trnet.features.cache import FeatureCache, Room
from trnet.features.waves import WaveReader, check_enhanced
from trnet.kaldi.data_dir import write_data_dir
from trnet.utils.errors import TrnetError
from trnet.utils.stamp import Stamp

ESC = Condition("esc", 10.0)
SAMPLES = {"a": 3000, "b": 9000}  # b is cropped
FEATURES = Upstream(model="net", max_seconds=0.5)


@pytest.fixture
def reader(tmp_path) -> WaveReader:
    """Two utterances under two conditions."""
    for number, condition in enumerate((CLEAN, ESC)):
        for kind, root in (("noisy", tmp_path / "data"), ("enhanced", tmp_path / "dump/none")):
            folder = root / condition.data_name("tiny")
            wavs = {
                condition.utt(utt): hiss(number, n)[: None if kind == "noisy" else 8000] for utt, n in SAMPLES.items()
            }
            paths = {utt: write_wav(folder / "wav" / f"{utt}.wav", wav) for utt, wav in wavs.items()}
            durations = {utt: f"{len(wav) / RATE:.6f}" for utt, wav in wavs.items()}
            write_data_dir(folder, {"wav.scp": paths, "utt2spk": dict.fromkeys(paths, "s"), "utt2dur": durations})
    return WaveReader(tmp_path / "data", tmp_path / "dump", "none", "tiny", FEATURES)


def test_samples_are_cropped_as_features_are(reader):
    assert reader.lengths(CLEAN) == {"a": 3000, "b": 8000}
    with pytest.raises(TrnetError, match="wav.scp: .* c; .*stage 3"):
        reader.lengths(CLEAN)["c"]
    for number, condition in enumerate((CLEAN, ESC)):
        for kind in ("noisy", "enhanced"):
            found = reader.matrix(kind, "b", condition)
            np.testing.assert_array_equal(found, hiss(number, 9000)[:8000, None])


@pytest.mark.parametrize("room", [0, 1 << 20])
def test_a_cache_holds_them_like_features(reader, room):
    cache = FeatureCache(reader, reader.lengths(CLEAN), torch.device("cpu"), Room(room))
    cache.hold({("noisy", CLEAN), ("noisy", ESC)}, ["a", "b"])
    assert len(cache.in_memory) == (2 if room else 0)
    found = cache.stack("noisy", [("a", ESC), ("b", CLEAN)])
    assert found.shape == (2, 8000, 1) and not found[0, 3000:].any()
    np.testing.assert_array_equal(found[0, :3000, 0], hiss(1, 3000))


def test_what_is_not_as_long_as_its_clean_utterance_is_named(reader):
    folder = reader.folder("enhanced", ESC)
    write_wav(folder / "wav" / f"{ESC.utt('a')}.wav", hiss(0, 2990))
    cache = FeatureCache(reader, reader.lengths(CLEAN), torch.device("cpu"), Room(0))
    with pytest.raises(TrnetError, match=r"a-esc_10db.*lasts"):
        cache.stack("enhanced", [("a", ESC)])


def test_enhanced_audio_that_is_not_whole_or_was_cropped_otherwise_is_refused(reader):
    folder = reader.folder("enhanced", ESC)
    with pytest.raises(TrnetError, match="stages 2 to 4"):
        check_enhanced(folder, FEATURES)
    stamp = Stamp(folder, "enhance", {"span": crop_settings(FEATURES)})
    stamp.finish()
    check_enhanced(folder, FEATURES)
    with pytest.raises(TrnetError, match=folder.name):
        check_enhanced(folder, FEATURES.replace(max_seconds=1.0))
