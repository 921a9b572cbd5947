"""Shallow and deep mask estimation on the same separator, data and steps: the table of a study.

A study is a TOML file: a recipe, arms that differ from it, seeds. ::

    python bench/deep_masks.py run bench/deep_masks.toml OUT --on RECIPE --data FOLDER
    python bench/deep_masks.py table OUT > table.md

`run` can be stopped and goes on where it was; each finished network is a line of
``OUT/results.jsonl``. Every network is the last of its run: nothing is chosen on what is scored,
the validation examples of RECIPE. Sources come in any order, so each estimate is compared with the
target it fits best; where outputs are grouped by assignment, by the best one, which knows the
truth.
"""

import json
import time
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from unmask import checkpoint, losses, train
from unmask.data import DATA
from unmask.metrics import si_sdr
from unmask.nets.counting import count_parameters, macs_per_frame, shares_of_head
from unmask.recipe import Recipe, from_dict, load
from unmask.train.assignment import Assignment

RESULTS = "results.jsonl"
#: Upper ends of the bins of overlap.
BINS = (0.25, 0.5, 0.75, 1.0)
#: A talker this far below the loudest frame is silent.
SILENT_DB = 40.0
FRAME_S, N_DRAWS = 0.02, 2000


@click.group()
def main() -> None:
    """Train all arms of a study, make its table."""


