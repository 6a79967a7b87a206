"""A batch as rows of a table on the device, which say where in memory each of its fields lies."""

from typing import NamedTuple

import torch
from torch import Tensor

from trnet.features.cache import as_read

UTT, LENGTH, MEL_LENGTH, CONDITION = 0, 1, 2, 3  # columns of the table; behind them one for each field of features


class Source(NamedTuple):
    """A field of features: matrices one behind the other in memory."""

    flat: Tensor  # (rows, F)
    steps: Tensor  # (T,): 0, 1, ... of the frames that the batch is padded to
    column: int  # of the table: the first row of each utterance
    length: int  # of the table: its frames

    def read(self, rows: Tensor) -> Tensor:
        """(B, T, F), zeros behind each end, of rows (B, columns) of the table."""
        steps, lengths = self.steps[None, :], rows[:, self.length, None].to(self.steps.dtype)
        index = rows[:, self.column, None] + torch.minimum(steps, lengths - 1)
        return as_read(self.flat[index]) * (steps < lengths)[..., None]


class TableBatch(NamedTuple):
    """Rows of a table, and the memory that they point into; a compiled step reads it without a kernel in between."""

    rows: Tensor  # (B, columns) int64
    features: dict[str, Source]
    by_utt: dict[str, Tensor]  # (utterances, ...)
    by_condition: dict[str, Tensor]  # (conditions,)

    def allow_any_number_of_rows(self) -> None:
        """Let PyTorch compile for features of any size, so that other folds or systems in memory need no other code."""
        import torch._dynamo  # here, because it takes a second

        for source in self.features.values():
            torch._dynamo.maybe_mark_dynamic(source.flat, 0)

    def tensors(self) -> dict[str, Tensor]:
        """The fields of a `Batch`; frames as int32, with which a GPU is faster."""
        columns = {"lengths": LENGTH, "mel_lengths": MEL_LENGTH}
        read = {source.length for source in self.features.values()} | {LENGTH}
        found = {name: self.rows[:, column].to(torch.int32) for name, column in columns.items() if column in read}
        found |= {name: values[self.rows[:, UTT]] for name, values in self.by_utt.items()}
        found |= {name: values[self.rows[:, CONDITION]] for name, values in self.by_condition.items()}
        return found | {name: source.read(self.rows) for name, source in self.features.items()}
