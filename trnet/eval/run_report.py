"""The report of an experiment's runs, which have their predictions: what it says of them, and whether it is there."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from trnet.conditions import CLEAN, Condition
from trnet.eval.added import Peer
from trnet.eval.other_corpus import OtherCorpus, tested_classes
from trnet.eval.predictions import read_predictions, write_predictions
from trnet.eval.report_data import ReportData, gather_report_data
from trnet.eval.run_predictions import are_whole, predictions_path
from trnet.eval.summary import ELSEWHERE
from trnet.eval.tables import Reference
from trnet.runs.spec import RunSpec
from trnet.train.session import Session
from trnet.utils.errors import TrnetError
from trnet.utils.locks import only_one
from trnet.utils.provenance import commit, machine, versions
from trnet.utils.stamp import Stamp, digest, dir_digest, file_digest, read_stamp
from trnet.utils.text import counted

REVISION = 1  # raised when the numbers change; a report of another layout is not made again
RUN_FILES = ("best.pt", "last.pt", "history.csv")
STEP = "report"
WAIT_S = 600  # for another process that writes a report in the same folder
log = logging.getLogger(__name__)


def report_stamp(out: Path, made_from: dict[str, Any], suffix: str = "") -> Stamp:
    """The stamp of the report with this suffix (see trnet.eval.coverage) in a folder."""
    return Stamp(out, f"{STEP}{suffix}", made_from)


def finished_report(out: Path, made_from: dict[str, Any]) -> tuple[str | None, list[str]]:
    """Suffix of the finished report made from this (None: there is none), and its files that are gone or changed."""
    for path in sorted(out.glob(f".{STEP}*.json")):
        suffix = path.name.removeprefix(f".{STEP}").removesuffix(".json")
        if report_stamp(out, made_from, suffix).done():
            files = read_stamp(path).get("results", {})
            return suffix, [name for name, known in files.items() if not _is(out / name, known)]
    return None, []


def _is(path: Path, known: object) -> bool:
    return path.is_file() and file_digest(path) == known


@dataclass(frozen=True)
class RunReport:
    """Runs of an experiment, the noisy conditions that they are tested under, and how the report of them is made.

    other: The corpus that is tested on, if it is another one. seed: Of resampling, t-SNE, choice of audio. peers: What
    was added from elsewhere to the experiment; it knows nothing of another corpus.
    """

    session: Session
    runs: Sequence[RunSpec]
    conditions: Sequence[Condition]
    other: OtherCorpus | None = None
    reference: Reference | None = None
    notes: str | None = None
    seed: int = 0
    resamples: int = 2000
    permutations: int = 9999
    peers: Sequence[Peer] = ()

    @property
    def out(self) -> Path:
        """Folder of the report."""
        experiment = self.session.experiment
        folder = experiment.exp / experiment.config.frontend_name
        return folder if self.other is None else folder / f"test_{self.other.dataset.corpus}"

    def _made_from(self) -> dict[str, Any]:
        """All that decides the report, as names and digests; TrnetError if features are missing or of another kind."""
        experiment = self.session.experiment
        tested, conditions = self.other or experiment, [CLEAN, *self.conditions]
        options = {"report_seed": self.seed, "resamples": self.resamples, "permutations": self.permutations}
        digests = {
            "reference": None if self.reference is None else digest(sorted(self.reference.items())),
            "notes": None if self.notes is None else digest(self.notes),
        }
        systems = dict.fromkeys(run.system for run in self.runs)
        made_from: dict[str, Any] = {
            "revision": REVISION,
            "configuration": digest(experiment.config.record()),
            "options": digest(options | {name: value for name, value in digests.items() if value is not None}),
            "corpus": dir_digest(experiment.data.path),
            "tested": dir_digest(tested.data.path),
            "features": {name: digest(tested.features_of(name, conditions)) for name in systems},
            "folders": {str(folder): dir_digest(folder) for folder in self._shown() if folder.is_dir()},
            "runs": {
                f"{run.system}/{run.folder.name}": self._digest(run)
                for run in tqdm(self.runs, desc="look for changes", unit="run", leave=False)
            },
        }
        return made_from | ({"peers": {peer.system: peer.digest for peer in self.peers}} if self.peers else {})

    def _shown(self) -> list[Path]:
        """Folders whose noises and audio report.html shows."""
        experiment = self.session.experiment
        data, dump = experiment.data.path.parent, experiment.dump / experiment.config.frontend_name
        sets = [condition.data_name(experiment.dataset.corpus) for condition in self.conditions]
        noises = dict.fromkeys(f"noise_{condition.noise}" for condition in self.conditions)
        folders = [*(data / name for name in (*noises, *sets)), *(dump / name for name in sets)]
        return folders if self.other is None else []

    def _digest(self, run: RunSpec) -> str:
        files = {file: file_digest(run.folder / file) for file in RUN_FILES if (run.folder / file).is_file()}
        return digest([self.session.experiment.stamp(run).made_from, run.fold.test, files])

    def up_to_date(self) -> bool:
        """Whether this very report is there, with all its files; errors of runs are left for scoring to find."""
        try:
            finished = self.session.experiment.finished
            if not all(finished(run) and are_whole(run.folder, self.other) for run in self.runs):
                return False
            made_from = self._made_from()
        except TrnetError:
            return False
        suffix, changed = finished_report(self.out, made_from)
        for name in changed:
            log.info("%s: is gone or was changed; the report is written again", self.out / name)
        if suffix is None or changed:
            return False
        log.info("%s/report%s.html, RESULTS%s.md: up to date", self.out.absolute(), suffix, suffix)
        return True

    def write(self) -> None:
        """Write the report; beside a table of more runs its files get names of their own."""
        with only_one(self.out / "report", WAIT_S):
            self._write()

    @cached_property
    def added(self) -> pd.DataFrame | None:
        """The peers' predictions for the folds that are asked for; None without any. TrnetError if they do not fit."""
        experiment, folds = self.session.experiment, {str(run.fold.number) for run in self.runs}
        frames = [peer.predictions(experiment) for peer in self.peers]
        return pd.concat([rows[rows["fold"].isin(folds)] for rows in frames]) if frames else None

    def _predictions(self) -> pd.DataFrame:
        """Those of the conditions that are asked for; systems without a front-end are part of this experiment here."""
        found = read_predictions([predictions_path(run.folder, self.other) for run in self.runs])
        found = found.assign(frontend=self.session.experiment.config.frontend)
        if self.added is not None:
            found = pd.concat([found, self.added], ignore_index=True)
        asked = pd.DataFrame([(c.noise or "clean", c.snr_db) for c in (CLEAN, *self.conditions)])
        rows = found.merge(asked.drop_duplicates().set_axis(["noise", "snr_db"], axis=1).astype({"snr_db": float}))
        for peer in self.peers:
            if not (rows["system"] == peer.system).any():
                log.info("%s: predicts nothing that is asked for, and is left out", peer.folder)
        return rows[found.columns]

    def _write(self) -> None:
        from trnet.eval.report import place_beside, write_report  # here: matplotlib takes more than a second

        made_from, predictions = self._made_from(), self._predictions()
        suffix, _ = finished_report(self.out, made_from)  # files of which are gone or changed
        if suffix is None:
            suffix = place_beside(self.out, predictions)
        stamp = report_stamp(self.out, made_from, suffix)
        if changed := stamp.changed():
            log.info("%s/report%s.html: made anew, changed: %s", self.out, suffix, ", ".join(changed))
        stamp.begin(clear=lambda: None, sweep=False)
        table = self.out / f"predictions{suffix}.csv"
        write_predictions(table, predictions)
        tested = (self.other or self.session.experiment).data
        folds = dict.fromkeys(run.fold.number for run in self.runs)
        written = write_report(
            self.out,
            predictions,
            {**self.header(), **self._elsewhere(predictions)},
            self.reference,
            tested["utt2style"] if tested.has("utt2style") else None,
            notes=self.notes or "",
            folds=[str(number) if self.other is None else self.other.fold_name(number) for number in folds],
            seeds=[run.seed for run in self.runs],
            speakers=tested["utt2spk"],
            data=self._data(predictions),
            resamples=self.resamples,
            permutations=self.permutations,
            seed=self.seed,
            suffix=suffix,
            test_snrs=self.session.experiment.config.simulation.test_snrs,
            titles={peer.system: peer.title for peer in self.peers},
        )
        stamp.finish({str(path.relative_to(self.out)): file_digest(path) for path in (table, *written)})
        names = ", ".join(f"{name}{suffix}.csv" for name in ("results", "statistics", "predictions"))
        where = f"{self.out.absolute()}/report{suffix}.html"
        log.info("%s, RESULTS%s.md, %s, figures%s/", where, suffix, names, suffix)

    def _data(self, predictions: pd.DataFrame) -> ReportData:
        if self.other is None:
            return gather_report_data(self.session, self.runs, predictions, self.conditions, self.seed)
        recipe = self.other.data.path.parent.parent
        return ReportData(missing=[f"audio and noise sets: see {recipe}; training: see {self.out.parent}"])

    def _elsewhere(self, predictions: pd.DataFrame) -> dict[str, str]:
        """A line of the header on the systems that were not trained here."""
        shown = set(predictions["system"])
        lines = [peer.line(predictions) for peer in self.peers if peer.system in shown]
        return {ELSEWHERE.capitalize(): "; ".join(lines)} if lines else {}

    def header(self) -> Mapping[str, str]:
        """How the results were made; what the runs were trained with is in their checkpoints."""
        experiment, config = self.session.experiment, self.session.experiment.config
        dataset, training = experiment.dataset, config.training
        patience = f", stopped after {training.patience} without a rise" if training.patience else ""
        ctc = f", CTC {training.ctc_weight} ({config.ctc.model})" if training.ctc_weight else ""
        folds = {run.fold.number: run.fold.test_speaker for run in self.runs}
        seeds = dict.fromkeys(run.seed for run in self.runs)
        speakers = " ".join(f"{number}:{speaker or 'nobody'}" for number, speaker in folds.items())
        states = [run.read_last() for run in self.runs]
        trained_with = Counter(text for state in states for text in state["trained_with"])
        done = [len(state["history"]) for state in states]
        chosen = [experiment.rule.best(state["history"]) for state in states]
        corpus = f"{dataset.corpus}, {len(dataset.labels)} utterances, classes {' '.join(dataset.classes)}"
        lines = {"Corpus": corpus}
        if self.other is not None:
            tested = f"{self.other.dataset.corpus}, all {len(self.other.data.utts)} utterances"
            lines = {
                "Trained on": corpus
                + (", without each fold's test and validation speakers" if config.folds.hold_out else ""),
                "Tested on": f"{tested}, by the model of each fold",
                "Classes": tested_classes(experiment, self.other),
            }
        if experiment.layers is not None:
            layers = " ".join(f"{number}:{experiment.layers[number]}" for number in folds)
            lines["Layers"] = f"each fold's own, which its validation speakers prefer (fold:layer {layers})"
        return {
            **lines,
            "Front-end": config.frontend,
            "Folds": f"{len(folds)} of {len(dataset.folds)} (fold:test speaker {speakers}), seeds "
            + " ".join(map(str, seeds)),
            "Training": f"at most {training.max_epochs} epochs{patience}, {training.precision}, noise "
            f"{config.simulation.train_noise}, conditions {training.train_conditions}{ctc}",
            "Epochs": f"{min(done)} to {max(done)} trained, {min(chosen)} to {max(chosen)} chosen",
            "Trained with": "; ".join(
                f"commit {text} ({counted(count, 'run')})" for text, count in sorted(trained_with.items())
            ),
            "Scored with": f"commit {commit()} on {machine(self.session.device)}",
            "Versions": versions(),
        }
