"""The CTC loss of a run: which utterances have tokens, and the loss on the frames of a tapped encoder.

Speech-to-text as a second task of an emotion recogniser is Cai et al., Interspeech 2021. The loss is added to Eq. 8.
Head and tokens are part of training alone: `best.pt` holds the network as it is without CTC; `last.pt` also holds the
head, to resume from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from sentencepiece import SentencePieceProcessor
from torch import Tensor, nn

from trnet.config import CTC
from trnet.model.batch import Batch, Output
from trnet.model.ctc import CTCHead, ctc_loss, frames_needed
from trnet.model.frames import ValidFrames
from trnet.model.systems import ser_module
from trnet.runs.text_normalisation import Transcripts
from trnet.utils.errors import TrnetError


@dataclass(frozen=True)
class Tokens:
    """The transcripts of a fold's training utterances in tokens."""

    by_utt: Mapping[str, Tensor]  # (n,) int64, from 1 (0: blank); only what can be aligned
    vocab_size: int  # how many tokens there are
    summary: str  # how many utterances have tokens, and why the others have none


def encoder_of(system: nn.Module) -> Any:
    """The encoder that CTC taps.

    Raises:
        TrnetError: If it cannot be tapped.
    """
    encoder = ser_module(system).encoder
    if not getattr(encoder, "tapped", None):
        raise TrnetError(f"CTC: the encoder {type(encoder).__name__} has no blocks to tap; leave CTC out")
    return encoder


def check_tap(system: nn.Module, conf: CTC) -> None:
    """Check that the encoder has the block that CTC taps.

    Raises:
        TrnetError: If a system's encoder has not so many blocks.
    """
    blocks = len(encoder_of(system).tapped)
    if conf.tap > blocks:
        raise TrnetError(f"ctc.tap: {conf.tap} is beyond the {blocks} blocks of encoder")


def make_tokens(
    transcripts: Transcripts,
    tokenizer: SentencePieceProcessor,
    length: Mapping[str, int],
    encoder: Any | None,
    conf: CTC,
) -> Tokens:
    """The tokens of the utterances whose frames at the tap (of `length` frames each) are enough for them.

    Without an encoder that CTC taps, of all.

    Raises:
        TrnetError: If there is no such utterance.
    """
    utts = list(transcripts.texts)
    tokens = {utt: torch.tensor(tokenizer.encode(transcripts.texts[utt])) + 1 for utt in utts}
    if encoder is None:
        return Tokens(tokens, tokenizer.vocab_size(), f"{len(tokens)} utterances have tokens")
    frames = encoder.tap_lengths(conf.tap, torch.tensor([length[utt] for utt in utts])).tolist()
    fitting = {utt: tokens[utt] for utt, room in zip(utts, frames, strict=True) if frames_needed(tokens[utt]) <= room}
    if not fitting:
        raise TrnetError(
            f"ctc: none of {len(utts)} transcripts has as few pieces as frames after {conf.tap} blocks of the encoder; "
            "raise ctc.vocab or lower ctc.tap"
        )
    without = {
        "whose pieces do not fit into their frames": len(utts) - len(fitting),
        "that are cropped by features.max_frames": transcripts.cut,
        "without a transcript": transcripts.silent,
    }
    reasons = "".join(f", not {count} {why}" for why, count in without.items() if count)
    return Tokens(fitting, tokenizer.vocab_size(), f"CTC uses {len(fitting)} utterances{reasons}")


class CTCLoss(nn.Module):
    """CTC on the frames after some blocks of a system's encoder, with a head of its own."""

    needs = ("text",)

    def __init__(self, system: nn.Module, conf: CTC, vocab_size: int) -> None:
        """Listen to the encoder of `system` after ``conf.tap`` blocks, in training only."""
        super().__init__()
        encoder = encoder_of(system)
        self.head = CTCHead(encoder.tap_dim(conf.tap), vocab_size)
        self._tapped: list[tuple[Tensor, ValidFrames]] = []
        encoder.tapped[conf.tap - 1].register_forward_hook(self._keep)

    def _keep(self, block: nn.Module, _inputs: Any, output: tuple[Tensor, ValidFrames]) -> None:
        if block.training:
            self._tapped = [output]

    def forward(self, output: Output, batch: Batch) -> Tensor:
        """The tokens of a batch, and the frames of the forward pass before -> a scalar."""
        assert batch.text is not None
        maps, frames = self._tapped.pop()
        return ctc_loss(self.head(maps), frames.counts, batch.text)
