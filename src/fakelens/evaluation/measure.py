"""The benchmark: measures heatmap methods of models on datasets with known forged areas."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from fakelens.errors import MediaError, MissingExtraError, UsageError
from fakelens.evaluation.faithfulness import (
    FEATURE_DRAWS,
    PIXEL_DRAWS,
    agreement,
    deletion_insertion,
    feature_ablation,
)
from fakelens.evaluation.forgeries import Dataset, crop_forgery
from fakelens.evaluation.localisation import measure_localisation
from fakelens.evaluation.methods import HeatmapMethod
from fakelens.evaluation.outcomes import MEASURES, TOPS, Outcome, estimate
from fakelens.evaluation.planted_parts import PlantedPart, locate_part, measure_named_part
from fakelens.evaluation.sufficiency import Attack, AttackSettings
from fakelens.faces.crops import crop_area
from fakelens.records.arrays import FloatArray, sigmoid
from fakelens.records.models import Evidence, Model
from fakelens.records.settings import Progress
from fakelens.trust.ablation import working_head

_OPTIONAL = {
    "skimage": "adversarial attacks are not measured",
    "matplotlib": "no plots are drawn",
}
_RANDOM_MODELS = 3
_RANDOM_ATTACKS = 2


@dataclass(frozen=True, slots=True)
class BenchmarkSettings:
    """Settings of the benchmark.

    Attributes:
        slow_faces: largest number of faces of each dataset in the slowest measurements:
            adversarial attacks (on faces called fake) and models with random weights.
        seed: random seed.
        attack: budget of the adversarial attacks.

    Raises:
        UsageError: ``slow_faces`` or ``seed`` is negative.
    """

    slow_faces: int = 8
    seed: int = 0
    attack: AttackSettings = field(default_factory=AttackSettings)

    def __post_init__(self) -> None:
        if min(self.slow_faces, self.seed) < 0:
            raise UsageError("the random seed and the number of faces must be 0 or more")

    def as_dict(self) -> dict[str, object]:
        """Return the settings, and the constants that define the measures."""
        constants = {
            "random_heatmaps_in_pixels": PIXEL_DRAWS,
            "random_heatmaps_in_features": FEATURE_DRAWS,
            "random_models": _RANDOM_MODELS,
            "random_attacks": _RANDOM_ATTACKS,
        }
        return asdict(self) | constants


@dataclass(frozen=True, slots=True)
class _ForgedCrop:
    """A model's crop of a forged face.

    Attributes:
        crop: (side, side, 3) uint8 RGB.
        mask: (side, side), the forged pixels.
        group: shared by pictures of the same origin.
        following: the crop of the same face on the next frame, if there is one.
        planted: the forged part, if it is known.
    """

    crop: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    group: str
    following: NDArray[np.uint8] | None
    planted: PlantedPart | None


@dataclass(frozen=True, slots=True)
class _Result:
    """The heatmap of one method for one face, and its measurements by keys of ``MEASURES``."""

    cells: FloatArray
    seconds: float
    values: dict[str, float] = field(default_factory=dict)


def check_packages() -> None:
    """Raise MissingExtraError if a package that every measurement needs is not installed."""
    if find_spec("scipy") is None:
        raise MissingExtraError("fakelens benchmark explain", "benchmark")


def missing_packages() -> list[str]:
    """Return a sentence about each part of the benchmark whose package is not installed."""
    return [
        f"{effect}: this needs the extra 'benchmark' ({package} is not installed)"
        for package, effect in _OPTIONAL.items()
        if find_spec(package) is None
    ]


def measure(
    models: Mapping[str, Model],
    datasets: Sequence[Dataset],
    methods: Sequence[HeatmapMethod],
    settings: BenchmarkSettings,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Measure every method of every model on every dataset.

    Without scikit-image there are no adversarial attacks. Models without ``head`` have no feature
    ablation, and those without ``randomised`` no comparison with random weights. Parts are named by
    filter only for the method of the baseline in the model's card.

    Args:
        models: by their names in the tables.
        datasets: forgeries whose forged area lies outside a model's crop are skipped.
        methods: heatmap methods.
        settings: settings of the benchmark.
        progress: called after every face.

    Raises:
        MediaError: every forged area lies outside the models' crops.
    """
    total, done = len(models) * sum(len(dataset.forgeries) for dataset in datasets), 0
    outcomes: list[Outcome] = []
    for name, model in models.items():
        random_models = _random_models(model, settings)
        for dataset in datasets:
            faces = list(_forged_crops(model, dataset))
            done += len(dataset.forgeries) - len(faces)
            attacks_left = settings.slow_faces if find_spec("skimage") else 0
            results: list[list[_Result]] = []  # of each face, by method
            for index, face in enumerate(faces):
                seed = (settings.seed, index)
                evidence = model.examine(face.crop[None])
                of_face = _explain(model, methods, face.crop, seed)
                _measure_faithfulness(model, face.crop, evidence, of_face, seed)
                if face.planted is not None:
                    _measure_named_parts(model, methods, face.planted, of_face)
                if face.following is not None:
                    following = _explain(model, methods, face.following, seed)
                    _correlate(of_face, following, "next_frame")
                if random_models and index < settings.slow_faces:
                    random_model = random_models[index % len(random_models)]
                    random = _explain(random_model, methods, face.crop, seed)
                    _correlate(of_face, random, "random_weights")
                if attacks_left and evidence.logit[0] > 0:
                    attacks_left -= 1
                    attack = Attack(model, face.crop, settings.attack, settings.seed)
                    _measure_attack(attack, float(evidence.logit[0]), of_face)
                results.append(of_face)
                done += 1
                if progress:
                    progress(done, total)
            for column, method in enumerate(methods if faces else ()):
                names = (name, dataset.name, method.name)
                of_method = [row[column] for row in results]
                outcomes.append(_summarise(names, faces, of_method, settings.seed))
    if not outcomes:
        raise MediaError("no forged area lies inside the models' crops of the faces")
    return outcomes


