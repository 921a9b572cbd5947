"""Run by test_jax.py in a process of its own: JAX starts threads, beside which nothing may fork.

Prints, as JSON, how far compiled functions, and a gradient, are from what NumPy gives.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np

from unmask import STFT, masks, metrics, phase

jax.config.update("jax_enable_x64", True)  # energies are added up in double precision

RNG = np.random.default_rng(0)
TARGETS = RNG.standard_normal((2, 2, 1000))
MIXTURE = TARGETS.sum(axis=0)
STFT_ = STFT(64, 16)
S, X = STFT_.analyze(TARGETS), STFT_.analyze(MIXTURE)
NOISY = TARGETS + 0.1 * TARGETS[::-1]

FUNCTIONS = {
    "analyze": (STFT_.analyze, MIXTURE),
    "synthesize": (lambda x: STFT_.synthesize(x, 1000), X),
    "multichannel_wiener": (masks.multichannel_wiener, S, X),
    "disjointness": (lambda s: tuple(masks.disjointness(s)), S),
    "normalise": (masks.normalise, np.abs(S)),
    "sharpen": (lambda m: masks.sharpen(m, 2.0), S),
    "project_on_mixture": (masks.project_on_mixture, NOISY, MIXTURE),
    "griffin_lim": (lambda m: phase.griffin_lim(m, STFT_, 1000, n_iterations=3), np.abs(X)),
}
for _name, _family in masks.FAMILIES.items():
    _raw = RNG.standard_normal((2, _family.n_maps, *X.shape))
    FUNCTIONS[f"ideal {_name}"] = (lambda s, x, f=_family: f.apply(f.ideal(s, x), x), S, X)
    FUNCTIONS[f"activate {_name}"] = (_family.activate, _raw)
for _name in ("sdr", "si_sdr", "si_sir", "snr"):
    FUNCTIONS[_name] = (getattr(metrics, _name), NOISY, TARGETS)


def far(found, expected):
    """Return the largest difference, relative to the largest value."""
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def of(function, *arrays):
    """Return how far a compiled function is from what NumPy gives."""
    return far(jax.jit(function)(*map(jnp.asarray, arrays)), function(*arrays))


def slope():
    """Return how far a gradient is from a difference quotient."""

    def value(mixture, targets):
        x, family = STFT_.analyze(mixture), masks.get("complex_tanh")
        masked = family.apply(family.ideal(STFT_.analyze(targets), x), x)
        return metrics.si_sdr(STFT_.synthesize(masked, 1000), targets).sum()

    step = 1e-6 * RNG.standard_normal(MIXTURE.shape)
    gradient = jax.jit(jax.grad(value))(jnp.asarray(MIXTURE), jnp.asarray(TARGETS))
    found = float((gradient * step).sum())
    expected = float(value(MIXTURE + step, TARGETS) - value(MIXTURE - step, TARGETS)) / 2
    return abs(found - expected) / abs(expected)


if __name__ == "__main__":
    found = {name: of(*parts) for name, parts in FUNCTIONS.items()}
    print(json.dumps(found | {"gradient": slope()}))
