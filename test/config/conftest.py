"""What the tests of settings share."""

import pytest

from trnet.config import Config, load_config


@pytest.fixture
def load(tmp_path):
    """load(text, overrides): the configuration that the text of a YAML file says."""

    def read(text: str, overrides: dict | None = None) -> Config:
        path = tmp_path / "conf.yaml"
        path.write_text(text, encoding="utf-8")
        return load_config(path, overrides)

    return read
