"""The stamp of a report, so that stage 7 is not done again where nothing has changed and all its files are there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trnet.utils.stamp import Stamp, file_digest, read_stamp

STEP = "report"


def report_stamp(out: Path, made_from: dict[str, Any], suffix: str = "") -> Stamp:
    """The stamp of the report with this suffix (see trnet.eval.coverage) in a folder."""
    return Stamp(out, f"{STEP}{suffix}", made_from)


def finished_report(out: Path, made_from: dict[str, Any]) -> tuple[str | None, list[str]]:
    """The suffix of a finished report in a folder that was made from this (None: there is none).

    Returns: That, and the names of its files that are gone or were changed since.
    """
    for path in sorted(out.glob(f".{STEP}*.json")):
        suffix = path.name.removeprefix(f".{STEP}").removesuffix(".json")
        if report_stamp(out, made_from, suffix).done():
            files = read_stamp(path).get("results", {})
            return suffix, [name for name, known in files.items() if not _is(out / name, known)]
    return None, []


def _is(path: Path, known: object) -> bool:
    return path.is_file() and file_digest(path) == known


def digests_of(out: Path, files: Iterable[Path]) -> dict[str, str]:
    """Digests of a report's files, which its stamp keeps."""
    return {str(path.relative_to(out)): file_digest(path) for path in files}
