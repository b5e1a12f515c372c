"""A random MesoNet, and its evidence model file."""

from pathlib import Path

import pytest

from fakelens.models.mesonet_graph import build_graph
from fakelens.models.onnx import save_evidence_model
from support.meso_reference import TorchMeso, make_card

SIDE = 64  # of the crops


@pytest.fixture(scope="session")
def meso() -> TorchMeso:
    return TorchMeso("mesoinception4", SIDE, seed=3)


@pytest.fixture
def evidence_file(tmp_path: Path, meso: TorchMeso) -> Path:
    path = tmp_path / "model.onnx"
    save_evidence_model(build_graph(meso.weights()), make_card(SIDE), path)
    return path
