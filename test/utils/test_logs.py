import io
import logging
import sys

import pytest
from tqdm import tqdm

from trnet.utils import logs

logger = logging.getLogger("trnet.test")


def test_streams_by_level(capsys):
    logs.configure()
    logs.configure()  # again: each line still once
    logger.info("%d files", 3)
    logger.warning("odd")
    logger.debug("nobody reads this")
    assert capsys.readouterr() == ("3 files\n", "warning: odd\n")


def test_a_line_between_two_states_of_a_bar(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    with tqdm(total=2, file=screen) as bar:
        bar.update()
        bar.refresh()
        logger.info("in between")
    lines = screen.getvalue().replace("\n", "\r").split("\r")
    assert "in between" in lines  # on a line of its own


def test_reader_that_went_away(monkeypatch):
    class Closed(io.StringIO):
        def write(self, _text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError):
        logger.info("to nobody")


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_closed_stream(monkeypatch, name):
    monkeypatch.setattr(sys, name, None)
    logger.info("to nobody")
    logger.warning("to nobody")
