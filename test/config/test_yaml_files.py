"""YAML files: what is plain is read, what is endless, doubled or makes objects is refused with file and line."""

import os
import threading

import pytest

from trnet.config.yaml_files import MOST, parse_mapping, read_mapping
from trnet.utils.errors import TrnetError


def bomb(levels: int) -> str:
    """Ten to the power of `levels` words behind aliases."""
    lines = [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join([f"a0: &a0 [{','.join('x' * 10)}]", *lines])


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a: 010", {"a": 10}),  # not octal
        ("a: 1e-3\nb: -.5\nc: 5.", {"a": 1e-3, "b": -0.5, "c": 5.0}),
        ("a: yes\nb: null\nc: ''", {"a": True, "b": None, "c": ""}),
        ("a: [0x10, 1_0, 1:30, 2020-01-01, .nan, .inf]", {"a": "0x10 1_0 1:30 2020-01-01 .nan .inf".split()}),
        ("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: *a", {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": {"x": 1}}),
        ("\ufeffa: 1", {"a": 1}),
        (bomb(3), parse_mapping(bomb(3), "conf.yaml", "settings")),
    ],
)
def test_what_is_plain_is_read(text, tree):
    assert parse_mapping(text, "conf.yaml", "settings") == tree


def test_words_stay_as_they_are_written():
    text = "01: no\nx: 1_0\ny: null\nz: [1e-3]"
    assert parse_mapping(text, "f", "map", words=True) == {"01": "no", "x": "1_0", "y": "null", "z": ["1e-3"]}


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!bool x", "conf.yaml:1: the tag !!bool"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]", "conf.yaml:2: the tag !!python"),
        ("a: " + "[" * 1000, "conf.yaml:1: .*deep"),
        (bomb(9), f"conf.yaml:[0-9]: more than {MOST} values"),
        ("a: &a [*a]", "conf.yaml:1: .*a stands inside"),
        ("a: *b", "conf.yaml:1: is not YAML: .*'b'"),
        ("x:\n  lr: 1\n  lr: 2", "conf.yaml:3: the key 'lr' is there twice, in line 2"),
        ("a: 1\n---\nb: 2", "conf.yaml:2: is not YAML"),
        ("a: [1", "conf.yaml:1: is not YAML"),
        ("[a]: 3", "conf.yaml:1: is not YAML"),
        ("a: b: c", "conf.yaml:1: is not YAML"),
        ("a: \x00", "conf.yaml: is not YAML"),
        ("- a", "conf.yaml: is not a YAML mapping, so no settings"),
        ("", "conf.yaml: holds nothing"),
        ("# a", "conf.yaml: holds nothing"),
    ],
)
def test_what_is_not_is_named_with_its_line(text, message, words):
    with pytest.raises(TrnetError, match=message) as caught:
        parse_mapping(text, "conf.yaml", "settings", words)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("word", ["1e309", "1" * 5000])
def test_a_number_out_of_all_bounds_stays_a_text(word):
    assert parse_mapping(f"a: {word}", "conf.yaml", "settings") == {"a": word}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00\xff\xfe", "UTF-8"),
        ("a: 1".encode("utf-16"), "UTF-8"),
        (b"", "holds nothing"),
        (None, "no such settings"),
    ],
)
def test_what_is_no_text_is_named(tmp_path, content, message):
    path = tmp_path / "conf.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrnetError, match=f"conf.yaml: .*{message}"):
        read_mapping(path, "settings")


def test_devices_folders_and_pipes(tmp_path):
    with pytest.raises(TrnetError, match="/dev/null: "):
        read_mapping("/dev/null", "settings")
    with pytest.raises(TrnetError, match="/dev/zero: .*larger"):
        read_mapping("/dev/zero", "settings")
    with pytest.raises(TrnetError, match="settings"):
        read_mapping(tmp_path, "settings")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("a: 3",))
    writer.start()
    assert read_mapping(tmp_path / "pipe", "settings") == {"a": 3}
    writer.join()
