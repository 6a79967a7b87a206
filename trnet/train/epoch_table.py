"""An epoch as a table of row numbers: which rows of the features in memory each batch consists of.

A training step that finds its batch by such a table needs nothing from the host but the word to begin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trnet.conditions import CLEAN, Condition
from trnet.features.cache import Item
from trnet.features.reader import FeatureSet
from trnet.train.batches import BatchReader, snrs_of
from trnet.train.table_batch import CONDITION, LENGTH, MEL_LENGTH, Source, TableBatch
from trnet.train.widths import Widths, width_for
from trnet.utils.device import send


class Shape(NamedTuple):
    """Of a batch: utterances, frames, and frames of what the gate reads (0: no other than these)."""

    batch: int
    frames: int
    mel_frames: int = 0


@dataclass(frozen=True)
class Field:
    """A field of a batch: the archives that it is read from."""

    name: str
    kind: str  # of features: noisy or enhanced
    clean: bool  # of clean speech, whatever the item's condition
    mels: bool  # what the gate reads


def fields_of(reader: BatchReader) -> list[Field]:
    """The fields of features that a reader's batches have."""
    found = [Field(kind, kind, False, False) for kind in reader.kinds]
    if reader.target is not None:
        found.append(Field("clean", reader.target, True, False))
    if reader.gate is not None:
        found += [Field(f"{kind}_mels", kind, False, True) for kind in reader.kinds]
    return found


@dataclass(frozen=True)
class Epoch:
    """Batches of an epoch: their items, their shapes, and the table (steps, B, columns) of where their rows begin."""

    batches: Sequence[Sequence[Item]]
    shapes: Sequence[Shape]
    table: np.ndarray  # int64


class TableMaker:
    """Makes tables for one set of features in memory."""

    def __init__(self, reader: BatchReader, conditions: Sequence[Condition], widths: Widths) -> None:
        self.reader, self.conditions, self.widths = reader, tuple(conditions), widths
        self.fields = fields_of(reader)
        self.utts = sorted(reader.cache.length)
        self.number = {utt: number for number, utt in enumerate(self.utts)}
        self._condition = {condition: number for number, condition in enumerate(self.conditions)}
        self.features = reader.cache.resident(self._sets(mels=False))
        self.mels = None if reader.gate is None else reader.gate.resident(self._sets(mels=True))
        self._starts: list[tuple[np.ndarray, np.ndarray]] = []  # of each field: rows of archives, and of utterances
        self._steps: dict[int, Tensor] = {}
        self._lengths = self._of_utts(reader.cache.length)
        self._mel_lengths = None if reader.gate is None else self._of_utts(reader.gate.length)
        self._snrs = send(snrs_of(self.conditions), reader.cache.device) if reader.snr else None  # (conditions,)

    def _sets(self, mels: bool) -> set[FeatureSet]:
        return {
            (field.kind, CLEAN if field.clean else condition)
            for field in self.fields
            if field.mels == mels
            for condition in self.conditions
        }

    def holds(self, utts: Sequence[str]) -> bool:
        """Whether all that batches of these utterances read lies on the device."""
        if self.features is None or (self.reader.gate is not None and self.mels is None):
            return False
        return all(there is None or there.row.keys() >= set(utts) for there in (self.features, self.mels))

    def _start(self, field: Field) -> tuple[np.ndarray, np.ndarray]:
        """First row of the archive of each condition, and of each utterance in it (0 where it is not in memory)."""
        there = self.mels if field.mels else self.features
        assert there is not None
        first = [there.first[field.kind, CLEAN if field.clean else each] for each in self.conditions]
        return np.array(first), self._of_utts(there.row)

    def _of_utts(self, by_utt: Mapping[str, int]) -> np.ndarray:
        return np.array([by_utt.get(utt, 0) for utt in self.utts])

    def epoch(self, batches: Sequence[Sequence[Item]], size: int) -> Epoch:
        """The table of batches of at most `size` items; rows behind the end of a batch are its first item's."""
        assert self.features is not None
        items = [item for batch in batches for item in batch]
        utt = np.array([self.number[each] for each, _ in items])
        condition = np.array([self._condition[each] for _, each in items])
        mel_lengths = np.zeros_like(utt) if self._mel_lengths is None else self._mel_lengths[utt]
        columns = [utt, self._lengths[utt], mel_lengths, condition]
        self._starts = self._starts or [self._start(field) for field in self.fields]
        columns += [first[condition] + row[utt] for first, row in self._starts]
        rows = np.stack(columns, axis=1)  # (items, columns)
        table = np.empty((len(batches), size, len(columns)), np.int64)
        shapes, begin = [], 0
        for step, batch in enumerate(batches):
            these = rows[begin : begin + len(batch)]
            table[step, : len(batch)], table[step, len(batch) :] = these, these[0]
            begin += len(batch)
            mel_frames = (
                width_for(self.widths.mel_frames, int(these[:, MEL_LENGTH].max())) if self.mels is not None else 0
            )
            shapes.append(Shape(len(batch), width_for(self.widths.frames, int(these[:, LENGTH].max())), mel_frames))
        return Epoch(batches, shapes, table)

    def batch(self, rows: Tensor, shape: Shape, by_utt: dict[str, Tensor]) -> TableBatch:
        """The batch that rows (B, columns) of a table on the device are; `by_utt`: other fields, (utterances, ...)."""
        features: dict[str, Source] = {}
        for column, field in enumerate(self.fields, CONDITION + 1):
            there = self.mels if field.mels else self.features
            assert there is not None
            frames = shape.mel_frames if field.mels else shape.frames
            if frames not in self._steps:
                self._steps[frames] = torch.arange(frames, dtype=torch.int32, device=there.flat.device)
            length = MEL_LENGTH if field.mels else LENGTH
            features[field.name] = Source(there.flat, self._steps[frames], column, length)
        return TableBatch(rows, features, by_utt, {} if self._snrs is None else {"snr": self._snrs})
