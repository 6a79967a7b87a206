"""From a trained run to a model file; which run is the best one."""

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from trnet import __version__
from trnet.config import build
from trnet.deploy.archive import MAX_JSON_BYTES, brief, read_json
from trnet.deploy.frontends import pack_frontend, unpack_frontend
from trnet.deploy.model_file import ModelFile, in_float16, make_settings
from trnet.deploy.onnx_export import NoGraph, graphs_of
from trnet.deploy.packed_upstream import PackedUpstream
from trnet.deploy.upstreams import pack_features
from trnet.eval.calibration import Calibration
from trnet.eval.predictions import read_predictions, score
from trnet.eval.run_predictions import are_whole
from trnet.frontend import build_frontend
from trnet.runs.checkpoint import way_out
from trnet.runs.experiment import Experiment
from trnet.runs.spec import RunSpec
from trnet.utils.errors import TrnetError
from trnet.utils.files import read_bytes
from trnet.utils.stamp import digest, file_digest, read_stamp

FAST_GRAPHS = ("none", "gtcrn", "dccrn")
"""Front-ends whose graphs are packed: cmgan's is slower than PyTorch, dpt_fsnet's takes gigabytes."""


def best_run(experiment: Experiment, runs: Sequence[RunSpec]) -> RunSpec:
    """The run with the best validation UAR (the first of equals, and where nobody validates).

    Raises:
        TrnetError: If one is not trained to its end.
    """
    scores = [_chosen(experiment, run)["valid_uar"] for run in runs]
    return runs[max(range(len(runs)), key=lambda i: -math.inf if scores[i] is None else scores[i])]


def read_calibration(path: Path) -> Calibration:
    """What `trnet.bin.calibrate` wrote. TrnetError if it is missing or damaged."""
    try:
        content = read_bytes(path, MAX_JSON_BYTES)
    except FileNotFoundError:
        raise TrnetError(f"{path}: no such file; write it with python -m trnet.bin.calibrate") from None
    try:
        return build(Calibration, read_json(content, str(path)))
    except TrnetError as error:
        why = brief(error.reason)
        raise TrnetError(f"{path}: is not what trnet.bin.calibrate wrote ({why}); run it again") from None


def pack_inputs(
    experiment: Experiment,
    run: RunSpec,
    calibration: Calibration | None = None,
    half: bool = False,
    embed_upstream: bool = False,
) -> dict[str, Any]:
    """All that decides what the model file of a run holds, for a stamp; see `pack_run`.

    Raises:
        TrnetError: If features are missing.
    """
    experiment = experiment.of(run.fold)
    config, frontend = experiment.config, None
    if config.system(run.system).uses_frontend:
        frontend = build_frontend(config.frontend_settings).fingerprint()
    made_from = {
        "trnet": __version__,
        "configuration": digest(config.plain()),
        "run": digest(experiment.stamp(run).made_from),
        "frontend": frontend,
        "graphs": find_spec("onnx") is not None,
        **({} if calibration is None else {"calibration": calibration.plain()}),
        **({"half": True} if half else {}),
        **({"upstream": "embedded"} if embed_upstream else {}),
    }
    files = (run.best, run.last, run.folder / "predictions.csv")
    return made_from | {file.name: file_digest(file) for file in files if file.is_file()}


