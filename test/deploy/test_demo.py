"""The page, by itself and in a real browser."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread
from near import assert_near
from tiny import RATE, hiss, tone, write_wav

import trnet
from trnet.deploy import demo
from trnet.deploy.demo import make_demo, picture_of, predict_file, rows_of
from trnet.deploy.hub import caveat
from trnet.frontend.clips import enhance_clips
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow

LINE = "document.querySelector('#line textarea, #line input')"
NAMES = {"ang": "angry", "hap": "happy", "neu": "neutral", "sad": "sad"}


@pytest.fixture(scope="module")
def predictor(model_gtcrn) -> trnet.Predictor:
    return trnet.Predictor.from_pretrained(model_gtcrn)


def test_pictures_show_the_first_window_that_is_not_silent(predictor, tmp_path):
    silence = np.zeros(predictor.features.span, np.float32)
    path = write_wav(tmp_path / "a.wav", np.concatenate([silence, tone("hap", 1, predictor.features.span)]))
    prediction, pictures, _ = predict_file(predictor, Path(path))
    rows = rows_of(prediction)
    assert [row[2] == "silent" for row in rows] == [True, False] and rows[0][3:] == [None, None]
    assert list(pictures) == ["noisy", "enhanced", "compensated"]
    assert all(p.shape == (24 * 3, 500 * 2, 3) and p.dtype == np.uint8 for p in pictures.values())
    noisy, enhanced, compensated = (p.astype(int) for p in pictures.values())
    assert np.abs(noisy - enhanced).mean() > 1 and np.ptp(noisy) > 100
    assert np.abs(noisy - compensated).mean() <= np.abs(noisy - enhanced).mean()  # Eq. 4


def test_enhanced_speech_is_what_the_front_end_makes_of_each_window(predictor, tmp_path):
    span = predictor.features.span
    speech = tone("hap", 1, span), np.zeros(span, np.float32), hiss(2, span // 2)
    path = write_wav(tmp_path / "a.wav", np.concatenate(speech))
    prediction, _, enhanced = predict_file(predictor, Path(path))
    assert len(enhanced) == 2.5 * span and [window.emotion is None for window in prediction.windows] == [0, 1, 0]
    last = np.concatenate(speech)[-span:]  # moved back to end where the recording does
    for start, clip in ((0, speech[0]), (len(enhanced) - span, last)):
        (wanted,) = enhance_clips(predictor.frontend, [clip], ["a"])
        assert_near(enhanced[start : start + span], np.clip(wanted, -1, 1), of=1.0)
    assert not enhanced[span : len(enhanced) - span].any()


def test_only_the_beginning_of_long_speech_can_be_listened_to(predictor, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "MAX_WINDOWS", 2)
    span = predictor.features.span
    path = write_wav(tmp_path / "a.wav", hiss(1, 3 * span))
    prediction, _, enhanced = predict_file(predictor, Path(path))
    assert len(prediction.windows) == 3 and len(enhanced) == 2 * span


def test_what_cannot_be_predicted_is_named_without_its_folder(predictor, tmp_path):
    for name, samples in (("silent.wav", np.zeros(RATE)), ("short.wav", hiss(1, 100)), ("text.mp3", None)):
        path = tmp_path / name
        path.write_text("no audio") if samples is None else write_wav(path, samples)
        with pytest.raises(TrnetError, match=name) as caught:
            predict_file(predictor, path)
        assert str(tmp_path) not in str(caught.value) and "\n" not in str(caught.value)


def test_low_frequencies_are_at_the_bottom_and_time_goes_right():
    log_mels = np.zeros((10, 4))
    log_mels[7:, 0] = 10.0
    picture = picture_of(log_mels, 0.0, 10.0).astype(int).sum(axis=2)
    bright = np.argwhere(picture > picture.min())
    assert bright.min(axis=0).tolist() == [9, 14] and bright.max(axis=0).tolist() == [11, 19]


def test_a_missing_gradio_is_named(predictor, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(TrnetError, match="gradio"):
        make_demo(predictor, "m.zip")


@pytest.fixture(scope="module")
def address(predictor):
    """Where the page is served."""
    pytest.importorskip("gradio", reason="needs gradio: pip install 'trnet[demo]'")
    page = make_demo(predictor, "m.zip")
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, share=False, show_error=True)
    yield url
    page.close()


@pytest.fixture
def page(browser, address):
    """The page in a browser; no script of it fails, and nothing is asked from elsewhere."""
    page = browser.new_context(viewport={"width": 1280, "height": 1400}, permissions=["microphone"]).new_page()
    errors, requests = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    yield page
    assert not errors and all(url.startswith((address, "data:", "blob:")) for url in requests), (errors, requests)
    page.context.close()


def upload(page, path: str) -> None:
    page.get_by_label("Upload file").first.click()
    page.locator("input[type=file]").first.set_input_files(path)


def wait_for_emotion(page) -> str:
    page.wait_for_function("() => /\\d ?%/.test(document.querySelector('#emotion')?.innerText ?? '')", timeout=30_000)
    return page.locator("#emotion").inner_text().replace(" ", "")


def picture(page, kind: str) -> np.ndarray:
    page.wait_for_function(f"() => document.querySelector('#{kind} img')?.naturalWidth > 0", timeout=30_000)
    return imread(io.BytesIO(page.locator(f"#{kind} img").screenshot()))[..., :3]


def test_a_browser_uploads_speech(page, predictor, tmp_path):
    wav = np.concatenate([tone("sad", 2, 30_000), hiss(5, 60_000)])
    expected = predictor(wav, RATE)
    upload(page, write_wav(tmp_path / "speech.wav", wav))
    emotion = wait_for_emotion(page)
    assert NAMES[expected.emotion] in emotion and page.evaluate(LINE + ".value") == "speech.wav: 5.6 s"
    percent = 100 * max(expected.probabilities.values())
    assert min(abs(float(number) - percent) for number in re.findall(r"(\d+)%", emotion)) < 0.6  # shown in whole ones
    c = float(page.locator("#c textarea, #c input").first.input_value())
    assert c == pytest.approx(expected.c, abs=6e-4)  # shown to three digits
    assert all(np.ptp(picture(page, kind)) > 0.5 for kind in ("noisy", "enhanced", "compensated"))
    text = page.locator("body").inner_text()
    assert re.search(r"5\.0[12]", text)  # the end of the first window
    assert caveat(predictor.model) in text and str(tmp_path) not in text
    with page.expect_download() as download:
        page.locator("#listen").get_by_label("Download").click()
    enhanced, rate = soundfile.read(download.value.path())
    assert rate == RATE and len(enhanced) == len(wav) and 0 < np.abs(enhanced).max() <= 1


def test_a_browser_records_speech(page):
    page.get_by_role("button", name="Record").first.click()
    page.wait_for_timeout(2500)  # of speech
    page.get_by_role("button", name="Stop").first.click()
    wait_for_emotion(page)
    assert 0 <= float(page.locator("#c textarea, #c input").first.input_value()) <= 1
    assert np.ptp(picture(page, "noisy")) > 0.5


def test_a_bad_file_is_one_line_that_names_it(page, tmp_path):
    bad = tmp_path / "holiday.wav"
    bad.write_bytes(b"no audio")
    upload(page, str(bad))
    page.wait_for_function(f"() => ({LINE})?.value", timeout=30_000)
    line = page.evaluate(LINE + ".value")
    assert line.startswith("holiday.wav: ") and "/" not in line
    assert "%" not in page.locator("#emotion").inner_text() and not page.get_by_text("Error").count()
