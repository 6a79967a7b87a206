"""Stamps: a finished step is not redone, a changed one is, and a stopped one goes on."""

import json

import pytest

from trnet.utils.stamp import Stamp, dir_digest


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_step_is_done_only_once_it_is_finished(tmp_path):
    stamp = Stamp(tmp_path / "out", "mix", {"seed": 1})
    assert not stamp.done() and stamp.changed() == []
    stamp.begin()
    assert not stamp.done()
    stamp.finish()
    assert stamp.done() and Stamp(tmp_path / "out", "mix", {"seed": 1}).done()
    assert not Stamp(tmp_path / "out", "fbank", {"seed": 1}).done()  # another step of the same folder


def test_what_changed_is_named_added_and_removed_keys_too(tmp_path):
    stamp = Stamp(tmp_path, "mix", {"seed": 1, "snr": 10, "old": 0})
    stamp.begin()
    stamp.finish()
    other = Stamp(tmp_path, "mix", {"seed": 2, "snr": 10, "new": 0})
    assert not other.done() and other.changed() == ["new", "old", "seed"]


def test_values_compare_as_json_holds_them(tmp_path):
    stamp = Stamp(tmp_path, "mix", {"snrs": (10, 0), "span": {"a": 1}, "snr": 10})
    stamp.begin()
    stamp.finish()
    assert Stamp(tmp_path, "mix", {"snr": 10.0, "span": {"a": 1}, "snrs": [10.0, 0.0]}).done()


def test_begin_keeps_what_was_made_from_the_same_and_clears_the_rest(tmp_path):
    out = tmp_path / "out"
    stamp = Stamp(out, "mix", {"seed": 1})
    stamp.begin()
    (out / "half").write_text("work")
    stamp.begin()  # stopped and called again
    assert files(out) == [".mix.json", "half"]
    Stamp(out, "mix", {"seed": 2}).begin()
    assert files(out) == [".mix.json"]


def test_clear_removes_what_it_is_told_and_only_when_something_changed(tmp_path):
    calls = []
    stamp = Stamp(tmp_path, "fbank", {"bins": 80})
    (tmp_path / "others").write_text("not ours")
    stamp.begin(clear=lambda: calls.append(1))
    stamp.finish()
    stamp.begin(clear=lambda: calls.append(2))
    assert calls == [1] and not stamp.done()  # begun again
    Stamp(tmp_path, "fbank", {"bins": 40}).begin(clear=lambda: calls.append(3))
    assert calls == [1, 3] and files(tmp_path) == [".fbank.json", "others"]


def test_a_clearing_that_is_stopped_does_not_leave_the_old_step_done(tmp_path):
    """Ctrl-C while old results are removed, then the old settings again: they are not there any more."""
    old = Stamp(tmp_path, "fbank", {"bins": 80})
    old.begin(clear=lambda: None)
    old.finish()

    def stopped():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Stamp(tmp_path, "fbank", {"bins": 40}).begin(clear=stopped)
    assert not old.done()


@pytest.mark.parametrize("text", ["", '{"state": "do', "[1"])
def test_a_stamp_cut_short_counts_as_none(tmp_path, text):
    (tmp_path / ".mix.json").write_text(text)
    stamp = Stamp(tmp_path, "mix", {"seed": 1})
    assert not stamp.done() and stamp.changed() == []


def test_the_digest_of_a_folder_sees_tables_and_stamps_but_no_audio_or_half_files(tmp_path):
    (tmp_path / "wav.scp").write_text("a a.wav\n")
    before = dir_digest(tmp_path)
    (tmp_path / "wav").mkdir()
    (tmp_path / "wav" / "a.wav").write_text("sound")
    (tmp_path / "feats.ark").write_text("many bytes")
    (tmp_path / ".partial-1-wav.scp").write_text("half")
    assert dir_digest(tmp_path) == before
    (tmp_path / ".mix.json").write_text(json.dumps({}))
    with_stamp = dir_digest(tmp_path)
    assert with_stamp != before and dir_digest(tmp_path, ignore=[".mix.json"]) == before
    (tmp_path / "wav.scp").write_text("a b.wav\n")
    assert dir_digest(tmp_path) != with_stamp


def test_what_a_killed_process_left_is_swept_when_the_step_is_taken_up(tmp_path):
    stamp = Stamp(tmp_path / "out", "simulate", {"seed": 1})
    stamp.begin()
    left = tmp_path / "out/wav/.partial-123-a.wav"
    left.parent.mkdir()
    left.write_bytes(b"half")
    (tmp_path / "out/wav/b.wav").write_bytes(b"whole")
    Stamp(tmp_path / "out", "simulate", {"seed": 1}).begin()
    assert not left.exists() and (tmp_path / "out/wav/b.wav").exists()
