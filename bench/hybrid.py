"""One network with three heads: what the hybrid mask gives, and what it costs.

``python bench/hybrid.py HYBRID.onnx COMPLEX.onnx MAGNITUDE.onnx`` scores models of
``recipes/band-net*.toml`` (or others) on the mixtures of ``bench/denoise.py`` at 48 kHz, against
each other and against the oracle of each one's own mask, and takes their time on one thread, file
and hop by hop, in turns. It writes ``bench/hybrid.md``.
"""

import sys
import time
from pathlib import Path

import numpy as np

import unmask
from denoise import SNRS_DB, cpu, interval, pairs
from unmask import audio
from unmask.metrics import pesq, si_sdr, stoi

RATE = 48000
METRICS = {"SI-SDR": ".2f", "oracle": ".2f", "PESQ-WB": ".3f", "STOI": ".4f"}
ROUNDS = 7


def scores(model):
    """Return an array of scores for each metric, a value for each mixture."""
    rows = []
    for _, speech, noise in pairs(RATE):
        mixture = speech + noise
        estimate = model.separate(mixture, RATE)["speech"]
        truth = {"speech": speech, "noise": noise}
        oracle = unmask.Oracle(truth, RATE, model.family_at(RATE), model.stft_at(RATE))
        oracle = oracle.separate(mixture, RATE)
        low, true = (audio.resample(x, RATE, 16000) for x in (estimate, speech))
        quality = (metric(low, true, sample_rate=16000)[0] for metric in (pesq, stoi))
        rows.append([si_sdr(estimate, speech), si_sdr(oracle["speech"], speech), *quality])
    return dict(zip(METRICS, np.array(rows, float).reshape(-1, len(METRICS)).T, strict=True))


def by_recording(values):
    """Return means over the mixtures of each recording of speech."""
    return np.nanmean(values.reshape(-1, len(SNRS_DB)), axis=1)


def cell(values, form):
    low, high = interval(by_recording(values))
    return f"{np.nanmean(values):{form}} [{low:{form}}, {high:{form}}]"


def speeds(models):
    """Return CPU ms a hop and times real time of files, least of rounds that take turns."""
    noise = np.random.default_rng(0).standard_normal((1, 20 * RATE)).astype(np.float32) / 10
    hops, files = np.full((2, len(models)), np.inf)
    for _ in range(ROUNDS):
        for k, model in enumerate(models):
            start = time.process_time()
            model.separate(noise, RATE)
            files[k] = min(files[k], time.process_time() - start)
            streamer, hop = unmask.Streamer(model), model.frontend.hop
            taken = []
            for at in range(0, noise.shape[1] - hop, hop):
                start = time.process_time()
                streamer.process(noise[:, at : at + hop])
                taken.append(time.process_time() - start)
            hops[k] = min(hops[k], np.median(taken))
    return 1000 * hops, noise.shape[1] / RATE / files


def lines(models):
    found = [scores(model) for model in models]
    hop_ms, times = speeds(models)
    yield f"| | mask | parameters | MAC/s | {' | '.join(METRICS)} | file | ms a hop |"
    yield "|" + "---|" * (len(METRICS) + 6)
    for k, (model, own) in enumerate(zip(models, found, strict=True)):
        about = model.metadata
        cells = [model.name, f"`{model.family.name}`", f"{about['parameters']:,}"]
        cells += [f"{about['macs_per_second'] / 1e6:.1f} M"]
        cells += [cell(own[metric], form) for metric, form in METRICS.items()]
        yield "| " + " | ".join([*cells, f"{times[k]:.0f}x", f"{hop_ms[k]:.3f}"]) + " |"
    yield ""
    yield f"| the first less | {' | '.join(METRICS)} |"
    yield "|" + "---|" * (len(METRICS) + 1)
    for model, own in zip(models[1:], found[1:], strict=True):
        cells = [cell(found[0][m] - own[m], "+" + form) for m, form in METRICS.items()]
        yield "| " + " | ".join([model.name, *cells]) + " |"


def main(paths):
    models = [unmask.load_model(path) for path in paths]
    head = [
        "# One network, three heads",
        "",
        "Made by `python bench/hybrid.py`: 105 mixtures of `bench/denoise.py` at 48 kHz, means and",
        "bootstrap 95 % intervals over the 35 recordings of speech; SI-SDR in dB, PESQ and STOI",
        f"at 16 kHz. Speed: CPU time on one thread of {cpu()}, least of {ROUNDS} rounds, 20 s.",
        "",
    ]
    text = "\n".join([*head, *lines(models)]) + "\n"
    Path(__file__).with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
