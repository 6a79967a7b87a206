"""Numbers from outside: finite, in plain digits, within bounds."""

import math

import pytest

from trnet.utils.numbers import real, shown, whole


@pytest.mark.parametrize(
    ("value", "number"),
    [("5e-4", 5e-4), (".5", 0.5), ("+3", 3.0), ("-2.", -2.0), (7, 7.0), (1e308, 1e308), ("010", 10.0)],
)
def test_a_number_is_read(value, number):
    assert real(value) == number and isinstance(real(value), float)


NO_NUMBERS = ["", " 1", "1\n", "1_0", "\u0663", "0x10", "1,5", "nan", ".nan", "-inf", "1e", True, None, [1], {"a": 1}]


@pytest.mark.parametrize("value", [*NO_NUMBERS, math.nan, math.inf, "1e309", 10**400, "9" * 5000])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(ValueError, match="is no (finite )?number"):
        real(value)


@pytest.mark.parametrize("value", [*NO_NUMBERS, 1.0, "1.0", "1e3", math.nan, "9" * 5000])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(ValueError, match="is no whole number"):
        whole(value)


def test_bounds_are_named_and_belong_to_what_is_taken():
    assert whole("3", 3, 3) == 3 and real(0, 0, 1) == 0 and real(1, 0, 1) == 1
    with pytest.raises(ValueError, match="4 must be from 1 to 3"):
        whole(4, 1, 3)
    with pytest.raises(ValueError, match="-0.5 must be 0 or more"):
        real("-0.5", 0)
    with pytest.raises(ValueError, match="2.0 must be at most 0.5"):
        real(2, high=0.5)
    with pytest.raises(ValueError, match="must be from 0 to 4294967295"):
        whole(2**32, 0, 2**32 - 1)
    with pytest.raises(ValueError, match="thousands of digits must be from"):
        whole(10**5000, 0, 1)


def test_minus_zero_is_zero():  # as -0 would name another folder than 0
    assert f"{real('-0'):g}" == f"{real(-0.0):g}" == "0"


def test_what_is_shown_is_short():
    deep = [[[[[[[["x"]]]]]]]]
    assert len(shown(deep * 100)) < 60 and len(shown("x" * 10**6)) < 60 and "digits" in shown(10**5000)
