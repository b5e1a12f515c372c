"""Mistakes planted in MesoInception4 and the default model are found on labelled videos."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakelens.evaluation.check_conventions import SCALES
from fakelens.evaluation.check_preprocessing import (
    Subject,
    check_colours,
    check_scales,
    check_statistics,
)
from fakelens.evaluation.labelled_faces import LabelledFace, gather_faces
from fakelens.evaluation.labels import read_labels
from fakelens.evaluation.model_check import check_model
from fakelens.evaluation.sample_faces import sample_faces
from fakelens.faces.detectors import load_detector
from fakelens.models.loading import load_model
from fakelens.models.mesonet import load_mesonet_h5
from fakelens.models.onnx import OnnxModel
from fakelens.records.arrays import FloatArray, sigmoid
from fakelens.records.models import Evidence, Model
from support.planted import RGB_0_1, Planted, torch_mesonet

pytestmark = [pytest.mark.shared, pytest.mark.slow]

WEIGHTS = "weights/MesoInception_DF.h5"
Sample = tuple[OnnxModel, tuple[LabelledFace, ...]]


@pytest.fixture(scope="module", params=["mesoinception4-df", "fakelens-patch"])
def sample(
    request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Sample:
    """A sound model and labelled faces, one of each file."""
    with (shared_data / "manifest.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["use"] == "choose"]
    table = tmp_path_factory.mktemp("labels") / "labels.csv"
    with table.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label", "group"])
        writer.writerows([shared_data / row["path"], row["label"], row["group"]] for row in rows)
    meso = request.param.startswith("meso")
    model = load_mesonet_h5(shared_data / WEIGHTS) if meso else load_model(request.param)
    assert isinstance(model, OnnxModel)
    found = gather_faces(read_labels(table), model.card, load_detector("yunet"), limit=54)
    return model, found.faces


def wrong(model: Model, faces: tuple[LabelledFace, ...]) -> set[str]:
    found = check_model(model, faces, labelled=True)
    return {result.name for result in found if result.outcome == "wrong"}


def test_a_sound_model_passes(sample: Sample) -> None:
    assert wrong(*sample) == set()


def on_logit(change: Callable[[FloatArray], FloatArray]) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(evidence, logit=np.float32(change(evidence.logit)))


def channels_last(evidence: Evidence) -> Evidence:
    activation, gradient = (
        part.transpose(0, 2, 3, 1) for part in (evidence.activation, evidence.gradient)
    )
    return replace(evidence, activation=activation, gradient=gradient)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (on_logit(lambda logit: -logit), "polarity"),
        (on_logit(lambda logit: 0 * logit), "answers"),
        (on_logit(lambda logit: np.nan * logit), "answers"),
        (on_logit(sigmoid), "saturation"),
        (channels_last, "heatmaps"),
    ],
    ids=["swapped", "stuck", "nan", "sigmoid", "channels last"],
)
def test_a_planted_mistake_is_wrong(
    sample: Sample, change: Callable[[Evidence], Evidence], check: str
) -> None:
    model, faces = sample
    few = faces if check == "polarity" else faces[::4]  # only polarity needs many people
    few = tuple(replace(face, at_margins=()) for face in few)  # no check here needs margins
    assert check in wrong(Planted(model, evidence=change), few)


def test_another_scale_is_wrong_by_layer_statistics(shared_data: Path) -> None:
    """Without labels, on fourteen sample faces."""
    mean, std = SCALES["ImageNet"]
    model = torch_mesonet(shared_data / WEIGHTS, replace(RGB_0_1, mean=mean, std=std))
    faces = sample_faces(model.card)
    logits = np.zeros(len(faces), np.float32)  # only labels would be compared with them
    found = check_scales(Subject(model, faces, logits, labelled=False))
    assert found.outcome == "wrong"
    assert "0 to 1" in found.finding
    sound = Subject(model.with_convention(RGB_0_1), faces, logits, labelled=False)
    for check in (check_colours, check_scales, check_statistics):
        assert check(sound).outcome != "wrong"
