"""report.html, as stage 7 writes it: what it has, what it lacks, and how a real browser shows and prints it."""

import base64
import io
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from trnet.eval.predictions import read_predictions
from trnet.eval.report import write_report

pytestmark = pytest.mark.slow

NOTES = "A note.\nnoise esc: synthetic, hiss\n"


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory) -> Path:
    """report.html of three systems on two folds, with notes."""
    notes = tmp_path_factory.mktemp("notes") / "notes.md"
    notes.write_text(NOTES)
    runs.score("--notes", str(notes))
    return runs.out / "report.html"


class Page(HTMLParser):
    """What a page refers to, its text, and the attributes of its tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.links, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def page(report) -> Page:
    return Page(report.read_text())


def test_page_refers_to_nothing_outside(page, report):
    assert all(link.startswith(("data:", "#")) for link in page.links)
    text = report.read_text()
    assert not re.search(r"@import|<script|<link rel=.stylesheet", text)
    pictures = [base64.b64decode(link.split(",")[1]).decode() for link in page.links if link.startswith("data:image")]
    assert len(pictures) == 1 + 1 + 6 + 6  # UAR, c of trnet, representations and training of three systems
    assert not any(re.search(r"""(href|src)="(?!#)|url\((?!#)""", picture) for picture in pictures)
    assert len(text) < 10_000_000


def test_every_section_is_in_the_navigation_once(page):
    sections = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    assert len(sections) > 10 and [link for link in page.links if link.startswith("#")] == [f"#{id}" for id in sections]


def test_page_has_the_numbers_of_results_md(page, report):
    cells = re.findall(r"^\| (.*) \|$", (report.parent / "RESULTS.md").read_text(), re.MULTILINE)
    numbers = {cell.strip("* ") for row in cells for cell in row.split(" | ") if re.search(r"\d\.\d\d", cell)}
    assert len(numbers) > 6
    assert not [cell for cell in numbers if cell.replace("+-", "±") not in page.text]
    assert "Not shown" not in page.text and "nan" not in page.text.lower().split()


def test_the_first_paragraph_is_the_first_finding(page, report):
    findings = (report.parent / "RESULTS.md").read_text().split("## Findings\n\n")[1].split("\n\n")[0]
    lines = [line.removeprefix("- ") for line in findings.splitlines()]
    assert 1 < len(lines) <= 15 and "A note." in lines
    places = [page.text.index(line) for line in lines]
    assert places == sorted(places) and places[-1] < page.text.index("Table 1", places[-1])


def test_synthetic_noise_is_called_so_wherever_it_is_named(page):
    captions = [attrs["alt"] for tag, attrs in page.tags if tag == "img" and "noise" in attrs["alt"]]
    assert captions and all("esc (synthetic)" in caption for caption in captions)
    players = [attrs for tag, attrs in page.tags if tag == "audio"]
    assert players and all("esc (synthetic)" in attrs["aria-label"] for attrs in players)


def test_players_have_names_of_their_own(page):
    names = [attrs["aria-label"] for tag, attrs in page.tags if tag == "audio"]
    assert len(names) == len(set(names)) == 36
    for kind in ("clean", "noisy", "enhanced"):
        assert sum(kind in name for name in names) == 12


def test_audio_is_of_the_three_kinds_and_of_one_length(page):
    clips = [base64.b64decode(link.split(",")[1]) for link in page.links if link.startswith("data:audio/flac")]
    assert len(clips) == 12 * 3
    for clean, noisy, enhanced in zip(clips[::3], clips[1::3], clips[2::3], strict=True):
        (x, rate), (y, _), (z, _) = (soundfile.read(io.BytesIO(clip)) for clip in (clean, noisy, enhanced))
        assert rate == 16000 and len(x) == len(y) == len(z)
        assert np.abs(y - x).max() > 0.01 and np.abs(y).max() <= 1
        np.testing.assert_allclose(z, y, atol=1e-4)  # front-end none


def test_a_second_time_it_is_the_same(runs, report, tmp_path):
    files = [*runs.out.glob("*.*"), *runs.out.glob("figures/*")]
    before = {path: path.read_bytes() for path in files}
    assert {path.suffix for path in files} >= {".html", ".csv", ".md", ".png"}
    report.unlink()
    (tmp_path / "notes.md").write_text(NOTES)
    runs.score("--notes", str(tmp_path / "notes.md"))
    assert {path: path.read_bytes() for path in files} == before


def test_a_report_without_more_data_names_what_it_lacks(runs, report, tmp_path):
    predictions = read_predictions(runs.out / "predictions.csv")
    predictions = predictions[predictions["system"] == "baseline_c"]
    write_report(tmp_path, predictions, {"Corpus": "<tiny> & co"}, resamples=100, permutations=100)
    text = (tmp_path / "report.html").read_text()
    assert "&lt;tiny&gt; &amp; co" in text and "<tiny>" not in text
    missing = re.findall("<li>(.*)</li>", text.split('<section id="missing">')[1])
    assert [line.partition(":")[0] for line in missing] == ["training curves", "representations", "noise sets", "audio"]


DECODE = """async () => {
    const lengths = [];
    for (const audio of document.querySelectorAll("audio")) {
        const bytes = Uint8Array.from(atob(audio.src.split(",")[1]), c => c.charCodeAt(0));
        const decoded = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(bytes.buffer);
        lengths.push(decoded.duration);
    }
    return lengths;
}"""


