"""Cross-fitted verdicts on pictures whose logits are known, by thresholds known by hand."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakelens.analysis.pipeline import analyze
from fakelens.evaluation import calibrate
from fakelens.evaluation.calibrate import count_frames, cross_fit, find_decisive, with_thresholds
from fakelens.evaluation.labels import LabelledFile
from fakelens.evaluation.thresholds import ErrorLimits
from fakelens.models.onnx import OnnxModel, load_evidence_model, save_evidence_model
from fakelens.records.findings import Finding, Verdict
from fakelens.records.models import Model, Thresholds
from fakelens.records.settings import Settings
from support.builders import CARD
from support.coloured_faces import colour_model, make_coloured_face
from support.plain_pictures import make_picture

FAKE, REAL, OPEN = Verdict.FAKE, Verdict.REAL, Verdict.INCONCLUSIVE
# By hand, for limits that allow one value beyond: without the clips of its fold, a clip is likely
# fake above the highest genuine one and likely real below the lowest fake. The folds are those of
# r0 r5 f4, r1 f0 f5, r2 f1, r3 f2 and r4 f3. The thresholds of all clips call no genuine clip fake
# and no fake real.
CASES = {
    "r0": (-3, REAL),
    "r1": (-2.5, REAL),
    "r2": (-2, REAL),
    "r3": (-1, OPEN),
    "r4": (1.5, OPEN),
    "r5": (2, FAKE),
    "f0": (-1.5, REAL),
    "f1": (-0.5, OPEN),
    "f2": (1, OPEN),
    "f3": (2.5, FAKE),
    "f4": (3, FAKE),
    "f5": (3.5, FAKE),
}
LIMITS = ErrorLimits(0.25, 0.25)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledFile]:
    """The cases, and a picture without a face."""
    folder = tmp_path_factory.mktemp("coloured")
    paths = [
        make_coloured_face(folder / f"{name}.png", logit) for name, (logit, _) in CASES.items()
    ]
    paths.append(make_picture(folder / "none.png", 90))
    return [LabelledFile(path, path.stem[0] == "f", path.stem, "") for path in paths]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    path = tmp_path_factory.mktemp("model") / "colour.onnx"
    save_evidence_model(colour_model(), CARD, path)
    return load_evidence_model(path)


def judge(model: Model, clips: Sequence[LabelledFile], settings: Settings) -> list[Finding | None]:
    frames = count_frames(clips)
    steps: list[tuple[int, int | None]] = []

    def progress(done: int, total: int | None) -> None:
        steps.append((done, total))

    quick = replace(settings, trust=False)
    first = find_decisive(model, clips, frames, settings=quick, progress=progress)
    assert steps == sorted(steps)
    assert steps[-1] == (len(clips), len(clips))
    steps.clear()
    found = cross_fit(model, clips, first, frames, LIMITS, settings=settings, progress=progress)
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]
    return found


def test_clips_are_judged_by_thresholds_that_were_fitted_without_them(
    model: Model, clips: list[LabelledFile]
) -> None:
    found = judge(model, clips, Settings(trust=False))
    assert found[-1] is None
    scores = [1 / (1 + np.exp(-logit)) for logit, _ in CASES.values()]
    assert [one and one.score for one in found[:-1]] == pytest.approx(scores)
    assert {name: one and one.verdict for name, one in zip(CASES, found, strict=False)} == {
        name: verdict for name, (_, verdict) in CASES.items()
    }
    assert model.card == CARD


def test_clips_of_a_group_are_judged_without_each_other(
    model: Model, clips: list[LabelledFile]
) -> None:
    # Then r4 and r5 are in one fold, so the highest genuine clip outside has a logit of -1.
    joined = [replace(clip, group="r4") if clip.group == "r5" else clip for clip in clips]
    found = dict(zip(CASES, judge(model, joined, Settings()), strict=False))
    for name in ("r4", "r5"):
        one = found[name]
        assert one is not None
        assert one.verdict is FAKE


def test_verdicts_are_those_of_analyze(model: OnnxModel, clips: list[LabelledFile]) -> None:
    """Trust measures included, which withdraw some: a forgery hardly changes this model's score."""
    found = dict(zip(CASES, judge(model, clips, Settings()), strict=False))
    withdrawn = 0
    for clip, (name, (_, verdict)) in zip(clips, CASES.items(), strict=False):
        # Logits of the highest genuine clip and of the lowest fake outside the fold.
        limits = {"r0": (1.5, -1.5), "r5": (1.5, -1.5), "f4": (1.5, -1.5)}
        limits |= {"r1": (2, -0.5), "f0": (2, -0.5), "f5": (2, -0.5)}
        highest, lowest = (1 / (1 + np.exp(-limit)) for limit in limits.get(name, (2, -1.5)))
        changed = OnnxModel(
            colour_model().SerializeToString(),
            replace(CARD, thresholds=Thresholds(highest + 5e-4, lowest - 5e-4, "by hand")),
            "",
        )
        expected, one = analyze(clip.path, model=changed).decisive, found[name]
        assert expected is not None
        assert one is not None
        assert (one.verdict, one.score) == (expected.verdict, expected.score)
        withdrawn += verdict is REAL and one.verdict is OPEN
    assert 0 < withdrawn < 4


def test_only_what_can_be_withdrawn_is_analyzed_again(
    model: Model, clips: list[LabelledFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    analyzed: list[tuple[str, bool]] = []

    def analyze_and_note(
        path: Path, *, model: Model, settings: Settings, progress: object
    ) -> object:
        analyzed.append((path.stem, settings.trust))
        return analyze(path, model=model, settings=settings)

    monkeypatch.setattr(calibrate, "analyze", analyze_and_note)
    frames = count_frames(clips)
    settings = Settings(trust=False)
    first = find_decisive(model, clips, frames, settings=settings, progress=lambda *_: None)
    assert analyzed == [(clip.path.stem, False) for clip in clips]
    analyzed.clear()
    cross_fit(model, clips, first, frames, LIMITS, settings=Settings(), progress=lambda *_: None)
    assert sorted(analyzed) == [(name, True) for name in ("f0", "r0", "r1", "r2")]


def test_a_copy_with_other_thresholds_is_the_same_model(model: Model) -> None:
    changed = with_thresholds(model, Thresholds(0.9, 0.1, "mine"))
    assert (changed.card.thresholds.fake, model.card) == (0.9, CARD)
    crops = np.full((2, CARD.input_size, CARD.input_size, 3), 7, np.uint8)
    assert (changed.examine(crops).logit == model.examine(crops).logit).all()
    assert changed.sha256 == model.sha256
