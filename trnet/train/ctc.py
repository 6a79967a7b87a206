"""The auxiliary CTC loss of a run: which utterances have a target, and the head's loss on a batch.

Speech-to-text as a second task of an emotion recogniser is Cai et al., Interspeech 2021. The loss is added to Eq. 8:
total + ctc_weight * CTC. Head and targets are part of training alone: `best.pt` holds the network as it is without
CTC, and is scored and taught from like any other; `last.pt` also holds the head, to go on from.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from sentencepiece import SentencePieceProcessor
from torch import Tensor

from trnet.config.experiment import Config
from trnet.model.batch import Batch
from trnet.model.ctc import CTCHead, ctc_loss, frames_needed
from trnet.model.encoder import size_after
from trnet.model.frames import ValidFrames
from trnet.train.text_normalisation import Transcripts
from trnet.utils.errors import TrnetError


@dataclass(frozen=True)
class Targets:
    """What the training utterances of a fold say, in pieces.

    Attributes:
        pieces: (n,) int64 by utterance id, counted from 1 because 0 is CTC's blank; only what can be aligned.
        num_pieces: size of the vocabulary.
        told: how many utterances have a target, and why the others have none.
    """

    pieces: Mapping[str, Tensor]
    num_pieces: int
    told: str


def make_targets(
    transcripts: Transcripts, processor: SentencePieceProcessor, length: Mapping[str, int], config: Config
) -> Targets:
    """The targets of the utterances whose frames at the tap (`length` log-mel frames each) are enough for them.

    Raises: TrnetError if there is no such utterance.
    """
    tap, utts = config.ctc.tap, list(transcripts.texts)
    frames = size_after(tap, torch.tensor([length[utt] for utt in utts]), config.encoder).tolist()
    pieces = {utt: torch.tensor(processor.encode(transcripts.texts[utt])) + 1 for utt in utts}
    fitting = {utt: pieces[utt] for utt, room in zip(utts, frames, strict=True) if frames_needed(pieces[utt]) <= room}
    if not fitting:
        raise TrnetError(
            f"ctc: none of {len(utts)} transcripts has as few pieces as frames after {tap} blocks of the encoder; "
            "raise ctc.vocab or lower ctc.tap"
        )
    without = {
        "whose pieces do not fit into their frames": len(utts) - len(fitting),
        "that are cut by features.max_frames": transcripts.cut,
        "without a transcript": transcripts.silent,
    }
    reasons = "".join(f", not to {count} {why}" for why, count in without.items() if count)
    return Targets(fitting, processor.vocab_size(), f"CTC listens to {len(fitting)} utterances{reasons}")


def make_head(config: Config, targets: Targets) -> CTCHead:
    """A new head for these targets."""
    return CTCHead(config.features.num_mel_bins, config.encoder, config.ctc.tap, targets.num_pieces)


def batch_loss(head: CTCHead, maps: Tensor, frames: ValidFrames, batch: Batch, targets: Targets) -> Tensor:
    """The CTC loss (a scalar) of a batch, from the maps (B, C, T', F') at the tap and their real frames."""
    return ctc_loss(head(maps), frames.counts, [targets.pieces.get(utt) for utt, _ in batch.items])
