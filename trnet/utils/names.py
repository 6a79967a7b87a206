"""Names from outside that become names of files and folders, checked: none leads out of its folder."""

import re
from pathlib import Path

from trnet.utils.errors import TrnetError, printable

LONGEST = 200  # bytes; file systems take 255, and suffixes come behind
CLASS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
FRONTEND = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*)?")
RESERVED = ("raw", "pieces")  # folders beside those of front-ends
NOISE = re.compile(r"[A-Za-z0-9]+")
SETTING = re.compile(r"\w[\w.+-]*")


def safe_name(name: str, what: str) -> str:
    """`name`, which may be the name of a file: an utterance id, a set, a class.

    Args:
        what: What it names, and where it stands; the message begins with it.

    Raises:
        TrnetError: If it is empty, too long, begins with a dot, or holds a slash, a blank or what is no text.
    """
    if not isinstance(name, str) or not name:
        raise TrnetError(f"{what}: {name!r} is no name; give one")
    if name.startswith(".") or "/" in name or not name.isprintable() or name.split() != [name]:
        shown = printable(name[:LONGEST])
        raise TrnetError(
            f"{what}: '{shown}' cannot name a file; use letters, digits, '-', '_', '.', no '/' or blank, no '.' first"
        )
    if len(name.encode()) > LONGEST:
        raise TrnetError(f"{what}: '{name[:40]}...' has more than {LONGEST} bytes; shorten it")
    return name


def is_text(name: str) -> bool:
    """Whether a name of a file or folder is UTF-8, as tables and messages are."""
    return not any("\ud800" <= c <= "\udfff" for c in name)


def check_text(path: Path) -> None:
    """Check the name of a file or folder.

    Raises:
        TrnetError: For a file or folder whose name is no UTF-8.
    """
    if not is_text(str(path)):
        raise TrnetError(f"{printable(str(path))}: its name is no text in UTF-8; rename it")


def setting_name(name: str, what: str) -> str:
    """`name`, which a user gave in the settings (a system): as `safe_name`, of letters, digits and ``_ . + -`` only."""
    if not SETTING.fullmatch(safe_name(name, what)):
        raise TrnetError(f"{what}: '{name}' is no name; use letters, digits, '-', '_', '+' and '.'")
    return name


def noise_name(name: str, what: str) -> str:
    """`name` of a noise set, which folder names hold between underscores: letters and digits only."""
    if not NOISE.fullmatch(safe_name(name, what)):
        raise TrnetError(f"{what}: '{name}' is no name of a noise set; use letters and digits only")
    return name


def frontend_id(name: str, what: str) -> str:
    """`name` of a front-end: one of trnet's, or ``package.module:Class``."""
    if not isinstance(name, str) or not FRONTEND.fullmatch(name) or len(name.encode()) > LONGEST:
        shown = printable(str(name)[:LONGEST])
        raise TrnetError(f"{what}: '{shown}' is no front-end; give a name of docs/frontends.md or package.module:Class")
    if name in RESERVED:
        raise TrnetError(f"{what}: '{name}' is the name of a folder beside those of front-ends; give it another")
    return name


def is_class_name(name: str) -> bool:
    """Whether `name` can be that of somebody's own class, ``package.module:Class``."""
    return CLASS.fullmatch(name) is not None and len(name.encode()) <= LONGEST
