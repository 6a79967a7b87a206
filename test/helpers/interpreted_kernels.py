"""CMGAN's kernels in Triton's interpreter, on a CPU: run as a program, it prints how far they are from the network.

The interpreter is chosen when kernels are imported, so it needs a process of its own.
"""

import json
import math
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

import torch
from cmgan import off_default
from triton.runtime import interpreter

from trnet.frontend.cmgan import gpu
from trnet.frontend.cmgan.kernels.attention import attend
from trnet.frontend.cmgan.network import TscNet

_patch = interpreter._patch_lang_tensor


def _patch_for_newer_numpy(tensor, scope):
    """The interpreter reads numbers from arrays of one item, which newer versions of numpy refuse."""
    _patch(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))


interpreter._patch_lang_tensor = _patch_for_newer_numpy


def attention(along_bands: bool, farthest: int = 6, block: int = 16) -> float:
    """Relative difference of the attention kernel from the formula; distances past `farthest` share an embedding."""
    clips, frames, bands, heads, width = (1, 3, 19, 2, 16) if along_bands else (1, 19, 3, 2, 16)
    qkv, table = torch.randn(clips, frames, bands, 3, heads, width), torch.randn(2 * farthest + 1, width)
    out = torch.full((clips, frames, bands, heads, width), math.nan)
    lies = (bands, frames, frames * bands, bands, 1) if along_bands else (frames, bands, frames * bands, 1, bands)
    grid = (clips * (frames if along_bands else bands) * heads * -(-lies[0] // block),)
    attend[grid](qkv, table, out, *lies, heads, width, farthest, block, "ieee")
    q, k, v = (qkv if along_bands else qkv.transpose(1, 2)).permute(3, 0, 1, 4, 2, 5).double()
    at = torch.arange(lies[0])
    distance = (at[:, None] - at).clamp(-farthest, farthest) + farthest
    scores = q @ k.transpose(-1, -2) + torch.einsum("...qd,qnd->...qn", q, table.double()[distance])
    wanted = (scores * math.log(2)).softmax(dim=-1) @ v
    got = (out if along_bands else out.transpose(1, 2)).transpose(2, 3)
    return float((got - wanted).norm() / wanted.norm())


def network(precision: str, clips: int, blocks: tuple[int, int]) -> float:
    """Relative difference of all kernels together from the network as it is written, with two of its four blocks."""
    net = TscNet(gpu.CHANNELS, num_features=5).eval().requires_grad_(False)
    off_default(net)
    generator = gpu.Generator(net, precision)
    generator.blocks = [generator.blocks[number - 1] for number in blocks]
    for number in {1, 2, 3, 4} - set(blocks):
        setattr(net, f"TSCB_{number}", torch.nn.Identity())
    spec = torch.randn(clips, 3, 3, 5)
    wanted, got = torch.stack(net(spec)), torch.stack(generator(spec))
    return float((got - wanted).norm() / wanted.norm())


if __name__ == "__main__":
    torch.manual_seed(0)
    gpu.QUERIES = gpu.ROWS = gpu.CONV_ROWS = 16  # so that few tokens are several blocks, the last of them part empty
    gpu.KINDS["half"] = gpu.Kind(torch.float16, "ieee")  # the interpreter has no products of bf16
    said = {"float32": network("float32", clips=2, blocks=(1, 2)), "half": network("half", clips=1, blocks=(3, 4))}
    json.dump(said | {"along bands": attention(True), "along time": attention(False)}, sys.stdout)
