"""How good and how fast a model for songs is, and what it does to what it should leave alone.

``python bench/music.py [MODEL] SONG … --json OUT.json`` prints Markdown: whole-song SDR of every
stem beside the mixture and the oracles of the model's own family and of a real mask; then level,
silence, stereo image and chunk borders on the first song; then CPU time. A SONG is a folder of
stems or a ``.stem.mp4``, with ``=bass`` behind it if that stem lies inside "other"; ``CAPTION:``
may stand before it. Stems that no stem of the model begins the name of count as "other".

``--peers PYTHON`` runs HANCE's models on the same mixtures, with the interpreter of an environment
that has them (``bench/peers/hance_stems.py``). Without a key they add noise to the first 2.5 s, so
that then every score, ours too, leaves out 3 s.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from unmask import Streamer, audio, load_model
from unmask.metrics import sdr
from unmask.oracle import Oracle
from unmask.stems import MIXTURES, canonical, locate_stems

LIMIT_S = 120
NOISY_S = 3


def song_of(text, model):
    """Return caption, stems (name -> waveform), sample rate, and which stems lie inside other."""
    caption, colon, rest = text.partition(":")
    path, _, inside = (rest if colon else text).partition("=")
    waves = {
        name: audio.read(file, stream=stream)
        for name, (file, stream) in locate_stems(path).items()
        if canonical(name) not in MIXTURES
    }
    rate = next(iter(waves.values()))[1]
    n_samples = min(LIMIT_S * rate, *(wave.shape[1] for wave, _ in waves.values()))
    found = {}
    for name, (wave, _) in waves.items():
        wave = wave[:, :n_samples]
        wave = np.repeat(wave, 2, axis=0) if len(wave) == 1 else wave
        name = next((stem for stem in model.stems if canonical(name).startswith(stem)), "other")
        found[name] = found[name] + wave if name in found else wave
    return caption if colon else Path(path).name, found, rate, [x for x in inside.split(",") if x]


def folded(estimates, inside):
    """Return estimates whose stems `inside` are part of other."""
    other = sum([estimates[name] for name in inside], start=estimates["other"])
    return {k: v for k, v in estimates.items() if k not in inside} | {"other": other}


def of_peers(python, mixture, rate):
    """Return the stems of every peer, name -> stem -> waveform, and times real time of each."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        audio.write(folder / "mixture.wav", mixture, rate, subtype="FLOAT")
        script = Path(__file__).parent / "peers" / "hance_stems.py"
        command = [python, script, folder / "mixture.wav", folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = {path.name: path for path in folder.iterdir() if path.is_dir()}
        stems = {
            name: {file.stem: audio.read(file)[0] for file in path.glob("*.wav")}
            for name, path in found.items()
        }
    return stems, json.loads(done.stdout.splitlines()[-1])


def quality(model, caption, stems, rate, inside, python=None):
    """Return a row for every stem of a song; with `python`, what the peers say of it too."""
    mixture = sum(stems.values())
    separated = folded(model.separate(mixture, rate), inside)
    peers, speeds = of_peers(python, mixture, rate) if python else ({}, {})
    peers = {name: folded(found, inside) for name, found in peers.items()}
    stft = model.stft_at(rate)
    oracles = {
        mask: Oracle(stems, rate, mask=mask, stft=stft).separate(mixture, rate)
        for mask in (model.family_at(rate), "psm_unit")
    }
    start = NOISY_S * rate if peers else 0

    def score(estimates, target):
        return float(sdr(estimates[..., start:], target[..., start:]))

    rows = []
    for name, target in stems.items():
        if not target.any():
            continue
        rows.append(
            {
                "song": caption,
                "seconds": mixture.shape[1] / rate,
                "stem": f"other (with {', '.join(inside)})" if inside and name == "other" else name,
                "mixture_db": score(mixture, target),
                "model_db": score(separated[name], target),
                "real_oracle_db": score(oracles["psm_unit"][name], target),
                "family_oracle_db": score(oracles[model.family_at(rate)][name], target),
                "peers_db": {peer: score(found[name], target) for peer, found in peers.items()},
                "peers_times_real_time": speeds,
            }
        )
    return rows


def decibels(a, b):
    """Return the level of `a` below that of `b`."""
    a, b = (float(np.square(x, dtype=np.float64).sum()) for x in (a, b))
    return 10 * np.log10(a / b) if a else -np.inf


def listening(model, mixture, rate):
    """Return what a model does to level, silence, stereo image and borders, in dB."""
    plain = model.separate(mixture, rate)
    stack = np.stack(list(plain.values()))
    swapped = np.stack(list(model.separate(mixture[::-1].copy(), rate).values()))[:, ::-1]
    mono = np.repeat(mixture.mean(0, keepdims=True), 2, axis=0)
    twins = np.stack(list(model.separate(mono, rate).values()))
    quiet = np.concatenate([mixture, np.zeros_like(mixture)], axis=1)
    silence = np.stack(list(model.separate(quiet, rate).values()))[:, :, mixture.shape[1] + rate :]
    cut = Streamer(model, sample_rate=rate, n_channels=2, chunk_frames=8 * model.unit)
    parts = [cut.process(mixture), cut.flush()]
    other_chunks = np.stack([np.concatenate([p[s] for p in parts], 1) for s in model.stems])
    halves = np.stack(list(model.separate(mixture / 4, rate).values())) * 4
    return {
        "stems add up to the mixture, difference": decibels(stack.sum(0) - mixture, mixture),
        "swapped channels, difference to swapped stems": decibels(swapped - stack, stack),
        "mono on both sides, difference of the sides": decibels(twins[:, 0] - twins[:, 1], twins),
        "digital silence after the song, largest sample": float(np.abs(silence).max()),
        "chunks of another length, difference": decibels(other_chunks - stack, stack),
        "12 dB softer, difference": decibels(halves - stack, stack),
    }


def speed(model, mixture, rate, rounds):
    """Return times real time of one CPU thread, of a minute of sound: the least of some rounds."""
    n = 60 * rate
    mixture = np.tile(mixture, (1, -(-n // mixture.shape[1])))[:, :n]
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        streamer = Streamer(model, sample_rate=rate, n_channels=2)
        for at in range(0, n, 5 * rate):
            streamer.process(mixture[:, at : at + 5 * rate])
        streamer.flush()
        seconds.append(time.process_time() - start)
    return {"times_real_time": n / rate / min(seconds)}


def show(report):
    """Print the tables."""
    peers = list(report["quality"][0]["peers_db"])
    heads = ["song", "s", "stem", "mixture", "model", "oracle, real mask", "oracle, own family"]
    print(f"| {' | '.join(heads + peers)} |")
    print("|---" * len(heads + peers) + "|")
    for row in report["quality"]:
        numbers = [row[k] for k in ("mixture_db", "model_db", "real_oracle_db", "family_oracle_db")]
        numbers += [row["peers_db"][peer] for peer in peers]
        cells = [row["song"], f"{row['seconds']:.0f}", row["stem"], *(f"{x:.1f}" for x in numbers)]
        print("| " + " | ".join(cells) + " |")
    print("\n| listening by measurement | |\n|---|---|")
    for name, value in report["listening"].items():
        unit = "" if "sample" in name else " dB"
        print(f"| {name} | {value:.1f}{unit} |" if unit else f"| {name} | {value:.1e} |")
    print(f"\nOne CPU thread: {report['speed']['times_real_time']:.1f} times real time.")
    for peer, speed in report["quality"][0]["peers_times_real_time"].items():
        print(f"{peer}: {speed:.1f} times real time, a stem a pass.")


def main():
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("songs", nargs="+")
    parser.add_argument("--model", default="music")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", metavar="PYTHON", help="interpreter that has HANCE")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    model = load_model(args.model)
    songs = [song_of(text, model) for text in args.songs]
    _, stems, rate, _ = songs[0]
    first = sum(stems.values())[:, : 20 * rate]
    report = {"speed": speed(model, first, rate, args.rounds)}
    report["listening"] = listening(model, first, rate)
    report["quality"] = []
    for song in songs:
        print(song[0], file=sys.stderr)
        report["quality"] += quality(model, *song, python=args.peers)
    show(report)
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
