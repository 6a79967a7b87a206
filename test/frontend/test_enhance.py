"""Stage 3: batches, threads, processes, shards; stopped, killed, full disks; front-ends that fail."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
from tiny import SETS

from trnet.bin import enhance, make_fbank
from trnet.conditions import Condition
from trnet.frontend import enhance as stage
from trnet.kaldi.data_dir import DataDir
from trnet.utils.locks import only_one

FRONT_ENDS = """
import time
import torch
from trnet.frontend import FrontEnd

class Smear(FrontEnd):
    causal = True
    def __init__(self, weight=0.5):
        super().__init__()
        self.weight = weight
    def enhance_padded(self, wav, sizes):
        mixed = torch.linspace(0, 1, wav.shape[1] * 3).reshape(3, -1) @ wav.T / wav.shape[1]  # rounds by batch
        return self.weight * wav + 1e-3 * mixed.mean(0)[:, None]
    def enhance_equal(self, wav):
        return self.enhance_padded(wav, [])

class Slow(Smear):
    def enhance_padded(self, wav, sizes):
        time.sleep(0.2)
        return super().enhance_padded(wav, sizes)

class Nan(Smear):
    def enhance_padded(self, wav, sizes):
        return wav * float("nan")

class Silent(Smear):
    def enhance_padded(self, wav, sizes):
        return wav * 0

class Short(Smear):
    def enhance_padded(self, wav, sizes):
        return wav[:, :-1]
