"""The page that listens, by itself and in a real browser."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from tiny import RATE, hiss, tone, write_wav

import trnet
from trnet.deploy.demo import hear_file, make_demo, picture_of, rows_of
from trnet.utils.errors import TrnetError


@pytest.fixture(scope="module")
def predictor(packed_gtcrn) -> trnet.Predictor:
    return trnet.Predictor.from_pretrained(packed_gtcrn.model)


@pytest.mark.slow
def test_pictures_show_the_first_window_that_is_not_silent(predictor, tmp_path):
    silence = np.zeros(predictor.features.span, np.float32)
    path = write_wav(tmp_path / "a.wav", np.concatenate([silence, tone("hap", 1, predictor.features.span)]))
    answer, pictures = hear_file(predictor, Path(path))
    assert [row[2] == "silent" for row in rows_of(answer)] == [True, False] and rows_of(answer)[0][3:] == [None, None]
    assert list(pictures) == ["noisy", "enhanced", "compensated"]
    assert all(p.shape == (24 * 3, 500 * 2, 3) and p.dtype == np.uint8 for p in pictures.values())
    noisy, enhanced, compensated = (p.astype(int) for p in pictures.values())
    assert np.abs(noisy - enhanced).mean() > 1 and np.ptp(noisy) > 100
    assert np.abs(noisy - compensated).mean() <= np.abs(noisy - enhanced).mean()  # Eq. 4
    with pytest.raises(TrnetError, match=r"silent\.wav: is silent"):
        hear_file(predictor, Path(write_wav(tmp_path / "silent.wav", silence)))


def test_low_frequencies_are_at_the_bottom_and_time_goes_right():
    log_mels = np.zeros((10, 4))
    log_mels[7:, 0] = 10.0
    picture = picture_of(log_mels, 0.0, 10.0).astype(int).sum(axis=2)
    bright = np.argwhere(picture > picture.min())
    assert bright.min(axis=0).tolist() == [9, 14] and bright.max(axis=0).tolist() == [11, 19]


@pytest.mark.slow
def test_a_missing_gradio_is_named(predictor, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(TrnetError, match="the package gradio is not installed"):
        make_demo(predictor, "m.zip")


@pytest.fixture
def address(predictor):
    """Where the page is served."""
    pytest.importorskip("gradio", reason="needs gradio: pip install 'trnet[demo]'")
    page = make_demo(predictor, "m.zip")
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, share=False, show_error=True)
    yield url
    page.close()


@pytest.mark.slow
def test_a_browser_uploads_speech_and_sees_what_was_said(browser, address, predictor, tmp_path):
    wav = np.concatenate([tone("sad", 2, 30_000), hiss(5, 60_000)])
    path = write_wav(tmp_path / "speech.wav", wav)
    expected = predictor(wav, RATE)
    shown = browser.new_page(viewport={"width": 1280, "height": 1200})
    complaints, requests = [], []
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.on("request", lambda request: requests.append(request.url))
    shown.goto(address)
    shown.get_by_label("Upload file").first.click()
    shown.locator("input[type=file]").first.set_input_files(path)
    emotion = shown.locator("#emotion")
    shown.wait_for_function("() => /\\d ?%/.test(document.querySelector('#emotion')?.innerText ?? '')", timeout=30_000)
    said = emotion.inner_text().replace(" ", "")
    assert expected.emotion in said
    percent = 100 * max(expected.probabilities.values())
    assert min(abs(float(number) - percent) for number in re.findall(r"(\d+)%", said)) < 0.6  # shown in whole ones
    c = float(shown.locator("#c textarea, #c input").first.input_value())
    assert c == pytest.approx(expected.c, abs=6e-4)  # shown to three digits
    for kind in ("noisy", "enhanced", "compensated"):
        shown.wait_for_function(f"() => document.querySelector('#{kind} img')?.naturalWidth > 0", timeout=30_000)
        picture = imread(io.BytesIO(shown.locator(f"#{kind} img").screenshot()))
        assert np.ptp(picture[..., :3]) > 0.5
    text = shown.locator("body").inner_text()
    assert "5.02" in text or "5.01" in text  # the end of the first window
    assert not complaints and all(url.startswith((address, "data:", "blob:")) for url in requests), requests
    shown.close()


@pytest.mark.slow
def test_a_browser_records_speech_and_sees_what_was_said(browser, address):
    page = browser.new_context(permissions=["microphone"]).new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.get_by_role("button", name="Record").first.click()
    page.wait_for_timeout(2500)  # of speech
    page.get_by_role("button", name="Stop").first.click()
    page.wait_for_function("() => /\\d ?%/.test(document.querySelector('#emotion')?.innerText ?? '')", timeout=30_000)
    assert 0 <= float(page.locator("#c textarea, #c input").first.input_value()) <= 1
    page.wait_for_function("() => document.querySelector('#noisy img')?.naturalWidth > 0", timeout=30_000)
    assert np.ptp(imread(io.BytesIO(page.locator("#noisy img").screenshot()))[..., :3]) > 0.5
    assert not complaints
    page.context.close()
