"""The ablation of face regions."""

import numpy as np

from fakelens.trust.region_ablation import _control_areas


def test_control_areas_do_not_overlap_the_region() -> None:
    rng = np.random.default_rng(0)
    area = np.zeros((14, 14), np.bool_)
    area[3:8, 4:9] = True
    others = _control_areas(area, rng.normal(size=(19, 14, 14)), rng.random((14, 14)))
    assert len(others) == 19
    for other in others:
        assert other.sum() == 25
        assert not (other & area).any()
    assert len({other.tobytes() for other in others}) == 19
