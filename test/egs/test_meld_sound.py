"""egs/meld takes the sound out of its films; a stand-in for ffmpeg writes the WAV files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from recipes import ROOT

FFMPEG = """#!{python}
import sys
import wave

film, target = sys.argv[sys.argv.index("-i") + 1], sys.argv[-1]
assert sys.argv[sys.argv.index("-f") + 1] == "wav" and open(film).read() == "film", "no film"
with wave.open(target, "wb") as out:
    out.setnchannels(int(sys.argv[sys.argv.index("-ac") + 1]))
    out.setframerate(int(sys.argv[sys.argv.index("-ar") + 1]))
    out.setsampwidth(2)
    out.writeframes(b"\\1\\2" * 1600)
"""


@pytest.fixture
def meld(tmp_path) -> Path:
    """The corpus's folder with two films, one of them broken."""
    folder = tmp_path / "MELD.Raw/train_splits"
    folder.mkdir(parents=True)
    (folder.parent / "train_sent_emo.csv").touch()
    (folder / "dia0_utt0.mp4").write_text("film")
    (folder / "dia125_utt3.mp4").write_text("brok")
    return folder


def extract(tmp_path: Path, ffmpeg: bool) -> subprocess.CompletedProcess:
    """Run the script on `tmp_path`, the folder above the corpus's."""
    path = tmp_path / "bin"
    path.mkdir(exist_ok=True)
    for tool in ("bash", "mv", "rm"):
        if not (path / tool).exists():
            (path / tool).symlink_to(f"/bin/{tool}")
    if ffmpeg:
        (path / "ffmpeg").write_text(FFMPEG.format(python=sys.executable))
        (path / "ffmpeg").chmod(0o755)
    command = ["/bin/bash", ROOT / "egs/meld/ser1/local/make_data.sh", tmp_path, "esc", "musan"]
    return subprocess.run(command, env=os.environ | {"PATH": str(path)}, capture_output=True, text=True)


def test_films_get_their_sound_once_and_a_broken_one_is_named(meld, tmp_path):
    done = extract(tmp_path, ffmpeg=True)
    assert done.returncode == 0 and "warning:" in done.stderr and "dia125_utt3.mp4" in done.stderr
    sound = soundfile.info(meld / "dia0_utt0.wav")
    assert (sound.samplerate, sound.channels, sound.frames) == (16000, 1, 1600)
    assert sorted(path.name for path in meld.glob("*.wav*")) == ["dia0_utt0.wav"]
    before = (meld / "dia0_utt0.wav").stat().st_mtime_ns
    assert extract(tmp_path, ffmpeg=True).returncode == 0
    assert (meld / "dia0_utt0.wav").stat().st_mtime_ns == before


def test_without_ffmpeg_it_says_so(meld, tmp_path):
    done = extract(tmp_path, ffmpeg=False)
    assert done.returncode != 0 and done.stderr.startswith("error: ffmpeg")
