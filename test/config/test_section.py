"""Sections: strict, frozen, plain again, and what of them is part of a stamp."""

from typing import Literal

import pytest

from trnet.config import Config, Fbank, GateConf, Section, System, Training, build, check_value, later, within
from trnet.config.model import AttentionConf, Residual
from trnet.utils.errors import TrnetError


class Inner(Section):
    size: int = within(3, 1, 9)


class Outer(Section):
    rate: float = 0.5
    kind: Literal["a", "b"] = "a"
    bits: Literal[3, 0] = 3
    sizes: list[int] = later([1])
    inner: Inner = Inner()
    by_name: dict[str, Inner] = {}
    note: str = later("")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"rat": 1}, ["'rat'", "'rate'"]),
        ({"inner": {"sizee": 1}}, ["'inner.sizee'", "'size'"]),
        ({"by_name": {"x": {"sizee": 1}}}, ["'by_name.x.sizee'", "'size'"]),
        ({"sizes": [1, 2.5]}, ["sizes[1]: 2.5"]),
        ({"inner": {"size": 10}}, ["inner.size: 10", "9"]),
        ({"kind": "c"}, ["kind: 'c'", "a, b"]),
        ({"note": 3}, ["note: ", "3"]),
        ({"rate": float("nan")}, ["rate: nan"]),
        ({"rate": "1_0"}, ["rate: '1_0'"]),
        ({"inner": {"size": "10"}}, ["inner.size: 10"]),
        ({"inner": {"size": "2.0"}}, ["inner.size: '2.0'"]),
        (3, ["3"]),
    ],
)
def test_what_is_wrong_is_named_in_one_line(value, said):
    with pytest.raises(TrnetError) as caught:
        build(Outer, value, "conf")
    assert "\n" not in str(caught.value) and "conf" in str(caught.value)
    assert [part for part in said if part not in str(caught.value).replace("conf.", "")] == [], str(caught.value)


def test_a_field_without_a_default_is_missing():
    class Needs(Section):
        size: int

    with pytest.raises(TrnetError, match="conf.size"):
        build(Needs, {}, "conf")


def test_numbers_in_quotes_are_numbers_and_texts_stay_texts():
    made = build(Outer, {"rate": "1e-3", "bits": "0", "sizes": ["7"], "inner": {"size": "2"}, "note": "12"})
    assert (made.rate, made.bits, made.sizes, made.inner.size, made.note) == (1e-3, 0, [7], 2, "12")


def test_a_copy_is_checked_and_the_first_stays_as_it_is():
    first = Training(batch_size=8)
    second = first.replace(lr=0.5)
    assert (first.lr, second.lr, second.batch_size) == (1e-3, 0.5, 8)
    with pytest.raises(TrnetError, match="batch_size: 1"):
        first.replace(batch_size=1)
    with pytest.raises(ValueError):
        first.lr = 3.0


def test_the_default_of_one_section_is_not_that_of_another():
    one, other = Outer(), Outer()
    one.sizes.append(2)
    assert other.sizes == [1] == build(Outer, {}).sizes


def test_plain_values_build_an_equal_section():
    systems = {"mine": {"input": "both", "losses": [{"type": "low", "weight": 0.5}, "cross_entropy"]}}
    made = build(Config, {"encoder": "light", "pooling": {"type": "statistics", "attention": 3}, "systems": systems})
    assert build(Config, made.plain()) == made
    assert made.plain()["systems"]["mine"]["losses"][0]["weight"] == 0.5


def test_what_was_added_later_is_part_of_a_stamp_only_where_it_is_used():
    assert Outer().record() == {"rate": 0.5, "kind": "a", "bits": 3, "inner": {"size": 3}, "by_name": {}}
    assert Outer(sizes=[2]).record()["sizes"] == [2]
    assert "normalise" not in Residual().record() and "kernel" in Residual().record()
    assert Residual(normalise="mean").record()["normalise"] == "mean"
    assert "resolution" not in GateConf().record() and "features" not in GateConf().record()


STAMPED = {
    Residual: "type channels kernel dropout deltas input_norm",
    AttentionConf: "attention values clamp",
    Fbank: "sample_rate num_mel_bins frame_length frame_shift window low_freq high_freq max_frames pad compression",
    GateConf: "snr_features gradient init lr",
    System: "input conditions alpha beta bridge",
    Training: "batch_size lr max_epochs patience grad_clip plateau_patience plateau_factor train_conditions "
    "valid_conditions precision bucketing",
}


@pytest.mark.parametrize("section", STAMPED, ids=lambda section: section.__name__)
def test_stamps_of_older_versions_stay_up_to_date(section):
    """They hold these keys; one more, and hours of training would begin anew."""
    assert sorted(section().record()) == sorted(STAMPED[section].split())


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        (int, "3", 3),
        (float, "3", 3.0),
        (float, 3, 3.0),
        (str, "3", "3"),
        (list[float], ["1"], [1.0]),
        (bool, True, True),
    ],
)
def test_values_of_a_type_are_read(kind, value, read):
    found = check_value(kind, value, "x")
    assert found == read and type(found) is type(read)


@pytest.mark.parametrize(("kind", "value"), [(int, 2.5), (int, True), (int, "x"), (bool, "true"), (list[int], 3)])
def test_values_of_another_type_are_named(kind, value):
    with pytest.raises(ValueError, match="x: "):
        check_value(kind, value, "x")
