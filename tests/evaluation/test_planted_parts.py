"""Planted parts: heatmaps that name the forged part always, never, or by chance."""

import csv
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.evaluation.forgeries import Dataset, Forgery, crop_forgery, forge_in_turn
from fakelens.evaluation.measure import BenchmarkSettings, measure
from fakelens.evaluation.methods import METHODS, HeatmapMethod
from fakelens.evaluation.outcomes import MEASURES, Estimate, Outcome
from fakelens.evaluation.planted_parts import locate_part, measure_named_part
from fakelens.evaluation.save import describe_run, save
from fakelens.evaluation.tables import markdown, tables
from fakelens.faces.crops import crop_area, extract_crop
from fakelens.records.arrays import FloatArray
from fakelens.records.faces import Box, CropGeometry, Face
from fakelens.records.models import Baseline, Model
from support.canonical_face import CORNER, PARTS, WIDTH, make_baseline
from support.drawn_faces import LANDMARKS, draw_face
from support.linear_model import LinearModel

KEYS = ("eyes", "nose", "mouth", "jaw_and_cheeks", "whole_face")
SIDE = 112
FACE = Face(Box(30, 20, 190, 220), LANDMARKS, 1.0)
QUICK = BenchmarkSettings(slow_faces=0)
FORGERIES = [forge_in_turn(draw_face(seed), FACE, seed, f"g{seed}") for seed in range(20)]
# Where each part lies on the canonical face: between the eyes (0, 0) and the mouth (0, 1).
PLACES = {"eyes": (-0.47, 0), "nose": (0, 0.5), "mouth": (0, 1), "jaw and cheeks": (0.75, 0.8)}


class FaceModel(LinearModel):
    """A linear model of the whole drawn face, with a baseline or without."""

    def __init__(self, baseline: Baseline | None = None) -> None:
        super().__init__(np.full((SIDE, SIDE), 0.01))
        self.card = replace(self.card, crop=CropGeometry("box", 1.4), baseline=baseline)


