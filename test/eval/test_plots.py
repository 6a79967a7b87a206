"""The plots of a report: which there are, and that one drawing gives both formats."""

import io
import re

import numpy as np
from matplotlib.image import imread

from trnet.eval.plots import confusions, draw_figures, png, shares, svg, uar_plots
from trnet.eval.predictions import make_predictions, score
from trnet.eval.statistics import compute_statistics
from trnet.eval.summary import arrange

CLASSES = ("ang", "hap")


def material(noises=("esc",), c=0.5):
    rows = []
    for fold in ("1", "2"):
        for noise, snr in (("clean", None), *((noise, snr) for noise in noises for snr in (0.0, 10.0))):
            for i in range(6):
                pred = CLASSES[(i + (i == 4)) % 2]
                rows.append(("trnet", "mmse", fold, 1, noise, snr, f"f{fold}u{i}", CLASSES[i % 2], pred, c, 0.5, 0.5))
    predictions = make_predictions(rows, CLASSES)
    return predictions, arrange(score(predictions)), compute_statistics(predictions, resamples=100, permutations=100)


def test_figures_without_noise_or_coefficients():
    assert list(draw_figures(*material(noises=()))) == ["confusion_trnet.png"]
    assert list(draw_figures(*material(c=None))) == ["uar_vs_snr.png", "confusion_trnet.png"]


def test_one_drawing_is_svg_text_and_png():
    _, results, statistics = material()
    ((name, draw),) = uar_plots(results, statistics).items()
    picture = svg(draw)
    assert picture.startswith("<svg") and "prefers-color-scheme:dark" in picture and "currentColor" in picture
    words = re.findall(r"<text[^>]*>([^<]+)</text>", picture)
    assert {"0", "10", "clean", "SNR (dB)", "UAR (%)"} <= set(words)  # text that can be selected
    assert picture == svg(draw)
    image = imread(io.BytesIO(png({name: draw}, "title")))
    assert min(image.shape[:2]) > 300 and image[..., :3].std() > 0.05
    assert np.ptp(image[-2:, :, :3]) == 0  # nothing is cut at the bottom


def test_confusions_count_each_part():
    predictions, *_ = material()
    clean, noisy = (confusions(predictions)["TRNet", part] for part in ("clean", "noisy"))
    assert clean.to_numpy().tolist() == [[4, 2], [0, 6]] and noisy.to_numpy().sum() == 24
    assert shares(clean).loc["ang"].round(1).tolist() == [66.7, 33.3]
    only_ang = predictions[predictions["label"] == "ang"]
    assert shares(confusions(only_ang)["TRNet", "clean"]).loc["hap"].isna().all()
