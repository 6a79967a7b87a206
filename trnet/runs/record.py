"""What the folder of a run says of it: ``config.yaml``, ``run.json`` and ``train.log``.

With the data and the dump they are enough to train it again: ``./run.sh --config <folder>/config.yaml``.
"""

import json
import logging
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml

from trnet.config import Section
from trnet.runs.spec import RunSpec
from trnet.utils.files import write_text
from trnet.utils.provenance import commit, differs, machine, version_of
from trnet.utils.stamp import digest

if TYPE_CHECKING:
    from trnet.runs.experiment import Experiment

COMMAND = "TRNET_COMMAND"  # environment variable in which a recipe names the command that was typed


def command_line() -> str:
    """The command that was typed: the recipe's, or this process's own."""
    return os.environ.get(COMMAND) or shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]])


def configuration_file(path: Path) -> dict[str, Any]:
    """What ``run.json`` says of the file of the configuration: its name, and whether git knows it as it is."""
    return {"config": str(path), "config_differs": differs(Path(path))}


def write_record(folder: Path, title: str, config: Section, device: torch.device, record: Mapping[str, Any]) -> None:
    """Write a run's ``config.yaml``, all settings as they were used, and ``run.json``, where it comes from."""
    text = yaml.safe_dump(config.plain(), sort_keys=False, allow_unicode=True, width=120)
    write_text(folder / "config.yaml", f"# all settings of {title}\n{text}")
    made_with = commit()
    machinery = {
        "command": command_line(),
        "commit": made_with,
        "tree_differs": made_with.endswith(("-dirty", "+untracked")),
        "versions": version_of(),
        "machine": machine(device),
    }
    text = json.dumps({**machinery, **record}, indent=1, ensure_ascii=False, default=str)
    write_text(folder / "run.json", text + "\n")


def record_run(run: RunSpec, experiment: "Experiment", device: torch.device, about: Mapping[str, Any]) -> None:
    """Write ``config.yaml`` and ``run.json`` of a run of an SER system; `about`: more for ``run.json``."""
    config, dataset, fold = experiment.config, experiment.dataset, run.fold
    speaker = dataset.data["utt2spk"]
    record: dict[str, Any] = {
        "system": run.system,
        "fold": fold.number,
        "seed": run.seed,
        **about,
        "corpus": dataset.corpus,
        "classes": list(dataset.classes),
        "test_speaker": fold.test_speaker or None,
        "valid_speaker": fold.valid_speaker or None,
        "parts": {
            name: {"speakers": sorted({speaker[utt] for utt in utts}), "utterances": list(utts)}
            for name, utts in (("train", fold.train), ("valid", fold.valid), ("test", fold.test))
        },
        "frontend": None,
    }
    if config.system(run.system).uses_frontend:
        fingerprint = experiment.frontend_fingerprint
        known = None if fingerprint is None else digest(fingerprint)
        record["frontend"] = {"name": config.frontend, "digest": known, "fingerprint": fingerprint}
    write_record(run.folder, run.title, config, device, record)


class _LogFile(logging.FileHandler):
    """A log that is not worth a training: what cannot be written, on a full disk, say, is left out."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Do nothing."""


@contextmanager
def run_log(folder: Path) -> Iterator[logging.Logger]:
    """A logger whose lines go to ``train.log`` of a run's folder, behind their time, and nowhere else."""
    logger = logging.Logger(f"trnet.run {folder}", logging.INFO)
    handler: logging.Handler = logging.NullHandler()
    with suppress(OSError):
        handler = _LogFile(folder / "train.log", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        with suppress(OSError):
            handler.close()
