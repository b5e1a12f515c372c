"""Statistics of a person's scores over time, which are correlated from one moment to the next.

The values are the logits of the blocks of a track, see ``verdicts``. Their correlation is described
by that of neighbouring blocks, as in a first-order autoregression.
"""

from math import exp, log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

TRIM = 0.1
"""Share of the blocks that a trimmed mean leaves out at each end."""

_CONFIDENCE = 0.95
_MIN_CORRELATION, _MAX_CORRELATION = 0.25, 0.9
_MIN_EFFECTIVE = 3  # blocks; fewer would leave the variance unknown
_MIN_DEVIATION = 0.25  # logits, of a single block; rounding and clipping can make it 0
_MAD_TO_DEVIATION = 1.4826  # for a normal distribution


def trimmed_mean(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Compute the mean along the last axis, without a share ``TRIM`` of values at each end.

    Args:
        values: (..., n).
    """
    trimmed = int(TRIM * values.shape[-1])
    kept = np.sort(values, axis=-1)[..., trimmed : values.shape[-1] - trimmed]
    return np.asarray(kept.mean(axis=-1))


def correlation_time(values: NDArray[np.float64]) -> float:
    """Estimate how many correlated values count as much as one independent value, 1 or more.

    The sample correlation of neighbours is too low in short series, by about (1 + 4 rho) / n
    (Marriott and Pope, Biometrika 41, 1954). It is corrected by a little more than that and kept
    between 0.25 and 0.9, so that short series do not seem independent by chance.

    Args:
        values: (n,), n >= 2.
    """
    count = len(values)
    centred = values - values.mean()
    power = float((centred**2).sum())
    if count <= 4 or power == 0:
        correlation = _MAX_CORRELATION
    else:
        measured = float((centred[1:] * centred[:-1]).sum()) / power
        correlation = (count * measured + 1.5) / (count - 4)
        correlation = min(max(correlation, _MIN_CORRELATION), _MAX_CORRELATION)
    return (1 + correlation) / (1 - correlation)


def mean_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Compute the 95 % interval of the trimmed mean of correlated values.

    Student's t on the effective number of values, n over the correlation time. The tests simulate
    its coverage: at least 93 % for 4 values and more with a correlation of up to 0.5 between
    neighbours, normal or heavy-tailed.

    Args:
        values: (n,), n >= 4.
    """
    count = len(values)
    time = min(correlation_time(values), count / _MIN_EFFECTIVE)
    # The variance within a correlated series is smaller than that of the process.
    variance = float(((values - values.mean()) ** 2).sum()) / (count - time)
    margin = _t_quantile((1 + _CONFIDENCE) / 2, count / time - 1) * sqrt(variance * time / count)
    middle = float(trimmed_mean(values))
    return middle - margin, middle + margin


def chance_of_run(values: NDArray[np.float64], run: slice) -> float:
    """Compute the probability of a run of values as high as this one anywhere in the series.

    A scan statistic: the mean of the run is compared with the distribution of means of so many
    neighbours in a stationary series with the median, deviation and correlation of this one (both
    robust, so that the run itself counts little). The probability is corrected for the number of
    places where such a run fits, so that it does not depend on the length of a video. Tails are
    those of Student's t, heavy for short runs, since the logits of genuine faces are not normal.

    Args:
        values: (n,), n >= 4.
        run: of neighbouring values.
    """
    high = values[run]
    median = float(np.median(values))
    deviation = _MAD_TO_DEVIATION * float(np.median(np.abs(values - median)))
    deviation = max(deviation, _MIN_DEVIATION)
    length = len(high)
    time = min(correlation_time(values), length)
    excess = (float(high.mean()) - median) / (deviation * sqrt(time / length))
    alone = _t_tail(excess, 3 + length)
    return float(1 - (1 - alone) ** max(1.0, len(values) / length))


def _t_quantile(probability: float, freedom: float) -> float:
    """Quantile of Student's t above 0.5.

    By the normal approximation of Wallace (Annals of Mathematical Statistics 30, 1959); 4 % too
    large at 2 degrees of freedom, less than 0.5 % at 5 and more.
    """
    normal = NormalDist().inv_cdf(probability)
    scaled = normal * (8 * freedom + 3) / (8 * freedom + 1)
    return sqrt(freedom * (exp(scaled**2 / freedom) - 1))


def _t_tail(value: float, freedom: float) -> float:
    """Probability above a value of Student's t, by the same approximation."""
    if value <= 0:
        return 0.5
    factor = (8 * freedom + 1) / (8 * freedom + 3)
    return NormalDist().cdf(-factor * sqrt(freedom * log(1 + value**2 / freedom)))
