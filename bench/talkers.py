"""Lists of two talkers as files, the same for the same recipe; and what a model makes of them.

The list is the validation set of a recipe, in folders as LibriMix has them::

    python bench/talkers.py write recipes/two-speakers.toml OUT --data FOLDER
    python bench/talkers.py score two-speakers OUT > table.md

What `score` reads may also be LibriMix, WSJ0-2mix, or anything in their layout.
"""

import csv
from pathlib import Path

import click
import numpy as np

from deep_masks import BINS, interval, overlap
from unmask import audio, load_model
from unmask.data import DATA
from unmask.metrics import si_sdr
from unmask.order import best_order
from unmask.recipe import load
from unmask.stems import by_stem, in_no_order

MIXTURES = ("mix_clean", "mix_both", "mix")


@click.group()
def main() -> None:
    """Write lists of two talkers, score models on them."""


@main.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--data", "root", type=click.Path(path_type=Path), required=True)
@click.option("--cache", type=click.Path(path_type=Path), help="Of decoded recordings.")
@click.option("-s", "--set", "overrides", multiple=True, metavar="KEY=VALUE")
def write(
    recipe: Path, out: Path, root: Path, cache: Path | None, overrides: tuple[str, ...]
) -> None:
    """Write the validation set of RECIPE, and list.csv, which says what is in it."""
    made = load(recipe, overrides)
    kind, rate = DATA[made.data_kind], made.data.sample_rate
    examples = kind.make(made.data, root, cache or out / "cache", seed=0, n_examples=1)[1]
    mixture = "mix_both" if made.data.residual else "mix_clean"
    rows = []
    for k in range(len(examples)):
        example, said = examples.example(k)  # type: ignore[attr-defined]
        waves = {mixture: example["mixture"], "s1": example["targets"][0]}
        waves |= {"s2": example["targets"][1]}
        for folder, wave in waves.items():
            (out / folder).mkdir(parents=True, exist_ok=True)
            audio.write(out / folder / f"{k:04d}.wav", wave, rate, subtype="FLOAT")
        first, second = said.pop("speakers")
        rows.append({"name": f"{k:04d}", "speaker1": first, "speaker2": second, **said})
    with (out / "list.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    click.echo(f"{out}: {len(rows)} mixtures")


@main.command()
@click.argument("model")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
def score(model: str, folder: Path) -> None:
    """Print the SI-SDR improvement of MODEL per overlap, with 95 % bootstrap intervals.

    Recordings are resampled to the rate of a model with a learned front-end, no others.
    """
    loaded, rows = load_model(model), []
    for name, stems in by_stem(folder, audio.find(folder)).items():
        talkers = in_no_order(stems)
        true, rate = zip(*(audio.read(stems[talker]) for talker in talkers), strict=True)
        file = stems[talkers[0]].name
        path = next(p for p in (folder / kind / file for kind in MIXTURES) if p.is_file())
        mixture, _ = audio.read(path)
        found = loaded.separate(mixture, rate[0])
        estimates, targets = np.stack([found[talker] for talker in loaded.stems]), np.stack(true)
        order = best_order(talkers, [(estimates, targets)])
        before = si_sdr(np.broadcast_to(mixture, targets.shape), targets)
        after = si_sdr(estimates[order], targets)
        rows.append((overlap(targets, rate[0]), (after - before).mean(), after.mean()))
        click.echo(f"{name}: {rows[-1][1]:.2f} dB", err=True)
    shares, gains, scores = np.array(rows).T
    places = np.digitize(shares, BINS[:-1], right=True)
    click.echo("| overlap | mixtures | SI-SDRi dB | SI-SDR dB |\n|---|---|---|---|")
    for k, end in enumerate(BINS):
        here = places == k
        cells = (interval(x[None, here]) for x in (gains, scores))
        click.echo(f"| ≤ {end:.0%} | {here.sum()} | {' | '.join(cells)} |")
    cells = (interval(x[None]) for x in (gains, scores))
    click.echo(f"| all | {len(rows)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
