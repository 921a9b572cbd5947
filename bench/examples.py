"""What examples cost: made of files by the loader, and in batches of recordings held in memory.

Prints a Markdown table of milliseconds of processor time an example: what is drawn, which stays on
the CPU wherever sounds are made; the loader's example; an example of a batch on the device. Then,
of a run of either kind, seconds in which training waited for data and steps a second.

    python bench/examples.py recipes/denoise-48k-tiny.toml RECORDINGS [--accelerator cuda]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from unmask import recipe, train
from unmask.recipe import Recipe
from unmask.train.batches import hold

ROUNDS = 5


def cost(make: Callable[[], object], n_examples: int, device: str) -> float:
    """Return the median processor time of an example in milliseconds."""
    taken = []
    for _ in range(ROUNDS):
        before = time.process_time()
        make()
        if device != "cpu":
            torch.cuda.synchronize()
        taken.append(1000 * (time.process_time() - before) / n_examples)
    return float(np.median(taken[1:]))


def costs(made: Recipe, data: Path, cache: Path, device: str) -> str:
    plan = train.Plan(recipe=made, out=cache / "none", data_root=data, cache=cache)
    examples, batch = plan.data()[0], made.train.batch
    store = hold(examples.recordings, torch.device(device))
    drawn = [examples.draw(k) for k in range(batch)]
    draw = cost(lambda: [examples.draw(k) for k in range(batch)], batch, "cpu")
    loader = cost(lambda: [examples[k] for k in range(batch)], batch, "cpu")
    render = cost(lambda: examples.render(drawn, store), batch, device)
    cells = (f"{made.data_kind}, {batch} a batch", device, *(f"{x:.2f}" for x in (draw, loader)))
    return f"| {' | '.join(cells)} | {render:.2f} |"


def run(made: Recipe, data: Path, cache: Path, accelerator: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        train.run(made, out, data_root=data, cache=cache, accelerator=accelerator)
        result = train.read_about(out)["result"]
    waited = result["data_share"] * result["seconds"]
    cells = (made.train.examples, result["steps"], f"{waited:.1f}", f"{result['seconds']:.1f}")
    return f"| {' | '.join(map(str, cells))} | {result['steps_per_second']:.2f} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--accelerator", default="cpu")
    parser.add_argument("--set", nargs="*", default=[])
    asked = parser.parse_args()
    cache = asked.data / ".cache"
    steps = [f"train.{name}={asked.steps}" for name in ("steps", "valid_every")]
    ways = {
        way: recipe.load(asked.recipe, [*asked.set, *steps, f"train.examples={way}"])
        for way in ("loader", "device")
    }
    torch.set_num_threads(1)
    print("| examples | device | drawn, ms | loader, ms | in a batch, ms |\n|---|---|---|---|---|")
    print(costs(ways["device"], asked.data, cache, asked.accelerator), flush=True)
    print("\n| made by | steps | waited for data, s | in all, s | steps a second |")
    print("|---|---|---|---|---|")
    for way in ("loader", "device", "loader", "device"):
        print(run(ways[way], asked.data, cache, asked.accelerator), flush=True)
