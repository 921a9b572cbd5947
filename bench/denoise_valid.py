"""Denoisers on recordings to choose by: what a search for better ones looks at, no test material.

``python bench/denoise_valid.py MODEL … --data RECORDINGS --cache FOLDER [--dnsmos FILE]`` scores
models (names of bundled ones, or ``.onnx`` files; ``NAME@1.25`` with that sensitivity) on 24
mixtures of 6 s at 48 kHz: 23 speakers of LibriSpeech that nothing is trained on and held-back lines
of Producer Space, noise of ESC-10 fold 4, at 0, 5 and 10 dB. It prints a Markdown table of means,
with the bootstrap 95 % intervals of SI-SDR and PESQ; ``--json FILE`` keeps every score, and does
not measure again what it holds. FILE of DNSMOS is ``sig_bak_ovr.onnx`` (as in PyPI's
``speechmos``). ``--post-filter 0.02`` tries the envelope post-filter of Valin et al. (2020), as
Schröter et al. (2023) have it, on all masks.

``--write FOLDER`` writes FOLDER/mixture/*.wav first, for ``bench/peers/denoisers.py FOLDER``; a
FOLDER/NAME that it wrote is scored as a model is.

*Pauses* is the level of what is left where no one speaks, relative to the mixture there; *phase*,
with ``--phase``, SI-SDR less that of the same masks without their phases.
"""

import argparse
import copy
import json
from functools import partial
from pathlib import Path

import numpy as np

import unmask
from denoise import interval
from unmask import audio
from unmask.data.cache import Cache
from unmask.files import make_folder
from unmask.metrics import pesq, si_sdr, stoi
from unmask.metrics.dnsmos import DNSMOS

RATE, SECONDS = 48000, 6.0
SPEECH = ("speech/librispeech_many/valid_*.opus", "speech/producer_space/*/*.ogg")
NOISE = ("noise/esc10/*/4-*.ogg", "noise/scenes/valid_*.opus")
N_MIXTURES = 48
STEP = 2  # every other one is measured, those with noise of ESC-10; 1 has the scenes too
COLUMNS = {
    "si_sdr": "+.2f",
    "pesq": ".3f",
    "estoi": ".3f",
    "sig": ".2f",
    "bak": ".2f",
    "ovrl": ".2f",
    "pauses": ".1f",
    "phase": "+.2f",
}
#: A pause is where frames of 20 ms of the speech are below this, relative to the loudest.
PAUSE_DB = -40.0


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


def changed(model, change):
    """Return a model whose masks (signal, source, real part, …) are put through `change`."""
    other, step = copy.copy(model), model.step

    def new_step(x, state):
        parts, state = step(x, state)
        return change(parts), state

    other.step = new_step
    return other


def without_phase(parts):
    """Return the magnitudes of masks."""
    real = np.sqrt(np.square(parts).sum(axis=2, keepdims=True))
    return np.concatenate([real, np.zeros_like(real)], axis=2)


def post_filtered(parts, beta):
    """Return masks whose small magnitudes are smaller."""
    mag = np.sqrt(np.square(parts).sum(axis=2, keepdims=True)).clip(1e-6, 1)
    return parts * (1 + beta) / (1 + beta / np.sin(np.pi / 2 * mag) ** 2)


def left_in_pauses(estimate, mixture, speech):
    """Return the level of the estimate where no one speaks, dB of the mixture; NaN without any."""
    n = round(0.02 * RATE)
    power = [
        np.square(x[0, : x.shape[1] // n * n]).reshape(-1, n).mean(1)
        for x in (estimate, mixture, speech)
    ]
    pause = power[2] < 10 ** (PAUSE_DB / 10) * power[2].max()
    energies = [x[pause].sum() for x in power[:2]]
    return 10 * np.log10(energies[0] / energies[1]) if pause.any() else np.nan


def scores(estimate, speech, mixture, opinion):
    """Return the scores of one estimate."""
    row = {"si_sdr": si_sdr(estimate, speech).item()}
    row["pauses"] = left_in_pauses(estimate, mixture, speech)
    low, target = (audio.resample(x, RATE, 16000) for x in (estimate, speech))
    row["pesq"] = pesq(low, target, sample_rate=16000).item()
    row["estoi"] = stoi(low, target, sample_rate=16000, extended=True).item()
    if opinion:
        row |= opinion(low / max(1.0, np.abs(low).max()), 16000)._asdict()
    return row


def of_model(name, pairs, args):
    """Return the scores of a model or a folder of estimates for each mixture."""
    opinion = DNSMOS(args.dnsmos) if args.dnsmos else None
    file, _, sensitivity = name.partition("@")
    settings = unmask.Settings(sensitivity=float(sensitivity or 1))
    model = None if name == "mixture" or Path(name).is_dir() else unmask.load_model(file)
    if model and args.post_filter:
        model = changed(model, partial(post_filtered, beta=args.post_filter))
    rows = []
    for k, (speech, noise) in enumerate(pairs):
        estimate = mixture = (speech + noise).astype(np.float32)
        if model:
            estimate = model.separate(mixture, RATE, settings=settings)["speech"]
        elif name != "mixture":
            estimate = audio.read(Path(name) / f"{k:03}.wav")[0]
        row = scores(estimate, speech, mixture, opinion)
        if args.phase and model and model.family.is_complex:
            flat = changed(model, without_phase).separate(mixture, RATE, settings=settings)
            row["phase"] = row["si_sdr"] - si_sdr(flat["speech"], speech).item()
        rows.append({key: round(float(value), 4) for key, value in row.items()})
    return rows


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
    parser.add_argument("--post-filter", type=float, default=0.0)
    parser.add_argument("--phase", action="store_true")
    parser.add_argument("--write", type=Path)
    args = parser.parse_args(words)
    known = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    pairs = list(mixtures(args.data, Cache(args.cache, RATE)))[::STEP]
    if args.write:
        make_folder(args.write / "mixture")
        for k, pair in enumerate(pairs):
            path = args.write / "mixture" / f"{k:03}.wav"
            audio.write(path, sum(pair).astype(np.float32), RATE, subtype="FLOAT")
    print(f"| | {' | '.join(COLUMNS)} |\n|---{'|---' * len(COLUMNS)}|")
    for name in ("mixture", *args.models):
        if name not in known:
            known[name] = of_model(name, pairs, args)
            if args.json:
                args.json.write_text(json.dumps(known))
        print(line(Path(name).name, known[name]), flush=True)


if __name__ == "__main__":
    main()
