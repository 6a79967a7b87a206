"""Scores of test utterances, noisy and enhanced by a trained front-end."""

import logging
import math
from pathlib import Path
from typing import Any

import pandas as pd

from trnet.enh.dataset import Pairs
from trnet.enh.metrics import METRICS, Scores, scores_of
from trnet.eval.csv_files import Field, optional, read_checked_csv
from trnet.eval.predictions import snr_text
from trnet.frontend import build_frontend
from trnet.frontend.base import FrontEnd
from trnet.frontend.clips import enhance_clips
from trnet.kaldi.data_dir import DataDir
from trnet.utils.files import write_text
from trnet.utils.stamp import Stamp, digest, dir_digest
from trnet.utils.workers import imap

log = logging.getLogger(__name__)

_frontend: FrontEnd | None = None  # of this process; None: no enhancement
_pairs: Pairs | None = None


def _load(data: Path, config: dict[str, Any] | None, device: str) -> None:
    global _frontend, _pairs
    _pairs = Pairs(DataDir(data))
    _frontend = build_frontend(config).to(device) if config else None


def _score(utt: str) -> Scores:
    assert _pairs is not None
    noisy, clean = _pairs.read(utt)
    estimate = enhance_clips(_frontend, [noisy], [f"{_pairs.data.path}: {utt}"])[0] if _frontend else noisy
    return scores_of(estimate, clean)


def score_test_set(
    data: DataDir, utts: list[str], folder: Path, config: dict[str, Any] | None, nj: int, device: str
) -> pd.DataFrame:
    """Score utterances and write ``<folder>/scores.csv``, or read it if up to date; no `config`: the noisy speech.

    Returns:
        One row an utterance: ``utt_id``, ``snr_db`` (NaN if unknown) and `METRICS`.

    Raises:
        TrnetError: If a checkpoint does not load, or the front-end fails on an utterance.
    """
    path = folder / "scores.csv"
    frontend = build_frontend(config).fingerprint() if config else None
    stamp = Stamp(folder, "score", {"data": dir_digest(data.path), "utts": digest(utts), "frontend": frontend})
    if stamp.done() and path.is_file():
        log.info("%s: up to date", path)
        return read_scores(path)
    stamp.begin(clear=lambda: path.unlink(missing_ok=True))
    desc = f"score {config['frontend'] if config else 'noisy'}"
    scores = list(imap(_score, utts, nj, desc, initializer=_load, initargs=(data.path, config, device), worth=40))
    snr = data["utt2snr"] if data.has("utt2snr") else {}
    columns = {"utt_id": utts, "snr_db": [float(snr.get(utt, "nan")) for utt in utts]}
    frame = pd.DataFrame(columns | dict(zip(METRICS, zip(*scores, strict=True), strict=True)))
    text = frame.assign(snr_db=frame["snr_db"].map(snr_text), **{m: frame[m].map(repr) for m in METRICS})
    write_text(path, text.to_csv(index=False, lineterminator="\n"))
    stamp.finish()
    return frame


def read_scores(path: Path) -> pd.DataFrame:
    """Read the output of `score_test_set`.

    Raises:
        TrnetError: Naming file and line if it is malformed.
    """

    def finite(text: str) -> float:
        if math.isinf(value := float(text)):
            raise ValueError("is infinite")
        return value

    fields: dict[str, Field] = {"utt_id": str, "snr_db": optional, "si_sdr": float, "pesq": finite, "stoi": finite}
    return read_checked_csv(path, fields)