"""


@pytest.fixture
def options(tiny, tmp_path, monkeypatch):
    """options(front-end, dump, sets): what enhance.main takes; the front-ends above are importable, in workers too."""
    (tmp_path / "mine.py").write_text(FRONT_ENDS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])]))

    def make(name: str = "Smear", dump: str = "dump", sets: tuple[str, ...] = SETS) -> list[str]:
        folders = " ".join(str(tiny.root / "data" / each) for each in sets)
        config = ["--config", str(tiny.config_path), "--frontend", f"mine:{name}"]
        return [*config, "--sets", folders, "--dump", str(tmp_path / dump)]

    return make


def audio(dump: Path) -> dict[str, bytes]:
    return {str(path.relative_to(dump)): path.read_bytes() for path in sorted(dump.glob("*/*/wav/[!.]*.wav"))}


def finished(dump: Path, name: str = "Smear") -> list[str]:
    return sorted(path.parent.name for path in dump.glob(f"mine.{name}/*/wav.scp"))


@pytest.fixture
def whole(options, tmp_path) -> dict[str, bytes]:
    """What one undisturbed call in one process gives."""
    assert enhance.main(options(dump="whole")) == 0
    return audio(tmp_path / "whole")


@pytest.mark.slow
def test_two_processes_give_the_bits_of_one(options, tmp_path, whole):
    assert len(whole) == 3 * 48 and finished(tmp_path / "whole") == sorted(SETS)
    assert enhance.main([*options(), "--nj", "2"]) == 0
    assert audio(tmp_path / "dump") == whole


def test_shards_give_the_bits_of_the_whole_and_the_last_one_finishes_the_sets(options, tmp_path, whole, capsys):
    assert enhance.main([*options(), "--shard", "2/2"]) == 0
    assert "shard 2 of 2 is done; 3 of 3 sets" in capsys.readouterr().out
    assert not finished(tmp_path / "dump")
    assert enhance.main([*options(), "--shard", "1/2"]) == 0
    assert finished(tmp_path / "dump") == sorted(SETS) and audio(tmp_path / "dump") == whole


def test_shards_of_two_configurations_do_not_mix(options, tiny, tmp_path, whole, fails, capfd):
    shorter = tmp_path / "shorter.yaml"
    shorter.write_text(f"base: {tiny.config_path}\nfeatures: {{max_frames: 20}}\n")
    other = ["--config", str(shorter), *options()[2:]]
    assert enhance.main([*options(), "--shard", "1/2"]) == 0
    with only_one(tmp_path / "dump/mine.Smear.1of2"):  # as if it were still at work
        assert "another span" in fails(enhance.main, [*other, "--shard", "2/2"])
        assert "another process" in fails(enhance.main, options())
        assert "mine.Smear.1of2.lock" in fails(enhance.main, [*options(), "--shard", "2/3"])
        assert enhance.main([*options(), "--shard", "2/2"]) == 0  # its fellow
    with only_one(tmp_path / "dump/mine.Smear.1of2.gpu"):  # whose batches are others
        assert "kind of device" in fails(enhance.main, [*options(), "--shard", "2/2"])
    assert audio(tmp_path / "dump") == whole
    assert enhance.main([*other, "--shard", "2/2"]) == 0
    assert "made anew, changed: span" in capfd.readouterr().out


def test_the_audio_that_is_missing_or_cut_is_made_again_to_the_bit(options, tmp_path, whole):
    assert enhance.main(options()) == 0
    for name in SETS[:2]:
        folder = tmp_path / "dump/mine.Smear" / name
        if name == SETS[0]:  # stopped; the other one is finished
            stamp = folder / ".enhance.json"
            stamp.write_text(stamp.read_text().replace('"done"', '"begun"'))
            (folder / "wav.scp").unlink()
        paths = sorted((folder / "wav").iterdir())
        for path in paths[::5]:
            path.unlink()
        for path in paths[1::5]:  # as a power loss leaves them
            os.truncate(path, 0)
        for path in paths[2::5]:
            os.truncate(path, path.stat().st_size // 2)
    assert enhance.main(options()) == 0
    assert audio(tmp_path / "dump") == whole


@pytest.mark.slow
def test_a_killed_call_leaves_nothing_that_is_taken_for_whole(options, tmp_path):
    slow = options("Slow", sets=SETS[:1])
    assert enhance.main(options("Slow", dump="whole", sets=SETS[:1])) == 0
    dump = tmp_path / "dump"
    command = [sys.executable, "-m", "trnet.bin.enhance", *slow, "--nj", "2"]
    killed = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not list(dump.glob("*/*/wav/[!.]*.wav")):
        assert killed.poll() is None
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not finished(dump, "Slow")
    left = dump / "mine.Slow/tiny/wav/.partial-1-x.wav"  # as a kill in mid-write leaves
    left.write_bytes(b"RIFF")
    assert enhance.main(slow) == 0
    assert audio(dump) == audio(tmp_path / "whole") and not left.exists()


def test_other_options_make_the_sets_anew(options, tiny, tmp_path, whole, capsys):
    assert enhance.main(options()) == enhance.main(options()) == 0
    assert capsys.readouterr().out.count("up to date") == 3
    config = tmp_path / "quiet.yaml"
    config.write_text(f"base: {tiny.config_path}\nfrontend: mine:Smear\nfrontend_conf: {{weight: 0.25}}\n")
    assert enhance.main(["--config", str(config), *options()[4:]]) == 0
    assert capsys.readouterr().out.count("made anew, changed: frontend") == 3
    assert audio(tmp_path / "dump").keys() == whole.keys() and audio(tmp_path / "dump") != whole


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message", "processes"),
    [
        ("Nan", "NaN", "1"),
        ("Nan", "NaN", "2"),
        ("Silent", "silence", "1"),
        ("Short", "shape", "1"),
    ],
)
def test_a_front_end_that_fails_is_named_and_leaves_no_set(
    options, tmp_path, fails, partials, name, message, processes
):
    line = fails(enhance.main, [*options(name), "--nj", processes])
    assert message in line and ("utterance S" in line or f"mine:{name}" in line)
    assert not finished(tmp_path / "dump", name) and not partials(tmp_path)


def test_a_full_disk_is_said_and_the_same_command_goes_on(
    options, tmp_path, fails, disk_full, partials, whole, monkeypatch
):
    def begin(*args):
        begun = whole_begin(*args)  # sweeps what looks like leftovers
        disk_full(tmp_path / "dump/mine.Smear/tiny/wav/S1F-ang_0.wav")
        return begun

    whole_begin = stage._begin
    with monkeypatch.context() as patch:
        patch.setattr(stage, "_begin", begin)
        assert "no space left" in fails(enhance.main, options())
    assert not partials(tmp_path) and "tiny" not in finished(tmp_path / "dump")
    assert enhance.main(options()) == 0
    assert audio(tmp_path / "dump") == whole


@pytest.mark.slow
def test_a_second_call_at_the_same_time_is_refused(options, tmp_path, fails, forked_commands):
    first = subprocess.Popen(
        [sys.executable, "-m", "trnet.bin.enhance", *options("Slow")],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    while not audio(tmp_path / "dump"):
        assert first.poll() is None
        time.sleep(0.05)
    assert "mine.Slow: another process" in fails(enhance.main, options("Slow"))
    assert first.wait() == 0 and finished(tmp_path / "dump", "Slow") == sorted(SETS)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/", "-1/2"])
def test_a_shard_that_is_none_is_refused(options, fails, text):
    assert f"'{text}' is not k/n" in fails(enhance.main, [*options(), f"--shard={text}"])


def test_on_a_gpu_clips_of_one_length_of_all_sets_share_batches(tiny, tmp_path):
    features = tiny.config.features
    sets = [stage._Set(DataDir(tiny.root / "data" / name), tmp_path / name, None, features) for name in SETS]
    batches = stage._batches(sets, features, "cuda")
    found = [utterance for batch in batches for utterance in batch.utterances]
    assert len(found) == len({utterance.utt for utterance in found}) == 3 * 48
    assert [utterance.seconds for utterance in found] == sorted(utterance.seconds for utterance in found)
    together = [{utterance.utt for utterance in batch.utterances} for batch in batches]
    utt = "S2F-neu_1"
    noisy = [Condition("esc", snr).utt(utt) for snr in (10, 0)]
    assert sum({utt, *noisy} <= batch for batch in together) == 1
    for batch in batches:
        assert len(batch.utterances) <= stage.GPU_CLIPS
        assert len(batch.utterances) * batch.utterances[-1].seconds <= stage.GPU_SECONDS


def test_a_gpu_batch_never_holds_more_seconds_than_said(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "GPU_SECONDS", 2.0)
    features = tiny.config.features
    batches = stage._batches([stage._Set(DataDir(tiny.root / "data/tiny"), tmp_path, None, features)], features, "cuda")
    padded = [len(batch.utterances) * batch.utterances[-1].seconds for batch in batches]
    assert max(padded) <= 2.0 and min(padded[:-1]) > 1.0


def test_an_enhanced_file_that_is_whole_but_shorter_is_named_by_stage_4(options, tmp_path, fails):
    assert enhance.main(options()) == 0
    path = min((tmp_path / "dump/mine.Smear" / SETS[0] / "wav").iterdir())
    samples, rate = soundfile.read(path, dtype="float32")
    soundfile.write(path, samples[:-200], rate, subtype="FLOAT", format="WAV")
    assert path.stem in fails(make_fbank.main, options())
