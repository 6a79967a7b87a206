"""What enh1 scores with may be absent, as one of them is compiled: that is said before anything is trained."""

import pytest

from trnet.bin import evaluate_frontend, train_frontend
from trnet.enh import metrics


@pytest.mark.parametrize("main", [train_frontend.main, evaluate_frontend.main])
@pytest.mark.parametrize(("absent", "advice"), [("pesq", "apt-get install gcc"), ("pystoi", "pip install")])
def test_an_absent_package_is_told_first(main, absent, advice, monkeypatch, fails, tmp_path):
    monkeypatch.setattr(metrics, "find_spec", lambda name: None if name == absent else name)
    line = fails(main, ["--configs", "no.yaml", "--data", str(tmp_path), "--exp", str(tmp_path / "exp")])
    assert absent in line and "pip install -e '.[enh]'" in line and advice in line
