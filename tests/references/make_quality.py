"""Make quality.npz: small signals and what other programs say of them.

Needs ``auraloss``, ``log-wmse-audio-quality`` and ``pysepm-evo`` (with numba and gammatone or
stand-ins for them); the versions that made the committed file stand in its entry ``versions``. Run
it with ``python tests/references/make_quality.py``.
"""

import importlib.metadata
from pathlib import Path

import auraloss
import log_wmse_audio_quality
import numpy as np
import torch
from pysepm_evo.qualityMeasures import SNRseg, llr, wss


def main():
    rng = np.random.default_rng(11)
    n = 16000
    time = np.arange(n) / 16000
    voice = sum(np.sin(2 * np.pi * 130 * k * time + k * k) / k for k in range(1, 25))
    voice *= 0.1 + np.abs(np.sin(2 * np.pi * 2.5 * time))
    voice = np.convolve(voice, [1, 0.6, 0.3], "same") + 0.003 * rng.standard_normal(n)
    noise = np.convolve(rng.standard_normal(n), [1, 0.9, 0.5], "same")
    target, estimate, mixture = (
        np.round(2000 * x).astype(np.int16)
        for x in (voice, 0.9 * voice + 0.1 * noise, voice + 0.4 * noise)
    )
    t, e, m = (x / 32768 for x in (target, estimate, mixture))
    distance = auraloss.freq.MultiResolutionSTFTLoss()
    arrays = {
        "target": target,
        "estimate": estimate,
        "mixture": mixture,
        "segmental_snr": SNRseg(t, e, 16000),
        "log_likelihood_ratio": llr(t, e, 16000, used_for_composite=True),
        "spectral_slope": wss(t, e, 16000),
        "stft_distance": distance(*(torch.asarray(x)[None, None] for x in (e, t))),
        # as if the signals were at its own rate
        "log_wmse": log_wmse_audio_quality.calculate_log_wmse(m[None], e[None], t[None], 44100),
    }
    names = ("auraloss", "log-wmse-audio-quality", "pysepm-evo", "numpy", "scipy", "torch")
    arrays["versions"] = np.array([f"{name} {importlib.metadata.version(name)}" for name in names])
    np.savez_compressed(Path(__file__).with_name("quality.npz"), **arrays)


if __name__ == "__main__":
    main()
