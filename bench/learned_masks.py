"""Magnitude against complex masks, learned: the comparison of arXiv 2103.12864, and what it lacks.

Three systems, one network per source each, the same data, steps and seed: a magnitude mask with
the magnitude loss ("non-complex"), a complex mask with the SDR loss ("complex-sdr"), and the arm
that tells mask and loss apart, a magnitude mask with the SDR loss ("magnitude-sdr"). ::

    python bench/learned_masks.py prepare OUT        # test songs, 22 050 Hz mono, 16 bit
    python bench/learned_masks.py train OUT --data FOLDER -s backbone.width=0.5 -s train.steps=1200
    python bench/learned_masks.py export OUT         # one model file a system
    python bench/learned_masks.py score OUT > table.md

`prepare` reads the recordings beside the repository (see ``UNMASK_SHARED``). `train` can be stopped
and goes on where it was. Every network is the last of its run: nothing is chosen on the songs.
"""

import json
import os
import time
from collections import defaultdict
from pathlib import Path

import click
import numpy as np

import unmask
from unmask import audio, masks
from unmask.frontends import STFT
from unmask.metrics import bss_eval, si_sdr

ROOT = Path(os.environ.get("UNMASK_SHARED", Path(__file__).parents[2] / "shared")) / "audio"
RECIPES = Path(__file__).parents[1] / "recipes"
RATE = 22050
ARMS = ("non-complex", "complex-sdr", "magnitude-sdr")
STEMS = ("vocals", "drums", "bass", "guitar")
#: Song -> stem -> files that are summed. None was trained on; the first is of the valid split.
SONGS = {
    "6.Caesium": {
        name: [f"music/ev3/6.Caesium/{name}.ogg"] for name in ("vocals", "drums", "other")
    },
    "MDN": {
        "drums": ["music/mdn/drums.mp3"],
        "bass": ["music/mdn/bassguitar.mp3"],
        "guitar": ["music/mdn/leadguitar.mp3"],
        "other": ["music/mdn/clav.mp3", "music/mdn/horns.mp3"],
    },
}
ORACLES = {"non-complex": "irm1", "magnitude-sdr": "psm_unit", "complex-sdr": "complex_tanh"}
METRICS = ("SDR", "ISR", "SIR", "SAR")
BLOCK_S = 10
PAIRS = (
    ("complex-sdr", "non-complex"),
    ("magnitude-sdr", "non-complex"),
    ("complex-sdr", "magnitude-sdr"),
)


@click.group()
def main() -> None:
    """Prepare, train, export, score."""


out_argument = click.argument("out", type=click.Path(path_type=Path))


@main.command()
@out_argument
@click.option("--excerpt", type=click.Path(path_type=Path), help="Stems of Music Delta - 80s Rock.")
def prepare(out, excerpt):
    songs = SONGS | ({"80s Rock": {p.stem: [p] for p in excerpt.glob("*.wav")}} if excerpt else {})
    for song, stems in songs.items():
        waves = {stem: sum_of(load(ROOT / path) for path in paths) for stem, paths in stems.items()}
        n_samples = max(wave.shape[-1] for wave in waves.values())
        peak = np.abs(sum_of(waves.values())).max()
        for stem, wave in waves.items():
            path = out / "songs" / song / f"{stem}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            padded = np.pad(wave, [(0, 0), (0, n_samples - wave.shape[-1])])
            audio.write(path, padded * min(1, 0.9 / peak), RATE, subtype="PCM_16")


def sum_of(waves):
    """Return the sum; a shorter one ends in silence (MDN's bass does)."""
    waves = list(waves)
    n_samples = max(wave.shape[-1] for wave in waves)
    return sum(np.pad(wave, [(0, 0), (0, n_samples - wave.shape[-1])]) for wave in waves)


def load(path):
    waveform, found = audio.read(path)
    return audio.resample(waveform.mean(axis=0, keepdims=True), found, RATE)


@main.command()
@out_argument
@click.option("--data", type=click.Path(path_type=Path), required=True)
@click.option("--cache", type=click.Path(path_type=Path))
@click.option("--stem", "stems", multiple=True, default=STEMS)
@click.option("--arm", "arms", multiple=True, default=ARMS)
@click.option("--seed", default=0)
@click.option("-s", "--set", "overrides", multiple=True)
def train(out, data, cache, stems, arms, seed, overrides):
    from unmask import recipe
    from unmask.train import run

    for stem in stems:
        for arm in arms:
            folder = out / "runs" / f"{arm}-{stem}-{seed}"
            chosen = [f'data.targets=["{stem}"]', f"train.seed={seed}", *overrides]
            loaded = recipe.load(RECIPES / f"unet-{arm}.toml", chosen)
            if (folder / "done.json").is_file():
                continue
            start = time.perf_counter()
            resume = (folder / "last.safetensors").is_file()
            run(loaded, folder, data_root=data, cache=cache or out / "cache", resume=resume)
            seconds = {"seconds": time.perf_counter() - start, "resumed": resume}
            (folder / "done.json").write_text(json.dumps(seconds))


