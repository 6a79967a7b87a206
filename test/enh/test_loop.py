import pytest

from trnet.enh.loop import read_ahead
from trnet.utils.errors import TrnetError


def test_what_a_reading_process_raised_is_its_message_alone():
    def broken(error):
        yield 1
        raise error

    told = "Caught TrnetError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  File x\n"
    with pytest.raises(TrnetError, match=r"^a\.wav: is cut; fetch it again$"):
        list(read_ahead(broken(TrnetError(f"{told}trnet.utils.errors.TrnetError: a.wav: is cut; fetch it again\n"))))
    with pytest.raises(TrnetError, match="was killed"):
        list(read_ahead(broken(RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"))))
    with pytest.raises(RuntimeError, match="else"):
        list(read_ahead(broken(RuntimeError("something else"))))
