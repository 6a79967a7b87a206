"""The recordings that arguments of trnet-predict name: files, folders, wav.scp lists, standard input."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from trnet.audio.pipes import check_allowed, is_pipe
from trnet.audio.reading import is_audio
from trnet.deploy.recording import Recording, from_command, from_file, from_stdin
from trnet.kaldi.paths import PLACE_WORD, is_place, resolve
from trnet.utils.errors import TrnetError
from trnet.utils.files import read_text

LIST = ".scp"
Found = Iterator[Recording | TrnetError]


def find_recordings(
    arguments: list[str], channel: int | None = None, allow_pipes: bool = False
) -> list[Recording | TrnetError]:
    """Every recording that the arguments name, in their order, with an error in the place of each that cannot be.

    Args:
        arguments: Audio files; folders, for their audio files and those of the folders in them, by their paths in C
            order, without names that begin with a dot; ``*.scp``, Kaldi lists of lines ``id path``, whose recordings
            are named by id and whose relative paths start from the list's folder or, where nothing is there, from the
            working directory; ``-`` for audio on standard input.
        channel: From 0; None: the mean of all.
        allow_pipes: Run the programs of entries ``command |`` of a list.
    """
    found: list[Recording | TrnetError] = []
    for number, argument in enumerate(arguments):
        try:
            if argument == "-" and "-" in arguments[:number]:
                raise TrnetError("-: standard input is named twice")
            found += _of_argument(argument, channel, allow_pipes)
        except TrnetError as error:
            found.append(error)
        except OSError as error:  # a folder above it that may not be read, a name that is too long
            found.append(TrnetError(f"{argument}: {error.strerror}; mend that, or name another"))
    return found


def _of_argument(argument: str, channel: int | None, allow_pipes: bool) -> Found:
    path = Path(argument)
    if not argument:
        raise TrnetError("a name among the arguments is empty; '.' is the folder here")
    if argument == "-":
        yield from_stdin(channel)
    elif path.is_dir():
        yield from _of_folder(path, channel)
    elif path.suffix == LIST:
        yield from _of_list(path, channel, allow_pipes)
    else:
        yield from_file(path, channel=channel)


def _of_folder(folder: Path, channel: int | None) -> Found:
    files: list[Path] = []
    seen, unreadable = set(), list[OSError]()
    for root, folders, names in os.walk(folder, followlinks=True, onerror=unreadable.append):
        if (real := os.path.realpath(root)) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [path for path in (Path(root, name) for name in names) if is_audio(path)]
    if not files and not unreadable:
        raise TrnetError(f"{folder}: holds no audio files (of a Kaldi data dir, name its wav.scp)")
    yield from (from_file(file, channel=channel) for file in sorted(files, key=os.fsencode))
    yield from (TrnetError(f"{error.filename}: {error.strerror}; mend that") for error in unreadable)


def _of_list(path: Path, channel: int | None, allow_pipes: bool) -> Found:
    try:
        lines = read_text(path).removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TrnetError(f"{path}: is no readable list ({reason}); write lines 'id path'") from None
    if lines == [""]:
        raise TrnetError(f"{path}: is empty; write lines 'id path'")
    seen = set()
    for number, line in enumerate(lines, 1):
        utt, entry = (re.split(r"[ \t]+", line.strip(), maxsplit=1) + [""])[:2]
        try:
            if not entry:
                raise TrnetError(f"{path}:{number}: '{line}' is not 'id path'; complete or delete the line")
            if utt in seen:
                raise TrnetError(f"{path}:{number}: duplicate id {utt}; delete one of the two lines")
            seen.add(utt)
            yield _of_entry(entry, utt, path, channel, allow_pipes)
        except TrnetError as error:
            yield error
        except OSError as error:
            yield TrnetError(f"{utt}: {entry}: {error.strerror}; mend the line")


def _of_entry(entry: str, utt: str, scp: Path, channel: int | None, allow_pipes: bool) -> Recording:
    if is_pipe(entry):
        check_allowed(entry, allow_pipes, f"{utt}: {scp}")
        return from_command(entry, utt, channel)
    file = resolve(entry, scp)
    if is_place(entry) and not file.exists():
        raise TrnetError(f"{utt}: {entry} {PLACE_WORD}")
    if not os.path.lexists(file):
        raise TrnetError(f"{utt}: {file}: no such file; mend the path in {scp}")
    if file.suffix == LIST:
        raise TrnetError(f"{utt}: {file} is a list itself; name it on the command line")
    return from_file(file, utt, channel)
