"""Denoisers on recordings to choose by: what a search for better ones looks at, no test material.

``python bench/denoise_valid.py MODEL … --data RECORDINGS --cache FOLDER [--dnsmos FILE]`` scores
models (names of bundled ones, or ``.onnx`` files) on 48 mixtures of 6 s at 48 kHz: 23 speakers of
LibriSpeech that nothing is trained on and held-back lines of Producer Space, noise of ESC-10 fold 4
and scenes that are for validation, at 0, 5 and 10 dB. It prints a Markdown table of means and
``--json FILE`` keeps every score. FILE of DNSMOS is ``sig_bak_ovr.onnx`` (as in PyPI's
``speechmos``).

*Phase gain* is SI-SDR less that of the same masks without their phases; *pauses* the level of what
is left where no one speaks, relative to the mixture there; *quiet* the level of the quietest third
of speech, relative to the truth; *level* that of all speech.
"""

import argparse
import copy
import json
from pathlib import Path

import numpy as np

import unmask
from denoise import interval
from unmask import audio
from unmask.data.cache import Cache
from unmask.metrics import pesq, si_sdr, stoi
from unmask.metrics.dnsmos import DNSMOS

RATE, SECONDS = 48000, 6.0
SPEECH = ("speech/librispeech_many/valid_*.opus", "speech/producer_space/*/*.ogg")
NOISE = ("noise/esc10/*/4-*.ogg", "noise/scenes/valid_*.opus")
N_MIXTURES = 48
COLUMNS = {
    "si_sdr": "+.2f",
    "pesq": ".3f",
    "estoi": ".3f",
    "sig": ".2f",
    "bak": ".2f",
    "ovrl": ".2f",
    "phase_gain": "+.2f",
    "pauses_db": ".1f",
    "quiet_db": "+.2f",
    "level_db": "+.2f",
}
#: Speech is where its frames of 20 ms are above this, relative to the loudest.
ACTIVE_DB = -40.0


def excerpts(root, cache, patterns, n, rng, *, held_back=lambda path: True):
    """Return `n` excerpts of the recordings in turn, of RMS 1."""
    found = [sorted(path for path in root.glob(p) if held_back(path)) for p in patterns]
    out = []
    for k in range(n):
        files = found[k % len(found)]
        x = np.asarray(cache.open(files[rng.integers(len(files))]), np.float32)
        x = np.resize(x, max(len(x), round(SECONDS * RATE)))
        start = rng.integers(len(x) - round(SECONDS * RATE) + 1)
        x = x[start : start + round(SECONDS * RATE)]
        out.append(x / max(1e-9, np.sqrt(np.mean(x**2))))
    return out


def mixtures(root, cache):
    """Yield (speech, noise), each (1, sample), always the same."""
    rng = np.random.default_rng(18)
    speeches = [
        *excerpts(root, cache, SPEECH[:1], 32, rng),
        *excerpts(root, cache, SPEECH[1:], N_MIXTURES - 32, rng, held_back=is_held_back(root)),
    ]
    noises = excerpts(root, cache, NOISE, N_MIXTURES, rng)
    for k, (speech, noise) in enumerate(zip(speeches, noises, strict=True)):
        noise = noise * 10 ** (-(0, 5, 10)[k % 3] / 20)
        scale = 10 ** (rng.uniform(-35, -20) / 20) / np.sqrt(np.mean((speech + noise) ** 2))
        yield scale * speech[None], scale * noise[None]


def is_held_back(root):
    """Return whether a recording is one that recipes validate with (``valid_share = 0.08``)."""
    from zlib import crc32

    return lambda path: crc32(path.relative_to(root).as_posix().encode()) / 2**32 < 0.08


def without_phase(model):
    """Return a model that puts out the magnitudes of its masks."""
    turned, step = copy.copy(model), model.step

    def magnitudes(x, state):
        parts, state = step(x, state)
        real = np.sqrt(np.square(parts).sum(axis=2, keepdims=True))
        return np.concatenate([real, np.zeros_like(real)], axis=2), state

    turned.step = magnitudes
    return turned


def levels(estimate, mixture, speech):
    """Return what is left in pauses, the level of quiet and of all speech, dB."""
    n = round(0.02 * RATE)
    power = [
        np.square(x[0, : x.shape[1] // n * n]).reshape(-1, n).mean(1)
        for x in (estimate, mixture, speech)
    ]
    own = power[2] / power[2].max()
    pause = own < 10 ** (ACTIVE_DB / 10)
    # of the speech alone: what of the estimate points the way that it does
    image = [
        float((a * b).sum() / (b * b).sum())
        for a, b in zip(_frames(estimate, n), _frames(speech, n), strict=True)
    ]
    image, active = np.asarray(image), np.flatnonzero(~pause)
    quiet = active[own[active] <= np.quantile(own[active], 1 / 3)]

    def kept(where):
        energy = power[2][where]
        return 20 * np.log10((energy * image[where]).sum() / energy.sum())

    left = 10 * np.log10(power[0][pause].sum() / power[1][pause].sum()) if pause.any() else np.nan
    return {"pauses_db": left, "quiet_db": kept(quiet), "level_db": kept(active)}


def _frames(x, n):
    return x[0, : x.shape[1] // n * n].reshape(-1, n) + 1e-12


def scores(model, speech, noise, opinion):
    """Return the scores of one mixture; of the mixture itself if there is no model."""
    mixture = (speech + noise).astype(np.float32)
    estimate = model.separate(mixture, RATE)["speech"] if model else mixture
    row = {"si_sdr": si_sdr(estimate, speech).item()}
    if model and model.family.is_complex:
        flat = without_phase(model).separate(mixture, RATE)["speech"]
        row["phase_gain"] = row["si_sdr"] - si_sdr(flat, speech).item()
    row |= levels(estimate, mixture, speech)
    low, target = (audio.resample(x, RATE, 16000) for x in (estimate, speech))
    row["pesq"] = pesq(low, target, sample_rate=16000).item()
    row["estoi"] = stoi(low, target, sample_rate=16000, extended=True).item()
    if opinion:
        row |= opinion(low / max(1.0, np.abs(low).max()), 16000)._asdict()
    return {key: round(float(value), 4) for key, value in row.items()}


def line(name, rows):
    """Return a row of the table: means, intervals of the first two."""
    cells = [name]
    for key, form in COLUMNS.items():
        values = np.array([row.get(key, np.nan) for row in rows])
        values = values[~np.isnan(values)]
        cells.append(f"{values.mean():{form}}" if len(values) else "")
        if key in {"si_sdr", "pesq"}:
            low, high = interval(values)
            cells[-1] += f" [{low:{form}}, {high:{form}}]"
    return f"| {' | '.join(cells)} |"


def main(words=None):
    """Do what the module says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--dnsmos", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(words)
    opinion = DNSMOS(args.dnsmos) if args.dnsmos else None
    known = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    pairs = list(mixtures(args.data, Cache(args.cache, RATE)))
    for name in ("mixture", *args.models):
        if name not in known:
            model = None if name == "mixture" else unmask.load_model(name)
            known[name] = [scores(model, *pair, opinion) for pair in pairs]
            if args.json:
                args.json.write_text(json.dumps(known))
        print(line(name, known[name]), flush=True)


if __name__ == "__main__":
    main()
