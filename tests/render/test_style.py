"""The style of drawings."""

import pytest

from fakelens.errors import UsageError
from fakelens.render.style import Style


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"colormap": "rainbow"}, "no colour map 'rainbow': choose one of inferno,"),
        ({"opacity": -0.1}, "opacity must lie between 0 and 1, not -0.1"),
        ({"opacity": 1.5}, "opacity must lie between 0 and 1, not 1.5"),
        ({"opacity": float("nan")}, "opacity must lie between 0 and 1, not nan"),
        ({"evidence": "none"}, "evidence must be fake, real or both, not 'none'"),
        ({"baseline": "double"}, "baseline must be subtract or keep, not 'double'"),
    ],
)
def test_a_style_out_of_range_is_a_usage_error(values: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Style(**values)
