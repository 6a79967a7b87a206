"""CTC against a sum over all alignments; padding moves neither loss nor gradient."""

import itertools
import math

import pytest
import torch
from near import assert_near

from trnet.model.ctc import ctc_loss, frames_needed


def by_hand(log_probs: torch.Tensor, target: list[int]) -> float:
    """-log of the sum over all paths (T of them) that spell the target: repeats joined, blanks (0) left out."""
    total, (frames, signs) = 0.0, log_probs.shape
    for path in itertools.product(range(signs), repeat=frames):
        spelled = [sign for sign, _ in itertools.groupby(path) if sign]
        total += math.exp(sum(log_probs[t, sign] for t, sign in enumerate(path))) if spelled == target else 0
    return -math.log(total)


TARGETS = [[1, 2], [2, 2], [1], [2, 1, 2]]
LENGTHS = [4, 3, 1, 4]


@pytest.fixture
def scores():
    """Log-probabilities (4, 4, 3) that are random, also behind the ends."""
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(1)
    return torch.randn(4, 4, 3).log_softmax(2)


def test_ctc_sums_over_all_alignments_and_divides_by_pieces(scores):
    targets = [torch.tensor(t) for t in TARGETS]
    expected = [by_hand(s[:n], t) / len(t) for s, n, t in zip(scores, LENGTHS, TARGETS, strict=True)]
    loss = ctc_loss(scores, torch.tensor(LENGTHS), targets)
    assert loss.item() == pytest.approx(sum(expected) / 4, rel=1e-4)
    # an item without a target adds zero, and is counted; a batch of such items is zero
    some = ctc_loss(scores, torch.tensor(LENGTHS), [targets[0], None, None, targets[3]])
    assert some.item() == pytest.approx((expected[0] + expected[3]) / 4, rel=1e-4)
    assert ctc_loss(scores, torch.tensor(LENGTHS), [None] * 4).item() == 0


def test_frames_behind_the_end_move_neither_loss_nor_gradient(scores):
    targets, lengths = [torch.tensor(t) for t in TARGETS], torch.tensor(LENGTHS)
    scores.requires_grad_()
    ctc_loss(scores, lengths, targets).backward()
    for row, length, target in zip(range(4), LENGTHS, targets, strict=True):
        alone = scores.detach()[row : row + 1, :length].requires_grad_()
        ctc_loss(alone, torch.tensor([length]), [target]).backward()
        assert_near(scores.grad[row, :length], alone.grad[0] / 4)
        assert not scores.grad[row, length:].any()


def test_the_frames_that_a_target_needs(scores):
    """One less, and there is no alignment."""
    for target in ([1], [1, 2], [2, 2], [1, 1, 2]):
        target = torch.tensor(target)
        need = frames_needed(target)
        assert need == len(target) + sum(a == b for a, b in itertools.pairwise(target.tolist()))
        loss = ctc_loss(scores[:1], torch.tensor([need]), [target])
        assert torch.isfinite(loss)
        if need > 1:
            assert ctc_loss(scores[:1], torch.tensor([need - 1]), [target]).item() == math.inf
