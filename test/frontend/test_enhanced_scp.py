"""Audio enhanced elsewhere: found by id, brought to rate and length; what does not fit is named with its file."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from tiny import CONFIG, RATE, hiss, speech_dir, write_wav

from trnet.bin import enhance
from trnet.frontend import build_frontend
from trnet.kaldi.data_dir import write_table
from trnet.utils.errors import TrnetError

CLEAN, NOISY = "S1F-ang_1", "S1F-ang_1-esc_0db"
SPAN = 400 + 29 * 160  # samples of 30 frames


class Recipe:
    """A recipe's folder with a clean and a noisy set of one utterance, and what another tool made of both."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.heard = {CLEAN: hiss(1, 7000), NOISY: hiss(2, SPAN)}
        self.made = {CLEAN: hiss(3, 7000), NOISY: hiss(4, SPAN)}
        self.lists = [str(root / "clean.scp"), str(root / "esc.scp")]
        for name, utt, scp in zip(("tiny", "tiny_esc_0db"), self.heard, self.lists, strict=True):
            speech_dir(root / "data", name, {utt: self.heard[utt]})
            write_table(Path(scp), {utt: write_wav(self.file(utt), self.made[utt])})
        self.configure()

    def file(self, utt: str) -> Path:
        return self.root / "elsewhere" / f"{utt}.wav"

    def configure(self, pad: str = "none", **conf) -> None:
        """Write the recipe's YAML; 30 frames are heard."""
        own = {"frontend": "enhanced_scp", "frontend_conf": {"scp": self.lists, **conf}}
        features = {**CONFIG["features"], "max_frames": 30, "pad": pad}
        (self.root / "conf.yaml").write_text(yaml.safe_dump({**CONFIG, **own, "features": features}))

    @property
    def args(self) -> list[str]:
        sets = " ".join(str(self.root / "data" / name) for name in ("tiny", "tiny_esc_0db"))
        return ["--config", str(self.root / "conf.yaml"), "--sets", sets, "--dump", str(self.root / "dump")]

    def enhanced(self, utt: str) -> np.ndarray:
        """What stage 3 wrote for an utterance."""
        name = "tiny" if utt == CLEAN else "tiny_esc_0db"
        return soundfile.read(self.root / "dump/enhanced_scp" / name / "wav" / f"{utt}.wav", dtype="float32")[0]


@pytest.fixture
def recipe(tmp_path) -> Recipe:
    return Recipe(tmp_path)


def test_each_utterance_gets_its_audio_cut_to_the_span_heard(recipe):
    recipe.made[NOISY] = 20 * recipe.made[NOISY]  # above full scale
    write_wav(recipe.file(NOISY), recipe.made[NOISY])
    assert enhance.main(recipe.args) == 0
    assert np.array_equal(recipe.enhanced(CLEAN), recipe.made[CLEAN][:SPAN])
    assert np.array_equal(recipe.enhanced(NOISY), recipe.made[NOISY])


def test_short_speech_is_repeated_as_it_is_where_it_is_not_enhanced(recipe):
    recipe.heard[CLEAN], recipe.made[CLEAN] = hiss(1, 3000), hiss(3, 3000)
    speech_dir(recipe.root / "data", "tiny", {CLEAN: recipe.heard[CLEAN]})
    write_wav(recipe.file(CLEAN), recipe.made[CLEAN])
    recipe.configure(pad="repeat")
    assert enhance.main(recipe.args) == 0
    assert np.array_equal(recipe.enhanced(CLEAN), np.resize(recipe.made[CLEAN], SPAN))


@pytest.mark.parametrize("rate", [8000, 44100])
def test_other_rates_and_channels_are_converted(recipe, rate):
    tone = np.sin(2 * np.pi * 440 * np.arange(round(7000 / RATE * rate)) / rate)
    write_wav(recipe.file(CLEAN), 0.1 * np.stack([tone, tone], axis=1), rate)
    assert enhance.main(recipe.args) == 0
    wanted = 0.1 * np.sin(2 * np.pi * 440 * np.arange(SPAN) / RATE)
    assert np.abs(recipe.enhanced(CLEAN) - wanted)[50:-50].max() < 1e-3


