"""Fixtures of the training tests."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def small_network() -> Iterator[None]:
    """Replace the network's trunk by a small one, for tests that do not depend on its size."""
    from support.small_runs import SMALL_STAGES  # noqa: PLC0415 - needs an extra

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.network.STAGES", SMALL_STAGES)
        yield


@pytest.fixture
def cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide GPUs, whose results differ between runs."""
    import torch  # noqa: PLC0415 - an extra

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
