"""Features of somebody's own class: archived like log-mels, made anew when their fingerprint changes."""

import numpy as np
import own_parts
import pytest
import torch
from tiny import hiss, speech_dir

import trnet.features
from trnet.config import Fbank, ModelConfig, build
from trnet.features import feature_dim, fingerprint, make_extractor
from trnet.features.archive import check_archive, make_archives, open_features
from trnet.utils.errors import TrnetError
from trnet.utils.logs import configure

CLIPS = {"A-ang_1": 16000, "A-neu_2": 700, "B-ang_1": 90000}  # samples


@pytest.fixture
def data(tmp_path):
    return speech_dir(tmp_path, "clean", {utt: hiss(i, n) for i, (utt, n) in enumerate(CLIPS.items())})


def options_of(name: str, **options):
    return build(ModelConfig, {"features": {"type": f"own_parts:{name}", **options}}).features


@pytest.mark.parametrize("nj", [1, 2])
def test_an_archive_holds_what_the_class_makes_of_the_cropped_audio(tmp_path, data, nj):
    options = options_of("Energies", window=160, max_seconds=2.0, compression=0)
    make_archives([(data, tmp_path / "out")], options, nj)
    found = open_features(tmp_path / "out")
    for i, (utt, samples) in enumerate(CLIPS.items()):
        wanted = own_parts.Energies(160)(torch.from_numpy(hiss(i, samples)[:32000]))
        assert np.array_equal(found[utt], wanted.numpy()) and len(wanted) == min(samples, 32000) // 160


def test_its_size_and_fingerprint_are_asked_of_the_class():
    options = options_of("Energies")
    assert feature_dim(options) == 3 and fingerprint(options) == {"window": "square"}
    assert feature_dim(Fbank(num_mel_bins=7)) == 7 and fingerprint(Fbank()) == {}
    extractor = make_extractor(Fbank(max_frames=9))
    assert (extractor.dim, extractor.sample_rate, extractor.num_frames(16000)) == (80, 16000, 9)
    assert extractor(torch.from_numpy(hiss(0, 16000))).shape == (9, 80)


def test_features_are_made_anew_when_the_fingerprint_changes(tmp_path, data, monkeypatch, capsys):
    configure()  # trnet-predict, in another test, has asked for warnings alone
    out, options = tmp_path / "out", options_of("Energies")
    make_archives([(data, out)], options, 1)
    check_archive(out, data.path, options)
    make_archives([(data, out)], options, 1)
    assert "up to date" in capsys.readouterr().out
    monkeypatch.setattr(own_parts.Energies, "fingerprint", lambda self: {"window": "hann"})
    trnet.features._described.cache_clear()
    with pytest.raises(TrnetError, match="out: "):
        check_archive(out, data.path, options)
    make_archives([(data, out)], options, 1)
    assert "changed: extractor" in capsys.readouterr().out
    trnet.features._described.cache_clear()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("OtherRate", ["features.sample_rate", "8000"]),
        ("OneFrameLess", ["(49, 3)", "(50, 3)", "A-ang_1"]),
        ("Fails", ["ZeroDivisionError", "a bug", "A-ang_1"]),
        ("Raises", ["ZeroDivisionError", "a bug"]),
    ],
)
@pytest.mark.parametrize("nj", [1, 2])
def test_a_class_that_is_wrong_is_named_in_one_line(tmp_path, data, name, said, nj):
    with pytest.raises(TrnetError) as caught:
        make_archives([(data, tmp_path / "out")], options_of(name), nj)
    message = str(caught.value)
    assert "\n" not in message and f"own_parts:{name}" in message
    assert [part for part in said if part not in message] == [], message


def test_audio_that_is_too_short_is_named(tmp_path):
    data = speech_dir(tmp_path, "clean", {"A-ang_1": hiss(1, 4000), "B-neu_1": hiss(2, 319)})
    with pytest.raises(TrnetError, match="B-neu_1"):
        make_archives([(data, tmp_path / "out")], options_of("Energies"), 1)
