"""What a listener would notice of the denoisers, measured.

``python bench/listening.py [MODEL …] [--json FILE]``: names of bundled models or ``.onnx`` files,
all bundled denoisers when none is given. Recordings are those of ``bench/denoise.py``, the *test*
split; nothing is chosen by them. Levels of speech are those of its own part in what comes out: of
the projection on the clean speech, frame by frame of 20 ms.

* *quiet*: speech 15 to 30 dB below its loudest frame, at 10 dB SNR; less is syllables lost.
* *level*: all speech above that, at 10 dB SNR, and *clean*, without noise.
* *first*: the first 200 ms of speech that begins at once, less what the rest of it is changed by.
* *left*: steady noise (pink, 10 dB below the speech) in pauses, of what went in; *pumping*:
  its level in the first 200 ms of a pause less that after 400 ms of it.
* *music*: what is left of it, without any speech; *talkers*: level of two at once without noise.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import unmask
from denoise import ROOT, load, pairs, test_files
from speed import bundled

RATE = 48000
FRAME = round(0.02 * RATE)
COLUMNS = ("quiet", "level", "clean", "first", "left", "pumping", "music", "talkers")


def db(x):
    return 10 * np.log10(max(float(x), 1e-20))


def frames(x):
    return x[0, : x.shape[1] // FRAME * FRAME].reshape(-1, FRAME).astype(float)


def kept(estimate, speech, where):
    """Return the level of speech in `estimate`, dB of its own, in the frames `where`."""
    a, b = frames(estimate)[where], frames(speech)[where]
    share = (a * b).sum() / (b * b).sum()
    return 20 * np.log10(max(share, 1e-6))


def level_of(speech):
    """Return the level of every frame, dB below the loudest."""
    power = np.square(frames(speech)).mean(1)
    return 10 * np.log10(power / power.max() + 1e-12)


def pink(n, rng):
    """Return noise of 3 dB less each octave from 50 Hz up, RMS 1."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum *= np.maximum(np.fft.rfftfreq(n, 1 / RATE), 50.0) ** -0.5
    x = np.fft.irfft(spectrum, n)
    return (x / np.sqrt(np.mean(x**2)))[None].astype(np.float32)


def rms(x):
    return np.sqrt(np.mean(np.square(x, dtype=float)))


def of_speech(model, speech, noise):
    """Return what happens to one recording, at the level of its mixture with noise."""
    own = level_of(speech)
    noisy, clean = (model.separate(x, RATE)["speech"] for x in (speech + noise, speech))
    start = int(np.argmax(own > -30)) * FRAME  # speech from the first sample on
    at_once = model.separate((speech + noise)[:, start:], RATE)["speech"]
    loud = level_of(speech[:, start:]) > -30
    early = np.arange(len(loud)) < 10
    rest = kept(at_once, speech[:, start:], loud & ~early)
    return {
        "quiet": kept(noisy, speech, (own > -30) & (own < -15)),
        "level": kept(noisy, speech, own >= -15),
        "clean": kept(clean, speech, own >= -15),
        "first": kept(at_once, speech[:, start:], loud & early) - rest,
    }


def of_pauses(model, speech, rng):
    """Return how loud steady noise is in pauses of a second between two halves of speech."""
    half, gap = speech.shape[1] // 2, np.zeros((1, RATE), np.float32)
    parts = [speech[:, :half], gap, speech[:, half:], gap]
    longer = np.concatenate(parts, axis=1)
    noise = 0.316 * rms(speech) * pink(longer.shape[1], rng)
    out = model.separate(longer + noise, RATE)["speech"]
    ends = [half + RATE, longer.shape[1]]

    def left(since, until):
        spans = [slice(e - RATE + int(since * RATE), e - RATE + int(until * RATE)) for e in ends]
        return db(sum((out[:, s] ** 2).sum() for s in spans)) - db(
            sum((noise[:, s] ** 2).sum() for s in spans)
        )

    return {"left": left(0.1, 0.9), "pumping": left(0.05, 0.2) - left(0.4, 0.9)}


def of_others(model, speeches):
    """Return what is left of music, and of two talkers."""
    music = []
    for path in test_files("music/mdn"):
        x = load(path, RATE)[:, 20 * RATE : 30 * RATE]
        music.append(db((model.separate(x, RATE)["speech"] ** 2).sum()) - db((x**2).sum()))
    talkers = []
    for one, other in zip(speeches[::2], speeches[1::2], strict=False):
        n = min(one.shape[1], other.shape[1])
        both = one[:, :n] / rms(one[:, :n]) + other[:, :n] / rms(other[:, :n])
        both = (0.03 * both).astype(np.float32)
        talkers.append(kept(model.separate(both, RATE)["speech"], both, level_of(both) > -30))
    return {"music": float(np.mean(music)), "talkers": float(np.mean(talkers))}


def measure(name):
    """Return the means over recordings of everything, and how many there are."""
    model, rng = unmask.load_model(name), np.random.default_rng(0)
    speeches, rows = [], []
    for snr, speech, noise in pairs(RATE):
        if snr == 10:
            speeches.append(speech)
            scale = 0.05 / rms(speech)
            row = of_speech(model, scale * speech, scale * noise)
            rows.append(row | of_pauses(model, scale * speech, rng))
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    return means | of_others(model, speeches) | {"recordings": len(rows)}


def main(words=None):
    """Do what the module says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(words)
    if not ROOT.exists():
        parser.error(f"{ROOT}: no such folder; set UNMASK_SHARED")
    print(f"| dB | {' | '.join(COLUMNS)} |\n|---{'|---' * len(COLUMNS)}|")
    found = {}
    for name in args.models or [x for x in bundled() if x.startswith("denoise")]:
        found[name] = measure(name)
        cells = [f"{found[name][key]:+.1f}" for key in COLUMNS]
        print(f"| {Path(name).stem} | {' | '.join(cells)} |", flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
