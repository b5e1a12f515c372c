"""Measures heatmap methods of models on material with known forged areas."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import MediaError, UsageError
from fakelens.evaluation.faithfulness import (
    FEATURE_DRAWS,
    PIXEL_DRAWS,
    agreement,
    deletion_insertion,
    feature_ablation,
)
from fakelens.evaluation.forgeries import Material, crop_forgery
from fakelens.evaluation.localisation import compare
from fakelens.evaluation.methods import HeatmapMethod
from fakelens.evaluation.outcomes import MEASURES, TOPS, Outcome, estimate
from fakelens.evaluation.sufficiency import Adversary, Push
from fakelens.faces.crops import crop_area
from fakelens.records.arrays import FloatArray, sigmoid
from fakelens.records.models import Evidence, Model
from fakelens.records.settings import Progress
from fakelens.trust.ablation import working_head

_OPTIONAL = {
    "skimage": "no face is pushed by an adversary",
    "matplotlib": "there are no plots",
}
_RANDOM_MODELS = 3
_RANDOM_PUSHES = 2


@dataclass(frozen=True, slots=True)
class BenchmarkSettings:
    """How the benchmark measures.

    Attributes:
        few: faces of each material for what takes longest: the adversary's push (faces that are
            called fake) and the models with random weights.
        seed: of everything that hangs on chance.
        push: how hard the adversary tries.

    Raises:
        UsageError: ``few`` or ``seed`` is negative.
    """

    few: int = 8
    seed: int = 0
    push: Push = field(default_factory=Push)

    def __post_init__(self) -> None:
        if min(self.few, self.seed) < 0:
            raise UsageError("the seed and the number of faces must not be negative")

    def as_dict(self) -> dict[str, object]:
        """For the record, with the numbers that cannot be chosen."""
        fixed = {
            "random_maps_in_pixels": PIXEL_DRAWS,
            "random_maps_in_features": FEATURE_DRAWS,
            "random_models": _RANDOM_MODELS,
            "random_pushes": _RANDOM_PUSHES,
        }
        return asdict(self) | fixed


@dataclass(frozen=True, slots=True)
class _Seen:
    """A face as a model sees it, and as it sees the same face on the next frame."""

    crop: NDArray[np.uint8]
    truth: NDArray[np.bool_]
    group: str
    following: NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True)
class _Shown:
    """What one method showed of one face, and what came of it, by keys of ``MEASURES``."""

    cells: FloatArray
    seconds: float
    values: dict[str, float] = field(default_factory=dict)


def left_out() -> list[str]:
    """A sentence about each part of the benchmark whose package is not installed."""
    return [
        f"{effect}: it needs the optional part 'benchmark' ({package} is not installed)"
        for package, effect in _OPTIONAL.items()
        if find_spec(package) is None
    ]


def measure(
    models: Mapping[str, Model],
    materials: Sequence[Material],
    methods: Sequence[HeatmapMethod],
    settings: BenchmarkSettings,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Measure every method of every model on every material.

    Without scikit-image nothing is pushed, and models without ``head`` or ``randomised`` have
    no feature ablation and no comparison with random weights.

    Args:
        models: by their names in the tables.
        materials: forgeries whose forged area a model does not see are left out.
        methods: heatmap methods.
        settings: how to measure.
        progress: told after every face.

    Raises:
        MediaError: no model sees any of the forged areas.
    """
    total, done = len(models) * sum(len(material.forgeries) for material in materials), 0
    outcomes: list[Outcome] = []
    for name, model in models.items():
        strangers = _random_models(model, settings)
        for material in materials:
            faces = list(_see(model, material))
            done += len(material.forgeries) - len(faces)
            to_push = settings.few if find_spec("skimage") else 0
            shown: list[list[_Shown]] = []
            for index, face in enumerate(faces):
                seed = (settings.seed, index)
                evidence = model.examine(face.crop[None])
                found = _explain(model, methods, face.crop, seed)
                _hide(model, face.crop, evidence, found, seed)
                if face.following is not None:
                    after = _explain(model, methods, face.following, seed)
                    _correlate(found, after, "neighbours")
                if strangers and index < settings.few:
                    stranger = strangers[index % len(strangers)]
                    other = _explain(stranger, methods, face.crop, seed)
                    _correlate(found, other, "randomised")
                if to_push and evidence.logit[0] > 0:
                    to_push -= 1
                    adversary = Adversary(model, face.crop, settings.push, settings.seed)
                    _push(adversary, float(evidence.logit[0]), found)
                shown.append(found)
                done += 1
                if progress:
                    progress(done, total)
            for column, method in enumerate(methods if faces else ()):
                names = (name, material.name, method.name)
                of_method = [row[column] for row in shown]
                outcomes.append(_conclude(names, faces, of_method, settings.seed))
    if not outcomes:
        raise MediaError("no forged area lies within what the models see of the faces")
    return outcomes