def pack_run(
    experiment: Experiment,
    run: RunSpec,
    path: Path,
    calibration: Calibration | None = None,
    half: bool = False,
    embed_upstream: bool = False,
) -> ModelFile:
    """The model file of a run; with graphs where onnx is installed and can express it.

    Args:
        path: Where it will be written.
        calibration: Of the same system; the file's probabilities are those at its temperature.
        half: Keep matrices and kernels of weights in float16.
        embed_upstream: The file carries the pretrained network behind its features.

    Raises:
        TrnetError: If the run is not trained to its end under this configuration, its features are missing or of
            another front-end, its scores are of another checkpoint, the front-end cannot be packed, or the calibration
            is of another system or of the run's test speakers.
    """
    experiment = experiment.of(run.fold)
    if calibration is not None:
        _check_calibration(experiment, run, calibration)
    chosen, config, fold = _chosen(experiment, run), experiment.config, run.fold
    best, system = run.read_best("classes", "trained_with", "versions"), config.system(run.system)
    classes = experiment.dataset.classes
    if best["classes"] != list(classes):
        raise TrnetError(f"{run.best}: is not of this run's classes; {way_out(run.best)}")
    frontend, frontend_weights = None, None
    if system.uses_frontend:
        frontend, frontend_weights = pack_frontend(build_frontend(config.frontend_settings))
        unpack_frontend(frontend, frontend_weights, str(path), trust=True)  # what cannot be read back is not packed
    about = {
        "corpus": experiment.dataset.corpus,
        "fold": fold.number,
        "test_speaker": fold.test_speaker or None,
        "valid_speaker": fold.valid_speaker or None,
        "train_utts": len(fold.train),
        "train_noise": None if system.conditions == "clean" else config.simulation.train_noise,
        "seed": run.seed,
        "epoch": chosen["epoch"],
        "epochs": len(run.files.history()),
        "valid_uar": chosen["valid_uar"],
        "scores": _scores(run),
        "made_from": experiment.stamp(run).made_from,
        "trained_with": best["trained_with"],
        "versions": best["versions"],
        "trnet": __version__,
        **({} if calibration is None else {"calibration": calibration.plain()}),
    }
    temperature = None if calibration is None else calibration.temperature
    features, upstream = pack_features(config.features, embed_upstream)
    model = config.model(run.system).replace(features=features)
    settings = make_settings(model, run.system, classes, frontend, temperature)
    weights = in_float16(best["model"]) if half else best["model"]
    packed = ModelFile(Path(path), settings, weights, frontend_weights, about, upstream=upstream)
    packed.make_network()
    has_fast_graph = packed.frontend_name in (None, *FAST_GRAPHS) and not isinstance(features, PackedUpstream)
    return replace(packed, graphs=_graphs(packed)) if has_fast_graph and find_spec("onnx") else packed


def _check_calibration(experiment: Experiment, run: RunSpec, calibration: Calibration) -> None:
    if calibration.system != run.system:
        raise TrnetError(f"--calibration: is of {calibration.system}, not of {run.system}; calibrate that system")
    speaker = experiment.data["utt2spk"]
    tested = {speaker[utt] for utt in run.fold.test}
    if shared := sorted(tested & set(calibration.speakers)):
        raise TrnetError(
            f"--calibration: was found on {shared[0]}, whom {run.title} is tested on; calibrate with --folds "
            f"{run.fold.number} alone"
        )


def _graphs(packed: ModelFile) -> dict[str, bytes]:
    """The graphs of a model; none (logged) where ONNX cannot express it."""
    try:
        return graphs_of(packed, trust=True)
    except NoGraph as error:
        logging.getLogger(__name__).info("%s: is packed without graphs: %s", packed.path, error)
        return {}


def _chosen(experiment: Experiment, run: RunSpec) -> dict[str, Any]:
    """The row of the chosen epoch."""
    if (history := experiment.finished(run)) is None:
        raise TrnetError(f"{run.folder}: not trained (to the end, with this configuration); run stages 5 and 6")
    return history[experiment.rule.best(history) - 1]


def _scores(run: RunSpec) -> list[dict[str, Any]]:
    """UAR and WAR under each condition that stage 7 tested; empty before it did."""
    stamp, file = read_stamp(run.folder / ".score.json"), run.folder / "predictions.csv"
    if stamp.get("state") != "done":
        return []
    if stamp.get("made_from", {}).get("checkpoint") != run.digest():
        raise TrnetError(f"{file}: is of another checkpoint; run stage 7 again")
    if not are_whole(run.folder):
        raise TrnetError(f"{file}: is gone or was changed; run stage 7 again")
    scores = score(read_predictions(file))[["noise", "snr_db", "n_utts", "uar", "war"]].round({"uar": 2, "war": 2})
    rows = scores.astype(object).where(scores.notna(), None).to_dict("records")
    return [{str(column): value for column, value in row.items()} for row in rows]
