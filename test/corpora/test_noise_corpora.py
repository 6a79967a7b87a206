"""Noise: ESC-50 and its subset, MUSAN's segments, any folder."""

import os
from pathlib import Path

import pytest

from trnet.bin import prepare_noise
from trnet.corpora.contract import Contract
from trnet.corpora.demand import DEMAND
from trnet.corpora.esc50 import ESC50
from trnet.corpora.musan import MUSAN
from trnet.corpora.noise_folder import NOISE_FOLDER
from trnet.corpora.source import audio_files
from trnet.kaldi.paths import entry_for
from trnet.kaldi.validate import validate_data_dir
from trnet.utils.errors import TrnetError

ESC_HEADER = "filename,fold,target,category,esc10,src_file,take"


@pytest.fixture
def esc(tmp_path, write_wav):
    """Three 44.1 kHz clips, two of them from one recording."""
    root = tmp_path / "ESC-50"
    names = ("1-100032-A-0", "1-100032-B-0", "5-9-A-3")
    for name in names:
        write_wav(root / f"audio/{name}.wav", rate=44100)
    rows = [f"{name}.wav,1,0,dog,True,{name.split('-')[1]},A" for name in names]
    (root / "meta").mkdir()
    (root / "meta/esc50.csv").write_text("\n".join([ESC_HEADER, *rows]) + "\n")
    return root


def test_esc_clips_and_sources(esc, tmp_path, capsys):
    data = ESC50.prepare(esc, tmp_path / "noise_esc")
    assert data["utt2src"] == {
        "100032-1-100032-A-0": "100032",
        "100032-1-100032-B-0": "100032",
        "9-5-9-A-3": "9",
    }
    assert data["utt2spk"] == data["utt2src"]
    assert "3 recordings at 44100 Hz: resampled to 16000 Hz\n" in capsys.readouterr().out
    assert validate_data_dir(data.path, ("utt2dur", "utt2src")) == []


def test_esc_missing_clip(esc, tmp_path):
    (esc / "audio/5-9-A-3.wav").unlink()
    with pytest.raises(TrnetError, match="1 clip of esc50.csv without recording .5-9-A-3.; complete"):
        ESC50.prepare(esc, tmp_path / "noise_esc")


def test_esc_contract(esc, tmp_path):
    ESC50.prepare(esc, tmp_path / "good", Contract(tmp_path / "c.yaml", {"clips": 3, "sources": 2}))
    with pytest.raises(TrnetError, match="1 of 2 counts are not those of .*c.yaml .clips: expected 2000, found 3"):
        ESC50.prepare(esc, tmp_path / "bad", Contract(tmp_path / "c.yaml", {"clips": 2000, "sources": 2}))


@pytest.fixture
def musan(tmp_path, write_wav):
    """Free-sound of 12.4 s, 5 s and 4.9 s, and sound-bible, which is not used."""
    root = tmp_path / "musan"
    for number, seconds in enumerate((12.4, 5.0, 4.9)):
        write_wav(root / f"noise/free-sound/noise-free-sound-000{number}.wav", seconds)
    write_wav(root / "noise/sound-bible/noise-sound-bible-0000.wav", 20)
    (root / "noise/free-sound/ANNOTATIONS").write_text("noise-free-sound-0000\n")
    return root


