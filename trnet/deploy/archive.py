"""The zip that holds a model: a few named entries, stored as they are, each with its size and sha256.

``manifest.json`` comes first and lists the others. Nothing is compressed, so nothing can unpack to more than the file
holds; nothing is written to disk on reading. The same entries give the same bytes.
"""

import hashlib
import io
import json
import struct
import zipfile
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from trnet.utils.errors import TrnetError
from trnet.utils.files import write_bytes
from trnet.utils.numbers import real, whole

MANIFEST = "manifest.json"
MODEL, ABOUT, WEIGHTS, FRONTEND = "model.json", "about.json", "model.safetensors", "frontend.safetensors"
GRAPHS = "onnx/"
GRAPH_CONFIG, SER_GRAPH, FRONTEND_GRAPH = "config.json", "ser.onnx", "frontend.onnx"
"""Files in ``onnx/``, and of a folder of `trnet.bin.export`."""
FORMAT = "trnet-model"
VERSION = 1
LARGEST = 4_000_000_000  # bytes of the zip
LARGEST_JSON = 4_000_000  # bytes of a .json entry
LARGEST_COUNT = 2**63  # of a whole number there
LONGEST = 300  # characters of a file that go into a message
DAMAGED = (zipfile.BadZipFile, OSError, EOFError, ValueError, struct.error, NotImplementedError, RuntimeError)


def write_archive(path: Path, entries: Mapping[str, bytes]) -> None:
    """Write the zip, whole or not at all."""
    listed = {name: {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()} for name, body in entries.items()}
    manifest = json_bytes({"format": FORMAT, "version": VERSION, "entries": listed})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, body in {MANIFEST: manifest, **entries}.items():
            info = zipfile.ZipInfo(name)  # of 1980, so that the same model is the same file whenever it is packed
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, body)
    write_bytes(path, packed.getvalue())


def read_entries(path: Path) -> dict[str, bytes]:
    """The entries of a model by name.

    Raises: TrnetError as `read_archive`.
    """
    graphs = (GRAPHS + name for name in (GRAPH_CONFIG, SER_GRAPH, FRONTEND_GRAPH))
    return read_archive(path, (MODEL, ABOUT, WEIGHTS), (FRONTEND, *graphs))


def is_model(path: Path) -> bool:
    """Whether a file, and no link to one, is a packed model."""
    try:
        read_entries(path)
    except (TrnetError, OSError):
        return False
    return not path.is_symlink()


def origin_of(entries: Mapping[str, bytes]) -> dict[str, str]:
    """What graphs are made from: the sha256 of the entries that decide what comes out."""
    return {name: hashlib.sha256(entries[name]).hexdigest() for name in (MODEL, WEIGHTS, FRONTEND) if name in entries}


def read_archive(path: Path, needed: Collection[str], optional: Collection[str]) -> dict[str, bytes]:
    """The entries by name, the manifest left out, every one as the manifest says.

    Raises: TrnetError if the file is missing, cut short, of another format or version, or holds anything that is
        missing, unknown, there twice, compressed, too large, or not what the manifest says.
    """
    path = Path(path)
    if not path.is_file():
        raise TrnetError(f"{path}: no such model; give the zip that stage 7 or trnet.bin.pack wrote")
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            _check_directory(path, infos)
            manifest = _manifest(path, archive)
            _check_names(path, manifest, {info.filename for info in infos}, needed, optional)
            return {name: _entry(path, archive, name, said) for name, said in manifest.items()}
    except PermissionError:
        raise
    except DAMAGED as error:
        reason = brief(error) or type(error).__name__
        raise TrnetError(f"{path}: is no whole zip of a model ({reason}); fetch or pack it again") from None


def json_bytes(value: Any) -> bytes:
    """JSON of plain values: sorted keys, one way to write it."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_json(content: bytes, name: str) -> dict[str, Any]:
    """A JSON mapping.

    Raises: TrnetError if it is something else.
    """
    if len(content) > LARGEST_JSON:
        raise TrnetError(f"{name}: has {len(content)} bytes; pack the model again")
    try:
        value = json.loads(content, parse_constant=real, parse_float=real, parse_int=_count, object_pairs_hook=_mapping)
    except (ValueError, RecursionError) as error:
        raise TrnetError(f"{name}: is no JSON ({brief(error)}); pack the model again") from None
    if not isinstance(value, dict):
        raise TrnetError(f"{name}: is no JSON mapping; pack the model again")
    return value


def brief(said: object) -> str:
    """What an error says, or a value, in one line that is no longer than a terminal can show."""
    text = " ".join(str(said).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _count(text: str) -> int:
    return whole(text, -LARGEST_COUNT, LARGEST_COUNT)


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON mapping; ValueError for a key that stands there twice, of which a reader would take the last."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {brief(twice)!r} stands there twice")
    return mapping


def _check_directory(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """Refuse, before anything is read, names that stand there twice and sizes that cannot be."""
    counts = Counter(info.filename for info in infos)
    for info in infos:
        if counts[info.filename] > 1:
            raise TrnetError(f"{path}: entry {brief(info.filename)!r} stands there twice; fetch or pack it again")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 1:
            raise TrnetError(
                f"{path}: entry {brief(info.filename)!r} is compressed or encrypted; fetch or pack it again"
            )
    size, largest = sum(info.file_size for info in infos), min(path.stat().st_size, LARGEST)
    if size > largest:
        raise TrnetError(f"{path}: its entries claim {size} bytes, {largest} can be there; fetch or pack it again")
    for info in infos:
        if info.filename.endswith(".json") and info.file_size > LARGEST_JSON:
            raise TrnetError(
                f"{path}: entry {brief(info.filename)!r} has {info.file_size} bytes; fetch or pack it again"
            )


def _manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    """What is said of each entry, after a look at format and version."""
    try:
        manifest = read_json(archive.read(MANIFEST), f"{path}: {MANIFEST}")
    except KeyError:
        raise TrnetError(f"{path}: is a zip without {MANIFEST}, no model of trnet; give one that it packed") from None
    if manifest.get("format") != FORMAT:
        raise TrnetError(
            f"{path}: is of format {brief(manifest.get('format'))!r}, not {FORMAT}; give one that trnet packed"
        )
    if manifest.get("version") != VERSION:
        raise TrnetError(
            f"{path}: is of {FORMAT} version {brief(manifest.get('version'))}, this trnet reads {VERSION}; pack it "
            "again, or use the trnet that packed it"
        )
    entries = manifest.get("entries")
    if not isinstance(entries, dict) or set(manifest) != {"format", "version", "entries"}:
        raise TrnetError(f"{path}: {MANIFEST} is not as {FORMAT} {VERSION} has it; fetch or pack it again")
    return entries


def _check_names(
    path: Path, manifest: dict[str, Any], found: set[str], needed: Collection[str], optional: Collection[str]
) -> None:
    found = found - {MANIFEST}
    if strays := sorted(found - {*needed, *optional}):
        raise TrnetError(f"{path}: unknown entry {brief(strays[0])!r}; fetch or pack it again")
    if missing := sorted(set(needed) - found):
        raise TrnetError(f"{path}: entry {missing[0]!r} is missing; fetch or pack it again")
    if odd := sorted(found ^ set(manifest)):
        raise TrnetError(f"{path}: entry {brief(odd[0])!r} and {MANIFEST} do not agree; fetch or pack it again")


def _entry(path: Path, archive: zipfile.ZipFile, name: str, said: Any) -> bytes:
    body = archive.read(name)
    if said != {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}:
        raise TrnetError(f"{path}: entry {name!r} is not what {MANIFEST} says; fetch or pack it again")
    return body
