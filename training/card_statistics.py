"""Card statistics: a model's baseline heatmap, and the conditions it was validated under.

``python -m training.card_statistics MODEL.onnx --set YARDSTICK`` measures both and writes them into
the model's card. It prints how well planted forgeries are named on faces that the baseline is not
made of.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from fakelens.errors import FakelensError
from fakelens.explain.baseline import GRID, PARTS, baseline_on_crop
from fakelens.explain.cam import METHODS
from fakelens.faces.conditions import CONDITIONS, feature_distance, measure_conditions
from fakelens.faces.crops import crop_area, extract_crop
from fakelens.models.loading import load_model
from fakelens.models.onnx import replace_card
from fakelens.records.faces import Box
from fakelens.records.models import Baseline, ConditionRange, Domain, HasHead, Model
from fakelens.trust.ablation import select_rows
from fakelens.trust.specificity import measure_excess
from training.held_out_parts import measure_held_out
from training.validation_faces import (
    aligned_maps,
    crop_faces,
    examine_all,
    genuine_faces,
)
from training.yardstick.build import DEFAULT_FOLDER
from training.yardstick.items import Item, longer_side, read_items

_RIDGE = 0.3  # added to the covariance, over its mean variance
_ONE_IN_TWENTY = 0.95
_FOLDS = 10


def measure_baseline(model: Model, items: Sequence[Item], cam: str, data: str) -> Baseline:
    """Measure the baseline of a model on genuine faces.

    Args:
        model: with a head that runs on its own.
        items: genuine faces with landmarks.
        cam: heatmap method, a key of ``METHODS``.
        data: which faces these are; a sentence.

    Raises:
        FakelensError: the model has no head that runs on its own.
    """
    if not isinstance(model, HasHead):
        raise FakelensError("the model has no head that runs on its own: it can have no baseline")
    method = METHODS[cam].function
    genuine = crop_faces(model, items, [None] * len(items))
    evidence = examine_all(model, genuine.crops)
    maps = method(evidence)
    values, covered = aligned_maps(maps, genuine)
    total = covered.sum(axis=0)
    mean = np.divide(values.sum(axis=0), total, out=np.zeros_like(total), where=total > 1)
    usual = (values - covered * mean).reshape(len(items), -1).astype(np.float64)

    parts = [PARTS[index % len(PARTS)] for index in range(len(items))]
    forged = crop_faces(model, items, parts)
    forged_maps = method(examine_all(model, forged.crops))
    changed = (aligned_maps(forged_maps, forged)[0] - values).reshape(len(items), -1)
    signals = np.stack(
        [changed[[part == name for part in parts]].mean(axis=0) for name in PARTS]
    ).astype(np.float64)
    filters = _filters(signals, usual)
    outputs = _held_out_outputs(signals, usual)
    filters /= outputs.std(axis=0)[:, None]
    outputs /= outputs.std(axis=0)

    baseline = Baseline(
        cam=cam,
        mean=_rows(mean),
        parts=PARTS,
        filters=tuple(_rows(each.reshape(GRID, GRID)) for each in filters),
        responses=_rows(signals @ filters.T),
        part_limit=float(np.quantile(outputs.max(axis=1), _ONE_IN_TWENTY)),
        excess_limit=0.0,
        faces=len(items),
        data=data,
    )
    places = zip(genuine.landmarks, genuine.areas, strict=True)
    crops = np.stack([baseline_on_crop(baseline, *place, maps[0].shape) for place in places])
    excesses = [
        measure_excess(model.head, select_rows(evidence, one), maps[one], crops[one])
        for one in (slice(row, row + 1) for row in range(len(items)))
    ]
    return replace(baseline, excess_limit=float(np.quantile(excesses, _ONE_IN_TWENTY)))


def _filters(signals: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute matched filters (parts, cells) of signals (parts, cells).

    Args:
        signals: mean changes of the heatmap.
        usual: (N, cells) heatmaps of genuine faces, without their mean.
    """
    covariance = np.cov(usual.T)
    covariance += _RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    return np.asarray(np.linalg.solve(covariance, signals.T).T)


