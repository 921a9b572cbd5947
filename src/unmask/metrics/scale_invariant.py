"""Scale-invariant ratios of Le Roux et al. (2019): SI-SDR, SI-SIR, SI-SAR.

An estimate is cut into three parts that are orthogonal to one another, without any filter::

    estimate = e_target + e_interference + e_artefact

``e_target`` is its projection onto the target, ``e_target + e_interference`` its projection onto
the span of all targets. Hence ``1/SDR = 1/SIR + 1/SAR`` (as ratios, not in dB), whether or not the
targets are orthogonal.

Limits: a delay of a few samples or a wrong phase costs many dB that nobody hears; a scale error
costs nothing, so that a model may be silent by 40 dB and score well; look at `sdr` too. Nothing is
subtracted from the signals: where a constant offset shall not count, remove the mean before.

References
----------
Le Roux, Wisdom, Erdogan, Hershey, "SDR – half-baked or well done?", ICASSP 2019.
"""

from unmask._arrays import Array, check_axes, namespace, safe_divide
from unmask.metrics.energy import as_scores, as_signal, check_pair, decibels, energy


def si_sdr(estimate: Array, target: Array, *, per_channel: bool = False) -> Array:
    """Scale-invariant signal-to-distortion ratio, in dB.

    ``10 log10(|a s|**2 / |e - a s|**2)`` with ``a = <e, s> / |s|**2``. With all channels together
    there is one gain for all of them, so that a wrong balance counts as an error.

    Parameters
    ----------
    estimate, target : array [shape=(..., channel, sample)], real, linear
        Any level, same shape.
    per_channel : bool
        Score each channel on its own, with its own gain.

    Returns
    -------
    array [shape=(...), or (..., channel) per channel]
        dB. ``inf`` for ``estimate == target`` (a scaled copy: more than 280 dB, the rounding of
        float64), ``-inf`` for an estimate that is silent or orthogonal to the target, NaN for a
        silent target.

    Raises
    ------
    ShapeError
        If the shapes differ or the channel axis is missing.
    ConfigError
        If the arrays are not real floating point.

    Examples
    --------
    >>> import numpy as np
    >>> target, noise = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    >>> float(si_sdr(5 * target + 0.5 * noise, target).round(9))
    20.0
    """
    check_pair(estimate=estimate, target=target)
    guess, truth = (as_signal(x, per_channel=per_channel) for x in (estimate, target))
    image = _image(guess, truth)
    scores = decibels(energy(image), energy(guess - image))
    return as_scores(scores, target_energy=energy(truth), like=target)


def si_sir(estimates: Array, targets: Array, *, per_channel: bool = False) -> Array:
    """Scale-invariant signal-to-interference ratio of each estimate, in dB.

    ``10 log10(|e_target|**2 / |e_interference|**2)``: how much of the other targets is left.

    Parameters
    ----------
    estimates, targets : array [shape=(..., source, channel, sample)], real, linear
        Estimate j is scored against target j; the other targets are the interferers.
    per_channel : bool
        Decompose each channel on its own.

    Returns
    -------
    array [shape=(..., source), or (..., source, channel) per channel]
        dB. ``inf`` where nothing of the others is left (always with one source), ``-inf`` for a
        silent estimate, NaN for a silent target. A silent target is no interferer of the others.

    Raises
    ------
    ShapeError, ConfigError
        As `si_sdr`.
    """
    _, truth, image, projection = _decompose(estimates, targets, per_channel=per_channel)
    scores = decibels(energy(image), energy(projection - image))
    return _source_first(scores, truth, targets, per_channel=per_channel)


def si_sar(estimates: Array, targets: Array, *, per_channel: bool = False) -> Array:
    """Scale-invariant signal-to-artefact ratio of each estimate, in dB.

    ``10 log10(|e_target|**2 / |e_artefact|**2)``: how much is there that no target contains.
    Parameters, edges and errors as `si_sir`; the mixture itself scores ``inf`` or the rounding of
    float64, because it contains nothing else than targets.
    """
    guess, truth, image, projection = _decompose(estimates, targets, per_channel=per_channel)
    scores = decibels(energy(image), energy(guess - projection))
    return _source_first(scores, truth, targets, per_channel=per_channel)


def _image(guess: Array, truth: Array) -> Array:
    """Projection of `guess` onto `truth`, along the last axis."""
    dot = namespace(guess, truth).sum(guess * truth, axis=-1)
    return safe_divide(dot, energy(truth), fill=0.0)[..., None] * truth


def _decompose(
    estimates: Array, targets: Array, *, per_channel: bool
) -> tuple[Array, Array, Array, Array]:
    """Estimates, targets, images and projections onto all targets: (..., source, sample)."""
    check_axes("source, channel, sample", estimates=estimates, targets=targets)
    check_pair(estimates=estimates, targets=targets)
    guess, truth = (as_signal(x, per_channel=per_channel) for x in (estimates, targets))
    xp = namespace(guess, truth)
    if per_channel:
        guess, truth = (xp.moveaxis(x, -3, -2) for x in (guess, truth))
    norm = xp.sqrt(energy(truth))[..., None]
    unit = safe_divide(truth, norm, fill=0.0)
    # the pseudo-inverse leaves out silent and doubled targets, and scales need no epsilon
    gram = xp.matmul(unit, xp.matrix_transpose(unit))
    weights = xp.matmul(xp.matmul(guess, xp.matrix_transpose(unit)), xp.linalg.pinv(gram))
    return guess, truth, _image(guess, truth), xp.matmul(weights, unit)


def _source_first(scores: Array, truth: Array, like: Array, *, per_channel: bool) -> Array:
    """Scores of silent targets to NaN, the source axis before that of channels."""
    scores = as_scores(scores, target_energy=energy(truth), like=like)
    return namespace(scores).matrix_transpose(scores) if per_channel else scores