@pytest.mark.parametrize("samples", [6700, 7300])
def test_ends_within_the_tolerance_are_cut_or_filled_up(recipe, samples):
    made = hiss(5, samples)
    write_wav(recipe.file(CLEAN), made)
    frontend = build_frontend({"frontend": "enhanced_scp", "frontend_conf": {"scp": recipe.lists}})
    out = frontend.enhance_utterance(CLEAN, torch.from_numpy(recipe.heard[CLEAN])).numpy()
    both = min(samples, 7000)
    assert len(out) == 7000 and np.array_equal(out[:both], made[:both]) and not out[both:].any()


def spoil(recipe: Recipe, how: str) -> None:
    file = recipe.file(CLEAN)
    nan = recipe.made[CLEAN].copy()
    nan[5] = np.nan
    {
        "absent": file.unlink,
        "broken": lambda: file.write_bytes(b"RIFF"),
        "nan": lambda: write_wav(file, nan),
        "silent": lambda: write_wav(file, 1e-6 * recipe.made[CLEAN]),
        "short": lambda: write_wav(file, recipe.made[CLEAN][:6679]),
        "long": lambda: write_wav(file, np.resize(recipe.made[CLEAN], 7321)),
        "of the span only": lambda: write_wav(file, recipe.made[CLEAN][:SPAN]),
    }[how]()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("absent", "1 of 2"),
        ("broken", "audio"),
        ("nan", "NaN"),
        ("silent", "silent"),
        ("short", "6679 samples long (at 16000 Hz), the utterance 7000"),
        ("long", "7321 samples"),
        ("of the span only", f"{SPAN} samples"),
    ],
)
def test_what_does_not_fit_is_named_with_utterance_and_file(recipe, fails, how, message):
    spoil(recipe, how)
    line = fails(enhance.main, recipe.args)
    assert f"utterance {CLEAN}" in line and message in line.partition(f"{recipe.file(CLEAN)}: ")[2]
    assert not list(recipe.root.glob("dump/*/*/wav.scp"))


def test_an_utterance_that_is_not_listed_is_named_with_the_lists(recipe, fails):
    Path(recipe.lists[0]).write_text(f"other {recipe.file(CLEAN)}\n")
    line = fails(enhance.main, recipe.args)
    assert f"utterance {CLEAN}" in line and " ".join(recipe.lists) in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{CLEAN} b.wav\n", CLEAN),
        ("x sox a.wav -t wav - |\n", "frontend_conf.allow_pipes: true"),
        ("x\n", "x"),
        (None, ""),
    ],
)
def test_lists_that_are_wrong_are_named(recipe, fails, text, message):
    scp = Path(recipe.lists[1])
    scp.unlink() if text is None else scp.write_text(text)
    line = fails(enhance.main, recipe.args)
    assert str(scp) in line and message in line


@pytest.mark.parametrize("conf", [{"scp": []}, {"scp": 5}, {"tolerance_s": -1}, {"tolerance_s": "x"}, {}])
def test_options_of_another_kind(recipe, conf):
    with pytest.raises(TrnetError, match=next(iter(conf), "scp")):
        build_frontend({"frontend": "enhanced_scp", "frontend_conf": {"scp": recipe.lists, **conf} if conf else {}})


def test_it_is_made_anew_when_a_file_changes_but_not_when_all_move(recipe, capsys):
    assert enhance.main(recipe.args) == 0
    elsewhere = recipe.root / "moved"
    shutil.move(recipe.root / "elsewhere", elsewhere)
    for scp in recipe.lists:
        Path(scp).write_text(Path(scp).read_text().replace("/elsewhere/", "/moved/"))
    recipe.lists.reverse()
    recipe.configure()
    capsys.readouterr()
    assert enhance.main(recipe.args) == 0
    assert capsys.readouterr().out.count("up to date") == 2
    changed = hiss(9, 7000)
    write_wav(elsewhere / f"{CLEAN}.wav", changed)
    assert enhance.main(recipe.args) == 0
    assert capsys.readouterr().out.count("made anew, changed: frontend") == 2
    assert np.array_equal(recipe.enhanced(CLEAN), changed[:SPAN])


def test_without_ids_it_says_what_it_needs(recipe):
    frontend = build_frontend({"frontend": "enhanced_scp", "frontend_conf": {"scp": recipe.lists[0]}})
    with pytest.raises(TrnetError, match="ids"):
        frontend.enhance(torch.zeros(1, 10))
