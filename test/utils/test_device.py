"""Which errors mean that a GPU can compute nothing more."""

import pytest
import torch

from trnet.utils.device import is_device_error
from trnet.utils.errors import one_line


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: an illegal memory access was encountered",
        "CUDA driver error: unspecified launch failure",
        "Triton Error [CUDA]: an illegal memory access was encountered",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    ],
)
def test_errors_of_the_gpu_itself_are_told_by_their_message_or_that_of_their_cause(message):
    error = ValueError("in a step")
    error.__cause__ = RuntimeError(message)
    assert is_device_error(RuntimeError(message)) and is_device_error(error)
    assert "the GPU failed" in one_line(RuntimeError(message)) and "--ngpu 0" in one_line(RuntimeError(message))


@pytest.mark.parametrize(
    "error",
    [
        None,
        RuntimeError("shapes differ"),
        torch.OutOfMemoryError("CUDA error: out of memory"),
        RuntimeError("Triton Error [CUDA]: out of memory"),
    ],
)
def test_other_errors_are_not_the_gpus(error):
    assert not is_device_error(error)
