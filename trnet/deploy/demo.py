"""A page that listens: record or upload, see emotion, c, and what the system made of the spectrogram."""

import os
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from trnet.deploy.predictor import Predictor
from trnet.deploy.recording import of_file
from trnet.deploy.sliding_window import Answer
from trnet.utils.errors import TrnetError, first_line, missing_package, report

KINDS = ("noisy", "enhanced", "compensated")
ZOOM = (3, 2)  # pixels a mel bin, pixels a frame


def make_demo(predictor: Predictor, name: str) -> Any:
    """The page, a gradio Blocks, to be launched.

    Raises: TrnetError if gradio is not installed.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing leaves the machine
    try:
        import gradio
    except ImportError:
        raise missing_package("gradio", "demo") from None

    def listen(path: str | None) -> list[Any]:
        if path is None:
            return [None] * (3 + len(KINDS))
        try:
            answer, pictures = hear_file(predictor, Path(path))
        except Exception as error:  # said on the page, and in one line where the page was started
            report(error)
            raise gradio.Error(first_line(error), print_exception=False) from None
        said = "this system has none" if answer.c is None else f"{answer.c:.3f}"
        return [answer.probabilities, said, rows_of(answer), *(pictures.get(kind) for kind in KINDS)]

    with gradio.Blocks(title="trnet", analytics_enabled=False) as page:
        gradio.Markdown(f"# trnet: {name}\nRecord or upload speech, in any noise.")
        with gradio.Row():
            audio = gradio.Audio(
                sources=["microphone", "upload"], type="filepath", label="speech", buttons=["download"]
            )
            with gradio.Column():
                emotion = gradio.Label(label="emotion", elem_id="emotion")
                c = gradio.Textbox(
                    label="c: 1 trusts what was heard, 0 what the front-end made of it", elem_id="c", interactive=False
                )
        with gradio.Row():
            pictures = [
                gradio.Image(
                    label=f"{kind} log-mels", elem_id=kind, interactive=False, format="png", buttons=["fullscreen"]
                )
                for kind in KINDS
            ]
        table = gradio.Dataframe(label="windows", headers=["start", "end", "emotion", "probability", "c"], type="array")
        audio.change(listen, audio, [emotion, c, table, *pictures], api_name="predict")
    return page


def hear_file(predictor: Predictor, path: Path) -> tuple[Answer, dict[str, np.ndarray]]:
    """What is said of a file, and pictures (height, width, 3) uint8 of its first window that is not silent.

    Raises: TrnetError if it cannot be predicted.
    """
    recording = of_file(path, path.name)
    (answer,) = predictor.answers([recording])
    if isinstance(answer, TrnetError):
        raise answer
    first = next(number for number, window in enumerate(answer.windows) if window.emotion is not None)
    piece = next(piece for number, piece in enumerate(predictor.pieces(of_file(path, path.name))) if number == first)
    heard = predictor.hear([piece.samples], [path.name])
    compensated = heard.output.compensated
    log_mels = {"noisy": heard.noisy, "enhanced": heard.enhanced}
    log_mels["compensated"] = None if compensated is None else compensated.cpu().numpy()
    shown = {kind: batch[0] for kind, batch in log_mels.items() if batch is not None}
    loudest = max(float(picture.max()) for picture in shown.values())
    return answer, {kind: picture_of(picture, loudest - 14.0, loudest) for kind, picture in shown.items()}


def picture_of(log_mels: np.ndarray, low: float, high: float) -> np.ndarray:
    """Log-mels (frames, mels) as colours (height, width, 3) uint8, low frequencies at the bottom.

    `low` and `high` are black and white, the same for all pictures, so that one can be held against the other.
    """
    level = np.clip((log_mels.T[::-1] - low) / (high - low), 0, 1)
    colours = (matplotlib.colormaps["magma"](level)[..., :3] * 255).round().astype(np.uint8)
    return colours.repeat(ZOOM[0], axis=0).repeat(ZOOM[1], axis=1)


def rows_of(answer: Answer) -> list[list[Any]]:
    """Start, end, emotion, its probability and c of each window."""
    return [
        [
            round(window.start, 2),
            round(window.end, 2),
            window.emotion or "silent",
            None if window.probabilities is None else round(max(window.probabilities.values()), 3),
            None if window.c is None else round(window.c, 3),
        ]
        for window in answer.windows
    ]
