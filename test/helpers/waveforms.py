"""The tiny corpus with a front-end that changes it, and a pretrained network that the gate mixes waveforms for."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from tiny import CONFIG, SETS, Tiny
from upstreams import make_upstream

from trnet.bin import enhance, make_fbank
from trnet.frontend import build_frontend

HEAD = {
    "encoder": {"type": "light", "channels": 8, "layers": 1},
    "pooling": {"type": "statistics", "attention": 4},
    "gate": {"mix": "waveform", "features": {"num_mel_bins": 24}},
}
OTHERS = ("raw/tiny_esc_*", "gtcrn")
"""Folders of hidden states that TRNet and its teacher do without, where waveforms are mixed."""


def make_waveforms(tiny: Tiny, root: Path) -> Tiny:
    """The same audio through an untrained GTCRN, and a tiny Whisper's hidden states without loss, in ``dump/net_2``."""
    (root / "data").symlink_to(tiny.root / "data")
    mine, weights = Tiny(root), root / "gtcrn.tar"
    torch.manual_seed(5)
    network = build_frontend({"frontend": "gtcrn", "frontend_conf": {"init": "random"}}).network
    torch.save({"model": network.state_dict()}, weights)
    model = str(make_upstream("whisper", root / "net"))
    parts = {
        "frontend": "gtcrn",
        "frontend_conf": {"checkpoint": str(weights)},
        "features": {"type": "upstream", "model": model, "layer": 2, "compression": 0},
    }
    mine.config_path.write_text(yaml.safe_dump(CONFIG | HEAD | parts), encoding="utf-8")
    config = ["--config", str(mine.config_path)]
    sets = ["--sets", " ".join(str(root / "data" / name) for name in SETS), "--dump", str(mine.dump)]
    assert enhance.main([*config, *sets]) == make_fbank.main([*config, *sets]) == 0
    return mine
