"""How good the bundled denoiser is on recordings that it never saw.

Speech and noise of the *test* split of a folder of recordings (see ``UNMASK_SHARED``) are mixed at
0, 5 and 10 dB, seeded. Prints a Markdown table: mixture, model, the oracle of the model's own mask
family on its own front-end, and the share of the way between; then the same model at other sample
rates, to which nothing is resampled. Run it with ``python bench/denoise.py [MODEL]``;
``--write FOLDER [RATE]`` writes the mixtures as files instead, for ``bench/peers/denoisers.py``.
"""

import csv
import os
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

import unmask
from unmask import audio
from unmask.metrics import si_sdr

ROOT = Path(os.environ.get("UNMASK_SHARED", Path(__file__).parents[2] / "shared")) / "audio"
SNRS_DB = (0, 5, 10)
RATES = (16000, 22050, 44100, 48000)


def test_files(prefix):
    """Paths of the test split below `prefix`, in the order of the manifest."""
    with (ROOT / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    return [ROOT / row["path"] for row in rows if row["path"].startswith(prefix)]


def load(path, rate):
    waveform, found = audio.read(path)
    mono = waveform.mean(axis=0, keepdims=True)
    return mono if found == rate else audio.resample(mono, found, rate)


def pairs(rate):
    """Yield (SNR, speech, noise), each (1, sample), the same recordings at every rate."""
    rng = np.random.default_rng(0)
    noises = test_files("noise/")
    for path in [*test_files("speech/ljspeech"), *test_files("speech/librispeech")]:
        speech = load(path, rate)
        for snr in SNRS_DB:
            noise = load(noises[rng.integers(len(noises))], rate)
            while not noise.any():
                noise = load(noises[rng.integers(len(noises))], rate)
            noise = np.resize(noise, speech.shape)  # a short clip is repeated
            gain = np.sqrt(np.sum(speech**2) / np.sum(noise**2)) * 10 ** (-snr / 20)
            yield snr, speech, (gain * noise).astype(np.float32)


def measure(model, rate, *, extra=False):
    """Return rows of scores per mixture, and CPU seconds per second of audio."""
    rows, seconds, length = [], 0.0, 0.0
    for snr, speech, noise in pairs(rate):
        mixture = speech + noise
        start = time.process_time()
        estimate = model.separate(mixture, rate)["speech"]
        seconds += time.process_time() - start
        length += speech.shape[1] / rate
        stft = model.stft_at(rate)
        oracle = unmask.Oracle(
            {"speech": speech, "noise": noise}, rate, model.family_at(rate), stft
        )
        best = oracle.separate(mixture, rate)["speech"]
        signals = {"mixture": mixture, "model": estimate, "oracle": best}
        row = {"snr": snr} | {name: float(si_sdr(x, speech)) for name, x in signals.items()}
        if extra:
            row |= perceptual(signals, speech, rate)
        rows.append(row)
    return rows, seconds / length


def perceptual(signals, speech, rate):
    from unmask.metrics import pesq, stoi

    return {
        f"{metric.__name__} {name}": float(metric(x, speech, sample_rate=rate)[0])
        for metric in (pesq, stoi)
        for name, x in signals.items()
    }


def interval(values):
    """Return the bootstrap 95 % interval of the mean."""
    rng = np.random.default_rng(0)
    values = np.asarray(values)
    means = values[rng.integers(len(values), size=(2000, len(values)))].mean(axis=1)
    return np.percentile(means, [2.5, 97.5])


def line(label, rows):
    mean = {key: np.mean([row[key] for row in rows]) for key in ("mixture", "model", "oracle")}
    gains = [row["model"] - row["mixture"] for row in rows]
    low, high = interval(gains)
    share = np.mean(gains) / (mean["oracle"] - mean["mixture"])
    return (
        f"| {label} | {len(rows)} | {mean['mixture']:.2f} | {mean['model']:.2f} | "
        f"{np.mean(gains):+.2f} [{low:+.2f}, {high:+.2f}] | {np.median(gains):+.2f} | "
        f"{mean['oracle']:.2f} | {100 * share:.0f} % |"
    )


def write(folder, rate=16000):
    """Write the pairs as files, for other programs: FOLDER/mixture and FOLDER/speech."""
    for k, (snr, speech, noise) in enumerate(pairs(rate)):
        for name, waveform in (("mixture", speech + noise), ("speech", speech)):
            path = Path(folder) / name / f"{k:03}_{snr}dB.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            audio.write(path, waveform, rate, subtype="FLOAT")


def main(name="denoise-16k"):
    model = unmask.load_model(name)
    rows, _ = measure(model, 16000, extra=True)
    by_snr = defaultdict(list)
    for row in rows:
        by_snr[row["snr"]].append(row)
    print(f"{model.name} {model.version}, mask {model.family.name}; one thread of {cpu()}\n")
    print("| SNR | mixtures | mixture | model | improvement, mean [95 %] | median | oracle | way |")
    print("|---|---|---|---|---|---|---|---|")
    for snr, some in by_snr.items():
        print(line(f"{snr} dB", some))
    print(line("all", rows))
    print("\n| all mixtures, mean | mixture | model | oracle |\n|---|---|---|---|")
    for metric in ("pesq", "stoi"):
        names = [f"{metric} {name}" for name in ("mixture", "model", "oracle")]
        means = [np.mean([row[name] for row in rows]) for name in names]
        print(f"| {metric} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    print("\n| sample rate | mixture | model | improvement | times real time |")
    print("|---|---|---|---|---|")
    for rate in RATES:
        some, load_ = measure(model, rate)
        before, after = (np.mean([row[key] for row in some]) for key in ("mixture", "model"))
        print(f"| {rate} | {before:.2f} | {after:.2f} | {after - before:+.2f} | {1 / load_:.0f} |")


def cpu():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.split(": ")[1] for x in lines if x.startswith("model name")), "this machine")


if __name__ == "__main__":
    if "--write" in sys.argv:
        folder, *rate = sys.argv[sys.argv.index("--write") + 1 :]
        write(folder, *map(int, rate))
    else:
        main(*sys.argv[1:])
