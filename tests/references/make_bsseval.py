"""Make bsseval.npz: small signals and what museval and mir_eval say of them.

Run it with ``python tests/references/make_bsseval.py`` where both are installed. The versions that
made the committed file stand in its entry ``versions``.
"""

import importlib.metadata
import importlib.util
import warnings
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent

#: name -> (signals, window, hop, taps, framewise filters, sources version, permutation)
CASES = {
    "v4": ("stereo", 1000, 1000, 32, False, False, False),
    "v4_overlap": ("stereo", 900, 400, 100, False, False, False),
    "v4_permutation": ("mono", 1000, 500, 24, False, False, True),
    "v3": ("stereo", 1000, 1000, 16, True, False, False),
    "v3_permutation": ("mono", 1200, 600, 48, True, False, True),
    "sources": ("mono", 1000, 500, 40, True, True, True),
    "whole": ("mono", 10**9, 10**9, 512, True, False, True),
}


def load_museval():
    """Load museval's metrics alone: the package needs ffmpeg to be imported."""
    folder = importlib.util.find_spec("museval").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location("museval_metrics", f"{folder}/metrics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def museval_scores(estimates, targets, window, hop, taps, framewise, sources, permutation):
    """SDR, ISR, SIR, SAR (4, source, frame) of (source, channel, sample), and the permutation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        *scores, order = load_museval().bss_eval(
            np.moveaxis(targets, -1, -2),
            np.moveaxis(estimates, -1, -2),
            window=window,
            hop=hop,
            compute_permutation=permutation,
            filters_len=taps,
            framewise_filters=framewise,
            bsseval_sources_version=sources,
        )
    return np.stack(scores), order


def signals(rng, n_sources, n_channels, n_samples, *, shuffled):
    """Coloured noise, mixed, filtered and soiled: estimates and targets as 16-bit integers."""
    targets = rng.standard_normal((n_sources, n_channels, n_samples))
    targets[..., 1:] += 0.8 * targets[..., :-1]
    targets *= 1 + np.sin(np.arange(n_samples) / 300 + np.arange(n_sources)[:, None, None])
    mixing = np.eye(n_sources) + 0.3 * rng.standard_normal((n_sources, n_sources))
    estimates = np.einsum("ij,jcn->icn", mixing, targets)
    estimates[..., 2:] -= 0.2 * estimates[..., :-2]
    estimates += 0.2 * rng.standard_normal(targets.shape)
    order = np.roll(np.arange(n_sources), 1) if shuffled else np.arange(n_sources)
    return tuple(np.round(2000 * x).astype(np.int16) for x in (estimates[order], targets))


def main():
    rng = np.random.default_rng(2018)
    arrays = {}
    for name, shape, shuffled in (("stereo", (2, 2, 2900), False), ("mono", (3, 1, 3000), True)):
        arrays[f"{name}_estimates"], arrays[f"{name}_targets"] = signals(
            rng, *shape, shuffled=shuffled
        )
    arrays["stereo_targets"][1, :, 1000:2100] = 0  # a silent frame
    for case, (name, *options) in CASES.items():
        estimates, targets = (arrays[f"{name}_{kind}"] / 32768 for kind in ("estimates", "targets"))
        arrays[case], arrays[f"{case}_order"] = museval_scores(estimates, targets, *options)
    import mir_eval

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arrays["mir_eval_sources"] = np.stack(
            mir_eval.separation.bss_eval_sources(
                arrays["mono_targets"][:, 0] / 32768, arrays["mono_estimates"][:, 0] / 32768
            )
        )
    names = ("museval", "mir_eval", "numpy", "scipy")
    arrays["versions"] = np.array([f"{name} {importlib.metadata.version(name)}" for name in names])
    np.savez_compressed(HERE / "bsseval.npz", **arrays)


if __name__ == "__main__":
    main()
