"""The multichannel Wiener filter: a mask that mixes channels, so it stands beside the families."""

from unmask._arrays import Array, check_axes, namespace, real_dtype
from unmask.errors import ShapeError


def multichannel_wiener(estimates: Array, mixture: Array, *, n_iterations: int = 1) -> Array:
    """Return the estimates refined by a multichannel Wiener filter; they add up to the mixture.

    Every source is modelled as a local Gaussian, ``y_j ~ N(0, v_j R_j)`` with a power ``v_j`` per
    bin and a spatial covariance ``R_j`` per frequency, both taken from the estimates:
    ``y_j = v_j R_j (sum_k v_k R_k)^-1 x``. More iterations are expectation-maximisation without
    the posterior covariance (Duong et al., 2010; Nugraha et al., 2016).

    Parameters
    ----------
    estimates : array [shape=(..., source, channel, freq, frame)], complex
        First estimates, or the true sources for the oracle.
    mixture : array [shape=(..., channel, freq, frame)], complex
    n_iterations : int >= 1

    Returns
    -------
    array [shape and dtype of `estimates`]
        Where all estimates are silent the mixture is shared out evenly.

    Raises
    ------
    ShapeError
        If the last three axes differ.

    Notes
    -----
    A covariance gets a diagonal of its precision times its trace, the same share for every
    source, so that a mono source or silence can be inverted and the sum stays exact.
    """
    check_axes("source, channel, freq, frame", estimates=estimates)
    xp = namespace(estimates, mixture)
    if tuple(estimates.shape[-3:]) != tuple(mixture.shape[-3:]):
        raise ShapeError(
            f"estimates{tuple(estimates.shape)} and mixture{tuple(mixture.shape)} must agree in "
            "(channel, freq, frame)"
        )
    peak = xp.max(xp.abs(mixture), axis=(-3, -2, -1), keepdims=True)
    scale = xp.where(peak > 0, peak, xp.ones_like(peak))
    x = xp.moveaxis(mixture / scale, -3, -1)[..., None, :, :, :, None]  # source freq frame ch 1
    y = xp.moveaxis(estimates / scale[..., None, :, :, :], -3, -1)  # source freq frame channel
    for _ in range(n_iterations):
        y = _filter(y, x)
    return xp.moveaxis(y, -1, -3) * scale[..., None, :, :, :]


def _filter(y: Array, x: Array) -> Array:
    """Filter `x` (..., 1, freq, frame, channel, 1) by the statistics of `y` (..., channel)."""
    xp = namespace(y)
    n_sources, n_channels = y.shape[-4], y.shape[-1]
    power = xp.mean(xp.abs(y) ** 2, axis=-1)  # (..., source, freq, frame)
    outer = xp.matmul(xp.matrix_transpose(y), xp.conj(y))  # sum over frames: (.., freq, ch, ch)
    total = xp.sum(power, axis=-1)[..., None, None]
    eye = xp.eye(n_channels, dtype=y.dtype, device=y.device)
    spatial = xp.where(total > 0, outer / xp.where(total > 0, total, 1 + 0 * total), 0 * outer)
    covariance = power[..., None, None] * spatial[..., None, :, :]
    trace = xp.sum(power, axis=-3, keepdims=True)[..., None, None]
    trace = trace + xp.finfo(real_dtype(y)).smallest_normal * 1e6
    loading = trace * (10 * xp.finfo(real_dtype(y)).eps)
    covariance = covariance + (loading / n_sources) * eye
    whole = xp.sum(covariance, axis=-5, keepdims=True)
    return xp.matmul(covariance, xp.linalg.solve(whole, x + 0 * covariance[..., :1]))[..., 0]