def _random_models(model: Model, settings: BenchmarkSettings) -> list[Model]:
    if not (settings.slow_faces and hasattr(model, "randomised")):
        return []
    return [model.randomised(settings.seed + number) for number in range(_RANDOM_MODELS)]


def _forged_crops(model: Model, dataset: Dataset) -> Iterator[_ForgedCrop]:
    geometry, size = model.card.crop, model.card.input_size
    for forgery in dataset.forgeries:
        found = crop_forgery(forgery, geometry, size, dataset.extract)
        if found is None:
            continue
        following = None
        if forgery.following is not None:
            image, face = forgery.following
            following = dataset.extract(image, crop_area(face, geometry), size)
        planted = locate_part(forgery, model.card)
        yield _ForgedCrop(*found, forgery.group, following, planted)


def _explain(
    model: Model, methods: Sequence[HeatmapMethod], crop: NDArray[np.uint8], seed: tuple[int, int]
) -> list[_Result]:
    """Compute the heatmaps of all methods, each with a random generator of its own."""
    results = []
    for method in methods:
        began = perf_counter()
        cells = method.explain(model, crop, np.random.default_rng(seed))
        results.append(_Result(cells, perf_counter() - began))
    return results


def _measure_faithfulness(
    model: Model,
    crop: NDArray[np.uint8],
    evidence: Evidence,
    results: Sequence[_Result],
    seed: tuple[int, int],
) -> None:
    rng = np.random.default_rng((*seed, 1))
    maps = [result.cells for result in results]
    deletion, insertion = zip(*deletion_insertion(model, crop, maps, rng), strict=True)
    _record(results, "deletion", deletion)
    _record(results, "insertion", insertion)
    if head := working_head(model, evidence):
        ablation = feature_ablation(head, evidence.activation[0], maps, rng)
        _record(results, "ablation", ablation)


def _measure_named_parts(
    model: Model,
    methods: Sequence[HeatmapMethod],
    planted: PlantedPart,
    results: Sequence[_Result],
) -> None:
    baseline = model.card.baseline
    for method, result in zip(methods, results, strict=True):
        own = baseline if baseline and baseline.cam == method.name else None
        result.values.update(measure_named_part(result.cells, planted, own))


def _correlate(results: Sequence[_Result], others: Sequence[_Result], key: str) -> None:
    pairs = zip(results, others, strict=True)
    _record(results, key, [agreement(one.cells, other.cells) for one, other in pairs])


def _measure_attack(attack: Attack, before: float, results: Sequence[_Result]) -> None:
    """Record score drop, logit drop and flips; ``before`` is the logit without an attack."""
    random = np.array(attack.on_random_segments(_RANDOM_ATTACKS))
    for result in results:
        own = np.array([attack.on_top_segments(result.cells)])
        for suffix, after in (("", own), ("_random", random)):
            found = {
                "attack_score_drop": sigmoid(before) - sigmoid(after),
                "attack_logit_drop": before - after,
                "attack_flipped": after <= 0,
            }
            for name, values in found.items():
                for top, value in zip(TOPS, values.mean(axis=0).tolist(), strict=True):
                    result.values[f"{name}_{top}{suffix}"] = value


def _record(results: Sequence[_Result], key: str, values: Sequence[float]) -> None:
    for result, value in zip(results, values, strict=True):
        result.values[key] = value


def _summarise(
    names: tuple[str, str, str],
    faces: Sequence[_ForgedCrop],
    results: Sequence[_Result],
    seed: int,
) -> Outcome:
    """Add the localisation measures and average over faces."""
    groups = [face.group for face in faces]
    maps, masks = [result.cells for result in results], [face.mask for face in faces]
    localisations = measure_localisation(maps, masks, groups)
    for result, found in zip(results, localisations, strict=True):
        if found is not None:
            result.values.update(
                inside=found.inside,
                inside_uniform=found.area,
                inside_other_face=found.other_inside,
                pixel_auc=found.auc,
                hits=found.hit,
                hits_random=found.hit_area,
            )
    estimates = {
        key: estimate([result.values.get(key, np.nan) for result in results], groups, seed)
        for key in MEASURES
    }
    return Outcome(
        *names,
        faces=len(faces),
        groups=len(set(groups)),
        without_evidence=localisations.count(None),
        milliseconds=1000 * float(np.median([result.seconds for result in results])),
        measures={key: value for key, value in estimates.items() if value is not None},
    )