@main.command()
@click.argument("study", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--on", "base", type=click.Path(path_type=Path), required=True, help="Says the data.")
@click.option("--data", "root", type=click.Path(path_type=Path), default=Path())
@click.option("--only", multiple=True, metavar="ARM", help="These arms alone.")
@click.option("-s", "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="For all arms.")
@click.option("--accelerator", default="cpu")
def run(
    study: Path,
    out: Path,
    base: Path,
    root: Path,
    only: tuple[str, ...],
    overrides: tuple[str, ...],
    accelerator: str,
) -> None:
    """Train and score what has no line in the results yet."""
    said = tomllib.loads(study.read_text(encoding="utf-8"))
    if unknown := sorted(set(only) - said["arms"].keys()):
        raise click.UsageError(f"no arm {unknown}; there are {sorted(said['arms'])}")
    out.mkdir(parents=True, exist_ok=True)
    done = {(line["arm"], line["seed"]) for line in results(out)}
    todo = [
        (arm, seed)
        for seed in said["seeds"]  # a seed of all arms first: half a study is one, too
        for arm in only or said["arms"]
        if (arm, seed) not in done
    ]
    for k, (arm, seed) in enumerate(todo, 1):
        click.echo(f"{k} of {len(todo)}: {arm}, seed {seed}", err=True)
        made = recipe_of(base, said, arm, seed, overrides)
        folder = out / f"{arm}-{seed}"
        if not is_finished(folder, made):
            train.run(
                made,
                folder,
                data_root=root,
                cache=out / "cache",
                resume=(folder / train.plan.LAST).exists(),
                accelerator=accelerator,
            )
        line = {"arm": arm, "seed": seed, **facts(made, folder, root, out / "cache")}
        with (out / RESULTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def recipe_of(
    base: Path, said: dict[str, Any], arm: str, seed: int, overrides: tuple[str, ...]
) -> Recipe:
    """Return the recipe of an arm: the data of `base`, the study's settings, those of the arm."""
    tables = {"data": load(base).to_dict()["data"], "name": arm}
    for part in (said["recipe"], said["arms"][arm]):
        for section, values in part.items():
            tables[section] = tables.get(section, {}) | values
    for override in overrides:
        key, _, value = override.partition("=")
        section, _, name = key.partition(".")
        tables[section] = tables.get(section, {}) | {name: tomllib.loads(f"x = {value}")["x"]}
    tables["train"] |= {"seed": seed}
    return from_dict(tables, subject=arm)


def results(out: Path) -> list[dict[str, Any]]:
    """Return what was found so far."""
    path = out / RESULTS
    return list(map(json.loads, path.read_text("utf-8").splitlines())) if path.exists() else []


def is_finished(folder: Path, made: Recipe) -> bool:
    """Return whether all steps of a run are made."""
    path = folder / train.plan.LAST
    return path.exists() and checkpoint.read_header(path)["step"] >= made.train.steps


def facts(made: Recipe, folder: Path, root: Path, cache: Path) -> dict[str, Any]:
    """Return the sizes and scores of a trained network."""
    system = made.system().eval()
    tensors, _ = checkpoint.load(folder / train.plan.LAST)
    system.net.load_state_dict(checkpoint.select(tensors, "mean"))
    valid_set = DATA[made.data_kind].make(
        made.data, root, cache, seed=made.train.seed, n_examples=1
    )[1]
    of_parameters, of_macs = shares_of_head(system.net)
    frames_per_second = made.data.sample_rate / made.frontend.host.hop
    rows, seconds = [], 0.0
    for k in range(len(valid_set)):
        row, took = score(system, made, valid_set[k])
        rows.append(row)
        seconds += took
    return {
        "steps": made.train.steps,
        "parameters": count_parameters(system.net),
        "macs_per_second": round(macs_per_frame(system.net) * frames_per_second),
        "head_parameters": of_parameters,
        "head_macs": of_macs,
        "cpu_seconds_per_second": seconds / (len(valid_set) * made.data.seconds),
        "threads": torch.get_num_threads(),
        "examples": rows,
    }


@torch.no_grad()
def score(system: Any, made: Recipe, example: Any) -> tuple[dict[str, float], float]:
    """Return overlap and mean SI-SDR improvement of an example, and the seconds it took."""
    mixture, targets = (torch.as_tensor(example[key])[None] for key in ("mixture", "targets"))
    since = time.process_time()
    estimates = system(mixture)
    took = time.process_time() - since
    kind = made.loss.assignment
    assign = Assignment(kind, losses.losses(made.loss.stft)["si_sdr"])
    arranged = assign(estimates, targets, mixture, torch.eye(targets.shape[1])[None])
    before = si_sdr(mixture[:, None].expand_as(targets).contiguous(), targets)
    gain = (si_sdr(arranged, targets) - before).clamp(-60, 60)
    row = {
        "overlap": overlap(targets[0].numpy(), made.data.sample_rate),
        "improvement_db": float(gain.nanmean()),
    }
    return row, took


def overlap(targets: np.ndarray, sample_rate: int) -> float:
    """Return in what share of the frames with a talker all talk; 0 where nobody does.

    Parameters
    ----------
    targets : array [shape=(source, channel, sample)]
    sample_rate : int
        Hz.
    """
    length = round(FRAME_S * sample_rate)
    n_frames = targets.shape[-1] // length
    frames = targets[..., : n_frames * length].reshape(*targets.shape[:2], n_frames, length)
    energy = np.square(frames, dtype=np.float64).sum((1, 3))
    loudest = energy.max(axis=1, keepdims=True)
    talks = (energy > 10 ** (-SILENT_DB / 10) * loudest) & (loudest > 0)
    return float(talks.all(0).sum() / max(1, talks.any(0).sum()))


@main.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--against", default="shallow", help="Arm that differences are to.")
def table(out: Path, against: str) -> None:
    """Print the table of what was found so far, in Markdown."""
    lines = defaultdict(list)
    for line in results(out):
        lines[line["arm"]].append(line)
    if not lines:
        raise click.UsageError(f"{out}: holds no results; call run first")
    ends = [f"≤ {end:.0%}" for end in BINS]
    heads = ["arm", "seeds", "parameters", "head", "MMAC/s", "head", "CPU s/s", "SI-SDRi dB"]
    heads += [f"− {against}", *ends]
    click.echo(f"| {' | '.join(heads)} |")
    click.echo("|" + "---|" * len(heads))
    for arm, found in lines.items():
        click.echo(f"| {' | '.join(row_of(arm, found, lines.get(against, [])))} |")


def gains_of(found: list[dict[str, Any]]) -> np.ndarray:
    """Return the improvement of every example (seed, example) in dB, seeds in their order."""
    lines = sorted(found, key=lambda line: line["seed"])
    return np.array([[row["improvement_db"] for row in line["examples"]] for line in lines])


def row_of(arm: str, found: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[str]:
    """Return the cells of an arm; differences to others are of the same seed and example."""
    first, gains = found[0], gains_of(found)
    n_both = min(len(found), len(others))
    over = gains[:n_both] - gains_of(others)[:n_both] if n_both else gains[:0, :0]
    shares = np.array([row["overlap"] for row in first["examples"]])
    places = np.digitize(shares, BINS[:-1], right=True)
    each = [gains[:, places == k] for k in range(len(BINS))]
    cpu = np.mean([line["cpu_seconds_per_second"] for line in found])
    return [
        arm,
        str(len(found)),
        f"{first['parameters']:,}",
        f"{first['head_parameters']:.0%}",
        f"{first['macs_per_second'] / 1e6:.0f}",
        f"{first['head_macs']:.0%}",
        f"{cpu:.4f}",
        interval(gains),
        interval(over) if over.any() else "",
        *(interval(part) for part in each),
    ]


def interval(gains: np.ndarray) -> str:
    """Return the mean and its 95 % interval, by a bootstrap over seeds and examples."""
    n_seeds, n_examples = gains.shape
    if not n_examples:
        return ""
    rng = np.random.default_rng(0)
    seeds = rng.integers(n_seeds, size=(N_DRAWS, n_seeds))
    examples = rng.integers(n_examples, size=(N_DRAWS, n_examples))
    draws = [gains[np.ix_(s, e)].mean() for s, e in zip(seeds, examples, strict=True)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{gains.mean():.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
