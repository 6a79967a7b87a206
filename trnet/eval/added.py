"""The systems from elsewhere that were added to an experiment: ``exp/<frontend>/peers/<name>/``.

``predictions.csv`` holds what they predicted, in one form whatever the form it came in; ``peer.json`` their title, the
file that it was made from, and digests. Stage 7 reports on all that lie there; whoever removes a folder takes one out.
"""

import hashlib
import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from trnet.conditions import Condition
from trnet.eval.peers import peer_predictions, table_csv
from trnet.eval.predictions import PEER, SYSTEMS, classes_of, in_order
from trnet.runs.experiment import Experiment
from trnet.utils.errors import TrnetError
from trnet.utils.files import write_text
from trnet.utils.locks import only_one
from trnet.utils.names import setting_name
from trnet.utils.stamp import file_digest, file_sha256, read_stamp
from trnet.utils.text import counted

FOLDER, TABLE, ABOUT = "peers", "predictions.csv", "peer.json"
ORDER = ("seed", "fold", "noise", "snr_db", "utt_id")
LONGEST = 80  # characters of a title
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Peer:
    """A system from elsewhere, and its folder."""

    folder: Path
    title: str
    source: str
    source_sha256: str

    @property
    def system(self) -> str:
        """What it is called in predictions.csv and results.csv."""
        return PEER + self.folder.name

    @property
    def digest(self) -> str:
        """Digest of what it predicted and what is said of it."""
        return "+".join(file_digest(self.folder / name) for name in (ABOUT, TABLE))

    def predictions(self, experiment: Experiment) -> pd.DataFrame:
        """Its rows of predictions.csv; TrnetError if they no longer fit the experiment."""
        return peer_predictions(self.folder / TABLE, self.system, experiment, ())

    def line(self, predictions: pd.DataFrame) -> str:
        """What a report says of where some of its predictions come from."""
        mine = predictions[predictions["system"] == self.system]
        seeds = sorted(mine["seed"].unique())
        runs = f"seeds {' '.join(map(str, seeds))}" if len(seeds) > 1 else "one run"
        return f"{self.title}: {self.source} (SHA-256 {self.source_sha256[:16]}), {runs}"


def peers_folder(experiment: Experiment) -> Path:
    """Where an experiment's systems from elsewhere lie."""
    return experiment.exp / experiment.config.frontend_name / FOLDER


def find_peers(experiment: Experiment, but: str = "") -> list[Peer]:
    """All that were added, by name, `but` one; TrnetError for one that is damaged or was changed by hand."""
    folders = [path.parent for path in sorted(peers_folder(experiment).glob(f"*/{ABOUT}"))]
    found = [_read(folder) for folder in folders if folder.name != but]
    for number, peer in enumerate(found):
        check_name(experiment, peer.folder.name)
        if peer.title in [other.title for other in found[:number]]:
            raise TrnetError(f"{peer.folder}: another added system has the title '{peer.title}'; add it with another")
    return found


def _read(folder: Path) -> Peer:
    about, wrong = read_stamp(folder / ABOUT), f"add it again, or remove {folder}"
    fields = [about.get(name) for name in ("title", "source", "source_sha256", "table_sha256")]
    if not all(isinstance(field, str) for field in fields):
        raise TrnetError(f"{folder / ABOUT}: is damaged; {wrong}")
    title, source, source_sha256, table_sha256 = map(str, fields)
    if not _is_whole(folder, table_sha256):
        raise TrnetError(f"{folder / TABLE}: is gone, or is not what was added; {wrong}")
    return Peer(folder, title, source, source_sha256)


def _is_whole(folder: Path, table_sha256: object) -> bool:
    return (folder / TABLE).is_file() and file_sha256(folder / TABLE) == table_sha256


def check_name(experiment: Experiment, name: str) -> None:
    """TrnetError for a name that no folder can have, or that of a system that is trained here."""
    setting_name(name, "--name")
    if name in SYSTEMS or name in experiment.config.systems:
        raise TrnetError(
            f"--name {name}: is a system that is trained here; give what comes from elsewhere another name"
        )


def check_title(title: str) -> None:
    """TrnetError for a title that tables and figures cannot hold."""
    if not title.strip() or not title.isprintable() or "$" in title or len(title) > LONGEST:
        raise TrnetError(f"--title: '{title[:LONGEST]}' is no title; give 1 to {LONGEST} printable characters, no '$'")


def add_peer(
    experiment: Experiment,
    name: str,
    source: Path,
    title: str | None = None,
    labels: Mapping[str, str] | None = None,
    folds: Collection[int] = (),
) -> Peer:
    """Add a system from elsewhere to an experiment, or replace the one of that name; nothing is done where it is there.

    Args:
        experiment: Which one.
        name: What it is called in files: letters, digits, ``_ . + -``.
        source: CSV of its predictions, see trnet.eval.peers.
        title: What it is called in tables; that of the one that is replaced, else the name with blanks for ``_``.
        labels: What the file calls classes by, and which class that is.
        folds: Numbers of the folds that it must have.

    Raises:
        TrnetError: For what is wrong with the file, the name or the title.
    """
    check_name(experiment, name)
    folder = peers_folder(experiment) / name
    old = read_stamp(folder / ABOUT).get("title")
    title = title or (old if isinstance(old, str) else name.replace("_", " "))
    check_title(title)
    if title in [peer.title for peer in find_peers(experiment, but=name)]:
        raise TrnetError(f"--title: another added system has the title '{title}'; give another")
    rows = in_order(peer_predictions(source, PEER + name, experiment, folds, labels), ORDER)
    if (rows["label"] == rows["pred"]).all():
        log.warning("%s: every label is right; make sure that they are predictions, not the corpus's own", source)
    table = table_csv(_as_given(rows))
    peer = Peer(folder, title, source.name, file_sha256(source))
    about = {
        "title": title,
        "source": peer.source,
        "source_sha256": peer.source_sha256,
        "labels": dict(labels or {}),
        "table_sha256": hashlib.sha256(table.encode()).hexdigest(),
    }
    with only_one(folder):
        if read_stamp(folder / ABOUT) == about and _is_whole(folder, about["table_sha256"]):
            log.info("%s: up to date", folder)
            return peer
        write_text(folder / TABLE, table)
        write_text(folder / ABOUT, json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    utts = counted(rows["utt_id"].nunique(), "utterance")
    conditions = counted(len(rows[["noise", "snr_db"]].drop_duplicates()), "condition")
    runs = counted(rows["seed"].nunique(), "run")
    log.info("%s: %s, %s, %s; stage 7 reports on it", folder, utts, conditions, runs)
    return peer


def _as_given(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of predictions.csv as a peer's file has them, see read_peer_csv."""
    keys = rows[["noise", "snr_db"]].drop_duplicates().values.tolist()
    names = {noise: noise for noise, snr_db in keys if pd.isna(snr_db)}  # clean
    names |= {f"{noise} {snr_db}": Condition(noise, snr_db).name for noise, snr_db in keys if not pd.isna(snr_db)}
    where = rows["noise"].where(rows["snr_db"].isna(), rows["noise"] + " " + rows["snr_db"].astype(str))
    found = pd.DataFrame({"utt_id": rows["utt_id"], "label": rows["pred"], "condition": where.map(names)})
    return found.assign(fold="", seed=rows["seed"], **{name: rows[name] for name in classes_of(rows)})
