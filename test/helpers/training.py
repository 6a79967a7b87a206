"""Trainings of the tiny corpus: what they leave, and how they are stopped."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytest import MonkeyPatch
from tiny import SPEAKERS, Tiny

from trnet.runs.checkpoint import load_checkpoint
from trnet.runs.spec import RunSpec
from trnet.train.ser_job import SERJob
from trnet.train.session import Session
from trnet.train.trainer import Trainer


def run_of(session: Session, name: str, fold: int = 1, seed: int = 1) -> RunSpec:
    """One run of a session."""
    experiment = session.experiment
    return experiment.run(name, experiment.dataset.folds[fold - 1], seed)


def train(session: Session, name: str, fold: int = 1, seed: int = 1) -> RunSpec:
    """Train a run."""
    run = run_of(session, name, fold, seed)
    session.train_group((run,))
    return run


def is_finished(session: Session, name: str, fold: int = 1, seed: int = 1) -> bool:
    """Whether a run is trained to its end under the very configuration of the session."""
    return session.experiment.finished(run_of(session, name, fold, seed)) is not None


def outcome(session: Session, name: str, fold: int = 1, seed: int = 1) -> tuple[dict, dict, Path]:
    """best.pt, last.pt and history.csv."""
    run = run_of(session, name, fold, seed)
    return load_checkpoint(run.best), load_checkpoint(run.last), run.folder / "history.csv"


def history(session: Session, name: str, fold: int = 1, seed: int = 1) -> list[dict[str, Any]]:
    """That of last.pt."""
    return outcome(session, name, fold, seed)[1]["history"]


def same_weights(a: Mapping, b: Mapping) -> bool:
    """To the bit."""
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def same_outcome(first: tuple, second: tuple) -> bool:
    """To the bit."""
    return (
        same_weights(first[0]["model"], second[0]["model"])
        and same_weights(first[1]["model"], second[1]["model"])
        and first[0]["epoch"] == second[0]["epoch"]
        and first[1]["history"] == second[1]["history"]
        and first[2].read_text() == second[2].read_text()
    )


def with_teacher(tiny: Tiny, trained: Session, exp: Path, **training: Any) -> Session:
    """A new session that has the trained teacher of fold 1 and seed 1."""
    session = tiny.session(exp, **training)
    shutil.copytree(run_of(trained, "baseline_c").folder, run_of(session, "baseline_c").folder)
    return session


def with_settings(tiny: Tiny, exp: Path, changes: Mapping[str, Any] | None = None, **training: Any) -> Session:
    """A session with changed sections of the configuration, plain values, and changed training settings."""
    experiment = tiny.experiment(exp, **training)
    changed = Session(experiment, torch.device("cpu"))
    config = experiment.config.replace(**(changes or {}))
    return Session(type(experiment)(config, experiment.data, experiment.dump, exp), changed.device)


def with_system(tiny: Tiny, exp: Path, name: str, changes: Mapping[str, Any], **training: Any) -> Session:
    """A session with one system changed, or added."""
    systems = dict(tiny.config.systems)
    plain = systems[name].plain() if name in systems else {}
    return with_settings(tiny, exp, {"systems": systems | {name: plain | changes}}, **training)


class Stopped(KeyboardInterrupt):
    """Ctrl-C."""


def stop_at(monkeypatch: MonkeyPatch, method: str, call: int) -> None:
    """Press Ctrl-C at that call (from 1) of a method of Trainer or SERJob."""
    owner = Trainer if hasattr(Trainer, method) else SERJob
    whole, calls = getattr(owner, method), []

    def counted(self, *args, **options):
        calls.append(1)
        if len(calls) == call:
            raise Stopped
        return whole(self, *args, **options)

    monkeypatch.setattr(owner, method, counted)


def with_scores(monkeypatch: MonkeyPatch, scores: Mapping[int, list[float]] | list[float]) -> None:
    """Let each epoch's validation UAR be that of the list; by number of fold, or of all."""
    whole = SERJob.validate

    def validate(self, run, epoch):
        given = scores if isinstance(scores, list) else scores[run.key.fold.number]
        return whole(self, run, epoch) | {"valid_uar": given[epoch - 1]}

    monkeypatch.setattr(SERJob, "validate", validate)


WORDS = dict(zip(SPEAKERS, ("ako", "bako", "cedi", "dyfu", "egiz", "fuha"), strict=True))
VOCAB = {"model": "char", "vocab": 40}


def text_of(utt: str) -> str:
    """Two short words: the speaker's and the take's."""
    return f"{WORDS[utt[:3]]} {'ab'[int(utt[-1])]}!"


def spoken(tiny: Tiny, exp: Path, ctc: Mapping[str, Any] = VOCAB, **training: Any) -> Session:
    """A session of the tiny corpus with transcripts that differ, trained with CTC."""
    session = with_settings(tiny, exp, {"ctc": dict(ctc)}, **{"ctc_weight": 0.5, **training})
    data = session.experiment.data
    data._tables["text"] = {utt: text_of(utt) for utt in data.utts}
    return session
