"""Emotion, probabilities and c of audio files, by a packed model."""

import logging
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from tqdm import tqdm

from trnet.audio.reading import is_audio
from trnet.bin import option_types as types
from trnet.bin.options import (
    Parser,
    add_channel_option,
    add_device_option,
    add_pipes_option,
    add_upstream_option,
    make_parser,
)
from trnet.deploy.formats import FORMATS
from trnet.deploy.inputs import LIST, find_recordings
from trnet.deploy.model_path import CARD, FILE, PREFIX, is_card, locate
from trnet.deploy.onnx_predictor import OnnxPredictor, has_graphs, is_exported
from trnet.deploy.packaged import card_line, packaged_model
from trnet.deploy.sliding_window import SlidingWindowPredictor
from trnet.utils.errors import TrnetError, one_line_errors, printable
from trnet.utils.text import counted

BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total_fmt} files [{elapsed}<{remaining}{postfix}]"

MODEL_HELP = (
    "a model file (of stage 7 or trnet.bin.pack), hf://org/name, or a folder of trnet.bin.push or trnet.bin.export; "
    "where the first argument is none of these it is audio, and the model in the package answers"
)
ENGINE_HELP = (
    "torch: PyTorch, to the last digit as stage 7; onnx: ONNX Runtime by the model's graphs, whose first prediction "
    "comes sooner; auto: onnx on the CPU where the model has graphs and onnxruntime is installed, else torch"
)


def get_parser() -> Parser:
    """Options of trnet-predict."""
    parser = make_parser("predict", __doc__)
    parser.add_argument("model", nargs="?", help=MODEL_HELP)
    parser.add_argument(
        "audio",
        nargs="*",
        help="audio files, folders (searched through), Kaldi lists (*.scp), or - for audio on standard input",
    )
    parser.add_argument("--format", choices=tuple(FORMATS), default="table", help="format of the output")
    parser.add_argument("--windows", action="store_true", help="list the prediction of each window, too")
    parser.add_argument("--window", type=types.amount(0, 1e9), help="seconds of a window (default: the longest)")
    parser.add_argument("--hop", type=types.amount(0, 1e9), help="seconds between windows (default: --window)")
    add_channel_option(parser)
    add_pipes_option(parser)
    parser.add_argument("--batch-size", type=types.count(1, 10_000), default=8, help="windows computed together")
    parser.add_argument("--engine", choices=("auto", "torch", "onnx"), default="auto", help=ENGINE_HELP)
    parser.add_argument("--trust", action="store_true", help="run code that is not trnet's: a front-end, a network")
    add_upstream_option(parser)
    add_device_option(parser)
    return parser


def names_model(argument: str) -> bool:
    """Whether trnet-predict's first argument is a model: a zip, one of the hub, a folder with a model or its card."""
    folder = Path(argument)
    holds_one = (folder / FILE).is_file() or is_card(folder / CARD) or is_exported(argument)
    return argument.startswith(PREFIX) or folder.suffix == ".zip" or holds_one


def _holds_no_audio(argument: str) -> bool:
    """Whether an argument can be no audio: a folder without, or nothing, named as no audio file or list is."""
    path = Path(argument)
    if argument == "-" or path.is_file() or is_audio(path) or path.suffix == LIST:
        return False
    return not path.is_dir() or all(isinstance(each, TrnetError) for each in find_recordings([argument]))


def _predictor(
    model: str | Path, engine: str, ngpu: int, trust: bool, upstream: Path | None = None
) -> SlidingWindowPredictor:
    if upstream is not None and (is_exported(model) or engine == "onnx"):
        raise TrnetError(f"--upstream {upstream}: graphs have no pretrained network behind; give --engine torch")
    if is_exported(model):
        if ngpu or engine == "torch":
            raise TrnetError(f"{model}: exported networks run on the CPU, by ONNX Runtime; name the packed model")
        return OnnxPredictor(model)
    path = locate(model)
    if engine == "onnx" and ngpu:
        raise TrnetError(f"--ngpu {ngpu}: --engine onnx runs on the CPU; give --engine torch")
    graphs_do = engine == "auto" and not ngpu and upstream is None
    if engine == "onnx" or (graphs_do and has_graphs(path) and find_spec("onnxruntime")):
        return OnnxPredictor(path)
    from trnet.deploy.predictor import Predictor  # here, as it brings PyTorch, which the others do without

    return Predictor.from_pretrained(path, ngpu, trust, upstream)


@one_line_errors
def main(args: list[str] | None = None) -> int:
    """Write predictions to stdout; what fails is one line on stderr, the rest goes on, and the status is 1."""
    parser = get_parser()
    opts = parser.parse_args(args)
    if opts.model is None:
        parser.error("name audio, or a model and audio")
    if sys.stdout is None:
        raise TrnetError("standard output: is closed")
    logging.getLogger("trnet").setLevel(logging.WARNING)  # on standard output there are predictions alone
    is_named = names_model(opts.model)
    model, audio = (opts.model, opts.audio) if is_named else (packaged_model(), [opts.model, *opts.audio])
    if not audio:
        raise TrnetError(f"{opts.model}: no audio is named; name files, folders or lists behind the model, or -")
    if not is_named and opts.audio and _holds_no_audio(opts.model):
        raise TrnetError(
            f"{opts.model}: is neither a model nor audio; name a model (its .zip, for one), or leave it out"
        )
    notice = None if is_named else card_line()
    predictor = _predictor(model, opts.engine, opts.ngpu, opts.trust, opts.upstream)
    found = find_recordings(audio, opts.channel, opts.allow_pipes)
    recordings = [each for each in found if not isinstance(each, TrnetError)]
    width = max((len(printable(recording.name)) for recording in recordings), default=0)
    output = FORMATS[opts.format](predictor.classes, opts.windows, min(width, 60))
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be no text
    seconds, read, done, failed, started = 0.0, 0.0, 0, 0, time.monotonic()

    def on_read(some: float, share: float) -> None:
        nonlocal seconds, read
        seconds, read = seconds + some, read + share
        bar.set_postfix_str(f"{seconds / 60:.1f} min of audio", refresh=False)
        progress()

    def progress() -> None:
        bar.n = max(done, min(read, len(found)))
        bar.update(0)

    predictions = predictor.predict(recordings, opts.window, opts.hop, opts.batch_size, on_read)
    with tqdm(total=len(found), desc="predict", bar_format=BAR, disable=None) as bar:
        for line in output.header():
            _print(bar, line)
        for each in found:
            prediction = each if isinstance(each, TrnetError) else next(predictions)
            if isinstance(prediction, TrnetError):
                failed += 1
                bar.write(f"error: {printable(' '.join(str(prediction).split()))}", file=sys.stderr)
            else:
                if notice:
                    bar.write(notice, file=sys.stderr)
                    notice = None
                for line in output.lines(prediction):
                    _print(bar, line)
            done += 1
            progress()
    spent = time.monotonic() - started
    factor = f", real-time factor {spent / seconds:.3f}" if seconds else ""
    lost = f"; {failed} of {len(found)} failed" if failed else ""
    print(f"{counted(len(found), 'file')}, {seconds:.1f} s of audio in {spent:.1f} s{factor}{lost}", file=sys.stderr)
    return 1 if failed else 0


def _print(bar: tqdm, line: str) -> None:
    """A line on stdout, without control characters on a terminal; where nobody reads any more (``| head``), the end."""
    try:
        bar.write(printable(line) if sys.stdout.isatty() else line, file=sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


if __name__ == "__main__":
    sys.exit(main())
