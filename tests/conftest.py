"""Fixtures shared by all tests."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of development data; tests that use it are marked ``shared``."""
    if not (SHARED_DATA / "manifest.csv").is_file():
        pytest.skip("the development data is not on this machine")
    return SHARED_DATA
