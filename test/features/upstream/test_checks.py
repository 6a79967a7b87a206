"""What a pretrained network gives is checked before it is kept."""

import math

import pytest
import torch

from trnet.features.upstream.hidden_states import check_hidden_states
from trnet.utils.errors import TrnetError


@pytest.mark.parametrize(
    ("value", "message"),
    [(math.nan, "not finite"), (-7e4, "beyond 65504.*another layer"), (6e4, None)],
)
def test_values_that_cannot_be_kept_are_named(value, message):
    found = torch.zeros(2, 3, 4)
    found[1, 2, 3] = value
    if message is None:
        check_hidden_states(found, 3, 4, "net")
        return
    with pytest.raises(TrnetError, match=f"^net: .*{message}"):
        check_hidden_states(found, 3, 4, "net")


def test_another_shape_is_named():
    with pytest.raises(TrnetError, match=r"\(3, 4\) instead of \(2, 4\)"):
        check_hidden_states(torch.zeros(1, 3, 4), 2, 4, "net")
