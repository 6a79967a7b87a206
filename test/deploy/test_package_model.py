"""The file and the card of the packaged model: what is refused, what a card says."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import soundfile
from model_files import make_model
from upstreams import make_upstream

from trnet.config import Fbank, Upstream
from trnet.deploy import package_model
from trnet.deploy.model_file import ModelFile
from trnet.deploy.package_model import KEPT, check_size, make_card, packaged_file, recorded_as, results_table, words_of
from trnet.deploy.packaged import FILE
from trnet.deploy.upstreams import pack_features
from trnet.utils.errors import TrnetError


@pytest.fixture(scope="module")
def of_all(tmp_path_factory) -> ModelFile:
    """An untrained model, as if it were packed from a run of all speakers with a temperature."""
    made = make_model(tmp_path_factory.mktemp("package") / "m.zip")
    about = dict.fromkeys(KEPT) | {"test_speaker": None, "trained_with": ["a commit"], "made_from": {}, "epoch": 3}
    return replace(made, about=about, settings=made.settings.replace(temperature=1.5))


def test_the_file_has_no_trace_of_when_it_was_made(of_all):
    found = packaged_file(of_all, Path("out.zip"), ["A", "B"])
    assert found.path == Path("out.zip") and found.settings == of_all.settings
    assert set(found.about) == {*KEPT, "fold", "speakers", "scores"} and found.about["epoch"] == 3


def test_what_does_not_belong_into_the_package_is_refused(of_all):
    held_out = replace(of_all, about=of_all.about | {"test_speaker": "A"})
    validated = replace(of_all, about=of_all.about | {"valid_uar": 50.0})
    bare = replace(of_all, settings=of_all.settings.replace(temperature=None))
    for model, said in ((held_out, "folds.kind all"), (validated, "folds.kind all"), (bare, "--calibration")):
        with pytest.raises(TrnetError, match=said):
            packaged_file(model, Path("out.zip"), ["A"])


def test_a_card_is_filled_and_a_field_that_is_none_is_named():
    assert make_card("${a} of ${b}", "card.md", {"a": 1, "b": "x"}) == "1 of x"
    for text in ("${c}", "$ 5"):
        with pytest.raises(TrnetError, match=r"card.md: .*\$\{a\}"):
            make_card(text, "card.md", {"a": 1})


def test_a_table_has_clean_speech_and_each_noise_with_intervals_where_there_are_any():
    rows = pd.DataFrame(
        [("clean", 60.04, 50.0, 70.06), ("esc", 40.0, float("nan"), float("nan"))],
        columns=["noise", "value", "low", "high"],
    )
    _, _, clean, esc = results_table(rows).splitlines()
    assert clean.split(" | ")[1:] == ["60.0", "50.0 to 70.1 |"]
    assert esc.startswith("| esc ") and "40.0" in esc and "nan" not in esc


def test_the_packages_file_is_small_and_others_may_carry_a_network(of_all, monkeypatch):
    size = check_size(replace(of_all, path=Path(FILE)))
    monkeypatch.setattr(package_model, "MOST_BYTES", size - 1)
    with pytest.raises(TrnetError, match="MB"):
        check_size(replace(of_all, path=Path("models", FILE)))
    assert check_size(replace(of_all, path=Path("with_upstream.zip"))) == size


def test_a_card_says_what_is_read(tmp_path):
    folder = make_upstream("wav2vec2", tmp_path / "net")
    packed, _ = pack_features(Upstream(model=str(folder), layer=1), embed=True)
    assert (words_of(Fbank()), words_of(packed)) == ("log-mels", "hidden states of net")


def test_a_card_says_how_recordings_are_coded(tmp_path):
    soundfile.write(tmp_path / "a.flac", [0.0, 0.5], 24000)
    assert recorded_as(tmp_path / "a.flac") == "FLAC (PCM_16) at 24 kHz"
    (tmp_path / "b.wav").write_text("no audio")
    for file in ("b.wav", "none.wav"):
        with pytest.raises(TrnetError, match=file):
            recorded_as(tmp_path / file)
