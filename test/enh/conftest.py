"""Pairs of the tiny corpus: noise at 10 and 0 dB; and the YAML of a small DCCRN."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from trnet.bin import prepare_pairs

SETS = ["tiny_esc_10db", "tiny_esc_0db"]
SPLIT = {
    "train": {"sets": SETS},
    "valid": {"sets": SETS, "speakers": ["S2F"]},
    "test": {"sets": SETS, "speakers": ["S3F", "S3M"]},
}
DCCRN = {
    "frontend": "dccrn",
    "sizes": {"architecture": "mini", "n_fft": 128, "window": 128, "hop": 64},
    "training": {"segment_s": 0.3, "batch_size": 4, "utts_per_epoch": 12, "max_epochs": 3, "lr": 0.01},
    "validation": {"utts": 3, "audio": 1},
}


@pytest.fixture(scope="session")
def pairs(tiny, tmp_path_factory) -> Path:
    """Folder of train/, valid/ and test/."""
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "split.yaml").write_text(yaml.safe_dump(SPLIT))
    args = ["--corpus", "noisy_sets", "--root", str(tiny.root), "--out", str(folder), "--split"]
    assert prepare_pairs.main([*args, str(folder / "split.yaml")]) == 0
    return folder


@pytest.fixture(scope="session")
def write_config(tmp_path_factory):
    """write_config(training={...}): path of the small DCCRN's YAML with changes; sizes are replaced, not merged."""

    def write(**changes) -> Path:
        config = dict(DCCRN)
        for key, value in changes.items():
            merged = isinstance(value, dict) and key != "sizes"
            config[key] = {**config.get(key, {}), **value} if merged else value
        path = tmp_path_factory.mktemp("config") / "small.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    return write
