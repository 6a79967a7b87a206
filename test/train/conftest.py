"""What the tests of training share."""

import pytest
from training import train

from trnet.train.session import Session


@pytest.fixture(scope="session")
def trained(tiny, tmp_path_factory) -> Session:
    """A session whose teacher and trnet of fold 1 and seed 1 are trained; not to be changed."""
    session = tiny.session(tmp_path_factory.mktemp("trained"))
    for name in ("baseline_c", "trnet"):
        train(session, name)
    return session
