"""Card statistics: the baseline of a model and the conditions of the yardstick's persons."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.explain.baseline import PARTS, named_parts, part_outputs
from fakelens.faces.conditions import CONDITIONS
from fakelens.records.arrays import FloatArray
from fakelens.records.faces import Box, CropGeometry, Face
from fakelens.records.models import Evidence
from support.builders import CARD
from support.drawn_faces import LANDMARKS, draw_face
from training.card_statistics import measure_baseline, measure_domain
from training.held_out_parts import measure_held_out
from training.validation_faces import HELD_OUT, aligned_maps, crop_faces, genuine_faces
from training.yardstick.items import Item, View

SIDE, CELLS = 128, 16


class SoftnessModel:
    """Takes missing detail for fake, cell by cell, and marks the upper half of every face."""

    card = replace(CARD, input_size=SIDE, crop=CropGeometry("box", 1.2))
    sha256 = ""

    def examine(self, crops: NDArray[np.uint8]) -> Evidence:
        luma = crops.astype(np.float32).mean(axis=3)
        detail = np.abs(np.diff(luma, axis=2, append=luma[:, :, -1:]))
        step = SIDE // CELLS
        cells = -detail.reshape(-1, CELLS, step, CELLS, step).mean(axis=(2, 4))
        cells[:, : CELLS // 2] += 5
        activation = cells[:, None]
        gradient = np.full_like(activation, 1 / CELLS**2)
        return Evidence(
            self.head(activation), activation, gradient, cells.mean(axis=(1, 2))[:, None]
        )

    def head(self, activation: FloatArray) -> FloatArray:
        return np.asarray(activation.mean(axis=(1, 2, 3)), np.float32)


def make_item(seed: int, part: str = "stills") -> Item:
    face = Face(Box(40, 35, 180, 205), LANDMARKS, 1.0)
    view = View(draw_face(seed), face, 2 * 170.0)
    return Item(part, False, "drawn", "genuine", f"person {seed}", (view,))


MODEL = SoftnessModel()
ITEMS = [make_item(seed) for seed in range(120)]


@pytest.fixture(scope="module")
def baseline():
    return measure_baseline(MODEL, ITEMS, "hirescam", "drawn faces")


def test_the_mean_of_the_baseline_is_the_mean_of_the_aligned_heatmaps(baseline) -> None:
    faces = crop_faces(MODEL, ITEMS, [None] * len(ITEMS))
    evidence = MODEL.examine(faces.crops)
    values, covered = aligned_maps(evidence.activation[:, 0] / CELLS**2, faces)
    inside = (covered > 0.999).all(axis=0)
    assert inside.sum() > 50
    np.testing.assert_allclose(
        np.array(baseline.mean)[inside], values.mean(axis=0)[inside], rtol=2e-3
    )


def test_filters_name_the_planted_part_of_faces_that_they_were_not_made_of(baseline) -> None:
    items = [make_item(seed) for seed in range(1000, 1040)]
    parts = [PARTS[number % len(PARTS)] for number in range(len(items))]
    faces = crop_faces(MODEL, items, parts, seed=9)
    values, covered = aligned_maps(MODEL.examine(faces.crops).activation[:, 0] / CELLS**2, faces)
    outputs = part_outputs(values - covered * np.float32(baseline.mean), baseline)
    strongest = [PARTS[index] for index in outputs.argmax(axis=1)]
    assert np.mean([a == b for a, b in zip(strongest, parts, strict=True)]) > 0.5  # chance: 0.2


def test_few_genuine_faces_have_a_named_part(baseline) -> None:
    items = [make_item(seed) for seed in range(2000, 2060)]
    faces = crop_faces(MODEL, items, [None] * len(items))
    values, covered = aligned_maps(MODEL.examine(faces.crops).activation[:, 0] / CELLS**2, faces)
    outputs = part_outputs(values - covered * np.float32(baseline.mean), baseline)
    assert np.mean([bool(named_parts(row, baseline)) for row in outputs]) <= 0.12
    assert np.all((outputs.std(axis=0) > 0.7) & (outputs.std(axis=0) < 1.4))


def test_the_summary_has_a_line_for_each_question(baseline) -> None:
    text = measure_held_out(MODEL, baseline, [make_item(seed) for seed in range(3000, 3016)])
    for words in ("strongest filter", "genuine face", "specific:", "beyond the baseline: median"):
        assert words in text


def test_held_out_faces_share_no_group_with_the_others() -> None:
    items = [make_item(seed // 2) for seed in range(1000)]
    used, held_out = genuine_faces([*items, make_item(5000, part="tracks")])
    assert len(held_out) == HELD_OUT
    assert {item.group for item in used}.isdisjoint(item.group for item in held_out)
    assert all(item.part == "stills" for item in used)


def test_the_range_of_a_condition_holds_98_percent_of_the_persons() -> None:
    items = []
    for seed, native in enumerate(np.linspace(100, 499, 200)):
        item = make_item(seed % 40)
        items.append(replace(item, views=(replace(item.views[0], native_side=float(native)),)))
    domain = measure_domain(MODEL, items, "drawn faces")
    (width,) = (known for known in domain.ranges if known.name == "width")
    # The box is 140 wide and 170 high, so its shorter side is 14 / 17 of the native longer side.
    assert width.low == pytest.approx(14 / 17 * 104, rel=0.01)
    assert width.high == pytest.approx(14 / 17 * 495, rel=0.01)
    assert domain.persons == 200
    assert len(domain.feature_mean) == 1
    assert [known.name for known in domain.ranges] == [*CONDITIONS]
