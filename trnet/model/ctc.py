"""CTC (Graves et al., ICML 2006) on an encoder's frames: a head that exists in training only, and its loss."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from trnet.model.precision import full
from trnet.utils.device import send

BLANK = 0


class CTCHead(nn.Module):
    """One linear layer over (channels x mel bins) of each frame, to the pieces and a blank before them."""

    def __init__(self, dim: int, num_pieces: int) -> None:
        """`dim`: channels times frequencies of a frame."""
        super().__init__()
        self.project = nn.Linear(dim, num_pieces + 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, T', F') -> log-probabilities (B, T', 1 + pieces) float32, also under autocast."""
        with torch.autocast(maps.device.type, enabled=False):
            rows = full(maps).permute(0, 2, 1, 3).flatten(2)  # (B, T', C * F')
            return torch.log_softmax(self.project(rows), dim=2)


def frames_needed(target: Tensor) -> int:
    """The fewest frames that CTC aligns a target (n,) to: one a piece, and a blank between two of a kind."""
    return len(target) + int((target[1:] == target[:-1]).sum())


def ctc_loss(log_probs: Tensor, lengths: Tensor, targets: Sequence[Tensor | None]) -> Tensor:
    """Mean over the batch of the negative log-likelihood of each target, a piece; an item without a target adds zero.

    Always computed on the CPU. On CUDA the gradient of PyTorch's own ctc_loss is summed in an order of chance, which
    `torch.use_deterministic_algorithms` refuses, and cuDNN's takes short targets only; what travels is small, some
    3 MB a batch of 32 utterances of 5 s, but a GPU is waited for.

    Args:
        log_probs: (B, T', 1 + pieces), the blank first.
        lengths: (B,) real frames; the others get no gradient.
        targets: B of (n,) int64 on the CPU, n > 0, pieces counted from 1; at most as long as `frames_needed` allows,
            or the loss is infinite.

    Returns:
        A scalar on the device of `log_probs`.
    """
    assert log_probs.ndim == 3 and lengths.shape == log_probs.shape[:1] and len(targets) == len(lengths)
    with_text = [(row, target) for row, target in enumerate(targets) if target is not None]
    if not with_text:
        return log_probs.new_zeros(())
    on_cpu, rows = log_probs.cpu(), [row for row, _ in with_text]
    counts = torch.tensor([len(target) for _, target in with_text])
    loss = functional.ctc_loss(
        torch.stack([on_cpu[row] for row in rows], dim=1),  # (T', N, 1 + pieces)
        torch.cat([target for _, target in with_text]),
        lengths[rows],
        counts,
        blank=BLANK,
        reduction="none",
    )  # (N,)
    return send((loss / counts).sum() / len(targets), log_probs.device)
