"""The benchmark as a whole: what it makes of methods that are known to be good or bad."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from fakelens.cli.app import app
from fakelens.errors import MediaError, OutputError, UsageError
from fakelens.evaluation import demo, plots
from fakelens.evaluation import measure as measures
from fakelens.evaluation.forgeries import Forgery, Material
from fakelens.evaluation.measure import BenchmarkSettings, measure
from fakelens.evaluation.methods import METHODS, HeatmapMethod
from fakelens.evaluation.outcomes import MEASURES, Estimate, Outcome, estimate
from fakelens.evaluation.save import check_free, describe, save
from fakelens.evaluation.sufficiency import Push
from fakelens.evaluation.tables import markdown, tables
from fakelens.faces.detectors import load_detector
from fakelens.media.reader import open_video
from fakelens.records.arrays import FloatArray
from fakelens.records.faces import Box, Face
from fakelens.records.models import Model
from fakelens.trust.synthetic_forgery import FORGERY_RECIPES, forge
from support.linear_model import LinearModel, patch, red_and_blue
from support.toys import photograph

SIDE = 56
FACE = Face(Box(0, 0, SIDE, SIDE), None, 1.0)
QUICK = BenchmarkSettings(few=3, push=Push(steps=2, pairs=2))


class Knowing(LinearModel):
    """Every pixel counts alike; its copy with random weights is itself, or answers noise."""

    def __init__(self, forgets: bool) -> None:
        super().__init__(np.full((SIDE, SIDE), 0.01))
        self._forgets = forgets

    def randomised(self, seed: int) -> LinearModel:
        if not self._forgets:
            return self
        return LinearModel(np.random.default_rng(seed).normal(size=(SIDE, SIDE)))


def forgery(seed: int) -> Forgery:
    """A noisy picture; the forged area is red, so that the models here take it for fake."""
    rng = np.random.default_rng(seed)
    row, column = rng.integers(4, 36, 2).tolist()
    truth = patch(SIDE, slice(row, row + 14), slice(column, column + 14))
    noise = rng.integers(-15, 16, (2, SIDE, SIDE, 3))
    image, after = (red_and_blue(SIDE, truth, truth & False) + noise).clip(0, 255).astype(np.uint8)
    mask = np.where(truth, 255, 0).astype(np.uint8)
    return Forgery(image, mask, FACE, f"g{seed}", (after, FACE))


def negative(model: Model, crop: NDArray[np.uint8], rng: np.random.Generator) -> FloatArray:
    return -METHODS["hirescam"].explain(model, crop, rng)


def noise(_model: Model, _crop: NDArray[np.uint8], rng: np.random.Generator) -> FloatArray:
    return rng.normal(size=(28, 28)).astype(np.float32)


def silent(_model: Model, _crop: NDArray[np.uint8], _rng: np.random.Generator) -> FloatArray:
    return np.zeros((7, 7), np.float32)


ALL = [
    METHODS["hirescam"],
    HeatmapMethod("negative", "Negative", "", negative),
    HeatmapMethod("noise", "Noise", "", noise),
    HeatmapMethod("silent", "Silent", "", silent),
]
MATERIAL = Material("red areas", [forgery(seed) for seed in range(8)])


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return measure({"keeps": Knowing(False), "forgets": Knowing(True)}, [MATERIAL], ALL, QUICK)


def values(outcomes: list[Outcome], model: str, method: str) -> dict[str, float]:
    (one,) = (one for one in outcomes if (one.model, one.method) == (model, method))
    return {key: found.value for key, found in one.measures.items()}


def test_the_map_of_what_was_summed_is_better_than_noise_and_its_negative_worse(
    outcomes: list[Outcome],
) -> None:
    good, random, bad = (
        values(outcomes, "keeps", name) for name in ("hirescam", "noise", "negative")
    )
    assert good["inside"] > 0.5 > 3 * random["inside"]
    assert random["inside"] == pytest.approx(random["uniform"], rel=0.15)
    assert good["uniform"] == pytest.approx(14 * 14 / SIDE**2, rel=0.01)
    assert good["others"] < good["inside"]
    assert good["auc"] > 0.95
    assert random["auc"] == pytest.approx(0.5, abs=0.05)
    assert bad["auc"] == pytest.approx(1 - good["auc"], abs=0.01)
    assert (good["hits"], bad["hits"]) == (1, 0)
    for key in ("deletion", "insertion", "ablation"):
        assert good[key] > 4 * abs(random[key])
        assert bad[key] < -abs(random[key])
    assert good["push_3"] > good["push_1"] > 0
    assert good["turned_3"] == 0  # all are sure, and the adversary's budget is small
    assert good["fall_1"] == pytest.approx(good["fall_1_random"], rel=0.8)


def test_a_map_that_does_not_depend_on_the_weights_is_found_out(outcomes: list[Outcome]) -> None:
    assert values(outcomes, "keeps", "hirescam")["randomised"] == pytest.approx(1)
    assert abs(values(outcomes, "forgets", "hirescam")["randomised"]) < 0.1
    # The same source of chance on both models: noise is blind to the weights.
    assert values(outcomes, "forgets", "noise")["randomised"] == pytest.approx(1)
    assert values(outcomes, "keeps", "noise")["neighbours"] == pytest.approx(1)
    assert 0.1 < values(outcomes, "keeps", "hirescam")["neighbours"] < 0.9
    (one,) = (one for one in outcomes if (one.model, one.method) == ("keeps", "hirescam"))
    assert one.measures["randomised"].faces == 3
    assert one.measures["push_1"].faces == 3
    assert one.measures["neighbours"].faces == one.faces == one.groups == 8


def test_a_face_that_is_barely_called_fake_is_turned() -> None:
    material = Material("one", [forgery(0)])
    model = Knowing(False)
    logit = model.examine(forgery(0).image[None]).logit[0]
    plain = model.head
    model.head = lambda layer: plain(layer) - logit + np.float32(0.01)  # type: ignore[method-assign]
    (one,) = measure({"barely": model}, [material], ALL[:1], BenchmarkSettings(few=1))
    found = {key: estimate.value for key, estimate in one.measures.items()}
    assert [found[f"turned_{top}"] for top in (1, 2, 3)] == [1, 1, 1]
    # Called real is a score of 1/2 or less, and it began as the sigmoid of 0.01.
    assert found["fall_3"] >= 0.01
    assert found["push_3"] == pytest.approx(found["fall_3"] / 4, rel=0.05)


def test_a_map_without_evidence_is_counted_and_not_judged(outcomes: list[Outcome]) -> None:
    (one, _) = (one for one in outcomes if one.method == "silent")
    assert one.without_evidence == one.faces == 8
    assert not {"inside", "auc", "hits", "randomised", "neighbours"} & set(one.measures)
    assert abs(one.measures["deletion"].value) < 1


def test_what_a_model_cannot_do_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare:
        """Without head and random weights, and it calls everything real."""

        sha256 = ""

        def __init__(self) -> None:
            self._inner = LinearModel(np.full((SIDE, SIDE), -0.01))
            self.card = self._inner.card
            self.examine = self._inner.examine

    alone = Material("alone", [replace(forgery(0), following=None)])
    (one,) = measure({"bare": Bare()}, [alone], ALL[:1], QUICK)
    assert set(one.measures) <= set(MEASURES)
    left_out = {"ablation", "randomised", "neighbours", "push_1", "turned_3", "others"}
    assert not left_out & set(one.measures)
    assert one.measures["deletion"].low is None
    (one,) = measure({"keeps": Knowing(False)}, [alone], ALL[:1], BenchmarkSettings(few=0))
    assert not {"randomised", "push_1"} & set(one.measures)
    monkeypatch.setattr(measures, "find_spec", lambda _name: None)
    (one,) = measure({"keeps": Knowing(False)}, [alone], ALL[:1], QUICK)
    assert "randomised" in one.measures
    assert "push_1" not in one.measures


def test_progress_counts_faces_and_forgeries_out_of_sight_are_left_out() -> None:
    beside = replace(forgery(1), mask=np.zeros((SIDE, SIDE), np.uint8))
    told: list[tuple[int, int | None]] = []
    material = Material("some", [forgery(0), beside, forgery(2)])
    (one,) = measure(
        {"keeps": Knowing(False)},
        [material],
        ALL[3:],
        BenchmarkSettings(few=0),
        lambda done, total: told.append((done, total)),
    )
    assert one.faces == 2
    assert told == [(2, 3), (3, 3)]
    with pytest.raises(MediaError, match="no forged area"):
        measure({"x": Knowing(False)}, [Material("none", [beside])], ALL[3:], QUICK)
    with pytest.raises(UsageError, match="negative"):
        BenchmarkSettings(few=-1)


def test_an_estimate_is_over_faces_and_its_interval_over_groups() -> None:
    found = estimate([1, 2, np.nan, 3], ["a", "a", "b", "b"], seed=0)
    # Either group may be drawn twice.
    assert found == Estimate(2, 1.5, 3, 3)
    assert estimate([1, 2], ["a", "a"], seed=0) == Estimate(1.5, None, None, 2)
    assert estimate([np.nan], ["a"], seed=0) is None


# Output


def test_the_tables_by_hand() -> None:
    measures = {
        "inside": Estimate(0.5, 0.125, 1.0, 8),
        "auc": Estimate(0.25, None, None, 8),
        "deletion": Estimate(-1.5, -2.0, 0.5, 8),
        "fall_3": Estimate(12.345, None, None, 2),
        "uniform": Estimate(0.3, 0.2, 0.4, 8),
        "push_1_random": Estimate(0.1, None, None, 2),
    }
    one = Outcome("net", "blends", "rise", 8, 3, 1, 12.6, measures)
    where, what = tables([one])
    assert where.title == "net, blends, 8 faces of 3 origins: where"
    assert where.yardsticks == "A map that knows nothing has .30 inside and - hits."
    assert where.rows == [["rise", ".50 (.12-1.00)", "-", ".25", "-", "-", "-", "13", "1"]]
    assert what.rows[0][:4] == ["rise", "-1.50 (-2.00 to .50)", "-", "-"]
    assert what.rows[0][what.headings.index("logits 3")] == "12.35"
    assert what.yardsticks.startswith("Pushed faces: 2; random segments: .10 / - / -, logits")
    lines = markdown([one]).splitlines()
    assert "| rise | .50 (.12-1.00) | - | .25 | - | - | - | 13 | 1 |" in lines
    assert lines.count("|---|---|---|---|---|---|---|---|---|") == 1


def written(outcomes: list[Outcome], folder: Path, **how: bool) -> list[Path]:
    models = {"keeps": Knowing(False), "forgets": Knowing(True)}
    return save(outcomes, describe(models, [MATERIAL], ALL, QUICK, ["a note"]), folder, **how)


def test_the_results_are_files(outcomes: list[Outcome], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "results"
    names = ["csv", "json", "md"]
    files = written(outcomes, folder)
    assert sorted(folder.iterdir()) == sorted(files)
    assert [path.name for path in files] == [
        "explain-forgets.png",
        "explain-keeps.png",
        *(f"explain.{name}" for name in names),
    ]
    found = json.loads((folder / "explain.json").read_text(encoding="utf-8"))
    assert found["schema_version"] == 1
    assert found["models"][0]["sha256"] == "5" * 64
    assert found["settings"]["push"] == {
        "steps": 2, "pairs": 2, "search": 2.0, "step": 2.0, "reach": 16.0
    }  # fmt: skip
    assert found["materials"] == [
        {"name": "red areas", "faces": 8, "groups": [f"g{seed}" for seed in range(8)]}
    ]
    assert found["notes"][0] == "a note"
    assert "2 steps of 2 pairs" in found["notes"][1]
    with (folder / "explain.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for one, told in zip(outcomes, found["results"], strict=True):
        assert told["method"] == one.method
        assert set(told["measures"]) == set(one.measures)
        for key, value in one.measures.items():
            assert told["measures"][key]["value"] == value.value
            (row,) = (
                row
                for row in rows
                if (row["model"], row["method"], row["measure"]) == (one.model, one.method, key)
            )
            assert float(row["value"]) == value.value
    assert cv2.imread(str(files[0])).shape[1] == 1200


def test_results_are_not_overwritten_unless_asked_to(
    outcomes: list[Outcome], tmp_path: Path
) -> None:
    written(outcomes, tmp_path)
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match=r"holds explain\.json already; --force"):
        written(outcomes, tmp_path)
    some = [one for one in outcomes if one.model == "keeps"]
    written(some, tmp_path, force=True)
    assert not (tmp_path / "explain-forgets.png").exists()
    assert (tmp_path / "mine.txt").exists()
    with pytest.raises(OutputError, match="is a file"):
        check_free(tmp_path / "mine.txt", force=False)


def test_a_failure_leaves_nothing_behind(
    outcomes: list[Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fakelens.evaluation.save.plot", full)
    with pytest.raises(OutputError, match="No space left"):
        written(outcomes, tmp_path / "results")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_there_are_no_plots(
    outcomes: list[Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda _name: None)
    monkeypatch.setattr(measures, "find_spec", lambda name: None if name == "matplotlib" else 1)
    (note,) = measures.left_out()
    assert note.startswith("there are no plots: ")
    assert {path.suffix for path in written(outcomes, tmp_path)} == {".json", ".csv", ".md"}


# The command


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["benchmark", "explain", *map(str, arguments)])


def fails(code: int, *arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == code, result.output
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("fakelens: ")
    return line


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two public-domain portraits, one of them in a folder that also holds a faceless picture."""
    folder = tmp_path_factory.mktemp("portraits")
    demo.make_clip(folder / "clip.mp4", seconds=1)
    with open_video(folder / "clip.mp4") as reader:
        frame = next(reader.frames()).image
    (folder / "clip.mp4").unlink()
    left, right = frame[:, : frame.shape[1] // 2], frame[:, frame.shape[1] // 2 :]
    photograph(folder / "left.png", np.ascontiguousarray(left))
    photograph(folder / "right.png", np.ascontiguousarray(right))
    photograph(folder / "wall.png", np.full((200, 200, 3), 90, np.uint8))
    return folder


def test_the_command_measures_planted_blends(portraits: Path, tmp_path: Path) -> None:
    arguments = [portraits, "--method", "hirescam", "--few", 1, "-o", tmp_path / "out"]
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "fakelens-patch, planted blends, 2 faces of 2 origins: where" in result.stdout
    found = json.loads((tmp_path / "out" / "explain.json").read_text(encoding="utf-8"))
    (one,) = found["results"]
    assert one["method"] == "hirescam"
    assert {"inside", "auc", "deletion", "ablation", "randomised"} <= set(one["measures"])
    assert [Path(name).name for name in found["materials"][0]["groups"]] == [
        "left.png",
        "right.png",
    ]
    assert "--force" in fails(1, *arguments)
    assert run(*arguments, "--few", 0, "--force", "--quiet").stdout == ""


def test_the_command_measures_pairs_and_labelled_fakes(portraits: Path, tmp_path: Path) -> None:
    """One forged picture as both: a picture is a video of one frame."""
    with open_video(portraits / "left.png") as reader:
        real = next(reader.frames()).image
    (face,) = load_detector("yunet").detect([real])[0]
    fake, mask = forge(real, face.landmarks, FORGERY_RECIPES[0])
    photograph(tmp_path / "fake.png", fake)
    cv2.imwrite(str(tmp_path / "mask.png"), np.where(mask > 0.3, 1, 0).astype(np.uint8))
    table = tmp_path / "table.csv"
    table.write_text("image,mask,group\nfake.png,mask.png,hopper\n", encoding="utf-8")
    pair = ["--real", portraits / "left.png", "--fake", tmp_path / "fake.png"]
    few = ["--few", 0, "--method", "gradcam", "-o", tmp_path / "out"]
    result = run(*pair, "--labelled", table, *few)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "explain.json").read_text(encoding="utf-8"))
    assert [(one["name"], one["faces"], one["groups"]) for one in found["materials"]] == [
        ("fake", 1, ["left"]),
        ("table", 1, ["hopper"]),
    ]
    measured, known = (one["measures"]["uniform"]["value"] for one in found["results"])
    assert measured == pytest.approx(known, rel=0.5)
    assert run(*pair[:2], "--fake", portraits / "left.png", *few[:4], "-o", "x").exit_code == 4


def test_wrong_usage_is_told_in_one_sentence(portraits: Path, tmp_path: Path) -> None:
    out = ["-o", tmp_path / "out"]
    assert "give one of hirescam, " in fails(2, portraits, "--method", "cam", *out)
    assert "nothing to measure on" in fails(2, *out)
    assert "--real and --fake go in pairs" in fails(2, "--real", portraits, *out)
    assert "the same name" in fails(
        2, portraits, "--model", "fakelens-patch", "--model", "fakelens-patch", *out
    )
    assert "nowhere" in fails(1, tmp_path / "nowhere", *out)
    assert not (tmp_path / "out").exists()


def test_without_a_face_there_is_nothing_to_measure(portraits: Path, tmp_path: Path) -> None:
    line = fails(4, portraits / "wall.png", "--quiet", "-o", tmp_path / "out")
    assert line == "fakelens: no face with a known forgery, nothing to measure"


def test_a_method_whose_part_is_missing(
    portraits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakelens.evaluation.methods.find_spec", lambda _name: None)
    line = fails(1, portraits, "--method", "kernelshap", "-o", tmp_path / "out")
    assert "needs the optional part 'benchmark'" in line