@pytest.fixture
def show(browser, report):
    """show(width, scheme): the page, loaded, and what the browser complained of."""
    opened = []

    def load(width, scheme="light"):
        shown = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        opened.append(shown)
        complaints, requests = [], []
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on("requestfailed", lambda request: complaints.append(f"failed: {request.url[:80]}"))
        shown.on("request", lambda request: requests.append(request.url))
        shown.goto(report.as_uri())
        shown.wait_for_load_state("load")
        assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]
        return shown, complaints

    yield load
    for shown in opened:
        shown.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_a_browser_shows_it_whole(show, scheme, width):
    shown, complaints = show(width, scheme)
    widths = shown.evaluate("[...document.images].map(image => image.complete ? image.naturalWidth : 0)")
    assert len(widths) == 14 and min(widths) > 0
    assert shown.evaluate("document.documentElement.scrollWidth") <= width  # tables scroll in their own boxes
    red, green, blue = map(int, re.findall(r"\d+", shown.evaluate("getComputedStyle(document.body).backgroundColor")))
    assert (red + green + blue > 600) == (scheme == "light")
    picture = imread(io.BytesIO(shown.locator("figure img").first.screenshot()))[..., :3]
    darkest, lightest = np.percentile(picture.mean(axis=2), [0.5, 99.5])
    assert lightest - darkest > 0.35  # axes are seen on their ground
    headline = shown.locator(".headline").bounding_box()
    assert headline["y"] + headline["height"] < 900  # seen without scrolling
    assert not complaints


def test_a_browser_plays_the_audio(show):
    shown, complaints = show(1280)
    shown.wait_for_function("[...document.querySelectorAll('audio')].every(a => a.error || a.readyState > 0)")
    durations = shown.evaluate("[...document.querySelectorAll('audio')].map(a => a.error ? 0 : a.duration)")
    assert len(durations) == 36 and min(durations) > 0.3
    np.testing.assert_allclose(shown.evaluate(DECODE), durations, atol=0.01)
    assert not complaints


NUMBERS = """() => [...document.querySelectorAll('.wide')].map(box => {
    const number = box.querySelector('tbody td:not(.text)'), name = box.querySelector('tbody th');
    const before = name.getBoundingClientRect().left, seen = number.getBoundingClientRect();
    const frame = box.getBoundingClientRect();
    const hidden = Math.max(name.getBoundingClientRect().right, frame.left) - seen.left;
    box.scrollLeft = 1000;
    const after = name.getBoundingClientRect().left;
    const last = [...box.querySelectorAll('tbody tr:first-child td')].pop().getBoundingClientRect();
    box.scrollLeft = 0;
    return {hidden: hidden, over: seen.right - frame.right, moved: after - before, lastOver: last.right - frame.right};
})"""


def test_numbers_are_seen_on_a_phone(show):
    shown, _ = show(390)
    boxes = shown.evaluate(NUMBERS)
    assert len(boxes) > 5
    for box in boxes:
        assert box["hidden"] <= 1 and box["over"] <= 1  # the first number, beside the name of its row
        assert abs(box["moved"]) <= 1 and box["lastOver"] <= 1  # which stays while the others are scrolled to


def pages_of(pdf: bytes) -> list[bytes]:
    """The drawing operators of each page of a PDF that Chromium wrote."""
    objects = {}
    for match in re.finditer(rb"(\d+) 0 obj\n(.*?)\nendobj", pdf, re.DOTALL):
        objects[int(match[1])] = match[2]
    drawn = []
    for content in objects.values():
        if re.search(rb"/Type /Page\b", content):
            stream = objects[int(re.search(rb"/Contents (\d+) 0 R", content)[1])]
            body = re.search(rb"stream\r?\n(.*)\r?\nendstream", stream, re.DOTALL)[1]
            drawn.append(zlib.decompressobj().decompress(body) if b"FlateDecode" in stream else body)
    return drawn


def headings_of(pdf: bytes) -> list[tuple[int, float]]:
    """Page object and height from the bottom, in points, of each heading in the outline of a PDF."""
    found = re.findall(rb"/Dest \[(\d+) 0 R /XYZ [\d.-]+ ([\d.-]+)", pdf)
    return [(int(page), float(height)) for page, height in found]


def test_print_has_no_empty_page_and_no_heading_alone(show, tmp_path):
    shown, _ = show(1280)
    pdf = shown.pdf(format="A4", outline=True, tagged=True, print_background=True)
    pages = pages_of(pdf)
    assert len(pages) > 2
    assert all(len(re.findall(rb"\bTj\b|\bTJ\b|\bDo\b", drawn)) > 3 for drawn in pages)
    headings = headings_of(pdf)
    assert len(headings) > 10
    assert min(height for _, height in headings) > 90  # points from the lower edge: there is more below it


def test_print_cuts_no_table_and_shows_no_player(show):
    shown, _ = show(700)  # an A4 page within its margins
    shown.emulate_media(media="print")
    assert shown.evaluate("document.documentElement.scrollWidth") <= 701
    assert not shown.evaluate("[...document.querySelectorAll('audio, nav')].some(e => e.offsetParent !== null)")
    breaks = "[...document.querySelectorAll('h2, section > p, .legend')].map(e => getComputedStyle(e).breakAfter)"
    assert set(shown.evaluate(breaks)) == {"avoid"}  # headings stay with what they are of
