"""A page in the browser: record or upload speech; emotion, c, spectrograms and the enhanced speech are shown."""

import logging
import os
from itertools import islice
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from trnet.deploy.hub import caveat
from trnet.deploy.predictor import Inference, Predictor
from trnet.deploy.recording import from_file
from trnet.deploy.sliding_window import Prediction, SlidingWindowPredictor, WindowScores
from trnet.utils.errors import TrnetError, first_line, missing_package, one_line

EMOTIONS = {
    **{"ang": "angry", "hap": "happy", "exc": "excited", "neu": "neutral", "sad": "sad", "fru": "frustrated"},
    **{"fea": "afraid", "dis": "disgusted", "sur": "surprised", "cal": "calm", "bor": "bored"},
}
"""The recipes' classes in full; others are shown as they are."""
KINDS = ("noisy", "enhanced", "compensated")
ZOOM = (3, 2)  # pixels a feature, pixels a frame
LOG_RANGE = 14.0  # from black to white: natural logarithm of energy
MAX_WINDOWS = 24  # that can be listened to: two minutes


class _Recorder(SlidingWindowPredictor):
    """A predictor that keeps what its network was given, and gave, for the first windows."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__(predictor.features, predictor.classes, predictor.num_frames)
        self.predictor = predictor
        self.kept: list[Inference] = []

    def score_windows(self, clips: list[np.ndarray], names: list[str]) -> list[WindowScores]:
        inference = self.predictor.infer(clips, names)
        if len(self.kept) < MAX_WINDOWS:
            self.kept.append(inference)
        return inference.scores()


def make_demo(predictor: Predictor, name: str) -> Any:
    """The page, a gradio Blocks, to be launched."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing leaves the machine
    try:
        import gradio
    except ImportError:
        raise missing_package("gradio", "demo") from None

    def predict(path: str | None) -> list[Any]:
        nothing = [None] * (4 + len(KINDS))
        if path is None:
            return ["", *nothing]
        file = Path(path).name
        try:
            prediction, pictures, enhanced = predict_file(predictor, Path(path))
        except Exception as error:  # shown on the page, and in one line where the page was started
            line = one_line(error) or f"{file}: {type(error).__name__}: {first_line(error)}"
            logging.getLogger(__name__).warning("%s", line)
            return [line, *nothing]
        emotions = {full_name(cls): p for cls, p in prediction.probabilities.items()}
        c = "this system has none" if prediction.c is None else f"{prediction.c:.3f}"
        audio = None if enhanced is None else (predictor.features.sample_rate, np.int16(enhanced * 32767))
        return [
            f"{file}: {prediction.seconds:.1f} s",
            emotions,
            c,
            audio,
            rows_of(prediction),
            *(pictures.get(kind) for kind in KINDS),
        ]

    with gradio.Blocks(title="trnet", analytics_enabled=False) as page:
        gradio.Markdown(f"# trnet: {name}\nRecord or upload speech, in any noise.\n\n{caveat(predictor.model)}")
        with gradio.Row():
            audio = gradio.Audio(
                sources=["microphone", "upload"], type="filepath", label="speech", buttons=["download"]
            )
            with gradio.Column():
                line = gradio.Textbox(show_label=False, elem_id="line", interactive=False, container=False)
                emotion = gradio.Label(label="emotion", elem_id="emotion")
                c = gradio.Textbox(
                    label="c: weight of the noisy input; 1 - c is that of the enhanced", elem_id="c", interactive=False
                )
        enhanced = gradio.Audio(label="enhanced speech", elem_id="listen", interactive=False, buttons=["download"])
        pictures = []
        for kind in KINDS:
            gradio.Markdown(f"{kind} features")
            pictures.append(gradio.Image(show_label=False, elem_id=kind, interactive=False, format="png", buttons=[]))
        table = gradio.Dataframe(label="windows", headers=["start", "end", "emotion", "probability", "c"], type="array")
        audio.change(predict, audio, [line, emotion, c, enhanced, table, *pictures], api_name="predict")
    return page


def predict_file(predictor: Predictor, path: Path) -> tuple[Prediction, dict[str, np.ndarray], np.ndarray | None]:
    """The prediction of a file, and what leads to it.

    Returns:
        The prediction; pictures (height, width, 3) uint8 of the features of the first window that is not silent;
        enhanced samples (n,) in [-1, 1] of the first `MAX_WINDOWS` windows, None without a front-end.

    Raises:
        TrnetError: If it cannot be predicted; the message names the file without its folder.
    """
    recorder = _Recorder(predictor)
    (prediction,) = recorder.predict([from_file(path, path.name)], batch_size=1)
    if isinstance(prediction, TrnetError):
        raise TrnetError(str(prediction).replace(str(path), path.name))
    first = recorder.kept[0]
    shown = {kind: matrix for kind in KINDS if (matrix := first.matrix(kind)) is not None}
    loudest = max(float(matrix.max()) for matrix in shown.values())
    pictures = {kind: picture_of(matrix, loudest - LOG_RANGE, loudest) for kind, matrix in shown.items()}
    return prediction, pictures, _enhanced(recorder, prediction)


def _enhanced(recorder: _Recorder, prediction: Prediction) -> np.ndarray | None:
    """The enhanced windows put together, silence where they are silent."""
    if not recorder.kept[0].enhanced_clips:
        return None
    rate = recorder.features.sample_rate
    clips = (inference.enhanced_clips[0] for inference in recorder.kept)
    windows = list(islice(prediction.windows, MAX_WINDOWS))
    joined = np.zeros(round(windows[-1].end * rate), np.float32)
    for window in windows:
        if window.emotion is not None:
            start, end = round(window.start * rate), round(window.end * rate)
            joined[start:end] = next(clips)[: end - start]
    return joined.clip(-1, 1)


def full_name(cls: str) -> str:
    """A class as one says it."""
    return EMOTIONS.get(cls, cls)


def picture_of(matrix: np.ndarray, low: float, high: float) -> np.ndarray:
    """Features (frames, dim) as colours (height, width, 3) uint8, low frequencies at the bottom.

    `low` and `high` are black and white, the same for all pictures, so that they can be compared.
    """
    level = np.clip((matrix.T[::-1] - low) / (high - low), 0, 1)
    colours = (matplotlib.colormaps["magma"](level)[..., :3] * 255).round().astype(np.uint8)
    return colours.repeat(ZOOM[0], axis=0).repeat(ZOOM[1], axis=1)


def rows_of(prediction: Prediction) -> list[list[Any]]:
    """Start, end, emotion, its probability and c of each window."""
    return [
        [
            round(window.start, 2),
            round(window.end, 2),
            full_name(window.emotion) if window.emotion else "silent",
            None if window.probabilities is None else round(max(window.probabilities.values()), 3),
            None if window.c is None else round(window.c, 3),
        ]
        for window in prediction.windows
    ]
