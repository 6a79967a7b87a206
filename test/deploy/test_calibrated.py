"""A temperature from validation speakers in a model file, weights in float16, and the predictions of both engines."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from model_files import with_json
from near import ANSWER
from tiny import RATE, tone, write_wav

import trnet
from trnet.bin import calibrate, export, pack
from trnet.deploy.model_file import in_float16, in_float32, read_model
from trnet.eval.calibration import scaled
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole


@pytest.fixture(scope="module")
def calibration(packed, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("calibration") / "calibration.json"
    assert calibrate.main([*packed.options, "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def calibrated(packed, calibration, tmp_path_factory) -> Path:
    """The packed run with a temperature of 2.5, so that it matters."""
    folder = tmp_path_factory.mktemp("calibrated")
    changed = json.loads(calibration.read_text()) | {"temperature": 2.5}
    (folder / "c.json").write_text(json.dumps(changed))
    assert pack.main([*packed.options, "--out", str(folder / "m.zip"), "--calibration", str(folder / "c.json")]) == 0
    return folder / "m.zip"


def test_the_temperature_comes_from_the_validation_speaker_under_all_conditions(packed, calibration):
    found = json.loads(calibration.read_text())
    fold = packed.experiment.dataset.folds[0]
    assert found["speakers"] == [fold.valid_speaker] and found["folds"] == [1] and found["seeds"] == [1]
    assert len(found["conditions"]) == 3 and found["items"] == 3 * len(fold.valid)
    assert found["nll"][1] <= found["nll"][0] and not found["crossed"]


def test_a_run_that_is_not_finished_is_not_calibrated(packed, tmp_path, fails):
    options = [*packed.options, "--folds", "1 2", "--out", str(tmp_path / "c.json")]
    line = fails(calibrate.main, options)
    assert "fold2_seed1" in line and "1 of 2" in line and not list(tmp_path.iterdir())
    assert "--systems" in fails(calibrate.main, [*packed.options, "--systems", "trnet baseline_c"])


def test_probabilities_are_at_the_temperature_and_the_likeliest_stays(packed, calibrated, tmp_path):
    before, after = (trnet.Predictor.from_pretrained(path) for path in (packed.model, calibrated))
    for key, emotion in enumerate(("ang", "sad")):
        wav = tone(emotion, key, 9000)
        plain, at = before(wav, RATE), after(wav, RATE)
        wanted = scaled(np.array([list(plain.probabilities.values())]), 2.5)[0]
        assert list(at.probabilities.values()) == pytest.approx(wanted, abs=1e-5)
        assert at.emotion == plain.emotion and at.c == plain.c
        assert max(at.probabilities.values()) < max(plain.probabilities.values())
    about = read_model(calibrated).about
    assert about["calibration"]["temperature"] == 2.5 and "calibration" not in read_model(packed.model).about


def test_graphs_and_an_export_have_the_temperature_too(calibrated, tmp_path, run_predict, script):
    file = write_wav(tmp_path / "a.wav", tone("hap", 3, 9000))
    assert export.main([str(calibrated), "--out", str(tmp_path / "onnx")]) == 0
    torch_line, *others = (
        json.loads(run_predict(model, file, "--format", "jsonl", "--engine", engine)[1])
        for model, engine in ((calibrated, "torch"), (calibrated, "onnx"), (tmp_path / "onnx", "auto"))
    )
    others.append(script.Model.of(calibrated).predict(file))
    for line in others:
        assert list(line["probabilities"].values()) == pytest.approx(
            list(torch_line["probabilities"].values()), abs=ANSWER
        )


def test_a_file_without_a_temperature_has_no_word_of_it(packed):
    entries = read_model(packed.model).entries()
    assert b"temperature" not in entries["model.json"] and b"temperature" not in entries["about.json"]


@pytest.mark.parametrize("value", [0, -1, 1e9, "hot", [1]])
def test_an_impossible_temperature_is_damage(calibrated, tmp_path, value):
    path = with_json(calibrated, tmp_path / "m.zip", "model.json", lambda model: model.update(temperature=value))
    with pytest.raises(TrnetError, match="temperature"):
        read_model(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"system": "baseline_e"}, "baseline_e"),
        ({"speakers": ["S1F"]}, "S1F"),
        ({"temperature": "hot"}, "temperature"),
        ({"bins": None}, "bins"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_calibration_of_something_else_is_refused(packed, calibration, tmp_path, fails, change, said):
    """The last but first: fold 1 is tested on S1F."""
    (tmp_path / "c.json").write_text(json.dumps(json.loads(calibration.read_text()) | change))
    options = [*packed.options, "--out", str(tmp_path / "m.zip"), "--calibration", str(tmp_path / "c.json")]
    assert said in fails(pack.main, options)
    assert not (tmp_path / "m.zip").exists()


def test_a_calibration_that_is_missing_or_no_json_is_named(packed, tmp_path, fails):
    options = [*packed.options, "--out", str(tmp_path / "m.zip"), "--calibration", str(tmp_path / "c.json")]
    assert "c.json" in fails(pack.main, options)
    for text, why in (("{", "is no JSON ("), ("{}", "(system: is missing)")):
        (tmp_path / "c.json").write_text(text)
        line = fails(pack.main, options)
        assert "c.json: is not what trnet.bin.calibrate wrote (" in line and why in line
        assert line.endswith("; run it again") and "pack the model again" not in line and "add it" not in line


def test_half_the_bytes_give_nearly_the_same_predictions(packed, calibration, tmp_path):
    path = tmp_path / "half.zip"
    options = [*packed.options, "--out", str(path), "--half", "--calibration", str(calibration)]
    assert pack.main(options) == 0
    whole, half = read_model(packed.model), read_model(path)
    sizes = [sum(x.numel() * x.element_size() for x in model.weights.values() if x.ndim > 1) for model in (whole, half)]
    assert sizes[1] == sizes[0] / 2
    assert all(half.weights[name].dtype == x.dtype for name, x in whole.weights.items() if x.ndim < 2)
    wav = tone("neu", 5, 9000)
    answers = [trnet.Predictor(model) for model in (whole, half)]
    answers[0].temperature = answers[1].temperature
    first, second = (answer(wav, RATE) for answer in answers)
    assert list(second.probabilities.values()) == pytest.approx(list(first.probabilities.values()), abs=5e-3)
    again = tmp_path / "again.zip"
    assert pack.main([str(again) if option == str(path) else option for option in options]) == 0
    assert again.read_bytes() == path.read_bytes()


def test_float16_is_exact_both_ways_for_what_it_holds():
    weights = {"kernel": torch.randn(3, 4), "bias": torch.randn(3), "seen": torch.tensor(3)}
    half = in_float16(weights)
    assert half["kernel"].dtype == torch.float16 and half["bias"] is weights["bias"] and half["seen"] is weights["seen"]
    back = in_float32(half)
    assert torch.equal(back["kernel"], half["kernel"].float()) and torch.equal(
        in_float16(back)["kernel"], half["kernel"]
    )
    assert torch.isinf(in_float16({"kernel": torch.full((1, 1), 1e6)})["kernel"]).all()  # is found when it is packed