def test_a_folder_that_may_not_be_read_is_not_passed_over(musan, monkeypatch):
    (musan / "noise/deep").mkdir()
    scandir = os.scandir

    def look(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", look)
    assert len(audio_files(musan / "noise/free-sound")) == 3 and audio_files(musan / "nowhere") == []
    with pytest.raises(PermissionError, match="deep"):
        audio_files(musan / "noise", recursive=True)


def test_musan_segments(musan, tmp_path):
    contract = Contract(tmp_path / "c.yaml", {"clips": 3, "sources": 2})
    data = MUSAN.prepare(musan, tmp_path / "noise_musan", contract)
    assert data["segments"] == {
        "noise-free-sound-0000-0000": "noise-free-sound-0000 0.00 5.00",
        "noise-free-sound-0000-0001": "noise-free-sound-0000 5.00 10.00",
        "noise-free-sound-0001-0000": "noise-free-sound-0001 0.00 5.00",
    }
    assert sorted(data["wav.scp"]) == ["noise-free-sound-0000", "noise-free-sound-0001"]
    assert set(data["utt2dur"].values()) == {"5.0"}
    assert validate_data_dir(data.path, ("utt2dur", "utt2src", "segments")) == []


def test_musan_silent_segment_is_left_out_but_counted(musan, tmp_path, write_wav, capsys):
    write_wav(musan / "noise/free-sound/noise-free-sound-0001.wav", 5.0, level=0)
    data = MUSAN.prepare(musan, tmp_path / "data", Contract(tmp_path / "c.yaml", {"clips": 3, "sources": 2}))
    assert len(data.utts) == 2 and sorted(data["wav.scp"]) == ["noise-free-sound-0000"]
    assert "warning: 1 silent noise clips are left out: noise-free-sound-0001-0000" in capsys.readouterr().err
    assert validate_data_dir(data.path) == []


def test_musan_broken_header(musan, tmp_path):
    (musan / "noise/free-sound/noise-free-sound-0009.wav").write_bytes(b"RIFF")
    with pytest.raises(TrnetError, match="1 of 4 recordings cannot be used: .*0009.wav: cannot be read as audio"):
        MUSAN.prepare(musan, tmp_path / "data")


@pytest.fixture
def demand(tmp_path, write_wav):
    """Two environments of three microphones, one of them at 48 kHz as SCAFE is, and what lies beside them."""
    root = tmp_path / "DEMAND"
    for environment, seconds, rate in (("DKITCHEN", 11.0, 16000), ("SCAFE", 5.0, 48000)):
        for channel in (1, 2, 16):
            write_wav(root / environment / f"ch{channel:02d}.wav", seconds, rate)
    (root / "DKITCHEN_16k.zip").write_bytes(b"PK")
    return root


def test_demand_is_the_first_microphone_of_each_environment_in_segments(demand, tmp_path, capsys):
    data = DEMAND.prepare(demand.parent, tmp_path / "noise_demand", Contract(tmp_path, {"clips": 3, "sources": 2}))
    assert data["segments"] == {
        "DKITCHEN-0000": "DKITCHEN 0.00 5.00",
        "DKITCHEN-0001": "DKITCHEN 5.00 10.00",
        "SCAFE-0000": "SCAFE 0.00 5.00",
    }
    assert set(data["utt2src"].values()) == {"DKITCHEN", "SCAFE"} and set(data["utt2dur"].values()) == {"5.0"}
    assert DEMAND.all_files(demand) == [demand / "DKITCHEN/ch01.wav", demand / "SCAFE/ch01.wav"]
    assert "1 recording at 48000 Hz: resampled" in capsys.readouterr().out
    assert validate_data_dir(data.path, ("utt2dur", "utt2src", "segments")) == []


def test_folder_is_read_below_and_named_by_stem(tmp_path, write_wav):
    root = tmp_path / "my noises"
    for name in ("n1.wav", "inner/n 2.wav", "inner/hum.wav", "street/hum.wav", ".hidden/x.wav", "._n1.wav"):
        write_wav(root / name)
    (root / "README.txt").write_text("not audio")
    data = NOISE_FOLDER.prepare(root, tmp_path / "noise_nonspeech")
    assert data["utt2src"] == {name: name for name in ("n1", "n_2", "inner_hum", "street_hum")}
    assert data.clip("n_2").path == root / "inner/n 2.wav"  # blanks in paths are kept
    assert validate_data_dir(data.path, ("utt2dur", "utt2src")) == []


def test_a_name_that_is_no_utf8_is_one_line(tmp_path, write_wav, fails):
    write_wav(tmp_path / "noises/good.wav")
    odd = os.fsencode(tmp_path / "noises") + b"/rain\xff.wav"
    try:
        os.link(tmp_path / "noises/good.wav", odd)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    args = ["--noise", "nonspeech", "--root", str(tmp_path / "noises"), "--out", str(tmp_path / "data")]
    line = fails(prepare_noise.main, args)
    assert "rain\\udcff.wav: its name is no text in UTF-8; rename it" in line and not (tmp_path / "data").exists()
    with pytest.raises(TrnetError, match=r"rain\\udcff.wav"):
        entry_for(Path(os.fsdecode(odd)), Path("wav.scp"))


def test_folder_names_that_collide(tmp_path, write_wav):
    for name in ("a/x.wav", "b/x.wav", "a_x.wav"):
        write_wav(tmp_path / "noises" / name)
    with pytest.raises(TrnetError, match="has the same name as"):
        NOISE_FOLDER.prepare(tmp_path / "noises", tmp_path / "data")


@pytest.mark.parametrize(
    ("prepare", "option", "origin"),
    [
        (ESC50.prepare, "--esc-dir", "karolpiczak/ESC-50"),
        (MUSAN.prepare, "--musan-dir", "openslr.org/17"),
        (DEMAND.prepare, "--demand-dir", "zenodo.org/records/1227121"),
        (NOISE_FOLDER.prepare, "--nonspeech-dir", "speechdnn/Noises"),
    ],
)
def test_missing_noise_says_which_option_and_where_to_get_it(tmp_path, prepare, option, origin):
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "no"):
        with pytest.raises(TrnetError, match=f"{option}.*{origin}"):
            prepare(tmp_path / folder, tmp_path / "data")


def test_shared_esc10(shared_data, tmp_path, headers_only):
    data = ESC50.prepare(shared_data("esc10"), tmp_path / "data", Contract(tmp_path, {"clips": 400, "sources": 304}))
    assert len(data.utts) == 400 and validate_data_dir(data.path) == []


def test_shared_nonspeech(shared_data, tmp_path):
    data = NOISE_FOLDER.prepare(shared_data("nonspeech"), tmp_path / "data")
    assert len(data.utts) == 100 and {"n1", "n100"} <= set(data.utts)
