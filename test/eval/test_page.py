"""report.html, as stage 7 writes it: what it holds, what it says is missing, and how a real browser shows it."""

import base64
import io
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trnet.bin import score, train
from trnet.conditions import CLEAN, Condition, noisy_conditions
from trnet.eval.predictions import read_predictions, read_results
from trnet.eval.report_data import (
    History,
    Material,
    choose_listening,
    gather,
    gather_listening,
    map_items,
    read_history,
    summarise_noise,
)
from trnet.eval.run_predictions import answers_of
from trnet.kaldi.data_dir import DataDir
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow

SYSTEMS = ["baseline_c", "baseline_e", "trnet"]


@pytest.fixture(scope="module")
def exp(tiny, tmp_path_factory) -> Path:
    """exp/ of three systems on two folds, after stage 7."""
    exp = tmp_path_factory.mktemp("page") / "exp"
    runs = [*tiny.folders(), "--exp", str(exp), "--folds", "1 2", "--systems", " ".join(SYSTEMS), "--max-epochs", "2"]
    assert train.main([*runs, "--part", "teacher"]) == train.main([*runs, "--part", "others"]) == 0
    quick = ["--resamples", "200", "--permutations", "200"]
    assert score.main([*runs, "--noises", "esc", *quick]) == 0
    return exp


class Page(HTMLParser):
    """What a page refers to, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.links, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def page(exp) -> Page:
    return Page((exp / "none/report.html").read_text())


def test_page_refers_to_nothing_outside(page, exp):
    assert all(link.startswith(("data:", "#")) for link in page.links)
    text = (exp / "none/report.html").read_text()
    assert not re.search(r"@import|<script|<link rel=.stylesheet", text)
    pictures = [base64.b64decode(link.split(",")[1]).decode() for link in page.links if link.startswith("data:image")]
    assert len(pictures) == 1 + 1 + 6 + 6  # UAR, c of trnet, maps and training of three systems
    assert not any(re.search(r"""(href|src)="(?!#)|url\((?!#)""", picture) for picture in pictures)
    assert len(text) < 10_000_000


def test_page_has_the_numbers_of_results_md(page, exp):
    words = " ".join(" ".join(page.words).split())
    cells = re.findall(r"^\| (.*) \|$", (exp / "none/RESULTS.md").read_text(), re.MULTILINE)
    numbers = {cell.strip() for row in cells for cell in row.split(" | ") if re.search(r"\d\.\d\d", cell)}
    assert len(numbers) > 6
    assert not [cell for cell in numbers if cell.replace("+-", "±") not in words]
    assert "Not shown" not in words and "nan" not in words.split()


def test_audio_is_of_the_three_kinds_and_as_long_as_what_is_heard(page, tiny):
    clips = [base64.b64decode(link.split(",")[1]) for link in page.links if link.startswith("data:audio/flac")]
    assert len(clips) == 12 * 3
    for clean, noisy, enhanced in zip(clips[::3], clips[1::3], clips[2::3], strict=True):
        (x, rate), (y, _), (z, _) = (soundfile.read(io.BytesIO(clip)) for clip in (clean, noisy, enhanced))
        assert rate == 16000 and len(x) == len(y) == len(z)
        assert np.abs(y - x).max() > 0.01 and np.abs(y).max() <= 1
        np.testing.assert_allclose(z, y, atol=1e-4)  # front-end none


def test_a_second_time_it_is_the_same(tiny, exp):
    before = {name: (exp / "none" / name).read_bytes() for name in ("report.html", "statistics.csv", "RESULTS.md")}
    for name in before:
        (exp / "none" / name).unlink()
    runs = [*tiny.folders(), "--exp", str(exp), "--folds", "1 2", "--systems", " ".join(SYSTEMS), "--max-epochs", "2"]
    assert score.main([*runs, "--noises", "esc", "--resamples", "200", "--permutations", "200"]) == 0
    assert {name: (exp / "none" / name).read_bytes() for name in before} == before


