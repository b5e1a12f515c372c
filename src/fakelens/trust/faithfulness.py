"""Heatmap faithfulness: whether removing the cells that a heatmap marks changes the logit.

The top fifth of the cells is removed, and the drop of the logit is compared with the drops for
fifths marked by random heatmaps. If a model looks at a single place, any smooth blob does better
than scattered cells. So the random heatmaps have the power spectrum of the tested one
(phase-randomised surrogates: Theiler et al., "Testing for nonlinearity in time series", Physica D
58, 1992, in two dimensions). All faces of a person share the same random phases, since an
uninformative heatmap may be the same in every frame.

A model with random weights has heatmaps too, and these may be faithful to it. So a heatmap is
supported only if its effect is a tenth larger than those of nineteen heads whose weights are
randomly permuted, each tested with its own heatmap (after Adebayo et al., "Sanity Checks for
Saliency Maps", NeurIPS 2018): one in twenty random models passes. A head without weights has no
such copies.

There are four ways to remove cells:

* ``features``: the cells of the explained layer are set to zero, and only the model's head runs.
  No unnatural image is made.
* ``deletion`` and ``insertion`` (Petsiuk et al., "RISE", BMVC 2018): the pixels of the fifth are
  blurred, or all the others are.
* ``road`` (Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution Methods",
  ICML 2022): the pixels of the fifth are interpolated linearly from their surroundings, with noise.

A deepfake detector may take the image changes of the last three for a forgery. The drops for random
fifths show how strongly it does.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fakelens.explain.cam import METHODS, CamMethod
from fakelens.explain.heatmaps import smooth_heatmap
from fakelens.models.batching import compute_logits
from fakelens.records.arrays import FloatArray, RGBImage
from fakelens.records.models import Evidence, HasRandomHeads, Model
from fakelens.records.trust import Ablation, Faithfulness, TrustMark
from fakelens.trust.ablation import (
    ablate_cells,
    select_rows,
    surrogates,
    threshold_distance,
    top_cells,
    working_head,
)
from fakelens.trust.imputation import remove_cells

SHARE = 0.2
"""Share of the cells that is removed."""

SIGNIFICANT = 0.01
"""Largest p-value of a heatmap that is better than chance."""

SUPPORTED_EFFECT = 0.25
"""Smallest effect of a supported heatmap, over the distance of the thresholds."""

SUPPORTED_SHARE = 0.85
"""Smallest effect of a supported heatmap, over that of the best reference heatmap."""

MIN_CELLS = 36
"""Smallest number of cells tested; random fifths of fewer cells are too often right."""

_COMPLETE = ("hirescam", "xgradcam")  # methods whose cells may add up to the logit
_REFERENCES = ("hirescam", "layercam", "gradcam")
_RANDOM_HEATMAPS = 99
_RANDOM_HEADS = 19  # a random model is the best of 20 in one case of 20
_RANDOM_HEAD_MARGIN = 1.1  # factor by which the effect must exceed that of the best random head
_RANDOM_HEAD_BASELINES = 4  # random fifths that the random heads are compared with
_MAX_PIXEL_FACES = 2  # each needs a hundred forward passes of the whole model
_SEED = 2018
_MIN_LOGIT = 0.5  # below it completeness would be a division by almost zero

_AblatedLogits = Callable[[NDArray[np.bool_]], FloatArray]
"""From K cell masks (K, h, w) to the K logits without these cells, or with them alone."""


def measure_faithfulness(
    model: Model,
    crops: NDArray[np.uint8],
    evidence: Evidence,
    maps: FloatArray,
    method: CamMethod,
    ablation: Ablation = "features",
) -> Faithfulness | None:
    """Compare the heatmaps of one person with random heatmaps.

    If the method's positive cells are evidence for real, removing them must raise the logit.

    Args:
        model: the explained model; ``"features"`` needs its ``head``, see
            ``records.models.HasHead``.
        crops: (N, S, S, 3) uint8 RGB of one person.
        evidence: the model's evidence in these crops.
        maps: (N, h, w), the heatmaps to test.
        method: the method that made the heatmaps.
        ablation: how marked cells are removed.

    Returns:
        ``None`` if the heatmaps have fewer than ``MIN_CELLS`` cells, or if ``ablation`` is
        ``"features"`` and the model's head does not run on its own.

    Raises:
        ModelError: the head does not return finite logits.
    """
    if maps[0].size < MIN_CELLS:
        return None
    sign = -1 if method.positive == "real" else 1
    if ablation == "features":
        ablated_logits = _by_features(model, evidence)
    else:
        kept = np.linspace(0, len(crops) - 1, min(len(crops), _MAX_PIXEL_FACES)).round().astype(int)
        crops, maps, evidence = crops[kept], maps[kept], select_rows(evidence, kept)
        ablated_logits = _by_pixels(model, crops, ablation)
    if ablated_logits is None:
        return None
    smoothed = np.stack([smooth_heatmap(cells) for cells in maps])
    references = [
        np.stack([smooth_heatmap(sign * cells) for cells in METHODS[name].function(evidence)])
        for name in _REFERENCES
    ]
    rng = np.random.default_rng(_SEED)
    noise = rng.normal(size=(_RANDOM_HEATMAPS, *smoothed.shape[1:]))
    ties = rng.random(smoothed.shape[1:])
    drops = np.zeros((len(smoothed), 1 + len(references) + _RANDOM_HEATMAPS))
    baselines: list[NDArray[np.bool_]] = []  # for each face, some of the random fifths
    for face, (cells, logits_without) in enumerate(zip(smoothed, ablated_logits, strict=True)):
        tested = [cells, *(reference[face] for reference in references), *surrogates(cells, noise)]
        masks = np.stack([top_cells(each, SHARE, ties) for each in tested])
        drops[face] = sign * (evidence.logit[face] - logits_without(masks))
        baselines.append(masks[-_RANDOM_HEAD_BASELINES:])
    # Insertion keeps only the fifth, so there the logit must drop as little as possible.
    own, *others = (drops.mean(axis=0) * (-1 if ablation == "insertion" else 1)).tolist()
    best = max(own, *others[: len(references)])
    random = np.array(others[len(references) :])
    p = (1 + int(np.count_nonzero(random >= own))) / (1 + _RANDOM_HEATMAPS)
    excess, best_excess = own - float(random.mean()), best - float(random.mean())
    effect = excess / threshold_distance(model.card.thresholds)
    share = excess / best_excess if best_excess > 0 else None
    mark, random_effect = _mark(p, effect, share), None
    if mark is TrustMark.SUPPORTED and ablation == "features":
        random_effect = _random_head_effect(model, evidence, method, baselines, sign)
        # Not "<=": a random effect that is not a number must not leave the mark as it is.
        if random_effect is not None and not excess > _RANDOM_HEAD_MARGIN * random_effect:
            mark = TrustMark.WEAK
    return Faithfulness(
        mark=mark,
        ablation=ablation,
        drop=sign * float(drops[:, 0].mean()),
        random_drop=sign * float(drops[:, 1 + len(references) :].mean()),
        p=p,
        effect=effect,
        share=share,
        random_effect=random_effect,
        faces=len(smoothed),
        completeness=_completeness(evidence, maps, method),
    )


def _random_head_effect(
    model: Model,
    evidence: Evidence,
    method: CamMethod,
    baselines: Sequence[NDArray[np.bool_]],
    sign: int,
) -> float | None:
    """Return the largest effect, in logits, of the heatmaps of heads with permuted weights.

    Args:
        model: ``None`` is returned if it has no ``random_heads``, or if these are none.
        evidence: of the model itself; the heads get its explained layer.
        method: of the heatmaps.
        baselines: for each face (K, h, w) random fifths.
        sign: 1, or -1 for a method whose positive cells are evidence for real.
    """
    heads = model.random_heads(_RANDOM_HEADS) if isinstance(model, HasRandomHeads) else ()
    ties = np.random.default_rng(_SEED).random(evidence.activation.shape[2:])
    effects = []
    for head in heads:
        excesses = []
        for activation, random_masks in zip(evidence.activation, baselines, strict=True):
            whole = head(activation[None])
            own = top_cells(smooth_heatmap(method.function(whole)[0]), SHARE, ties)
            masks = np.concatenate([own[None], random_masks])
            ablated = head(np.where(masks[:, None], np.float32(0), activation))
            drops = sign * (whole.logit - ablated.logit)
            excesses.append(float(drops[0] - drops[1:].mean()))
        effects.append(float(np.mean(excesses)))
    return max(effects, default=None)


def _mark(p: float, effect: float, share: float | None) -> TrustMark:
    if p > SIGNIFICANT or share is None:
        return TrustMark.CHANCE
    if effect >= SUPPORTED_EFFECT and share >= SUPPORTED_SHARE:
        return TrustMark.SUPPORTED
    return TrustMark.WEAK


def _completeness(evidence: Evidence, maps: FloatArray, method: CamMethod) -> float | None:
    total = float(evidence.logit.mean())
    if method.name not in _COMPLETE or abs(total) < _MIN_LOGIT:
        return None
    return float(maps.sum(axis=(1, 2)).mean()) / total


def _by_features(model: Model, evidence: Evidence) -> list[_AblatedLogits] | None:
    head = working_head(model, evidence)
    if head is None:
        return None
    return [partial(ablate_cells, head, activation) for activation in evidence.activation]


def _by_pixels(model: Model, crops: NDArray[np.uint8], ablation: Ablation) -> list[_AblatedLogits]:
    def logits_without(crop: RGBImage, masks: NDArray[np.bool_]) -> FloatArray:
        return compute_logits(model, (remove_cells(crop, mask, ablation) for mask in masks))

    return [partial(logits_without, crop) for crop in crops]
