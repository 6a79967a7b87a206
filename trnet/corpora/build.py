"""Build a data directory once: the work behind prepare_corpus and prepare_noise."""

import glob
import logging
import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from trnet.kaldi.data_dir import DataDir
from trnet.kaldi.validate import validate_data_dir
from trnet.utils.errors import TrnetError
from trnet.utils.files import PARTIAL, flush, flush_disks, new_folder
from trnet.utils.locks import only_one
from trnet.utils.stamp import Stamp
from trnet.utils.text import counted, shorten

logger = logging.getLogger(__name__)


def _clear(out: Path, stamp: Path) -> None:
    """Remove an older data directory; a folder that stage 1 did not make is not touched."""
    if out.is_dir() and (stamp.is_file() or not any(out.iterdir())):
        shutil.rmtree(out)
    elif os.path.lexists(out):
        raise TrnetError(f"{out}: is there and was not made by stage 1; give another --out, or move it away")


def build_data_dir(
    out: Path, made_from: dict[str, Any], tables: Collection[str], prepare: Callable[[Path], DataDir]
) -> None:
    """Let `prepare` write a data directory, validate it, and move it to `out` only when it is whole.

    Nothing is done if `out` was made from the same (`made_from`), has all its `tables`, and they keep Kaldi's rules.

    Raises:
        TrnetError: If the preparation fails, its result breaks Kaldi's rules, or another process is preparing it.
    """
    out = Path(os.path.realpath(out)) if out.is_symlink() else out  # the folder on another disk, not the link
    with only_one(out):
        _build(out, made_from, tables, prepare)


def _build(out: Path, made_from: dict[str, Any], tables: Collection[str], prepare: Callable[[Path], DataDir]) -> None:
    there = Stamp(out, "prepare", made_from)
    if there.done():
        problems = validate_data_dir(out, tables)
        if not problems:
            logger.info("%s: up to date", out)
            return
        logger.info("%s (it is prepared again)", problems[0])
    _clear(out, there.path)
    for left in out.parent.glob(f"{PARTIAL}*-{glob.escape(out.name)}"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    partial = new_folder(out)
    stamp = Stamp(partial, "prepare", made_from)
    try:
        stamp.begin()
        data = prepare(partial)
        problems = validate_data_dir(partial, tables)
        if problems:
            raise TrnetError(
                f"the data directory breaks Kaldi's rules: {shorten(problems, 3, '; ')}".replace(str(partial), str(out))
            )
        stamp.finish()
        count, hours = len(data.utts), sum(map(float, data["utt2dur"].values())) / 3600
        flush_disks()
        os.replace(partial, out)
        flush(out.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    logger.info("%s: %s, %.2f h", out, counted(count, "utterance"), hours)
