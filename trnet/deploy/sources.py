"""What the arguments of trnet-predict name: files, folders, wav.scp lists, standard input."""

import os
from collections.abc import Iterator
from pathlib import Path

from trnet.audio import is_audio
from trnet.deploy.recording import Recording, of_file, of_stdin
from trnet.errors import TrnetError


def recordings_of(arguments: list[str]) -> list[Recording | TrnetError]:
    """Every recording that the arguments name, in their order, with an error in the place of what names none.

    A folder stands for its audio files and those of the folders in it, by their paths in C order; a file ``*.scp`` for
    the lines ``id path`` of a Kaldi list, named by their ids; ``-`` for audio on standard input. Names that begin with
    a dot are passed over in folders.
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
                found.append(of_stdin())
            elif path.is_dir():
                found += _of_folder(path)
            elif path.suffix == ".scp":
                found += list(_of_list(path))
            else:
                found.append(of_file(path))
        except TrnetError as error:
            found.append(error)
    return found


def _of_folder(folder: Path) -> list[Recording]:
    files, seen = [], set()
    for root, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(root)) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [path for path in (Path(root, name) for name in names) if is_audio(path)]
    if not files:
        raise TrnetError(f"{folder}: holds no audio files (of a Kaldi data dir, name its wav.scp)")
    return [of_file(file) for file in sorted(files, key=os.fsencode)]


def _of_list(path: Path) -> Iterator[Recording | TrnetError]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrnetError(f"{path}: is no readable list ({error}); write lines 'id path'") from None
    if not lines:
        raise TrnetError(f"{path}: lists nothing")
    seen = set()
    for number, line in enumerate(lines, 1):
        utt, *rest = line.split(maxsplit=1)[:2] or [""]
        file = rest[0].strip() if rest else ""
        if not file:
            yield TrnetError(f"{path}:{number}: '{line}' is not 'id path'; complete or delete the line")
        elif utt in seen:
            yield TrnetError(f"{path}:{number}: id {utt} stands there twice; delete one of the two lines")
        elif file.endswith("|"):
            yield TrnetError(f"{utt}: {path} names a pipe; write the audio to a file and name that")
        else:
            seen.add(utt)
            yield of_file(Path(file), utt)
