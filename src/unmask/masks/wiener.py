"""The multichannel Wiener filter: a mask that mixes channels, so it stands beside the families."""

from unmask._arrays import Array, check_axes, device, namespace, to_complex
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
    if tuple(estimates.shape[-3:]) != tuple(mixture.shape[-3:]):
        raise ShapeError(
            f"estimates{tuple(estimates.shape)} and mixture{tuple(mixture.shape)} must agree in "
            "(channel, freq, frame)"
        )
    for _ in range(n_iterations):
        estimates = wiener_filter(estimates, mixture, spatial_covariances(spatial_sums(estimates)))
    return estimates


def spatial_sums(estimates: Array) -> Array:
    """Return the sums over frames that covariances are made of; over pieces they add up.

    Parameters
    ----------
    estimates : array [shape=(..., source, channel, freq, frame)], complex

    Returns
    -------
    array [shape=(..., source, freq, channel, channel)], complex128
    """
    xp = namespace(estimates)
    y = xp.astype(xp.moveaxis(estimates, -3, -2), xp.complex128)  # squares of any level
    return xp.matmul(y, xp.conj(xp.matrix_transpose(y)))


def spatial_covariances(sums: Array) -> Array:
    """Return the spatial covariances, whose diagonals have the mean 1; 0 for silence.

    Parameters
    ----------
    sums : array [shape=(..., source, freq, channel, channel)], complex
        Of :func:`spatial_sums`.
    """
    xp = namespace(sums)
    power = xp.real(xp.linalg.trace(sums))[..., None, None] / sums.shape[-1]
    return xp.where(power > 0, sums / xp.where(power > 0, power, 1 + 0 * power), 0 * sums)


def wiener_filter(estimates: Array, mixture: Array, spatial: Array) -> Array:
    """Return what the filter leaves of the mixture, for given covariances.

    Parameters
    ----------
    estimates : array [shape=(..., source, channel, freq, frame)], complex
    mixture : array [shape=(..., channel, freq, frame)], complex
    spatial : array [shape=(..., source, freq, channel, channel)], complex

    Returns
    -------
    array [shape and dtype of `estimates`]
    """
    xp = namespace(estimates, mixture)
    peak = xp.max(xp.abs(mixture), axis=(-3, -2, -1), keepdims=True)
    scale = xp.where(peak > 0, peak, xp.ones_like(peak))
    spatial = xp.astype(spatial, estimates.dtype)
    x = xp.moveaxis(mixture / scale, -3, -2)  # (..., freq, channel, frame)
    y = estimates / scale[..., None, :, :, :]
    power = xp.mean(xp.real(y) ** 2 + xp.imag(y) ** 2, axis=-3)  # (..., source, freq, frame)
    trace = xp.sum(power, axis=-3) + xp.finfo(power.dtype).smallest_normal * 1e6
    loading = trace * (10 * xp.finfo(power.dtype).eps)
    # sum_k v_k R_k of every bin: (..., freq, frame, channel, channel)
    n_sources, n_channels = spatial.shape[-4], spatial.shape[-1]
    flat = xp.moveaxis(
        xp.reshape(spatial, (*spatial.shape[:-2], n_channels**2)), -3, -2
    )  # (..., freq, source, channel * channel)
    whole = xp.matmul(to_complex(xp.moveaxis(power, -3, -1)), flat)
    whole = xp.reshape(whole, (*whole.shape[:-1], n_channels, n_channels))
    eye = xp.eye(n_channels, dtype=whole.dtype, device=device(whole))
    z = _solve(whole + loading[..., None, None] * eye, xp.matrix_transpose(x))
    z = xp.matrix_transpose(z)[..., None, :, :, :]  # (..., 1, freq, channel, frame)
    filtered = power[..., None, :] * xp.matmul(spatial, z)
    filtered = filtered + (loading / n_sources)[..., None, :, None, :] * z
    return xp.moveaxis(filtered, -2, -3) * scale[..., None, :, :, :]


def _solve(matrices: Array, right: Array) -> Array:
    """Solve ``M z = r`` for many small M (..., channel, channel) and r (..., channel).

    Up to two channels by hand, in double precision: a hundred times as fast as one by one.
    """
    xp = namespace(matrices, right)
    n = matrices.shape[-1]
    if n > 2:
        return xp.linalg.solve(matrices, right[..., None])[..., 0]
    if n == 1:
        return right / matrices[..., 0]
    wide = xp.astype(matrices, xp.complex128)
    a, b, c, d = (wide[..., i, j] for i in range(2) for j in range(2))
    determinant = a * d - b * c
    x, y = right[..., 0], right[..., 1]
    solved = xp.stack([d * x - b * y, a * y - c * x], axis=-1) / determinant[..., None]
    return xp.astype(solved, right.dtype)
