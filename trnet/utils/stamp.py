"""What a folder was made from, so that a finished stage is not redone and a changed one is.

A folder holds one JSON stamp a step: ``.<step>.json`` with ``state`` (begun or done) and ``made_from`` (the
configuration and the digests of the inputs); a finished one may also hold ``results``, digests of what was made.
Work goes on where it stopped only under the same stamp.
"""

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from trnet.utils.files import PARTIAL, read_text, write_text


def digest(value: Any) -> str:
    """Short SHA-256 of anything that JSON can hold."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_digest(path: str | Path) -> str:
    """Short SHA-256 of a file's bytes."""
    return file_sha256(path)[:16]


def dir_digest(folder: Path, ignore: Collection[str] = ()) -> str:
    """Digest of a folder's tables and stamps (not sub-folders, archives, locks): what a later stage depends on."""
    files = [p for p in sorted(Path(folder).iterdir()) if p.is_file() and p.name not in ignore]
    kept = [p for p in files if p.suffix not in (".ark", ".lock") and PARTIAL not in p.name]
    return digest({p.name: file_digest(p) for p in kept})


def read_stamp(path: Path) -> dict[str, Any]:
    """A stamp's content; empty if there is none or it is damaged."""
    try:
        stamp = json.loads(read_text(path))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):  # ValueError: no UTF-8, no JSON
        return {}
    whole = isinstance(stamp, dict) and all(isinstance(stamp.get(key, {}), dict) for key in ("made_from", "results"))
    return stamp if whole else {}


class Stamp:
    """The stamp of one step on one folder.

    `made_from` names all that decides the result; each value must be something JSON can hold.
    """

    def __init__(self, folder: Path, step: str, made_from: dict[str, Any]) -> None:
        self.folder, self.step = Path(folder), step
        self.made_from = json.loads(json.dumps(made_from, sort_keys=True, default=str))
        self.path = self.folder / f".{step}.json"

    def _read(self) -> dict[str, Any]:
        return read_stamp(self.path)

    def _write(self, state: str, results: dict[str, Any] | None = None) -> None:
        stamp: dict[str, Any] = {"step": self.step, "state": state, "made_from": self.made_from}
        if results:
            stamp["results"] = results
        write_text(self.path, json.dumps(stamp, indent=1, sort_keys=True) + "\n")

    def done(self) -> bool:
        """True if this very step was finished here."""
        old = self._read()
        return old.get("state") == "done" and old.get("made_from") == self.made_from

    def changed(self) -> list[str]:
        """Names of what differs from the stamp found in the folder (empty if there is none)."""
        old = self._read().get("made_from")
        if old is None:
            return []
        return sorted(k for k in old.keys() | self.made_from.keys() if old.get(k) != self.made_from.get(k))

    def shelve(self, suffix: str = "") -> Path:
        """Move a folder aside that was made from something else, or more than is wanted.

        Returns:
            where it now lies, beside its old place: its name, the digest of what it was made from, `suffix`, and a
            number where another lies there already.
        """
        name = self._shelf(self._read().get("made_from", {})).name + suffix  # nothing is known where the stamp is gone
        names = itertools.chain([name], (f"{name}.{number}" for number in itertools.count(2)))
        shelf = next(path for path in map(self.folder.with_name, names) if not path.exists())
        self.folder.rename(shelf)
        return shelf

    def restore(self) -> None:
        """Bring back what was made from this and shelved, where there is nothing in its place."""
        shelf = self._shelf(self.made_from)
        if shelf.exists() and not self.folder.exists():
            shelf.rename(self.folder)

    def _shelf(self, made_from: dict[str, Any]) -> Path:
        return self.folder.with_name(f"{self.folder.name}.{digest(made_from)}")

    def begin(self, clear: Callable[[], None] | None = None, sweep: bool = True) -> None:
        """Start or take up the step; what was made from something else is cleared first.

        `clear` removes the old results; without it the whole folder is removed. `sweep` removes half-written files that
        a killed process left; not where others write into the folder now.
        """
        if self._read().get("made_from") != self.made_from:
            self.path.unlink(missing_ok=True)  # first: a clearing that is stopped must not leave an old "done"
            if clear is not None:
                clear()
            elif self.folder.exists():
                shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.rglob(f"{PARTIAL}*") if sweep else ():
            left.unlink(missing_ok=True)
        self._write("begun")

    def finish(self, results: dict[str, Any] | None = None) -> None:
        """Declare the step done; `results` are kept in the stamp for the steps that build on it."""
        self._write("done", results)