def test_listening_is_spread_over_classes_and_snrs(exp):
    predictions = read_predictions(exp / "none/predictions.csv")
    label = {row.utt_id: row.label for row in predictions.rows}
    items = choose_listening(predictions, seed=0)
    assert len(set(items)) == len({utt for utt, *_ in items}) == 12
    for emotion in predictions.classes:
        mine = [snr for utt, _, snr in items if label[utt] == emotion]
        assert len(mine) == 3 and set(mine) == {0.0, 10.0}
    assert items == choose_listening(replace(predictions, rows=predictions.rows[::-1]), seed=0)
    assert items != choose_listening(predictions, seed=1)


def test_representations_are_those_of_the_run(tiny, exp):
    experiment = tiny.experiment(exp, max_epochs=2)
    fold = experiment.folds[0]
    items = map_items(fold, [CLEAN, Condition("esc", 0.0)], seed=0)
    assert len(items) == 16 and {utt for utt, _ in items} <= set(fold.test)
    answers = answers_of(experiment, "trnet", fold, 1, items, with_h=True)
    h = np.stack([answers[item].h for item in items])
    assert h.shape[0] == 16 and np.isfinite(h).all() and h.std(axis=0).max() > 0
    assert answers_of(experiment, "trnet", fold, 1, items)[items[0]].h is None


def test_noise_summary_counts_what_the_manifest_says(tiny):
    found = summarise_noise(tiny.data, "esc", [0.0, 10.0], "esc")
    assert (found.sources, found.clips, found.snrs, found.heard_in_training) == (4, 8, (0.0, 10.0), True)
    assert [(use.group, use.utts) for use in found.groups] == [("S1", 16), ("S2", 16), ("S3", 16)]
    assert found.shared_sources == 0 and sum(use.sources for use in found.groups) == 4
    used = {use.split()[0] for use in DataDir(tiny.root / "data/tiny_esc_0db")["utt2noise"].values()}
    assert found.used_clips == len(used)
    with pytest.raises(TrnetError, match="noise_wind"):
        summarise_noise(tiny.data, "wind", [0.0], "esc")


def test_what_cannot_be_had_is_left_out_and_named(tiny, exp, tmp_path, monkeypatch):
    """No history.csv of a run, no audio of an enhanced set, no representations, no noise data dir."""
    shutil.copytree(exp, tmp_path / "exp", symlinks=True)
    shutil.copytree(tiny.dump, tmp_path / "dump")
    (tmp_path / "exp/none/trnet/fold1_seed1/history.csv").unlink()
    scp = tmp_path / "dump/none/tiny_esc_10db/wav.scp"
    scp.write_text(re.sub(r"\.wav$", ".gone.wav", scp.read_text(), flags=re.MULTILINE))
    experiment = tiny.experiment(tmp_path / "exp", tmp_path / "dump", max_epochs=2)

    def no_map(*args):
        raise TrnetError("dump: is gone")

    monkeypatch.setattr("trnet.eval.report_data.make_map", no_map)
    predictions = read_predictions(exp / "none/predictions.csv")
    runs = [(name, experiment.folds[0], 1) for name in SYSTEMS]
    found = gather(experiment, runs, predictions, noisy_conditions(["esc", "wind"], [10.0, 0.0]))
    missing = " ".join(found.missing)
    assert "training curve of trnet, fold 1, seed 1: " in missing and "history.csv" in missing
    assert "map of trnet: dump: is gone" in missing and "noise set wind: " in missing
    assert [history.system for history in found.histories] == ["baseline_c", "baseline_e"]
    for item in found.listening:
        assert len(item.audio) == (2 if item.snr_db == 10 else 3)
        assert bool(item.missing) == (item.snr_db == 10)
        assert {answer.system for answer in item.answers} == set(SYSTEMS)


