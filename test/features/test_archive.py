"""Archives: Kaldi's format, Kaldi's numbers, whole or not there."""

import errno
import os

import kaldiio
import numpy as np
import pytest
import torch
import torchaudio
from tiny import hiss, speech_dir

from trnet.conditions import CLEAN
from trnet.config import Fbank
from trnet.features.archive import make_archives, open_features
from trnet.features.fbank import FbankExtractor
from trnet.features.reader import FeatureReader
from trnet.kaldi import ark
from trnet.kaldi.data_dir import read_table
from trnet.utils.errors import TrnetError

CLIPS = {"A-ang_1": 16000, "A-neu_2": 400, "B-ang_1": 90000, "B-neu_2": 5000}  # samples
FRAMES = {"A-ang_1": 98, "A-neu_2": 1, "B-ang_1": 500, "B-neu_2": 29}


def make_archive(data, out, features, nj=1):
    make_archives([(data, out)], features, nj)


@pytest.fixture
def data(tmp_path):
    return speech_dir(tmp_path, "clean", {utt: hiss(i, n) for i, (utt, n) in enumerate(CLIPS.items())})


@pytest.mark.parametrize(("compression", "tolerance"), [(0, 0), (3, 1e-3)])
def test_kaldi_reads_back_what_torchaudio_computes(tmp_path, data, monkeypatch, compression, tolerance):
    """An independent reader gives torchaudio's Kaldi fbank of the heard span (Kaldi's 16-bit scale)."""
    out = tmp_path / "out"
    make_archive(data, out, Fbank(compression=compression))
    monkeypatch.chdir(out)  # where the paths in feats.scp start
    read = kaldiio.load_scp("feats.scp")
    assert list(read) == sorted(CLIPS)
    for i, (utt, samples) in enumerate(CLIPS.items()):
        wav = torch.from_numpy(hiss(i, samples))[None, : 400 + 499 * 160] * 32768
        expected = torchaudio.compliance.kaldi.fbank(wav, num_mel_bins=80, dither=0).numpy()
        assert read[utt].dtype == np.float32 and read[utt].shape == (FRAMES[utt], 80)
        assert np.abs(read[utt] - expected).max() <= tolerance
    assert read_table(out / "utt2num_frames") == {utt: str(count) for utt, count in FRAMES.items()}


def test_the_archive_can_also_be_read_in_order(tmp_path, data):
    make_archive(data, tmp_path / "out", Fbank())
    in_order = dict(kaldiio.load_ark(str(tmp_path / "out" / "feats.ark")))
    assert {utt: len(matrix) for utt, matrix in in_order.items()} == FRAMES


def test_two_bytes_a_value_take_half_the_room(tmp_path, data):
    sizes = []
    for compression in (0, 3):
        make_archive(data, tmp_path / str(compression), Fbank(compression=compression))
        sizes.append((tmp_path / str(compression) / "feats.ark").stat().st_size)
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.01)


def test_repeated_speech_has_the_frames_of_the_span(tmp_path, data):
    make_archive(data, tmp_path / "out", Fbank(max_frames=50, pad="repeat"))
    assert set(read_table(tmp_path / "out" / "utt2num_frames").values()) == {"50"}


def test_speech_shorter_than_a_frame_is_named(tmp_path, partials):
    data = speech_dir(tmp_path, "clean", {"A-ang_1": hiss(1, 4000), "B-neu_1": hiss(2, 399)})
    with pytest.raises(TrnetError, match="B-neu_1 of .*: 399 samples .*25 ms"):
        make_archive(data, tmp_path / "out", Fbank())
    assert not list((tmp_path / "out").glob("feats*")) and not partials(tmp_path)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_a_stopped_archive_leaves_nothing_and_the_next_call_is_the_whole(tmp_path, data, monkeypatch, partials, stop):
    out = tmp_path / "out"
    whole, calls = FbankExtractor.__call__, []

    def third_fails(*args):
        calls.append(args)
        if len(calls) == 3:
            raise stop
        return whole(*args)

    monkeypatch.setattr(FbankExtractor, "__call__", third_fails)
    with pytest.raises(stop):
        make_archive(data, out, Fbank())
    assert [path.name for path in out.iterdir()] == [".fbank.json"] and not partials(out)
    monkeypatch.undo()
    make_archive(data, out, Fbank())
    assert len(read_table(out / "feats.scp")) == 4


@pytest.mark.parametrize("name", ark.FILES)
def test_a_full_disk_leaves_no_half_archive(tmp_path, data, disk_full, partials, name):
    out = tmp_path / "out"
    disk_full(out / name)
    with pytest.raises(OSError) as caught:
        make_archive(data, out, Fbank())
    assert caught.value.errno == errno.ENOSPC
    assert not (out / name).exists() and not partials(out)
    make_archive(data, out, Fbank())
    assert set(read_table(out / "feats.scp")) == set(CLIPS)


def test_features_are_made_once_and_anew_when_settings_or_audio_change(tmp_path, data, capsys):
    out = tmp_path / "out"
    make_archive(data, out, Fbank())
    before = os.stat(out / "feats.ark").st_mtime_ns
    (out / "of_others").write_text("kept")
    make_archive(data, out, Fbank())
    assert os.stat(out / "feats.ark").st_mtime_ns == before
    assert "up to date" in capsys.readouterr().out
    make_archive(data, out, Fbank(num_mel_bins=40))
    assert "changed: features" in capsys.readouterr().out
    assert open_features(out)["A-neu_2"].shape == (1, 40)
    (data.path / "utt2dur").write_text("A-ang_1 1\n")  # stands for any change of the data dir
    make_archive(data, out, Fbank(num_mel_bins=40))
    assert "changed: data" in capsys.readouterr().out
    assert (out / "of_others").exists()


@pytest.mark.parametrize("name", ["feats.ark", "feats.scp", "utt2num_frames"])
def test_what_is_gone_of_finished_features_is_made_again(tmp_path, data, name):
    make_archive(data, tmp_path, Fbank())
    before = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    make_archive(data, tmp_path, Fbank())
    assert (tmp_path / name).read_bytes() == before


def test_a_damaged_archive_is_named_with_the_utterance(tmp_path, data):
    """Cut in the middle, as by a copy that was stopped."""
    make_archive(data, tmp_path / "raw" / "clean", Fbank())
    ark = tmp_path / "raw" / "clean" / "feats.ark"
    whole = ark.read_bytes()
    reasons = []
    for keep in (len(whole) - 50, 20000, 20, 9, 0):
        ark.write_bytes(whole[:keep])
        reader = FeatureReader(tmp_path, "none", "clean")
        with pytest.raises(TrnetError, match="B-neu_2 .*stage 4") as caught:
            reader.matrix("noisy", "B-neu_2", CLEAN)
        reasons.append(str(caught.value))
    assert all("feats.ark" in reason for reason in reasons)


def test_features_that_are_not_there_are_named(tmp_path, data):
    make_archive(data, tmp_path / "raw" / "clean", Fbank())
    reader = FeatureReader(tmp_path, "none", "clean")
    assert reader.lengths(CLEAN) == FRAMES
    with pytest.raises(TrnetError, match="utt2num_frames: .*C-ang_1.*stage 4"):
        reader.lengths(CLEAN)["C-ang_1"]
    with pytest.raises(TrnetError, match="feats.scp: .*C-ang_1"):
        reader.matrix("noisy", "C-ang_1", CLEAN)
    with pytest.raises(TrnetError, match="none/clean/feats.scp: .*stages 2 to 4"):
        reader.matrix("enhanced", "A-ang_1", CLEAN)
