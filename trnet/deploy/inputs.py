"""What the arguments of trnet-predict name: files, folders, wav.scp lists, standard input."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from trnet.audio.pipes import check_allowed, is_pipe
from trnet.audio.reading import is_audio
from trnet.deploy.recording import Recording, of_command, of_file, of_stdin
from trnet.kaldi.paths import PLACE_WORD, is_place, resolve
from trnet.utils.errors import TrnetError
from trnet.utils.files import read_text

LIST = ".scp"


def recordings_of(
    arguments: list[str], channel: int | None = None, allow_pipes: bool = False
) -> list[Recording | TrnetError]:
    """Every recording that the arguments name, in their order, with an error in the place of what names none.

    A folder stands for its audio files and those of the folders in it, by their paths in C order; a file ``*.scp`` for
    the lines ``id path`` of a Kaldi list, named by their ids, whose relative paths start from the list's folder or,
    where nothing is there, from the working directory; ``-`` for audio on standard input. Names that begin with a dot
    are passed over in folders.

    Args:
        arguments: of the command line.
        channel: which one is taken where there are several; None: their mean.
        allow_pipes: run the programs of entries ``command |`` of a list.
    """
    found: list[Recording | TrnetError] = []
    for number, argument in enumerate(arguments):
        path = Path(argument)
        try:
            if not argument:
                raise TrnetError("a name among the arguments is empty; '.' is the folder here")
            if argument == "-" and "-" in arguments[:number]:
                raise TrnetError("-: standard input is named twice")
            if argument == "-":
                found.append(of_stdin(channel))
            elif path.is_dir():
                found += _of_folder(path, channel)
            elif path.suffix == LIST:
                found += list(_of_list(path, channel, allow_pipes))
            else:
                found.append(of_file(path, channel=channel))
        except TrnetError as error:
            found.append(error)
        except OSError as error:  # a folder above it that may not be read, a name that is too long
            found.append(TrnetError(f"{argument}: {error.strerror}; mend that, or name another"))
    return found


def _of_folder(folder: Path, channel: int | None) -> list[Recording | TrnetError]:
    files, seen = [], set()
    closed: list[OSError] = []
    for root, folders, names in os.walk(folder, followlinks=True, onerror=closed.append):
        if (real := os.path.realpath(root)) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [path for path in (Path(root, name) for name in names) if is_audio(path)]
    if not files and not closed:
        raise TrnetError(f"{folder}: holds no audio files (of a Kaldi data dir, name its wav.scp)")
    unread = [TrnetError(f"{error.filename}: {error.strerror}; mend that") for error in closed]
    return [*(of_file(file, channel=channel) for file in sorted(files, key=os.fsencode)), *unread]


def _of_list(path: Path, channel: int | None, allow_pipes: bool) -> Iterator[Recording | TrnetError]:
    try:
        lines = read_text(path).removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TrnetError(f"{path}: is no readable list ({reason}); write lines 'id path'") from None
    if lines == [""]:
        raise TrnetError(f"{path}: lists nothing; write lines 'id path'")
    seen = set()
    for number, line in enumerate(lines, 1):
        utt, entry = (re.split(r"[ \t]+", line.strip(), maxsplit=1) + [""])[:2]
        if not entry:
            yield TrnetError(f"{path}:{number}: '{line}' is not 'id path'; complete or delete the line")
        elif utt in seen:
            yield TrnetError(f"{path}:{number}: id {utt} stands there twice; delete one of the two lines")
        else:
            seen.add(utt)
            try:
                yield _of_entry(entry, utt, path, channel, allow_pipes)
            except TrnetError as error:
                yield error
            except OSError as error:
                yield TrnetError(f"{utt}: {entry}: {error.strerror}; mend the line")


def _of_entry(entry: str, utt: str, scp: Path, channel: int | None, allow_pipes: bool) -> Recording:
    if is_pipe(entry):
        check_allowed(entry, allow_pipes, f"{utt}: {scp}")
        return of_command(entry, utt, channel)
    file = resolve(entry, scp)
    if is_place(entry) and not file.exists():
        raise TrnetError(f"{utt}: {entry} {PLACE_WORD}")
    if file.suffix == LIST:
        raise TrnetError(f"{utt}: {file} is a list itself; name it on the command line")
    return of_file(file, utt, channel)