@cache
def cut(geometry: CropGeometry) -> list[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Return the crop of each forgery and its forged pixels."""
    return [crop_forgery(forgery, geometry, SIDE, extract_crop) for forgery in FORGERIES]


def mask_of(model: Model, crop: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the forged pixels of the forgery that a crop was made from."""
    (mask,) = (mask for each, mask in cut(model.card.crop) if np.array_equal(each, crop))
    return mask


def method(name: str, explain) -> HeatmapMethod:
    """Make a method from a function of a forged area (side, side)."""
    return HeatmapMethod(
        name, name, "", lambda model, crop, _rng: explain(mask_of(model, crop)).astype(np.float32)
    )


def of_the_mask(mask: NDArray[np.bool_]) -> NDArray[np.floating]:
    return mask.astype(np.float64)


def against_the_mask(mask: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Be highest everywhere but in the forged area."""
    return 1 - mask.astype(np.float64)


def constant(mask: NDArray[np.bool_]) -> NDArray[np.floating]:
    return np.full(mask.shape, 0.3)


def coarse(mask: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Average the mask over 7 x 7 cells, which are larger than an eye."""
    return cv2.resize(mask.astype(np.float32), (7, 7), interpolation=cv2.INTER_AREA)


def one_hot_baseline(cam: str, mean: float = 0.0) -> Baseline:
    """Make a baseline whose filter for each part is one cell of the grid.

    That of the whole face is 0.4 times their sum: four places together exceed each of them, one
    alone does not.
    """
    filters = np.zeros((5, 16, 16))
    for number, place in enumerate(PLACES.values()):
        column, row = ((np.array(place) - CORNER) * 16 / WIDTH).astype(int)
        filters[number, row, column] = 1
    filters[4] = 0.4 * filters[:4].sum(axis=0)
    return replace(make_baseline(np.full((16, 16), mean), filters), cam=cam)


def run(
    model: Model, methods: list[HeatmapMethod], forgeries: list[Forgery] = FORGERIES
) -> dict[str, Outcome]:
    found = measure({"toy": model}, [Dataset("parts", forgeries)], methods, QUICK)
    return {one.method: one for one in found}


def named(outcome: Outcome) -> dict[str, float]:
    return {key: found.value for key, found in outcome.measures.items() if key.startswith("named_")}


# By region


def test_each_part_is_forged_in_turn() -> None:
    assert [forgery.part for forgery in FORGERIES] == [*PARTS] * 4
    # A pixel in the middle of each part is forged; the nose is not, if the eyes are.
    centres = {
        "eyes": (70, 80),
        "nose": (110, 121),
        "mouth": (110, 170),
        "jaw and cheeks": (181, 152),
    }
    for forgery in FORGERIES[:5]:
        inside = {part for part, (x, y) in centres.items() if forgery.mask[y, x] > 127}
        if forgery.part == "whole face":
            assert inside >= {"eyes", "nose", "mouth"}
        else:
            assert inside == {forgery.part}
    # The two recipes for whole faces take turns.
    whole = [forge_in_turn(draw_face(0), FACE, number, "").image for number in (4, 9, 14)]
    assert np.array_equal(whole[0], whole[2])
    assert not np.array_equal(whole[0], whole[1])
    with pytest.raises(ValueError, match="needs the landmarks"):
        forge_in_turn(draw_face(0), Face(FACE.box, None, 1.0), 0, "")


def test_a_heatmap_that_is_the_forged_area_names_it_always_and_its_negative_never() -> None:
    methods = [method("mask", of_the_mask), method("rest", against_the_mask), method("7", coarse)]
    found = run(FaceModel(), methods)
    always = {"named_by_region": 1} | {f"named_by_region_{key}": 1 for key in KEYS[:4]}
    assert named(found["mask"]) == always
    assert named(found["7"]) == always
    assert named(found["rest"]) == dict.fromkeys(always, 0)
    # Four of five faces: those that are forged as a whole do not count.
    assert found["mask"].measures["named_by_region"] == Estimate(1, 1, 1, 16)
    assert found["mask"].measures["named_by_region_nose"].faces == 4
    assert found["mask"].faces == 20


def test_a_constant_heatmap_is_at_chance() -> None:
    found = run(FaceModel(), [method("constant", constant)])["constant"]
    assert set(named(found).values()) == {0.25}
    assert MEASURES["named_by_region"].neutral == 0.25
    # By filter it gives one answer for all faces, right for one of the five parts.
    baseline = one_hot_baseline("constant")
    found = run(FaceModel(baseline), [method("constant", constant)])["constant"]
    assert found.measures["named_by_filter"].value == MEASURES["named_by_filter"].neutral == 0.2


def test_a_heatmap_that_marks_the_mouth_of_everybody_is_at_chance() -> None:
    """It names forged mouths always and nothing else: 1 of 4 by region."""

    def mouth(mask: NDArray[np.bool_]) -> NDArray[np.floating]:
        cells = np.zeros(mask.shape)
        area = crop_area(FACE, CropGeometry("box", 1.4))
        x, y = ((LANDMARKS[3:].mean(axis=0) - (area.x1, area.y1)) * SIDE / area.width).astype(int)
        cells[y - 8 : y + 9, x - 8 : x + 9] = 1
        return cells

    found = named(run(FaceModel(), [method("mouth", mouth)])["mouth"])
    assert found["named_by_region"] == 0.25
    assert [found[f"named_by_region_{key}"] for key in KEYS[:4]] == [0, 0, 1, 0]


def test_heatmaps_without_positive_evidence_do_not_count() -> None:
    def only_some(mask: NDArray[np.bool_]) -> NDArray[np.floating]:
        return -against_the_mask(mask) if mask.mean() > 0.12 else of_the_mask(mask)

    found = run(FaceModel(one_hot_baseline("some")), [method("some", only_some)])["some"]
    assert 0 < found.without_evidence < 16
    assert found.measures["named_by_filter"].faces == 20 - found.without_evidence
    assert found.measures["named_by_region"].value == 1
    (planted,) = (locate_part(each, FaceModel().card) for each in FORGERIES[:1])
    for nothing in (0, -1, np.nan):
        cells = np.full((7, 7), nothing, np.float32)
        assert measure_named_part(cells, planted, one_hot_baseline("some")) == {}


def test_a_method_that_shows_evidence_for_real_is_measured_by_what_it_marks() -> None:
    """Red is evidence for REAL here, and only the mouth is red. HiResCAM marks nothing."""
    model = FaceModel()
    model.weights[:] = -1e-4
    image = np.full((224, 224, 3), 90, np.uint8)
    image[150:191, 75:146] = (150, 90, 60)
    mouth = Forgery(image, FORGERIES[2].mask, FACE, "g", part="mouth")
    found = run(model, [METHODS["tf2cam"], METHODS["hirescam"]], [mouth])
    assert named(found["tf2cam"])["named_by_region"] == 1
    assert named(found["hirescam"]) == {}
    assert found["hirescam"].without_evidence == 1


# By filter


def test_filters_name_the_part_whose_cell_is_marked() -> None:
    def dots(landmarks: FloatArray, parts: tuple[str, ...]) -> NDArray[np.floating]:
        """Mark the places of parts, 7 pixels to each side."""
        cells = np.zeros((SIDE, SIDE), np.float32)
        area = crop_area(FACE, CropGeometry("box", 1.4))
        eyes, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
        down = mouth - eyes
        across = np.array([down[1], -down[0]])
        for part in parts:
            u, v = PLACES[part]
            place = eyes + u * across + v * down
            x, y = ((place - (area.x1, area.y1)) * SIDE / area.width).astype(int)
            cells[y - 7 : y + 8, x - 7 : x + 8] = 1
        return cells

    baseline = one_hot_baseline("dots")
    for forgery in FORGERIES[:5]:
        planted = locate_part(forgery, FaceModel().card)
        assert planted.name == forgery.part
        for part in PARTS:
            marked = (part,) if part in PLACES else tuple(PLACES)
            found = measure_named_part(dots(LANDMARKS, marked), planted, baseline)
            right = float(part == forgery.part)
            assert found["named_by_filter"] == right
            assert found[f"named_by_filter_{forgery.part.replace(' ', '_')}"] == right


def test_the_baseline_is_subtracted() -> None:
    """The heatmap is highest at the mouth, but so is the baseline; beyond it only the eyes are."""
    baseline = one_hot_baseline("dots")
    mean = np.zeros((16, 16))
    mean[11, 8] = mean[11, 7] = 9  # the mouth
    usual = replace(baseline, mean=tuple(tuple(row) for row in mean.tolist()))
    eyes, mouth = FORGERIES[0], FORGERIES[2]
    area = crop_area(FACE, CropGeometry("box", 1.4))
    cells = np.zeros((SIDE, SIDE), np.float32)
    for (x, y), value in (((75, 80), 1), ((110, 170), 5)):
        column, row = ((np.array([x, y]) - (area.x1, area.y1)) * SIDE / area.width).astype(int)
        cells[row - 9 : row + 10, column - 9 : column + 10] = value
    card = FaceModel().card
    for forgery, expected in ((eyes, (0, 1)), (mouth, (1, 0))):
        planted = locate_part(forgery, card)
        answers = [
            measure_named_part(cells, planted, each)["named_by_filter"]
            for each in (baseline, usual)
        ]
        assert tuple(answers) == expected, forgery.part


def test_only_the_method_of_the_baseline_has_filters() -> None:
    methods = [method("mask", of_the_mask), method("same", of_the_mask)]
    for baseline, with_filters in ((None, ()), (one_hot_baseline("same"), ("same",))):
        found = run(FaceModel(baseline), methods, FORGERIES[:5])
        for name, outcome in found.items():
            keys = {key for key in named(outcome) if "filter" in key}
            wanted = {"named_by_filter"} | {f"named_by_filter_{key}" for key in KEYS}
            assert keys == (wanted if name in with_filters else set())
            assert "named_by_region" in named(outcome)


def test_forgeries_of_unknown_parts_are_not_measured() -> None:
    unknown = [replace(forgery, part=None) for forgery in FORGERIES]
    baseline = one_hot_baseline("mask")
    found = run(FaceModel(baseline), [method("mask", of_the_mask)], unknown)["mask"]
    assert named(found) == {}
    assert found.measures["hits"].value == 1
    assert locate_part(unknown[0], FaceModel().card) is None
    no_landmarks = replace(FORGERIES[0], face=Face(FACE.box, None, 1.0))
    assert locate_part(no_landmarks, FaceModel().card) is None


@pytest.mark.parametrize(
    ("place", "part"),
    [
        ((-0.47, 0), "eyes"),
        ((0, 0.5), "nose"),
        ((0, 1), "mouth"),
        ((0.6, 0.6), "jaw and cheeks"),
        ((0, 1.6), "jaw and cheeks"),  # the chin
        ((0, -0.5), None),  # the forehead
        ((-1.3, 0.5), None),  # beside the face
    ],
)
def test_a_dot_names_the_part_that_it_lies_in(place: tuple[float, float], part: str | None) -> None:
    """A dot outside the four parts leaves them equal."""
    card = replace(FaceModel().card, crop=CropGeometry("box", 1.8))
    area = crop_area(FACE, card.crop)
    pixel = np.array((110, 80)) + 90 * np.array(place)  # the unit of the drawn face is 90 pixels
    column, row = ((pixel - (area.x1, area.y1)) * SIDE / area.width).astype(int)
    cells = np.zeros((SIDE, SIDE), np.float32)
    cells[row - 1 : row + 2, column - 1 : column + 2] = 1
    for forgery in FORGERIES[:4]:
        found = measure_named_part(cells, locate_part(forgery, card), None)
        assert found["named_by_region"] == (0.25 if part is None else part == forgery.part)


def test_equal_parts_share_the_answer() -> None:
    card = FaceModel().card
    eyes, nose, mouth = (locate_part(forgery, card) for forgery in FORGERIES[:3])
    cells = np.isin(eyes.part_of_pixel, (0, 2)).astype(np.float32)  # eyes and mouth
    answers = [
        measure_named_part(cells, each, None)["named_by_region"] for each in (eyes, nose, mouth)
    ]
    assert answers == [0.5, 0, 0.5]
    # So do filters: here all outputs are the same, because the heatmap is the baseline.
    usual = one_hot_baseline("x", mean=1)
    wide = replace(card, crop=CropGeometry("box", 3))
    found = measure_named_part(np.ones((9, 9), np.float32), locate_part(FORGERIES[4], wide), usual)
    assert found == {"named_by_filter": 0.2, "named_by_filter_whole_face": 0.2}
    # A baseline without a filter for the part cannot name it.
    four = tuple(row[:4] for row in usual.responses[:4])
    fewer = replace(usual, parts=PARTS[:4], filters=usual.filters[:4], responses=four)
    assert measure_named_part(cells, locate_part(FORGERIES[4], wide), fewer) == {}


def test_a_part_outside_the_crop_is_never_named() -> None:
    nose_only = replace(FaceModel().card, crop=CropGeometry("box", 0.1))
    nose, mouth = (locate_part(forgery, nose_only) for forgery in FORGERIES[1:3])
    cells = np.ones((SIDE, SIDE), np.float32)
    assert measure_named_part(cells, nose, None)["named_by_region"] == 1
    assert measure_named_part(cells, mouth, None)["named_by_region"] == 0


def test_the_interval_is_over_groups() -> None:
    """The ten faces of one group are named, those of another are not: from 0 to 1."""
    forgeries = [
        replace(forgery, group="a" if number < 10 else "b")
        for number, forgery in enumerate(FORGERIES)
    ]

    def explain(model: Model, crop: NDArray[np.uint8], _rng: np.random.Generator) -> FloatArray:
        crops = cut(model.card.crop)
        (row,) = (row for row, (each, _) in enumerate(crops) if np.array_equal(each, crop))
        mask = crops[row][1]
        return (mask if row < 10 else ~mask).astype(np.float32)

    found = run(FaceModel(), [HeatmapMethod("half", "", "", explain)], forgeries)["half"]
    assert found.measures["named_by_region"] == Estimate(0.5, 0, 1, 16)


# Output


def test_the_table_of_named_parts() -> None:
    measures = {
        "named_by_region": Estimate(0.5, 0.25, 0.75, 16),
        "named_by_region_nose": Estimate(1, None, None, 4),
        "named_by_filter": Estimate(0.75, 0.5, 1, 20),
        "named_by_filter_whole_face": Estimate(0.25, 0, 0.5, 4),
    }
    one = Outcome("net", "blends", "hirescam", 20, 20, 0, 1, measures)
    other = replace(one, method="rise", measures={"named_by_region": Estimate(0.25, 0, 0.5, 16)})
    _, table, _ = tables([one, other])
    assert table.title == "net, blends, 20 faces of 20 origins: named parts"
    assert table.headings == ("method", "by", "all", *PARTS)
    assert table.rows == [
        ["hirescam", "region", ".50 (.25-.75)", "-", "1.00", "-", "-", "-"],
        ["hirescam", "filter", ".75 (.50-1.00)", "-", "-", "-", "-", ".25 (.00-.50)"],
        ["rise", "region", ".25 (.00-.50)", "-", "-", "-", "-", "-"],
    ]
    assert table.baselines == "A random choice has .25 by region and .20 by filter."
    assert "| rise | region | .25 (.00-.50) | - |" in markdown([one, other])
    _, table, _ = tables([replace(one, measures={"hits": Estimate(1, None, None, 20)})])
    assert table.rows == [["hirescam", "region", *"------"]]
    assert table.baselines.startswith("Not measured: it is not known which part")


def test_result_files_have_the_parts_and_their_measures(tmp_path: Path) -> None:
    model, methods = FaceModel(one_hot_baseline("mask")), [method("mask", of_the_mask)]
    datasets = [
        Dataset("parts", FORGERIES[:7]),
        Dataset("masks", [replace(FORGERIES[0], part=None)]),
    ]
    outcomes = measure({"toy": model}, datasets, methods, QUICK)
    save(outcomes, describe_run({"toy": model}, datasets, methods, QUICK, []), tmp_path)
    document = json.loads((tmp_path / "explain.json").read_text(encoding="utf-8"))
    assert [dataset["parts"] for dataset in document["datasets"]] == [
        {"eyes": 2, "nose": 2, "mouth": 1, "jaw and cheeks": 1, "whole face": 1},
        {},
    ]
    assert document["measures"]["named_by_filter"]["neutral"] == 0.2
    assert document["measures"]["hits"]["neutral"] is None
    described = {key for key in document["measures"] if key.startswith("named_")}
    assert described == {
        *("named_by_region", "named_by_filter"),
        *(f"named_by_region_{key}" for key in KEYS[:4]),
        *(f"named_by_filter_{key}" for key in KEYS),
    }
    known, unknown = document["results"]
    assert known["measures"]["named_by_region_eyes"]["faces"] == 2
    assert not any(key.startswith("named_") for key in unknown["measures"])
    with (tmp_path / "explain.csv").open(newline="", encoding="utf-8") as stream:
        rows = {row["measure"]: row for row in csv.DictReader(stream) if row["dataset"] == "parts"}
    assert float(rows["named_by_region"]["value"]) == 1
    assert described <= set(rows)
