"""Recordings that cannot be used are refused together; those of other formats are accepted and told."""

import numpy as np
import pytest
import soundfile

from trnet.corpora.audio_check import check_noise, check_speech
from trnet.kaldi.data_dir import Clip
from trnet.utils.errors import TrnetError


def test_all_bad_speech_is_told_in_one_line(tmp_path, write_wav):
    good = write_wav(tmp_path / "good.wav")
    (tmp_path / "corrupt.wav").write_bytes(good.read_bytes()[:20])
    (tmp_path / "zero.wav").write_bytes(b"")
    write_wav(tmp_path / "empty.wav", 0)
    write_wav(tmp_path / "silent.wav", level=0)
    write_wav(tmp_path / "short.wav", 0.02)
    soundfile.write(tmp_path / "nan.wav", np.full(800, np.nan), 16000, subtype="FLOAT")
    clips = {path.stem: Clip(path) for path in sorted(tmp_path.glob("*.wav"))}
    with pytest.raises(TrnetError) as caught:
        check_speech(clips, 1)
    message = str(caught.value)
    assert message.startswith("6 of 7 recordings cannot be used: ") and "\n" not in message
    assert "and 1 more" in message and "good.wav" not in message
    assert "empty.wav: holds no samples" in message and "nan.wav: holds NaN" in message
    assert "short.wav: 20.0 ms, shorter than one 25 ms frame" in message
    assert message.endswith("replace these files by whole copies and run the same command again")


def test_lost_recording_is_told(tmp_path):
    with pytest.raises(TrnetError, match="1 of 1 recordings cannot be used: .*gone.wav"):
        check_speech({"gone": Clip(tmp_path / "gone.wav")}, 1)


def test_other_formats_are_told_once(tmp_path, write_wav, capsys):
    clips = {f"a{i}": Clip(write_wav(tmp_path / f"a{i}.wav", rate=8000)) for i in range(3)}
    clips |= {f"b{i}": Clip(write_wav(tmp_path / f"b{i}.wav", channels=2)) for i in range(2)}
    clips["c"] = Clip(write_wav(tmp_path / "c.wav", channels=6, rate=48000))
    assert set(check_speech(clips, 1).values()) == {"0.5"}
    assert capsys.readouterr().out.splitlines() == [
        "3 recordings at 8000 Hz: resampled to 16000 Hz, nothing above 4 kHz",
        "1 recording at 48000 Hz: resampled to 16000 Hz",
        "2 stereo recordings: channels averaged",
        "1 recordings of 6 channels: channels averaged",
    ]


@pytest.mark.parametrize(("rate", "samples"), [(16000, 31133), (44100, 70001), (32000, 51235)])
def test_durations_are_exact(tmp_path, write_wav, rate, samples):
    path = write_wav(tmp_path / "a.wav", samples / rate, rate)
    assert float(check_speech({"a": Clip(path)}, 1)["a"]) == samples / rate


def test_processes_give_the_same(tmp_path, write_wav):
    clips = {f"a{i}": Clip(write_wav(tmp_path / f"a{i}.wav", 0.1 * (i + 1))) for i in range(6)}
    assert check_speech(clips, 2) == check_speech(clips, 1)


def test_silent_noise_is_a_warning_and_corrupt_noise_an_error(tmp_path, write_wav, capsys):
    clips = {
        "loud": Clip(write_wav(tmp_path / "loud.wav")),
        "still": Clip(write_wav(tmp_path / "still.wav", level=0)),
    }
    assert list(check_noise(clips, 1)) == ["loud"]
    assert "warning: 1 silent noise clips are left out: still\n" in capsys.readouterr().err
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    with pytest.raises(TrnetError, match="1 of 3 noise clips cannot be used: .*bad.wav"):
        check_noise({**clips, "bad": Clip(tmp_path / "bad.wav")}, 1)


def test_recording_cut_off_inside_a_segment(tmp_path, write_wav):
    path = write_wav(tmp_path / "a.wav", 4.0)
    with pytest.raises(TrnetError, match="a.wav: ends after 4.00 s, before"):
        check_noise({"a-0": Clip(path, 0.0, 5.0)}, 1)
