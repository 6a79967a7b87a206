"""docs/new_model.md, typed as it stands: its file and its YAML go through training, scoring, packing and prediction."""

import csv
import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from tiny import CLASSES

from trnet.bin import pack, predict, score, train

PAGE = Path(__file__).parents[2] / "docs/new_model.md"

pytestmark = pytest.mark.slow  # trains


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_each_class_is_short():
    assert all(len(block.splitlines()) <= 30 for block in blocks("python"))


def test_the_page_as_it_stands(tiny, tmp_path, monkeypatch, capsys):
    (tmp_path / "my_parts.py").write_text("\n\n".join(blocks("python")))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_parts", raising=False)
    (tmp_path / "mine.yaml").write_text(next(b for b in blocks("yaml") if "base:" in b))
    tiny_yaml = yaml.safe_load(tiny.config_path.read_text())
    tiny_yaml["training"] |= {"max_epochs": 1, "plateau_patience": 0}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(tiny_yaml))
    runs = ["--config", str(tmp_path / "mine.yaml"), "--corpus-data", str(tiny.data.path), "--dump", str(tiny.dump)]
    runs += ["--exp", str(tmp_path / "exp"), "--folds", "1"]
    systems = ["--systems", "baseline_c two_streams"]
    assert train.main([*runs, *systems, "--part", "teacher"]) in (None, 0)
    assert train.main([*runs, *systems]) in (None, 0)
    folder = tmp_path / "exp/none/two_streams/fold1_seed1"
    (row,) = csv.DictReader((folder / "history.csv").open())
    parts = float(row["cross_entropy"]) + 0.5 * float(row["high"]) + 0.1 * float(row["Contrastive"])
    assert float(row["loss"]) == pytest.approx(parts, rel=1e-4)
    few = ["--resamples", "100", "--permutations", "100"]
    assert score.main([*runs, *systems, "--noises", "esc", *few]) in (None, 0)
    tested = {line["system"] for line in csv.DictReader((tmp_path / "exp/none/results.csv").open())}
    assert tested == {"baseline_c", "two_streams"}
    model = tmp_path / "two_streams.zip"
    assert pack.main([*runs, "--systems", "two_streams", "--out", str(model)]) in (None, 0)
    wav = next((tiny.root / "data/downloads/tiny").glob("*.wav"))
    capsys.readouterr()
    with pytest.raises(SystemExit):
        sys.exit(predict.main([str(model), str(wav)]))
    assert "--trust" in capsys.readouterr().err
    predict.main([str(model), str(wav), "--trust", "--format", "jsonl"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["emotion"] in CLASSES and sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