def _held_out_outputs(
    signals: NDArray[np.float64], usual: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the outputs (N, parts) for genuine faces, each by filters made without it.

    A filter's outputs for the faces that its covariance was computed of are too small.
    """
    outputs = np.zeros((len(usual), len(signals)))
    for fold in range(_FOLDS):
        inside = np.arange(len(usual)) % _FOLDS == fold
        outputs[inside] = usual[inside] @ _filters(signals, usual[~inside]).T
    return outputs


def _rows(values: NDArray[np.floating]) -> tuple[tuple[float, ...], ...]:
    """Return rows of numbers with four significant digits."""
    return tuple(tuple(float(f"{value:.4g}") for value in row) for row in values.tolist())


def measure_domain(model: Model, items: Sequence[Item], data: str) -> Domain:
    """Measure the conditions under which persons are seen.

    Args:
        model: whose features are measured.
        items: persons, genuine and forged.
        data: which persons these are; a sentence.
    """
    measured: list[dict[str, float]] = []
    features = []
    for item, crops in _item_crops(model, items):
        found = model.examine(crops).features
        if found is not None:
            features.append(found.mean(axis=0))
        sides = [_shorter_side(view.face.box) / longer_side(view.face) for view in item.views]
        width = float(
            np.median([s * view.native_side for s, view in zip(sides, item.views, strict=True)])
        )
        landmarks = [v.face.landmarks for v in item.views if v.face.landmarks is not None]
        measured.append(measure_conditions(width, list(crops), landmarks))
    mean, deviation = (), ()
    if features:
        (mean,) = _rows(np.mean(features, axis=0)[None])
        (deviation,) = _rows(np.std(features, axis=0)[None])
        for conditions, own in zip(measured, features, strict=True):
            conditions["features"] = feature_distance(own, mean, deviation)
    known = {name for conditions in measured for name in conditions}
    return Domain(
        ranges=tuple(_range(name, measured) for name in CONDITIONS if name in known),
        feature_mean=mean,
        feature_deviation=deviation,
        persons=len(items),
        data=data,
    )


def _range(name: str, measured: Sequence[dict[str, float]]) -> ConditionRange:
    values = [conditions[name] for conditions in measured if name in conditions]
    low, high = (float(f"{np.quantile(values, share):.4g}") for share in (0.01, 0.99))
    return ConditionRange(name, low, high)


def _shorter_side(box: Box) -> float:
    return min(box.width, box.height)


def _item_crops(model: Model, items: Sequence[Item]) -> Iterator[tuple[Item, NDArray[np.uint8]]]:
    card = model.card
    for item in items:
        crops = [
            extract_crop(view.picture, crop_area(view.face, card.crop), card.input_size)
            for view in item.views
        ]
        yield item, np.stack(crops)


def main(
    name: Annotated[str, typer.Argument(help="Model file, or the name of a model.")],
    folder: Annotated[
        Path,
        typer.Option(
            "--set", help="Folder of the yardstick.", show_default="training/runs/yardstick"
        ),
    ] = DEFAULT_FOLDER,
    cam: Annotated[
        str | None, typer.Option(help="Heatmap method; the model's own if left out.")
    ] = None,
    write: Annotated[bool, typer.Option(help="Write the results into the model file.")] = True,
) -> None:
    """Measure the baseline heatmap and the conditions, and write them into the model's card."""
    try:
        model = load_model(name)
        items = read_items(folder)
        used, held_out = genuine_faces(items)
        method = cam or model.card.cam
        sources = "of the validation splits of LFW, CelebA, FFHQ and DFDC, and photographs"
        faces = f"genuine faces {sources}"
        baseline = measure_baseline(model, used, method, faces)
        typer.echo(measure_held_out(model, baseline, held_out))
        if not write:
            return
        persons = "genuine and forged faces and tracks of the validation set"
        domain = measure_domain(model, items, persons)
        for known in domain.ranges:
            typer.echo(f"{known.name:12} {known.low:g} to {known.high:g}")
        replace_card(Path(name), replace(model.card, baseline=baseline, domain=domain))
    except FakelensError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(main)