def test_audio_stops_where_the_file_would_become_too_large(tiny, exp, monkeypatch):
    monkeypatch.setattr("trnet.eval.report_data.MOST_AUDIO", 100_000)
    predictions = read_predictions(exp / "none/predictions.csv")
    found, left_out = gather_listening(tiny.experiment(exp, max_epochs=2), predictions, 0)
    assert 0 < len(found) < 12 and f"{12 - len(found)} of 12 utterances" in left_out


def test_histories(exp, tmp_path):
    found = read_history(exp / "none/trnet/fold1_seed1", "trnet", "1", 1)
    assert isinstance(found, History) and len(found.loss) == len(found.valid_uar) == 2
    (tmp_path / "history.csv").write_text("epoch,lr,loss,task,low,high,valid_uar\n1,0.1,x,1,1,1,50\n")
    with pytest.raises(TrnetError, match=r"history\.csv:2: loss: 'x'"):
        read_history(tmp_path, "trnet", "1", 1)


def test_a_report_without_material_says_so(exp, tmp_path):
    from trnet.eval.report import write_report

    predictions = read_predictions(exp / "none/predictions.csv")
    write_report(tmp_path, predictions, {"Corpus": "<tiny> & co"}, resamples=100, permutations=100)
    text = (tmp_path / "report.html").read_text()
    assert "&lt;tiny&gt; &amp; co" in text and "<tiny>" not in text
    for name in ("training curves", "representations", "noise sets", "audio"):
        assert f"<li>{name}: none here</li>" in text
    assert read_results(tmp_path / "results.csv") and Material() == Material()


DECODE = """async () => {
    const lengths = [];
    for (const audio of document.querySelectorAll("audio")) {
        const bytes = Uint8Array.from(atob(audio.src.split(",")[1]), c => c.charCodeAt(0));
        const decoded = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(bytes.buffer);
        lengths.push(decoded.duration);
    }
    return lengths;
}"""


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_a_browser_shows_it_whole(browser, exp, scheme, width):
    shown = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints, requests = [], []
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.on("requestfailed", lambda request: complaints.append(f"failed: {request.url[:80]}"))
    shown.on("request", lambda request: requests.append(request.url))
    address = (exp / "none/report.html").as_uri()
    shown.goto(address)
    shown.wait_for_load_state("load")
    assert [url for url in requests if not url.startswith("data:")] == [address]
    widths = shown.evaluate("[...document.images].map(image => image.complete ? image.naturalWidth : 0)")
    assert len(widths) == 14 and min(widths) > 0
    shown.wait_for_function("[...document.querySelectorAll('audio')].every(a => a.error || a.readyState > 0)")
    durations = shown.evaluate("[...document.querySelectorAll('audio')].map(a => a.error ? 0 : a.duration)")
    assert len(durations) == 36 and min(durations) > 0.3
    np.testing.assert_allclose(shown.evaluate(DECODE), durations, atol=0.01)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width  # tables scroll in their own boxes
    if width == 390:
        box = shown.locator("#t1 tbody tr").first.locator("td:not(.text)").first.bounding_box()
        assert box["x"] > 0 and box["x"] + box["width"] <= width  # a number of Table 1 is seen
    red, green, blue = map(int, re.findall(r"\d+", shown.evaluate("getComputedStyle(document.body).backgroundColor")))
    assert (red + green + blue > 600) == (scheme == "light")
    figure = io.BytesIO(shown.locator("figure img").first.screenshot())
    shown.emulate_media(media="print")
    breaks = "[...document.querySelectorAll('h2, section > p, .legend')].map(e => getComputedStyle(e).breakAfter)"
    assert set(shown.evaluate(breaks)) == {"avoid"}  # headings stay with their plots
    assert not complaints
    from matplotlib.image import imread

    picture = imread(figure)[..., :3]
    darkest, lightest = np.percentile(picture.mean(axis=2), [0.5, 99.5])
    assert lightest - darkest > 0.35  # axes are seen on their ground
    shown.close()
