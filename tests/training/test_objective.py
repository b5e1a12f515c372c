"""Losses of a step, computed by hand."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [training]")

from torch import Tensor  # noqa: E402

from training.augment import Batch  # noqa: E402
from training.network import Prediction  # noqa: E402
from training.objective import compute_losses  # noqa: E402
from training.recipe import LossWeights  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def bce(logit: float, target: float) -> float:
    probability = 1 / (1 + np.exp(-logit))
    return float(-(target * np.log(probability) + (1 - target) * np.log(1 - probability)))


def softplus(x: float) -> float:
    return float(np.log(1 + np.exp(x)))


def test_losses_equal_those_computed_by_hand() -> None:
    # Rows: real, blend, fake, second real crop; columns: two samples of two banks.
    logits = np.array([[1.0, -1], [2, 0.5], [0, 3], [2, -1]])
    weights = np.array([[1, 1], [1, 0], [0.7, 0.7], [1, 1]])
    mask_weights = np.array([[1, 1], [1, 1], [0, 1], [1, 1]])
    masks, forged = np.zeros((4, 2, 1, 2)), np.zeros((4, 2, 1, 2))
    masks[1] = [[[0.5, 1]], [[0, 0]]]
    masks[2] = [[[1, 1]], [[0, 0.25]]]
    forged[:] = np.linspace(-2, 2, 16).reshape(4, 2, 1, 2)
    loss_weights = LossWeights(
        map=0.5, ranking=0.25, agreement=0.125, origins=2, smoothing=0.02, emphasis=3.0
    )

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).float()

    cells = tensor(forged).flatten(0, 1)
    prediction = Prediction(tensor(logits).flatten(), cells, cells)
    batch = Batch(torch.zeros(4, 2, 3, 2, 2), tensor(masks), tensor(weights), tensor(mask_weights))
    losses = compute_losses(prediction, batch, torch.eye(2), loss_weights)

    pairs = [(row, column) for row in range(4) for column in range(2)]
    targets = [0.02, 0.98, 0.98, 0.02]
    label = sum(weights[at] * bce(logits[at], targets[at[0]]) for at in pairs) / weights.sum()
    by_mask, total = 0.0, 0.0
    for at in pairs:
        values = zip(forged[at].flat, masks[at].flat, strict=True)
        mean = np.mean([(1 + 3 * mask) * bce(value, mask) for value, mask in values])
        by_mask += weights[at] * mask_weights[at] * mean
        total += weights[at] * mask_weights[at]
    # The blend of the second sample has weight 0.
    ranking = softplus(1 - 2) + 0.7 * softplus(1 - 0) + 0.7 * softplus(-1 - 3)
    assert float(losses.label) == pytest.approx(label, rel=1e-5)
    assert float(losses.map) == pytest.approx(by_mask / total, rel=1e-5)
    assert float(losses.ranking) == pytest.approx(ranking / 2.4, rel=1e-5)
    assert float(losses.agreement) == pytest.approx((1 + 0) / 2)
    # Means of the two views: 1.5 in the first bank, -1 in the second, 0.25 overall.
    assert float(losses.origins) == pytest.approx(1.25**2)
    expected = losses.label + losses.map / 2 + losses.ranking / 4 + losses.agreement / 8
    assert float(losses.total) == pytest.approx(float(expected + 2 * losses.origins), rel=1e-6)
