"""The benchmark: measures of methods that are known to be good or bad, and the result files."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.errors import MediaError, OutputError, UsageError
from fakelens.evaluation import measure as measures
from fakelens.evaluation import plots
from fakelens.evaluation.forgeries import Dataset, Forgery
from fakelens.evaluation.measure import BenchmarkSettings, measure
from fakelens.evaluation.methods import METHODS, HeatmapMethod
from fakelens.evaluation.outcomes import MEASURES, Estimate, Outcome, estimate
from fakelens.evaluation.save import FILES, describe_run, save
from fakelens.evaluation.sufficiency import AttackSettings
from fakelens.evaluation.tables import markdown, tables
from fakelens.media.results_folder import check_free
from fakelens.records.arrays import FloatArray
from fakelens.records.faces import Box, Face
from fakelens.records.models import Model
from support.linear_model import LinearModel, patch, red_and_blue

SIDE = 56
FACE = Face(Box(0, 0, SIDE, SIDE), None, 1.0)
QUICK = BenchmarkSettings(slow_faces=3, attack=AttackSettings(steps=2, pairs=2))


class UniformModel(LinearModel):
    """All pixels have the same weight; so have its copies, unless ``randomises``."""

    def __init__(self, randomises: bool) -> None:
        super().__init__(np.full((SIDE, SIDE), 0.01))
        self._randomises = randomises

    def randomised(self, seed: int) -> LinearModel:
        if not self._randomises:
            return self
        return LinearModel(np.random.default_rng(seed).normal(size=(SIDE, SIDE)))


def forgery(seed: int) -> Forgery:
    """Make a noisy picture whose forged area is red, which the models here take for fake."""
    rng = np.random.default_rng(seed)
    row, column = rng.integers(4, 36, 2).tolist()
    area = patch(SIDE, slice(row, row + 14), slice(column, column + 14))
    noise = rng.integers(-15, 16, (2, SIDE, SIDE, 3))
    image, after = (red_and_blue(SIDE, area, area & False) + noise).clip(0, 255).astype(np.uint8)
    mask = np.where(area, 255, 0).astype(np.uint8)
    return Forgery(image, mask, FACE, f"g{seed}", (after, FACE))


def negative(model: Model, crop: NDArray[np.uint8], rng: np.random.Generator) -> FloatArray:
    return -METHODS["hirescam"].explain(model, crop, rng)


def noise(_model: Model, _crop: NDArray[np.uint8], rng: np.random.Generator) -> FloatArray:
    return rng.normal(size=(28, 28)).astype(np.float32)


def zero(_model: Model, _crop: NDArray[np.uint8], _rng: np.random.Generator) -> FloatArray:
    return np.zeros((7, 7), np.float32)


ALL = [
    METHODS["hirescam"],
    HeatmapMethod("negative", "Negative", "", negative),
    HeatmapMethod("noise", "Noise", "", noise),
    HeatmapMethod("zero", "Zero", "", zero),
]
DATASET = Dataset("red areas", [forgery(seed) for seed in range(8)])


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return measure(
        {"fixed": UniformModel(False), "randomised": UniformModel(True)}, [DATASET], ALL, QUICK
    )


def values(outcomes: list[Outcome], model: str, method: str) -> dict[str, float]:
    (one,) = (one for one in outcomes if (one.model, one.method) == (model, method))
    return {key: found.value for key, found in one.measures.items()}


def test_a_faithful_heatmap_is_better_than_noise_and_its_negative_is_worse(
    outcomes: list[Outcome],
) -> None:
    good, random, bad = (
        values(outcomes, "fixed", name) for name in ("hirescam", "noise", "negative")
    )
    assert good["inside"] > 0.5 > 3 * random["inside"]
    assert random["inside"] == pytest.approx(random["inside_uniform"], rel=0.15)
    assert good["inside_uniform"] == pytest.approx(14 * 14 / SIDE**2, rel=0.01)
    assert good["inside_other_face"] < good["inside"]
    assert good["pixel_auc"] > 0.95
    assert random["pixel_auc"] == pytest.approx(0.5, abs=0.05)
    assert bad["pixel_auc"] == pytest.approx(1 - good["pixel_auc"], abs=0.01)
    assert (good["hits"], bad["hits"]) == (1, 0)
    for key in ("deletion", "insertion", "ablation"):
        assert good[key] > 4 * abs(random[key])
        assert bad[key] < -abs(random[key])
    assert good["attack_score_drop_3"] > good["attack_score_drop_1"] > 0
    assert good["attack_flipped_3"] == 0  # the logits are high and the budget is small
    assert good["attack_logit_drop_1"] == pytest.approx(good["attack_logit_drop_1_random"], rel=0.8)


def test_heatmaps_are_compared_with_random_weights_and_the_next_frame(
    outcomes: list[Outcome],
) -> None:
    assert values(outcomes, "fixed", "hirescam")["random_weights"] == pytest.approx(1)
    assert abs(values(outcomes, "randomised", "hirescam")["random_weights"]) < 0.1
    # Both models get the same random generator, so noise does not depend on the weights.
    assert values(outcomes, "randomised", "noise")["random_weights"] == pytest.approx(1)
    assert values(outcomes, "fixed", "noise")["next_frame"] == pytest.approx(1)
    assert 0.1 < values(outcomes, "fixed", "hirescam")["next_frame"] < 0.9
    (one,) = (one for one in outcomes if (one.model, one.method) == ("fixed", "hirescam"))
    assert one.measures["random_weights"].faces == 3
    assert one.measures["attack_score_drop_1"].faces == 3
    assert one.measures["next_frame"].faces == one.faces == one.groups == 8


def test_a_face_that_is_barely_called_fake_is_flipped() -> None:
    dataset = Dataset("one", [forgery(0)])
    model = UniformModel(False)
    logit = model.examine(forgery(0).image[None]).logit[0]
    plain = model.head
    model.head = lambda layer: plain(layer) - logit + np.float32(0.01)  # type: ignore[method-assign]
    (one,) = measure({"barely": model}, [dataset], ALL[:1], BenchmarkSettings(slow_faces=1))
    found = {key: estimate.value for key, estimate in one.measures.items()}
    assert [found[f"attack_flipped_{top}"] for top in (1, 2, 3)] == [1, 1, 1]
    # A face is called real at a score of 1/2; the original score is the sigmoid of 0.01.
    assert found["attack_logit_drop_3"] >= 0.01
    assert found["attack_score_drop_3"] == pytest.approx(found["attack_logit_drop_3"] / 4, rel=0.05)


def test_heatmaps_without_evidence_are_counted_but_not_localised(outcomes: list[Outcome]) -> None:
    (one, _) = (one for one in outcomes if one.method == "zero")
    assert one.without_evidence == one.faces == 8
    assert not {"inside", "pixel_auc", "hits", "random_weights", "next_frame"} & set(one.measures)
    assert abs(one.measures["deletion"].value) < 1


def test_measures_that_a_model_does_not_support_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class BareModel:
        """A model without head and random weights that calls everything real."""

        sha256 = ""

        def __init__(self) -> None:
            self._inner = LinearModel(np.full((SIDE, SIDE), -0.01))
            self.card = self._inner.card
            self.examine = self._inner.examine

    alone = Dataset("alone", [replace(forgery(0), following=None)])
    (one,) = measure({"bare": BareModel()}, [alone], ALL[:1], QUICK)
    assert set(one.measures) <= set(MEASURES)
    missing = {
        "ablation",
        "random_weights",
        "next_frame",
        "attack_score_drop_1",
        "attack_flipped_3",
        "inside_other_face",
    }
    assert not missing & set(one.measures)
    assert one.measures["deletion"].low is None
    (one,) = measure(
        {"fixed": UniformModel(False)}, [alone], ALL[:1], BenchmarkSettings(slow_faces=0)
    )
    assert not {"random_weights", "attack_score_drop_1"} & set(one.measures)
    monkeypatch.setattr(measures, "find_spec", lambda _name: None)
    (one,) = measure({"fixed": UniformModel(False)}, [alone], ALL[:1], QUICK)
    assert "random_weights" in one.measures
    assert "attack_score_drop_1" not in one.measures


def test_forgeries_outside_the_crop_are_skipped_and_counted_as_done() -> None:
    outside = replace(forgery(1), mask=np.zeros((SIDE, SIDE), np.uint8))
    calls: list[tuple[int, int | None]] = []
    dataset = Dataset("some", [forgery(0), outside, forgery(2)])
    (one,) = measure(
        {"fixed": UniformModel(False)},
        [dataset],
        ALL[3:],
        BenchmarkSettings(slow_faces=0),
        lambda done, total: calls.append((done, total)),
    )
    assert one.faces == 2
    assert calls == [(2, 3), (3, 3)]
    with pytest.raises(MediaError, match="no forged area"):
        measure({"x": UniformModel(False)}, [Dataset("none", [outside])], ALL[3:], QUICK)
    with pytest.raises(UsageError, match="0 or more"):
        BenchmarkSettings(slow_faces=-1)


def test_the_mean_is_over_faces_and_the_interval_over_groups() -> None:
    found = estimate([1, 2, np.nan, 3], ["a", "a", "b", "b"], seed=0)
    # The means of the two groups; a resample may draw either group twice.
    assert found == Estimate(2, 1.5, 3, 3)
    assert estimate([1, 2], ["a", "a"], seed=0) == Estimate(1.5, None, None, 2)
    assert estimate([np.nan], ["a"], seed=0) is None


# Output


def test_tables() -> None:
    measures = {
        "inside": Estimate(0.5, 0.125, 1.0, 8),
        "pixel_auc": Estimate(0.25, None, None, 8),
        "deletion": Estimate(-1.5, -2.0, 0.5, 8),
        "attack_logit_drop_3": Estimate(12.345, None, None, 2),
        "inside_uniform": Estimate(0.3, 0.2, 0.4, 8),
        "attack_score_drop_1_random": Estimate(0.1, None, None, 2),
    }
    one = Outcome("net", "blends", "rise", 8, 3, 1, 12.6, measures)
    localisation, _, faithfulness = tables([one])
    assert localisation.title == "net, blends, 8 faces of 3 origins: localisation and stability"
    assert localisation.baselines == "An uninformative heatmap has .30 inside and - hits."
    assert localisation.rows == [["rise", ".50 (.12-1.00)", "-", ".25", "-", "-", "-", "13", "1"]]
    assert faithfulness.rows[0][:4] == ["rise", "-1.50 (-2.00 to .50)", "-", "-"]
    assert faithfulness.rows[0][faithfulness.headings.index("logits 3")] == "12.35"
    assert faithfulness.baselines.startswith(
        "Attacked faces: 2; random segments: attack .10 / - / -, logits"
    )
    lines = markdown([one]).splitlines()
    assert "| rise | .50 (.12-1.00) | - | .25 | - | - | - | 13 | 1 |" in lines
    assert lines.count("|---|---|---|---|---|---|---|---|---|") == 1


def write(outcomes: list[Outcome], folder: Path, **how: bool) -> list[Path]:
    models = {"fixed": UniformModel(False), "randomised": UniformModel(True)}
    return save(outcomes, describe_run(models, [DATASET], ALL, QUICK, ["a note"]), folder, **how)


def test_result_files(outcomes: list[Outcome], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "results"
    names = ["csv", "json", "md"]
    files = write(outcomes, folder)
    assert sorted(folder.iterdir()) == sorted(files)
    assert [path.name for path in files] == [
        "explain-fixed.png",
        "explain-randomised.png",
        *(f"explain.{name}" for name in names),
    ]
    found = json.loads((folder / "explain.json").read_text(encoding="utf-8"))
    assert found["schema_version"] == 2
    assert found["models"][0]["sha256"] == "5" * 64
    assert found["settings"]["attack"] == {
        "steps": 2, "pairs": 2, "sigma": 2.0, "step_size": 2.0, "epsilon": 16.0
    }  # fmt: skip
    assert found["datasets"] == [
        {"name": "red areas", "faces": 8, "groups": [f"g{seed}" for seed in range(8)], "parts": {}}
    ]
    assert found["notes"][0] == "a note"
    assert "2 steps of 2 pairs" in found["notes"][1]
    with (folder / "explain.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for one, result in zip(outcomes, found["results"], strict=True):
        assert result["method"] == one.method
        assert set(result["measures"]) == set(one.measures)
        for key, value in one.measures.items():
            assert result["measures"][key]["value"] == value.value
            (row,) = (
                row
                for row in rows
                if (row["model"], row["method"], row["measure"]) == (one.model, one.method, key)
            )
            assert float(row["value"]) == value.value
    assert cv2.imread(str(files[0])).shape[1] == 1200


def test_results_are_overwritten_only_with_force(outcomes: list[Outcome], tmp_path: Path) -> None:
    write(outcomes, tmp_path)
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match=r"already contains explain\.json; use --force"):
        write(outcomes, tmp_path)
    some = [one for one in outcomes if one.model == "fixed"]
    write(some, tmp_path, force=True)
    assert not (tmp_path / "explain-randomised.png").exists()
    assert (tmp_path / "mine.txt").exists()
    with pytest.raises(OutputError, match="is a file"):
        check_free(tmp_path / "mine.txt", FILES, force=False)


def test_a_failure_leaves_no_files(
    outcomes: list[Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fakelens.evaluation.save.plot", full)
    with pytest.raises(OutputError, match="No space left"):
        write(outcomes, tmp_path / "results")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_there_are_no_plots(
    outcomes: list[Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda _name: None)
    monkeypatch.setattr(measures, "find_spec", lambda name: None if name == "matplotlib" else 1)
    (note,) = measures.missing_packages()
    assert note.startswith("no plots are drawn: ")
    assert {path.suffix for path in write(outcomes, tmp_path)} == {".json", ".csv", ".md"}
