"""Features of clips of one length together."""

import pytest
import torch

from trnet.features.equal_lengths import extract


class Narrow:
    """An extractor on a device that holds three clips."""

    def __init__(self, room=3):
        self.room, self.sizes = room, []

    def batch(self, wavs):
        self.sizes.append(len(wavs))
        if len(wavs) > self.room:
            raise torch.OutOfMemoryError
        return [wav[:, None] for wav in wavs]


def test_clips_that_do_not_fit_the_device_together_are_halved():
    clips = [torch.full((n,), float(number)) for number, n in enumerate([5, 7, 5, 5, 7, 5, 5])]
    narrow = Narrow()
    found = extract(narrow, clips)
    assert all(torch.equal(one[:, 0], clip) for one, clip in zip(found, clips, strict=True))
    assert narrow.sizes == [5, 2, 3, 2]


def test_one_clip_that_does_not_fit_is_reported():
    with pytest.raises(torch.OutOfMemoryError):
        extract(Narrow(room=0), [torch.zeros(5)])
