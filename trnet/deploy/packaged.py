"""The model that comes with the package: where it lies, and its card.

It is made by ``egs/nemo/ser1/local/make_packaged_model.sh``; a checkout may be without.
"""

from importlib.resources import files
from pathlib import Path

from trnet.utils.errors import TrnetError
from trnet.utils.files import read_text

FOLDER = Path(str(files("trnet"))) / "models"
FILE, CARD = "nemo_trnet.zip", "nemo_trnet.md"
RECIPE = "egs/nemo/ser1/local/make_packaged_model.sh"


def packaged_model() -> Path:
    """The path of the model file.

    Raises:
        TrnetError: If this installation has none.
    """
    path = FOLDER / FILE
    if not path.is_file():
        raise TrnetError(
            f"{path}: this trnet comes without a model; name one (a .zip, hf://org/name, a folder; before "
            f"the audio), or make it with {RECIPE}"
        )
    return path


def card_line() -> str:
    """The first line of the model card: what the model is, and for what it is not.

    Raises:
        TrnetError: If the card is missing.
    """
    path = FOLDER / CARD
    try:
        return read_text(path).lstrip("# ").splitlines()[0]
    except (OSError, UnicodeDecodeError, IndexError):
        raise TrnetError(f"{path}: the packaged model's card is missing or damaged; install trnet again") from None
