r"""The stems on which docs/phase_benefit.md measures.

``python bench/phase_benefit.py OUT [--rock FOLDER]`` writes folders of stems:
OUT/speech-44k-{0,5}dB/NN (lines of Producer Space in noise of ESC-10, 44.1 kHz),
OUT/speech-16k-{0,5}dB/NN (LibriSpeech and LJSpeech, resampled to 16 kHz, in such noise) and
OUT/music/{caesium,mdn,rock}. Recordings come from the folder beside the repository (see
``UNMASK_SHARED``), noise is of the test fold, seeded. Then::

    unmask plot phase-benefit OUT/speech-44k-*/* --stems speech --n-fft 882 --hop 441 \
        --window sqrt_hann -o speech-44k.png --json speech-44k.json
    unmask plot phase-benefit OUT/speech-16k-*/* --stems speech --n-fft 320 --hop 160 \
        --window sqrt_hann -o speech-16k.png --json speech-16k.json
    unmask plot phase-benefit OUT/music/* --duration 7 -o music.png --json music.json
"""

import csv
import os
from pathlib import Path

import click
import numpy as np

from unmask import audio

ROOT = Path(os.environ.get("UNMASK_SHARED", Path(__file__).parents[2] / "shared")) / "audio"
N_LINES = 12
LONGEST_S = 8


def paths(prefix, **wanted):
    with (ROOT / "manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["path"].startswith(prefix)]
    rows = [row for row in rows if float(row["seconds"]) > 2]
    return [ROOT / row["path"] for row in rows if wanted.items() <= row.items()]


def load(path, rate):
    waveform, found = audio.read(path)
    mono = waveform.mean(axis=0, keepdims=True)
    mono = mono if found == rate else audio.resample(mono, found, rate)
    return mono[:, : LONGEST_S * rate]


def write(folder, stems, rate):
    folder.mkdir(parents=True, exist_ok=True)
    for name, waveform in stems.items():
        audio.write(folder / f"{name}.wav", waveform.astype(np.float32), rate, subtype="FLOAT")


def write_speech(out, name, lines, rate):
    rng = np.random.default_rng(0)
    noises = paths("noise/esc10", split="test")
    for k, path in enumerate(lines[:: max(1, len(lines) // N_LINES)][:N_LINES]):
        speech = load(path, rate)
        noise = load(noises[rng.integers(len(noises))], rate)
        noise = np.resize(noise[:, np.abs(noise[0]) > 1e-4], speech.shape)  # no digital silence
        for snr_db in (0, 5):
            gain = np.sqrt(np.sum(speech**2) / np.sum(noise**2)) * 10 ** (-snr_db / 20)
            stems = {"speech": 0.3 * speech, "noise": 0.3 * gain * noise}
            write(out / f"{name}-{snr_db}dB" / f"{k:02d}", stems, rate)


def write_song(folder, files, span_s):
    """Write an excerpt; a stem that ends early ends in silence (MDN's bass does)."""
    waves = {name: sum_of(audio.read(path)[0] for path in named) for name, named in files.items()}
    first, last = (round(44100 * s) for s in span_s)
    pad = [(0, 0), (0, last)]
    write(folder, {name: np.pad(x, pad)[:, first:last] for name, x in waves.items()}, 44100)


def sum_of(waves):
    waves = list(waves)
    n_samples = max(wave.shape[-1] for wave in waves)
    return sum(np.pad(wave, [(0, 0), (0, n_samples - wave.shape[-1])]) for wave in waves)


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--rock", type=click.Path(path_type=Path), help="Stems of the MUSDB18 excerpt of stempeg."
)
def main(out, rock):
    lines = paths("speech/producer_space", sample_rate="44100")
    write_speech(out, "speech-44k", lines, 44100)
    lines = [*paths("speech/librispeech"), *paths("speech/ljspeech")]
    write_speech(out, "speech-16k", lines, 16000)
    caesium = ROOT / "music/ev3/6.Caesium"
    write_song(out / "music/caesium", {p.stem: [p] for p in caesium.glob("*.ogg")}, (110, 130))
    mdn = ROOT / "music/mdn"
    stems = {
        "drums": ["drums"],
        "bass": ["bassguitar"],
        "guitar": ["leadguitar"],
        "other": ["clav", "horns"],
    }
    files = {name: [mdn / f"{part}.mp3" for part in parts] for name, parts in stems.items()}
    write_song(out / "music/mdn", files, (20, 40))
    if rock:
        write_song(
            out / "music/rock", {p.stem: [p] for p in rock.glob("*.wav")}, (0, 300032 / 44100)
        )


if __name__ == "__main__":
    main()
