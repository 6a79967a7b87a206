"""SentencePiece models (Kudo & Richardson, EMNLP 2018) of what a fold's training speakers say.

exp/pieces/fold<k>/pieces.model    shared by all systems and seeds of the fold
"""

import io
import logging
from collections.abc import Mapping
from pathlib import Path

from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from trnet.config import CTC
from trnet.utils.errors import TrnetError, first_line, printable
from trnet.utils.files import write_bytes
from trnet.utils.locks import only_one
from trnet.utils.stamp import Stamp, digest, file_digest, read_stamp

log = logging.getLogger(__name__)

WAIT_S = 600  # for another process that trains the same model, which takes seconds


def train_tokenizer(texts: Mapping[str, str], conf: CTC) -> bytes:
    """A SentencePiece model of normalised transcripts; the same bytes for the same texts and settings.

    One thread (sums in one order), every sentence and every character, nothing drawn; <unk> is the only extra piece.

    Raises:
        TrnetError: If the text has not enough in it for so many pieces, or more characters than pieces.
    """
    model, asked = io.BytesIO(), f"ctc.vocab: {conf.vocab} {conf.model} pieces"
    few = f"{asked} are too few for the characters of the text; set it to"
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter(texts[utt] for utt in sorted(texts)),
            model_writer=model,
            vocab_size=conf.vocab,
            model_type=conf.model,
            character_coverage=1.0,
            normalization_rule_name="identity",
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        why = printable(first_line(error))  # names the largest, or smallest, number that it takes
        reason = f"{asked}: SentencePiece cannot make them of {len(texts)} transcripts ({why})"
        raise TrnetError(reason, "change ctc.vocab or ctc.model") from None
    pieces = SentencePieceProcessor(model_proto=model.getvalue())
    unknown = {sign for text in texts.values() for sign in text if sign != " " and pieces.piece_to_id(sign) == 0}
    if unknown:  # where characters are the pieces, SentencePiece takes the most frequent ones without a word
        raise TrnetError(f"{few} {conf.vocab + len(unknown)} or more")
    return model.getvalue()


def fold_tokenizer(folder: Path, texts: Mapping[str, str], conf: CTC) -> SentencePieceProcessor:
    """The tokenizer of a fold: read from `folder`, or trained there first; one process at a time."""
    path = folder / "pieces.model"
    stamp = Stamp(folder, "pieces", {"texts": digest(texts), "vocab": conf.vocab, "model": conf.model})
    with only_one(folder, WAIT_S):
        kept = read_stamp(stamp.path).get("results", {})
        if not (stamp.done() and path.is_file() and kept.get(path.name) == file_digest(path)):
            stamp.begin()
            write_bytes(path, train_tokenizer(texts, conf))
            stamp.finish({path.name: file_digest(path)})
            log.info("%s: made from %d transcripts", path, len(texts))
        return SentencePieceProcessor(model_proto=path.read_bytes())
