"""Model files of untrained networks, whole and changed."""

from __future__ import annotations

import csv
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from trnet.config import ModelConfig, build
from trnet.deploy.archive import json_bytes, origin_of, read_entries, write_archive
from trnet.deploy.frontends import pack_frontend
from trnet.deploy.model_file import ModelFile, make_settings, write_model
from trnet.deploy.onnx_export import graphs_of
from trnet.deploy.upstreams import pack_features
from trnet.frontend import build_frontend
from trnet.kaldi.data_dir import DataDir
from trnet.model.systems import make_system

SCRIPT = Path(__file__).parents[2] / "utils/onnx_predict.py"
CLASSES = ("ang", "hap", "neu", "sad")
SCORES = [
    {"noise": "clean", "snr_db": None, "n_utts": 8, "uar": 50.0, "war": 62.5},
    {"noise": "esc", "snr_db": 10.0, "n_utts": 8, "uar": 37.5, "war": 25.0},
]
ABOUT = {
    **{"corpus": "tiny", "fold": 1, "seed": 1, "epoch": 2, "test_speaker": "S1F", "train_noise": "esc"},
    **{"valid_uar": 37.5, "scores": SCORES},
}
SETTINGS = {
    "system": {"input": "both", "bridge": True},
    "features": {"num_mel_bins": 24},
    "encoder": {"channels": [8, 8], "kernel": 3, "dropout": 0.1},
    "pooling": {"attention": 8},
}


def make_model(
    path: Path, frontend: str = "none", graphs: bool = False, embed_upstream: bool = False, **settings: Any
) -> ModelFile:
    """Write the model file of an untrained network, the same for the same arguments.

    Args:
        path: Of the file.
        frontend: Name; one that can be trained is untrained, too.
        graphs: Put graphs into it.
        embed_upstream: Put the network of features of type upstream into it.
        settings: Sections of the configuration, instead of those of `SETTINGS`.
    """
    torch.manual_seed(7)
    config = build(ModelConfig, SETTINGS | settings)
    system = make_system(config, len(CLASSES))
    packed, weights = None, None
    if "enhanced" in system.inputs:
        conf = {} if frontend == "none" else {"init": "random"}
        packed, weights = pack_frontend(build_frontend({"frontend": frontend, "frontend_conf": conf}))
    features, files = pack_features(config.features, embed_upstream)
    made = make_settings(config.replace(features=features), "trnet", CLASSES, packed)
    model = ModelFile(path, made, system.state_dict(), weights, ABOUT, upstream=files)
    if graphs:
        model = replace(model, graphs=graphs_of(model, trust=True))
    write_model(model)
    return model


def entries_of(model: Path) -> dict[str, bytes]:
    """All entries but the graphs, which a changed model would no longer go with."""
    return {name: body for name, body in read_entries(model).items() if not name.startswith("onnx/")}


def with_json(model: Path, path: Path, name: str, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy, without graphs, whose entry `name` is changed; sizes and digests are as they should be."""
    entries = entries_of(model)
    value = json.loads(entries[name])
    change(value)
    write_archive(path, entries | {name: json_bytes(value)})
    return path


def with_graphs(
    model: Path, path: Path, changes: dict[str, Callable[[dict[str, Any]], object]], **graphs: bytes
) -> Path:
    """A copy with graphs, or changed JSON of model and graphs; sizes and digests are as they should be."""
    entries = read_entries(model)
    for name, change in changes.items():
        value = json.loads(entries[name])
        change(value)
        entries[name] = json_bytes(value)
    entries |= {f"onnx/{name}.onnx": body for name, body in graphs.items()}
    config = json.loads(entries["onnx/config.json"])
    config["made_from"] = origin_of(entries)
    config["sha256"] = {name: hashlib.sha256(entries[f"onnx/{name}"]).hexdigest() for name in config["sha256"]}
    write_archive(path, entries | {"onnx/config.json": json_bytes(config)})
    return path


def zipped(path: Path, entries: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> Path:
    """A zip of any entries; names may come twice."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, body in entries:
            archive.writestr(zipfile.ZipInfo(name), body, compression)
    return path


def predicted_sets(predictions: Path, data: Path, scp: Path) -> Iterator[dict[str, dict[str, str]]]:
    """For each condition of a predictions.csv of the tiny corpus: its rows by utterance, whose audio `scp` then lists.

    Args:
        predictions: Of one run.
        data: The folder of data dirs.
        scp: Written anew for each condition, by clean utterance id, in the order of the rows.
    """
    conditions: dict[str, dict[str, dict[str, str]]] = {}
    with open(predictions, newline="") as stream:
        for row in csv.DictReader(stream):
            suffix = "" if row["noise"] == "clean" else f"{row['noise']}_{float(row['snr_db']):g}db"
            conditions.setdefault(suffix, {})[row["utt_id"]] = row
    assert len(conditions) == 3  # clean speech and two SNRs
    for suffix, rows in sorted(conditions.items()):
        noisy = DataDir(data / (f"tiny_{suffix}" if suffix else "tiny"))
        paths = {utt: noisy.clip(f"{utt}-{suffix}" if suffix else utt).path for utt in rows}
        scp.write_text("".join(f"{utt} {path}\n" for utt, path in paths.items()))
        yield rows


def open_graph(graph: Path | bytes):
    """A session of ONNX Runtime."""
    import onnxruntime

    return onnxruntime.InferenceSession(
        graph if isinstance(graph, bytes) else str(graph), providers=["CPUExecutionProvider"]
    )
