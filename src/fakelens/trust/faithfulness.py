"""Is a heatmap true to the model? Take away what it marks, and see whether the answer follows.

The strongest fifth of the cells is taken away and the fall of the logit compared with that of
fifths marked by random heatmaps. Any smooth blob does better than scattered cells if a model
looks at one place, so the random heatmaps have the same power spectrum as the one in question
(phase-randomised surrogates: Theiler et al., "Testing for nonlinearity in time series", Physica D
58, 1992, in two dimensions). The same phases serve all faces of a person, since a heatmap that
says nothing may say the same nothing in every frame.

A model with random weights has heatmaps too, and may be explained truly. So a heatmap is
supported only if a tenth more hangs on it than on the heatmaps of nineteen heads with the same
weights in random orders, each of which explains itself (after Adebayo et al., "Sanity Checks for
Saliency Maps", NeurIPS 2018): of random models one in twenty passes. A head without weights has
no such copies.

Four ways of taking away:

* ``features``: the cells of the explained layer are set to zero, and the model's head alone
  answers. No picture is made that no camera would take.
* ``deletion`` and ``insertion`` (Petsiuk et al., "RISE", BMVC 2018): the pixels of the fifth are
  blurred; or put back into a blurred picture.
* ``road`` (Rong et al., "A Consistent and Efficient Evaluation Strategy for Attribution Methods",
  ICML 2022): the pixels of the fifth are interpolated linearly from their surroundings, with noise.

A detector of forgeries may take what the last three do to a picture for one; their random
fifths show how far it does.
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
"""Of the cells, that are taken away."""


SIGNIFICANT = 0.01
"""A heatmap is not better than chance if a larger share of random ones does as well."""


SUPPORTED_EFFECT = 0.25
"""Of the distance of the thresholds; less is weak."""


SUPPORTED_SHARE = 0.85
"""Of what the best reference heatmap achieves; less is weak."""


LEAST_CELLS = 36
"""Of a heatmap; a fifth of fewer is met by chance."""


_COMPLETE = ("hirescam", "xgradcam")  # methods whose cells may add up to the logit


_REFERENCES = ("hirescam", "layercam", "gradcam")


_DRAWS = 99


_HEADS = 19  # of random weights: a random model is the first of 20 in one case of 20


_BEYOND = 1.1  # times the best of these


_FAIR = 4  # random fifths that these are compared with


_PIXEL_FACES = 2  # each needs a hundred runs of the whole model


_SEED = 2018


_LEAST_LOGIT = 0.5  # below it completeness would divide by nearly nothing


_Ablated = Callable[[NDArray[np.bool_]], FloatArray]
"""From (K, h, w) cells that are marked to the K logits without them (or with them alone)."""


def measure_faithfulness(
    model: Model,
    crops: NDArray[np.uint8],
    evidence: Evidence,
    maps: FloatArray,
    method: CamMethod,
    ablation: Ablation = "features",
) -> Faithfulness | None:
    """Test heatmaps against random ones.

    Args:
        model: that is explained; ``"features"`` needs its ``head``, see ``data.Model``.
        crops: (N, S, S, 3) uint8 RGB of one person.
        evidence: what the model says of these crops.
        maps: (N, h, w), the heatmaps to be tested.
        method: that made them.
        ablation: how to take away what is marked.

    Heatmaps that show what speaks for real must make the logit rise instead.

    Returns:
        ``None`` if the heatmaps have fewer than ``LEAST_CELLS``, or if ``"features"`` is wanted and
        the model's head cannot be asked.

    Raises:
        ModelError: the head answers with something else than logits.
    """
    if maps[0].size < LEAST_CELLS:
        return None
    sense = -1 if method.positive == "real" else 1
    if ablation == "features":
        answers = _by_features(model, evidence)
    else:
        kept = np.linspace(0, len(crops) - 1, min(len(crops), _PIXEL_FACES)).round().astype(int)
        crops, maps, evidence = crops[kept], maps[kept], select_rows(evidence, kept)
        answers = _by_pixels(model, crops, ablation)
    if answers is None:
        return None
    drawn = np.stack([smooth_heatmap(cells) for cells in maps])
    references = {
        name: np.stack(
            [smooth_heatmap(sense * cells) for cells in METHODS[name].function(evidence)]
        )
        for name in _REFERENCES
    }
    rng = np.random.default_rng(_SEED)
    phases = rng.normal(size=(_DRAWS, *drawn.shape[1:]))
    ties = rng.random(drawn.shape[1:])
    falls = np.zeros((len(drawn), 1 + len(references) + _DRAWS))
    fair: list[NDArray[np.bool_]] = []  # some of the random fifths of each face
    for face, (cells, answer) in enumerate(zip(drawn, answers, strict=True)):
        tested = [cells, *(made[face] for made in references.values()), *surrogates(cells, phases)]
        marked = np.stack([top_cells(each, SHARE, ties) for each in tested])
        falls[face] = sense * (evidence.logit[face] - answer(marked))
        fair.append(marked[-_FAIR:])
    # With the fifth alone left, the logit is to fall as little as possible.
    own, *others = (falls.mean(axis=0) * (-1 if ablation == "insertion" else 1)).tolist()
    best = max(own, *others[: len(references)])
    random = np.array(others[len(references) :])
    p = (1 + int(np.count_nonzero(random >= own))) / (1 + _DRAWS)
    excess, most = own - float(random.mean()), best - float(random.mean())
    effect = excess / threshold_distance(model.card.thresholds)
    share = excess / most if most > 0 else None
    mark, strange = _mark(p, effect, share), None
    if mark is TrustMark.SUPPORTED and ablation == "features":
        strange = _random_head_effect(model, evidence, method, fair, sense)
        mark = mark if strange is None or excess > _BEYOND * strange else TrustMark.WEAK
    return Faithfulness(
        mark=mark,
        ablation=ablation,
        drop=sense * float(falls[:, 0].mean()),
        random_drop=sense * float(falls[:, 1 + len(references) :].mean()),
        p=p,
        effect=effect,
        share=share,
        random_effect=strange,
        faces=len(drawn),
        completeness=_completeness(evidence, maps, method),
    )


def _random_head_effect(
    model: Model,
    evidence: Evidence,
    method: CamMethod,
    fair: Sequence[NDArray[np.bool_]],
    sense: int,
) -> float | None:
    """The most that heads of random weights lose with what their own heatmaps mark.

    Args:
        model: without ``random_heads``, or with none, there is nothing to compare with.
        evidence: of the model itself; its layer is what the heads look at.
        method: of heatmaps.
        fair: for each face (K, h, w) random fifths.
        sense: 1, or -1 for a method that shows what speaks for real.
    """
    heads = model.random_heads(_HEADS) if isinstance(model, HasRandomHeads) else ()
    ties = np.random.default_rng(_SEED).random(evidence.activation.shape[2:])
    effects = []
    for head in heads:
        excesses = []
        for activation, others in zip(evidence.activation, fair, strict=True):
            whole = head(activation[None])
            own = top_cells(smooth_heatmap(method.function(whole)[0]), SHARE, ties)
            marked = np.concatenate([own[None], others])
            left = head(np.where(marked[:, None], np.float32(0), activation)).logit
            falls = sense * (whole.logit - left)
            excesses.append(float(falls[0] - falls[1:].mean()))
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
    if method.name not in _COMPLETE or abs(total) < _LEAST_LOGIT:
        return None
    return float(maps.sum(axis=(1, 2)).mean()) / total


def _by_features(model: Model, evidence: Evidence) -> list[_Ablated] | None:
    head = working_head(model, evidence)
    if head is None:
        return None
    return [partial(ablate_cells, head, activation) for activation in evidence.activation]


def _by_pixels(model: Model, crops: NDArray[np.uint8], ablation: Ablation) -> list[_Ablated]:
    def answer(crop: RGBImage, marked: NDArray[np.bool_]) -> FloatArray:
        pictures = (remove_cells(crop, cells, ablation) for cells in marked)
        return compute_logits(model, pictures)

    return [partial(answer, crop) for crop in crops]