@main.command("export")
@out_argument
@click.option("--seed", default=0)
@click.option("--which", default="last")
def export_command(out, seed, which):
    from unmask.export import export

    (out / "models").mkdir(exist_ok=True)
    for arm in ARMS:
        runs = [out / "runs" / f"{arm}-{stem}-{seed}" for stem in STEMS]
        runs = [run for run in runs if (run / "done.json").is_file()]
        if runs:
            path = out / "models" / f"unet-{arm}.onnx"
            export(runs, path, name=f"unet-{arm}", which=which, residual="other")
            click.echo(path)


def read(folder):
    """Return stem -> (1, sample) of a song."""
    return {
        path.stem: audio.read(path)[0].astype(np.float32) for path in sorted(folder.glob("*.wav"))
    }


def folded(estimates, stems, mixture):
    """Return the estimates of the stems that the song has; "other" is what all of them leave."""
    known = {stem: estimates[stem] for stem in stems if stem in estimates and stem != "other"}
    return known | (
        {"other": mixture - sum(known.values())} if len(known) + 1 == len(stems) else {}
    )


def rows_of(system, song, stems, estimates, mixture):
    """Yield (system, song, stem, metric, values): one a second, or one for the song (SI-SDR)."""
    found = np.stack([estimates.get(name, mixture) for name in stems])  # a score needs all
    scores = bss_eval(found, np.stack(list(stems.values())), sample_rate=RATE)
    for k, name in enumerate(stems):
        if name in estimates:
            for metric in METRICS:
                yield system, song, name, metric, np.asarray(getattr(scores, metric.lower())[k])
            whole = si_sdr(estimates[name], stems[name])
            yield system, song, name, "SI-SDR", np.atleast_1d(np.asarray(whole))


@main.command()
@out_argument
def score(out):
    models = {arm: out / "models" / f"unet-{arm}.onnx" for arm in ARMS}
    models = {arm: unmask.load_model(path) for arm, path in models.items() if path.is_file()}
    rows, seconds = [], defaultdict(float)
    for folder in sorted((out / "songs").iterdir()):
        stems = read(folder)
        mixture = sum(stems.values())
        systems = {"mixture": dict.fromkeys(stems, mixture)}
        for arm, model in models.items():
            start = time.process_time()
            found = model.separate(mixture, RATE)
            seconds[arm] += time.process_time() - start
            seconds[arm, "length"] += mixture.shape[-1] / RATE
            systems[arm] = folded(found, stems, mixture)
        for name in dict.fromkeys(ORACLES.values()):
            oracle = unmask.Oracle(stems, RATE, masks.get(name), STFT(1024, 256, "hann"))
            systems[f"oracle {name}"] = oracle.separate(mixture, RATE)
        for system, estimates in systems.items():
            rows += rows_of(system, folder.name, stems, estimates, mixture)
    print_tables(rows, models, seconds)


def difference(scores, ours, theirs, stem):
    """Return the median of the differences of all frames, as text, with its interval."""
    songs = [key[1] for key in scores if key[0] == ours and key[2:] == (stem, "SDR")]
    pairs = [[scores.get((arm, song, stem, "SDR")) for arm in (ours, theirs)] for song in songs]
    found = [a - b for a, b in pairs if b is not None]
    return f"{np.nanmedian(np.concatenate(found)):+.2f}{interval(found)}" if found else ""


def blocks_of(values):
    return [values[k : k + BLOCK_S] for k in range(0, len(values), BLOCK_S)]


def interval(songs):
    """Return the 95 % bootstrap interval of the median over frames; blocks of 10 s are drawn."""
    blocks = [block for values in songs for block in blocks_of(values)]
    if len(blocks) < 5:
        return ""
    rng = np.random.default_rng(0)
    draws = rng.integers(len(blocks), size=(1000, len(blocks)))
    medians = [np.nanmedian(np.concatenate([blocks[k] for k in draw])) for draw in draws]
    low, high = np.percentile(medians, [2.5, 97.5])
    return f" [{low:.2f}, {high:.2f}]"


def print_tables(rows, models, seconds):
    scores = {row[:4]: row[4] for row in rows}
    for song, stem in dict.fromkeys((row[1], row[2]) for row in rows):
        print(f"\n**{stem}, {song}**\n\n| system | SDR | ISR | SIR | SAR | SI-SDR |")
        print("|---|---|---|---|---|---|")
        for system in dict.fromkeys(row[0] for row in rows if row[1:3] == (song, stem)):
            found = [scores[system, song, stem, metric] for metric in (*METRICS, "SI-SDR")]
            cells = [f"{np.nanmedian(values):.2f}" for values in found]
            cells[0] += interval(found[:1])
            print(f"| {' | '.join([system, *cells])} |")
    print("\n| SDR, all songs of a stem | " + " | ".join(STEMS) + " |\n|---|---|---|---|---|")
    for ours, theirs in PAIRS:
        cells = [difference(scores, ours, theirs, stem) for stem in STEMS]
        print(f"| {ours} minus {theirs} | {' | '.join(cells)} |")
    print("\n| system | parameters | MAC/s | times real time |\n|---|---|---|---|")
    for arm, model in models.items():
        speed = seconds[arm, "length"] / seconds[arm]
        about = model.metadata
        print(f"| {arm} | {about['parameters']} | {about['macs_per_second']:.3g} | {speed:.1f} |")


if __name__ == "__main__":
    main()
