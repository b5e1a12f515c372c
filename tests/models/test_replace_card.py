"""The card in a model file: records in it, cards of older files, and replacing it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from fakelens.errors import ModelError
from fakelens.models.onnx import load_evidence_model, replace_card, save_evidence_model
from fakelens.records.models import Calibration, ErrorRecord, ModelCard, VerdictCounts
from support.builders import CARD
from support.tiny_model import SIDE, tiny_model

COUNTS = (VerdictCounts("Ä & \U0001f600", "real", 6, 1, 2, 3, 0),)
FULL_CARD = replace(
    CARD,
    calibration=Calibration("m", "d", 1.5, ()),
    smallest_face=80.0,
    error_records=(
        ErrorRecord("test", "6 clips", True, COUNTS, 0.87, "python"),
        ErrorRecord("choose", "6 clips", False, COUNTS, None, "python"),
    ),
)


def save(folder: Path, card: ModelCard = CARD) -> Path:
    path = folder / "model.onnx"
    save_evidence_model(tiny_model(), card, path, layout="blocked", tolerance=0.25)
    return path


def metadata(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def test_a_card_with_error_records_is_read_back(tmp_path: Path) -> None:
    assert load_evidence_model(save(tmp_path, FULL_CARD)).card == FULL_CARD


def test_a_card_written_before_there_were_error_records_is_read(tmp_path: Path) -> None:
    path = save(tmp_path)
    model = onnx.load(path)
    (entry,) = (entry for entry in model.metadata_props if entry.key == "fakelens.card")
    fields = json.loads(entry.value)
    assert fields.pop("error_records") == []
    entry.value = json.dumps(fields)
    onnx.save(model, path)
    assert "error_records" not in metadata(path)["fakelens.card"]
    assert load_evidence_model(path).card == CARD


@pytest.mark.parametrize(("old", "new"), [(CARD, FULL_CARD), (FULL_CARD, CARD)])
def test_only_the_card_of_a_file_is_replaced(
    tmp_path: Path, old: ModelCard, new: ModelCard
) -> None:
    path = save(tmp_path, old)
    before, data = metadata(path), path.read_bytes()
    crops = np.full((1, SIDE, SIDE, 3), 7, np.uint8)
    replace_card(path, new)
    model = load_evidence_model(path)
    assert model.card == new
    assert model.examine(crops).logit == pytest.approx([7])
    after = metadata(path)
    assert list(after) == list(before)
    assert {key for key in after if after[key] != before[key]} == {"fakelens.card"}
    graph = tiny_model().graph.SerializeToString(deterministic=True)
    assert graph in data
    assert graph in path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]
    replace_card(path, old)
    assert path.read_bytes() == data


def test_a_file_that_cannot_have_the_card_is_left_as_it_is(tmp_path: Path) -> None:
    path = save(tmp_path)
    plain = tmp_path / "plain.onnx"
    onnx.save(tiny_model(), plain)
    for file, card, words in (
        (path, replace(CARD, input_size=2 * SIDE), "must have one input, crops"),
        (plain, CARD, "has no fakelens metadata"),
    ):
        data = file.read_bytes()
        with pytest.raises(ModelError, match=words):
            replace_card(file, card)
        assert file.read_bytes() == data
    assert sorted(tmp_path.iterdir()) == [path, plain]
