"""Which table may take the place of which, and what the other one's files are called."""

from itertools import product

import pytest

from trnet.eval.coverage import LONGEST, lacking, suffix_beside

SYSTEMS = ("baseline_n", "trnet")
CONDITIONS = (("clean", None), ("esc", 10.0), ("esc", 0.0), ("musan", 10.0), ("musan", 0.0))


def scores(systems=SYSTEMS, folds=("1", "2"), seeds=(1,), conditions=CONDITIONS):
    return {(*run, *condition) for *run, condition in product(systems, folds, seeds, conditions)}


@pytest.mark.parametrize(
    ("mine", "suffix", "words"),
    [
        ({"systems": ("baseline_n",)}, "_baseline_n", "systems trnet"),
        ({"folds": ("2",)}, "_fold2", "folds 1"),
        ({"folds": ("3", "10", "2")}, "_folds2+3+10", "folds 1"),  # neither holds the other
        ({"seeds": (2,)}, "_seed2", "seeds 1"),
        ({"systems": ("trnet",), "seeds": (1, 2)}, "_trnet_seeds1+2", "systems baseline_n"),
        ({"conditions": CONDITIONS[:3]}, "_noise_esc", "noise sets musan"),
        ({"conditions": CONDITIONS[0::2]}, "_snr0", "SNRs 10"),
        ({"conditions": CONDITIONS[:1]}, "_clean", "noise sets esc musan, SNRs 10 0"),
        ({"systems": ("../x y",)}, "_..-x-y", "systems baseline_n trnet"),
    ],
)
def test_what_lacks_something_goes_beside(mine, suffix, words):
    assert suffix_beside(scores(**mine), scores()) == suffix
    assert lacking(scores(**mine), scores()) == words


@pytest.mark.parametrize(
    "more", [{}, {"folds": ("1", "2", "3")}, {"systems": (*SYSTEMS, "baseline_c"), "seeds": (1, 2)}]
)
def test_what_has_all_that_is_there_takes_its_place(more):
    assert suffix_beside(scores(**more), scores()) == ""


def test_folds_of_another_corpus_are_called_by_their_number():
    assert suffix_beside(scores(folds=("1@port",)), scores(folds=("1@port", "2@port"))) == "_fold1"


def test_a_long_suffix_is_cut_and_still_its_own():
    there = scores(folds=[str(n) for n in range(1, 99)])
    one, other = (suffix_beside(scores(folds=[str(n) for n in range(1, last)]), there) for last in (80, 90))
    assert len(one) == len(other) == LONGEST and one != other and one.startswith("_folds1+2+3+")
