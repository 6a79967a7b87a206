"""Packed models in folders and on the Hugging Face hub: one layout for both, ``trnet.zip`` and a model card."""

import hashlib
from pathlib import Path

import yaml

from trnet.deploy.archive import ABOUT, is_model
from trnet.deploy.model_file import ModelFile, read_model
from trnet.deploy.model_path import FILE, PREFIX, client, locate, repository, trouble
from trnet.utils.errors import TrnetError
from trnet.utils.files import read_text, write_bytes

CARD = "README.md"
MARK = "<!-- written by trnet push; sha256 of the text above: "
LARGEST_CARD = 1 << 20  # bytes


def push(
    model: ModelFile, where: str, license_id: str | None = None, private: bool = False, overwrite: bool = False
) -> str:
    """Put a model and its card into a folder, or into a repository on the hub, which is made where it is missing.

    Args:
        model: a packed model.
        where: a folder, or ``hf://org/name`` (log in first, by ``hf auth login``).
        license_id: the hub's word for the licence that its training corpus and front-end leave you, e.g. ``cc-by-4.0``.
        private: make a new repository private.
        overwrite: replace files of a folder that were not written by this function, or changed since. (A repository
            keeps what was there in its history.)

    Returns: where it is now.

    Raises: TrnetError if it cannot be written there, or files are in the way.
    """
    if not where.startswith(PREFIX):
        _check_folder(where, overwrite)
    try:
        text = card(model, where, license_id)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise TrnetError(f"{model.path}: {ABOUT} is damaged ({error!r}); pack the model again") from None
    files = {FILE: model.path.read_bytes(), CARD: text.encode()}
    if not where.startswith(PREFIX):
        folder = Path(where)
        for name, body in files.items():
            write_bytes(folder / name, body)
        return str(folder)
    repo, revision = repository(where)
    hub = client()
    try:
        api = hub.HfApi()
        api.create_repo(repo, private=private, exist_ok=True)
        adds = [hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=body) for name, body in files.items()]
        done = api.create_commit(repo, adds, commit_message=f"{model.name} by trnet", revision=revision)
    except Exception as error:
        raise trouble(where, error) from error
    return str(done.commit_url)


def _check_folder(where: str, overwrite: bool) -> None:
    """Refuse a folder in which something would be lost, or where a model is hardly meant to go."""
    folder, again = Path(where), "name a new folder, or give --overwrite"
    if not where.strip():
        raise TrnetError(f"'{where}' names no folder; give a folder, or {PREFIX}org/name")
    if folder.exists() and not folder.is_dir():
        raise TrnetError(f"{folder}: is a file; name a folder")
    if overwrite or not folder.is_dir():
        return
    strays = sorted(path.name for path in folder.iterdir() if path.name not in (FILE, CARD))
    if strays and folder.samefile(Path.cwd()):
        raise TrnetError(f"{where}: is the folder you are in, which holds {strays[0]} and more; {again}")
    for path, is_ours in ((folder / FILE, is_model), (folder / CARD, _is_own_card)):
        if (path.exists() or path.is_symlink()) and not is_ours(path):
            raise TrnetError(f"{path}: is there already, and not as trnet writes it; {again}")


def _is_own_card(path: Path) -> bool:
    """Whether a card is as `card` wrote it, to the letter."""
    try:
        text = read_text(path, LARGEST_CARD)
    except (TrnetError, OSError, UnicodeDecodeError):
        return False
    body, mark, _ = text.rpartition(MARK)
    return bool(mark) and text == _marked(body) and not path.is_symlink()


def _marked(body: str) -> str:
    """A card with a comment at its end, which is not shown, by which `_is_own_card` knows it."""
    return f"{body}{MARK}{hashlib.sha256(body.encode()).hexdigest()} -->\n"


def card(model: ModelFile, where: str, license_id: str | None = None) -> str:
    """The model card: what it is, what it was trained on, its scores, how to use it."""
    about = model.about
    head = {"library_name": "trnet", "pipeline_tag": "audio-classification"}
    head |= {"tags": ["speech-emotion-recognition", "trnet"]} | ({"license": license_id} if license_id else {})
    front_end = model.frontend["fingerprint"]["name"] if model.frontend else "none"
    lines = [
        f"# {model.name}: emotions {', '.join(model.classes)}",
        "",
        f"Speech emotion recognition by trnet; front-end {front_end}. Trained on {about.get('corpus')} (fold "
        f"{about.get('fold')}, seed {about.get('seed')}, epoch {about.get('epoch')}), noise "
        f"{about.get('train_noise') or 'none'}; validation UAR {_percent(about.get('valid_uar'))}.",
        "",
        "```bash",
        f"trnet-predict {where} speech.wav",
        "```",
        "",
        "```python",
        f'trnet.Predictor.from_pretrained("{where}")(wav, rate)',
        "```",
    ]
    if about.get("scores"):
        lines += ["", f"Scores on the held-out speaker {about.get('test_speaker')}:", ""]
        lines += ["| noise | SNR (dB) | utterances | UAR | WAR |", "|---|--:|--:|--:|--:|"]
        for row in about["scores"]:
            snr = "" if row["snr_db"] is None else f"{row['snr_db']:g}"
            lines.append(
                f"| {row['noise']} | {snr} | {row['n_utts']} | {_percent(row['uar'])} | {_percent(row['war'])} |"
            )
    return _marked(f"---\n{yaml.safe_dump(head, sort_keys=True)}---\n\n" + "\n".join(lines) + "\n\n")


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} %"


def read_pretrained(where: str | Path) -> ModelFile:
    """`locate`, then `read_model`."""
    return read_model(locate(where))
