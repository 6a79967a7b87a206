"""The zip that holds a model: a few named entries, uncompressed, each with its size and sha256 in ``manifest.json``.

Nothing is compressed, so nothing can unpack to more than the file holds; nothing is written to disk on reading. The
same entries give the same bytes.
"""

import hashlib
import io
import json
import struct
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trnet.utils.errors import TrnetError
from trnet.utils.files import write_bytes
from trnet.utils.numbers import real, whole

MANIFEST = "manifest.json"
MODEL, ABOUT, WEIGHTS, FRONTEND = "model.json", "about.json", "model.safetensors", "frontend.safetensors"
GRAPHS = "onnx/"
GRAPH_CONFIG, SER_GRAPH, FRONTEND_GRAPH = "config.json", "ser.onnx", "frontend.onnx"
UPSTREAM_GRAPH = "upstream.onnx"  # of a folder alone
"""Files in ``onnx/``, and of a folder of `trnet.bin.export`."""
REQUIRED = {MODEL, ABOUT, WEIGHTS}
UPSTREAM = "upstream/"
UPSTREAM_CONFIG, UPSTREAM_WEIGHTS = UPSTREAM + "config.json", UPSTREAM + "model.safetensors"
UPSTREAM_FILES = (UPSTREAM_CONFIG, UPSTREAM + "preprocessor_config.json", UPSTREAM_WEIGHTS)
"""Files of the pretrained network behind the features, where the model carries it."""
OPTIONAL = {FRONTEND, *UPSTREAM_FILES, *(GRAPHS + name for name in (GRAPH_CONFIG, SER_GRAPH, FRONTEND_GRAPH))}
FORMAT, VERSION = "trnet-model", 1
MAX_BYTES = 4_000_000_000  # of the zip
MAX_JSON_BYTES = 4_000_000  # of a .json entry
MAX_MESSAGE = 300  # characters of a file that go into a message
DAMAGED = (zipfile.BadZipFile, OSError, EOFError, ValueError, struct.error, NotImplementedError, RuntimeError)


def write_archive(path: Path, entries: Mapping[str, bytes]) -> None:
    """Write the zip, whole or not at all."""
    listed = {name: _listing(body) for name, body in entries.items()}
    manifest = json_bytes({"format": FORMAT, "version": VERSION, "entries": listed})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, body in {MANIFEST: manifest, **entries}.items():
            info = zipfile.ZipInfo(name)  # dated 1980: the same model is the same file whenever it is packed
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, body)
    write_bytes(path, packed.getvalue())


def read_entries(path: Path) -> dict[str, bytes]:
    """The entries of a model file by name, without the manifest.

    Raises:
        TrnetError: If the file is missing, cut short, of another format or version, or an entry is missing, unknown,
            duplicated, compressed, too large, or differs from the manifest.
    """
    path = Path(path)
    if not path.is_file():
        raise TrnetError(f"{path}: no such model; give the zip that stage 7 or trnet.bin.pack wrote")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_directory(path, archive.infolist())
            manifest = _read_manifest(path, archive)
            _check_names(path, set(archive.namelist()) - {MANIFEST}, set(manifest))
            entries = {name: archive.read(name) for name in manifest}
    except PermissionError:
        raise
    except DAMAGED as error:
        reason = brief(error) or type(error).__name__
        raise TrnetError(f"{path}: is no whole zip of a model ({reason}); fetch or pack it again") from None
    for name, body in entries.items():
        if manifest[name] != _listing(body):
            raise _damaged(path, f"entry {name!r} differs from {MANIFEST}")
    return entries


def is_model(path: Path) -> bool:
    """Whether a file, and no link to one, is a packed model."""
    try:
        read_entries(path)
    except (TrnetError, OSError):
        return False
    return not path.is_symlink()


def origin_of(entries: Mapping[str, bytes]) -> dict[str, str]:
    """What graphs are made from: the sha256 of the entries that decide the predictions."""
    return {name: hashlib.sha256(entries[name]).hexdigest() for name in (MODEL, WEIGHTS, FRONTEND) if name in entries}


def json_bytes(value: Any) -> bytes:
    """JSON of plain values: sorted keys, one way to write it."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_json(content: bytes, name: str) -> dict[str, Any]:
    """A JSON mapping of finite numbers, no key twice; `name` is the file's.

    Raises:
        TrnetError: For anything else.
    """
    if len(content) > MAX_JSON_BYTES:
        raise TrnetError(f"{name}: has {len(content)} bytes", "pack the model again")
    try:
        value = json.loads(content, parse_constant=real, parse_float=real, parse_int=_integer, object_pairs_hook=_dict)
    except (ValueError, RecursionError) as error:
        raise TrnetError(f"{name}: is no JSON ({brief(error)})", "pack the model again") from None
    if not isinstance(value, dict):
        raise TrnetError(f"{name}: is no JSON mapping", "pack the model again")
    return value


def brief(value: object) -> str:
    """An error's message, or a value, in one line of at most `MAX_MESSAGE` characters."""
    text = " ".join(str(value).split())
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}..."


def _listing(body: bytes) -> dict[str, Any]:
    return {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def _integer(text: str) -> int:
    return whole(text, -(2**63), 2**63)


def _dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"duplicate key {brief(twice)!r}")
    return mapping


def _damaged(path: Path, what: str) -> TrnetError:
    return TrnetError(f"{path}: {what}; fetch or pack it again")


def _check_directory(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """Refuse, before anything is read, duplicate names and impossible sizes."""
    counts = Counter(info.filename for info in infos)
    for info in infos:
        entry = f"entry {brief(info.filename)!r}"
        if counts[info.filename] > 1:
            raise _damaged(path, f"duplicate {entry}")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 1:
            raise _damaged(path, f"{entry} is compressed or encrypted")
        if info.filename.endswith(".json") and info.file_size > MAX_JSON_BYTES:
            raise _damaged(path, f"{entry} has {info.file_size} bytes")
    size, largest = sum(info.file_size for info in infos), min(path.stat().st_size, MAX_BYTES)
    if size > largest:
        raise _damaged(path, f"its entries claim {size} bytes, at most {largest} are possible")


def _read_manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    """Size and sha256 of each entry, once format and version are known to be this one's."""
    try:
        manifest = read_json(archive.read(MANIFEST), f"{path}: {MANIFEST}")
    except KeyError:
        raise TrnetError(f"{path}: is a zip without {MANIFEST}, no model of trnet; give one that it packed") from None
    name, version, entries = (manifest.get(key) for key in ("format", "version", "entries"))
    if name != FORMAT:
        raise TrnetError(f"{path}: is of format {brief(name)!r}, not {FORMAT}; give one that trnet packed")
    if version != VERSION:
        raise TrnetError(
            f"{path}: is of {FORMAT} version {brief(version)}, this trnet reads {VERSION}; pack it again, or use the "
            "trnet that packed it"
        )
    if not isinstance(entries, dict) or set(manifest) != {"format", "version", "entries"}:
        raise _damaged(path, f"{MANIFEST} is not one of {FORMAT} {VERSION}")
    return entries


def _check_names(path: Path, found: set[str], listed: set[str]) -> None:
    if unknown := sorted(found - REQUIRED - OPTIONAL):
        raise _damaged(path, f"unknown entry {brief(unknown[0])!r}")
    if missing := sorted(REQUIRED - found):
        raise _damaged(path, f"entry {missing[0]!r} is missing")
    if differing := sorted(found ^ listed):
        raise _damaged(path, f"entry {brief(differing[0])!r} and {MANIFEST} do not agree")
