"""Scores of every test utterance: as it is, and enhanced by a trained front-end through the code that later uses it."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trnet.enh.dataset import Pairs
from trnet.enh.metrics import METRICS, Scores, scores_of
from trnet.eval.csv_files import optional, read_csv
from trnet.frontend import build_frontend
from trnet.frontend.base import FrontEnd
from trnet.frontend.clips import enhance_clips
from trnet.kaldi.data_dir import DataDir
from trnet.utils.files import write_text
from trnet.utils.stamp import Stamp, digest, dir_digest
from trnet.utils.workers import imap

COLUMNS = ("utt_id", "snr_db", *METRICS)

_worker: FrontEnd | None = None  # of this process; None: nothing is enhanced
_pairs: Pairs | None = None


@dataclass(frozen=True)
class Row:
    """One test utterance: its SNR in dB where that is known, and its scores."""

    utt: str
    snr_db: float | None
    scores: Scores


def _load(data: Path, config: dict[str, Any] | None, device: str) -> None:
    global _worker, _pairs
    _pairs = Pairs(DataDir(data))
    _worker = build_frontend(config).to(device) if config else None


def _score(utt: str) -> Scores:
    assert _pairs is not None
    noisy, clean = _pairs.read(utt)
    heard = enhance_clips(_worker, [noisy], [f"{_pairs.data.path}: {utt}"])[0] if _worker else noisy
    return scores_of(heard, clean)


def score_test_set(
    data: DataDir, utts: list[str], folder: Path, config: dict[str, Any] | None, nj: int, device: str
) -> list[Row]:
    """Score utterances and write ``<folder>/scores.csv``, or read it where nothing has changed.

    Args:
        data: pairs.
        utts: ids of those to score.
        folder: of the run.
        config: what `build_frontend` takes; None: the noisy speech as it is.
        nj: processes.
        device: ``cpu`` or ``cuda``.

    Raises: TrnetError for a checkpoint that does not load, or a front-end that fails on an utterance.
    """
    path = folder / "scores.csv"
    frontend = build_frontend(config).fingerprint() if config else None
    stamp = Stamp(folder, "score", {"data": dir_digest(data.path), "utts": digest(utts), "frontend": frontend})
    if stamp.done() and path.is_file():
        print(f"{path}: up to date")
        return read_scores(path)
    stamp.begin(clear=lambda: path.unlink(missing_ok=True))
    desc = f"score {config['frontend'] if config else 'noisy'}"
    scores = list(imap(_score, utts, nj, desc, initializer=_load, initargs=(data.path, config, device), worth=40))
    snr = {utt: float(value) for utt, value in data["utt2snr"].items()} if data.has("utt2snr") else {}
    rows = [Row(utt, snr.get(utt), own) for utt, own in zip(utts, scores, strict=True)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([row.utt, "" if row.snr_db is None else f"{row.snr_db:g}", *map(repr, row.scores)])
    write_text(path, text.getvalue())
    stamp.finish()
    return rows


def read_scores(path: Path) -> list[Row]:
    """Read what `score_test_set` wrote.

    Raises: TrnetError naming file and line for anything else.
    """

    def finite(text: str) -> float:
        if math.isinf(value := float(text)):
            raise ValueError("is infinite")
        return value

    fields = {"utt_id": str, "snr_db": optional, "si_sdr": float, "pesq": finite, "stoi": finite}
    rows = read_csv(path, fields).values.tolist()
    return [Row(utt, None if math.isnan(snr) else snr, Scores(*scores)) for utt, snr, *scores in rows]
