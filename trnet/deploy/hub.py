"""Packed models in folders and on the Hugging Face hub: one layout for both, ``trnet.zip`` and a model card."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from trnet.deploy.archive import ABOUT, is_model
from trnet.deploy.model_file import ModelFile, read_model
from trnet.deploy.model_path import CARD, FILE, PREFIX, hub_error, load_hub, locate, parse_repo
from trnet.utils.errors import TrnetError
from trnet.utils.files import read_text, write_bytes

MARK = "<!-- written by trnet push; sha256 of the text above: "
MAX_CARD_BYTES = 1 << 20


def read_pretrained(where: str | Path, trust: bool = False) -> ModelFile:
    """The model at a place that `locate` knows; see `read_model`."""
    return read_model(locate(where), trust)


def push(
    model: ModelFile, where: str, license_id: str | None = None, private: bool = False, overwrite: bool = False
) -> str:
    """Put a model and its card into a folder, or into a repository on the hub, which is created where it is missing.

    Args:
        where: A folder, or ``hf://org/name`` (log in first: ``hf auth login``).
        license_id: The hub's name of the licence that training corpus and front-end allow, e.g. ``cc-by-4.0``.
        private: Make a new repository private.
        overwrite: Replace files of a folder that this function did not write, or that were changed since.

    Returns:
        Where it is now.

    Raises:
        TrnetError: If it cannot be written there, or another file would be lost.
    """
    to_hub = where.startswith(PREFIX)
    if not to_hub:
        _check_folder(where, overwrite)
    files = {FILE: model.path.read_bytes(), CARD: card(model, where, license_id).encode()}
    if not to_hub:
        for name, body in files.items():
            write_bytes(Path(where, name), body)
        return str(Path(where))
    repo, revision = parse_repo(where)
    hub = load_hub()
    try:
        api = hub.HfApi()
        api.create_repo(repo, private=private, exist_ok=True)
        adds = [hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=body) for name, body in files.items()]
        done = api.create_commit(repo, adds, commit_message=f"{model.settings.name} by trnet", revision=revision)
    except Exception as error:
        raise hub_error(where, error) from error
    return str(done.commit_url)


def card(model: ModelFile, where: str, license_id: str | None = None) -> str:
    """The model card: what it is, its training data, its scores, how to use it."""
    about = model.about
    head: dict[str, object] = {"library_name": "trnet", "pipeline_tag": "audio-classification"}
    head |= {"tags": ["speech-emotion-recognition", "trnet"]} | ({"license": license_id} if license_id else {})
    with _damage_named(model):
        lines = [
            f"# {model.settings.name}: emotions {', '.join(model.classes)}",
            "",
            f"Speech emotion recognition by trnet; front-end {model.frontend_name or 'none'}. Trained on "
            f"{about.get('corpus')} (fold {about.get('fold')}, seed {about.get('seed')}, epoch {about.get('epoch')}), "
            f"noise {about.get('train_noise') or 'none'}; {_validation(about)}.",
            "",
            caveat(model),
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
                scores = f"{_percent(row['uar'])} | {_percent(row['war'])}"
                lines.append(f"| {row['noise']} | {snr} | {row['n_utts']} | {scores} |")
    return _marked(f"---\n{yaml.safe_dump(head, sort_keys=True)}---\n\n" + "\n".join(lines) + "\n\n")


def caveat(model: ModelFile) -> str:
    """The limits of a model, in two sentences."""
    with _damage_named(model):
        return (
            f"Limits: trained on one corpus ({model.about.get('corpus')}) and its {len(model.classes)} classes; "
            f"{_validation(model.about)}, by chance {_percent(100 / len(model.classes))}. It may do worse on other "
            "languages, speakers and microphones: do not base decisions about people on it."
        )


def _validation(about: Mapping[str, Any]) -> str:
    """The mean recall on validation speakers, in words."""
    if "valid_uar" in about and about["valid_uar"] is None:
        return "all speakers are trained on, so that no mean recall (UAR) was measured on others"
    return f"mean recall (UAR) on validation speakers {_percent(about.get('valid_uar'))}"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} %"


@contextmanager
def _damage_named(model: ModelFile) -> Iterator[None]:
    try:
        yield
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise TrnetError(f"{model.path}: {ABOUT} is damaged ({error!r}); pack the model again") from None


def _check_folder(where: str, overwrite: bool) -> None:
    """Refuse a folder in which something would be lost, or which is hardly meant for a model."""
    folder, advice = Path(where), "name a new folder, or give --overwrite"
    if not where.strip():
        raise TrnetError(f"'{where}' names no folder; give a folder, or {PREFIX}org/name")
    if folder.exists() and not folder.is_dir():
        raise TrnetError(f"{folder}: is a file; name a folder")
    if overwrite or not folder.is_dir():
        return
    others = sorted(path.name for path in folder.iterdir() if path.name not in (FILE, CARD))
    if others and folder.samefile(Path.cwd()):
        raise TrnetError(f"{where}: is the working directory, which holds {others[0]} and more; {advice}")
    for path, is_ours in ((folder / FILE, is_model), (folder / CARD, _is_own_card)):
        if (path.exists() or path.is_symlink()) and not is_ours(path):
            raise TrnetError(f"{path}: exists, and trnet did not write it so; {advice}")


def _is_own_card(path: Path) -> bool:
    """Whether a card is, to the letter, what `card` returned."""
    try:
        text = read_text(path, MAX_CARD_BYTES)
    except (TrnetError, OSError, UnicodeDecodeError):
        return False
    body, mark, _ = text.rpartition(MARK)
    return bool(mark) and text == _marked(body) and not path.is_symlink()


def _marked(body: str) -> str:
    """A card with a comment at its end, which is not shown, by which `_is_own_card` knows it."""
    return f"{body}{MARK}{hashlib.sha256(body.encode()).hexdigest()} -->\n"
