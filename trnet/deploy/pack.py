"""From a trained run to a model file; which run is the best one."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from trnet import __version__
from trnet.config import as_dict
from trnet.deploy.frontends import pack_frontend, unpack_frontend
from trnet.deploy.model_file import ModelFile
from trnet.deploy.onnx_export import NoGraph, graphs_of
from trnet.eval.predictions import read_predictions, score
from trnet.eval.run_predictions import are_whole
from trnet.folds import Fold
from trnet.frontend import build_frontend
from trnet.runs.checkpoint import way_out
from trnet.runs.experiment import Experiment
from trnet.runs.history import best_epoch
from trnet.runs.kept import read_best, read_last
from trnet.utils.errors import TrnetError
from trnet.utils.stamp import digest, file_digest, read_stamp

QUICK = ("none", "gtcrn", "dccrn")
"""Front-ends whose graphs are packed: cmgan's is slower than PyTorch, dpt_fsnet's takes gigabytes."""


def best_run(experiment: Experiment, name: str, folds: Sequence[Fold], seeds: Sequence[int]) -> tuple[Fold, int]:
    """Fold and seed of the run with the best validation UAR (the first of equals); no test score is looked at.

    Raises: TrnetError if a run is not trained to its end under this configuration.
    """
    runs = [(fold, seed) for fold in folds for seed in seeds]
    return max(runs, key=lambda run: _chosen(_history(experiment, name, *run))["valid_uar"])


def pack_inputs(experiment: Experiment, name: str, fold: Fold, seed: int) -> dict[str, Any]:
    """All that decides what the model file of a run holds, for a stamp.

    Raises: TrnetError if features are missing, or the front-end cannot be built.
    """
    folder, config = experiment.run_folder(name, fold, seed), experiment.config
    frontend = None
    if config.system(name).hears_front_end:
        frontend = build_frontend({"frontend": config.frontend, "frontend_conf": config.frontend_conf}).fingerprint()
    made_from = {
        "trnet": __version__,
        "configuration": digest(as_dict(config)),
        "run": digest(experiment.stamp(name, fold, seed).made_from),
        "frontend": frontend,
        "graphs": find_spec("onnx") is not None,
    }
    files = ("best.pt", "last.pt", "predictions.csv")
    return made_from | {file: file_digest(folder / file) for file in files if (folder / file).is_file()}


def pack_run(experiment: Experiment, name: str, fold: Fold, seed: int, path: Path) -> ModelFile:
    """What the model file of a run holds; `path` is where it is to be written; graphs where onnx is installed
    and can express it.

    Raises: TrnetError if the run is not trained to its end under this configuration, its features are missing or of
        another front-end, its scores are of another checkpoint, or the front-end cannot be packed.
    """
    history = _history(experiment, name, fold, seed)
    folder, config = experiment.run_folder(name, fold, seed), experiment.config
    best, system = read_best(folder, "classes", "trained_with", "versions"), config.system(name)
    if best["classes"] != list(experiment.classes):
        raise TrnetError(f"{folder}/best.pt: is not of this run's classes; {way_out(folder / 'best.pt')}")
    section, frontend_weights = None, None
    if system.hears_front_end:
        frontend = build_frontend({"frontend": config.frontend, "frontend_conf": config.frontend_conf})
        section, frontend_weights = pack_frontend(frontend)
        unpack_frontend(section, frontend_weights, str(path), trust=True)  # what cannot be read back is not packed
    chosen = _chosen(history)
    about = {
        "corpus": experiment.corpus,
        "fold": fold.number,
        "test_speaker": fold.test_speaker,
        "valid_speaker": fold.valid_speaker,
        "train_utts": len(fold.train),
        "train_noise": None if system.conditions == "clean" else config.simulation.train_noise,
        "seed": seed,
        "epoch": chosen["epoch"],
        "epochs": len(history),
        "valid_uar": chosen["valid_uar"],
        "scores": _scores(folder),
        "made_from": experiment.stamp(name, fold, seed).made_from,
        "trained_with": best["trained_with"],
        "versions": best["versions"],
        "trnet": __version__,
    }
    packed = ModelFile(
        path=Path(path),
        name=name,
        system=system,
        config=config,
        classes=experiment.classes,
        weights=best["model"],
        frontend=section,
        frontend_weights=frontend_weights,
        about=about,
    )
    packed.make_network()
    quick = section is None or section["fingerprint"]["name"] in QUICK
    return replace(packed, graphs=_graphs(packed)) if quick and find_spec("onnx") else packed


def _graphs(packed: ModelFile) -> dict[str, bytes]:
    """The graphs of a model; none, which is said, where ONNX cannot express it."""
    try:
        return graphs_of(packed)
    except NoGraph as error:
        print(f"{packed.path}: is packed without graphs: {error}")
        return {}


def _history(experiment: Experiment, name: str, fold: Fold, seed: int) -> list[dict[str, Any]]:
    folder = experiment.run_folder(name, fold, seed)
    if not experiment.trained(name, fold, seed):
        raise TrnetError(f"{folder}: not trained (to the end, with this configuration); run stages 5 and 6")
    return read_last(folder)["history"]


def _chosen(history: list[dict[str, Any]]) -> dict[str, Any]:
    return history[best_epoch(history) - 1]


def _scores(folder: Path) -> list[dict[str, Any]]:
    """UAR and WAR under each condition that stage 7 tested; empty if it has not been there yet."""
    stamp = read_stamp(folder / ".score.json")
    if stamp.get("state") != "done":
        return []
    if stamp.get("made_from", {}).get("checkpoint") != file_digest(folder / "best.pt"):
        raise TrnetError(f"{folder}/predictions.csv: is of another checkpoint; run stage 7 again")
    if not are_whole(folder):
        raise TrnetError(f"{folder}/predictions.csv: is gone or was changed; run stage 7 again")
    results = score(read_predictions(folder / "predictions.csv"))
    return [
        {"noise": r.noise, "snr_db": r.snr_db, "n_utts": r.n_utts, "uar": round(r.uar, 2), "war": round(r.war, 2)}
        for r in results
    ]