def _random_models(model: Model, settings: BenchmarkSettings) -> list[Model]:
    if not (settings.few and hasattr(model, "randomised")):
        return []
    return [model.randomised(settings.seed + number) for number in range(_RANDOM_MODELS)]


def _see(model: Model, material: Material) -> Iterator[_Seen]:
    geometry, size = model.card.crop, model.card.input_size
    for forgery in material.forgeries:
        found = crop_forgery(forgery, geometry, size, material.extract)
        if found is None:
            continue
        following = None
        if forgery.following is not None:
            image, face = forgery.following
            following = material.extract(image, crop_area(face, geometry), size)
        yield _Seen(*found, forgery.group, following)


def _explain(
    model: Model, methods: Sequence[HeatmapMethod], crop: NDArray[np.uint8], seed: tuple[int, int]
) -> list[_Shown]:
    """What each method shows; each has the same source of chance, whatever the others take."""
    shown = []
    for method in methods:
        began = perf_counter()
        cells = method.explain(model, crop, np.random.default_rng(seed))
        shown.append(_Shown(cells, perf_counter() - began))
    return shown


def _hide(
    model: Model,
    crop: NDArray[np.uint8],
    evidence: Evidence,
    shown: Sequence[_Shown],
    seed: tuple[int, int],
) -> None:
    """Deletion, insertion and feature ablation."""
    rng = np.random.default_rng((*seed, 1))
    maps = [one.cells for one in shown]
    deletion, insertion = zip(*deletion_insertion(model, crop, maps, rng), strict=True)
    _note(shown, "deletion", deletion)
    _note(shown, "insertion", insertion)
    if head := working_head(model, evidence):
        _note(shown, "ablation", feature_ablation(head, evidence.activation[0], maps, rng))


def _correlate(shown: Sequence[_Shown], others: Sequence[_Shown], key: str) -> None:
    pairs = zip(shown, others, strict=True)
    _note(shown, key, [agreement(one.cells, other.cells) for one, other in pairs])


def _push(adversary: Adversary, before: float, shown: Sequence[_Shown]) -> None:
    random = np.array(adversary.at_random(_RANDOM_PUSHES))
    for one in shown:
        for suffix, after in (("", np.array([adversary.along(one.cells)])), ("_random", random)):
            found = {
                "push": sigmoid(before) - sigmoid(after),
                "fall": before - after,
                "turned": after <= 0,
            }
            for name, values in found.items():
                for top, value in zip(TOPS, values.mean(axis=0).tolist(), strict=True):
                    one.values[f"{name}_{top}{suffix}"] = value


def _note(shown: Sequence[_Shown], key: str, values: Sequence[float]) -> None:
    for one, value in zip(shown, values, strict=True):
        one.values[key] = value


def _conclude(
    names: tuple[str, str, str], faces: Sequence[_Seen], shown: Sequence[_Shown], seed: int
) -> Outcome:
    groups = [face.group for face in faces]
    found = compare([one.cells for one in shown], [face.truth for face in faces], groups)
    for one, pointing in zip(shown, found, strict=True):
        if pointing is not None:
            one.values.update(
                inside=pointing.share,
                uniform=pointing.area,
                others=pointing.other,
                auc=pointing.auc,
                hits=pointing.hit,
                chance=pointing.chance,
            )
    estimates = {
        key: estimate([one.values.get(key, np.nan) for one in shown], groups, seed)
        for key in MEASURES
    }
    return Outcome(
        *names,
        faces=len(faces),
        groups=len(set(groups)),
        without_evidence=found.count(None),
        milliseconds=1000 * float(np.median([one.seconds for one in shown])),
        measures={key: value for key, value in estimates.items() if value is not None},
    )
