"""Make a run folder of the weights that another program trained for the music network.

``python tools/music_weights.py WEIGHTS RUN`` reads a safetensors file whose names are those of that
program and writes RUN, which ``unmask export RUN music.onnx`` and ``-s train.warm_start=RUN`` take
as any other. The network is the same but for two layers in a row without anything between, a
transposed convolution and one of a single tap, which are one layer here.
"""

import argparse
import json
import re
from pathlib import Path

from safetensors import safe_open

from unmask import checkpoint
from unmask.files import make_folder, write_text
from unmask.recipe import load

#: What a name of the other program begins with or holds -> ours.
NAMES = [
    (r"^embed\.", "backbone.to_bands."),
    (r"^enc\.", "backbone.encoder."),
    (r"^down\.", "backbone.down."),
    (r"^mid\.", "backbone.inner."),
    (r"^up\.", "backbone.up."),
    (r"^dec\.", "backbone.decoder."),
    (r"^n_last\.", "backbone.last.0."),
    (r"^heads\.(\d)\.", r"head.branches.\1.0.layer."),
    (r"\.tdf\.n1\.", ".over_bands.0.0."),
    (r"\.tdf\.w1$", ".over_bands.0.2.weight"),
    (r"\.tdf\.n2\.", ".over_bands.1.0."),
    (r"\.tdf\.w2$", ".over_bands.1.2.weight"),
    (r"\.n1\.", ".first.0."),
    (r"\.c1\.", ".first.2."),
    (r"\.n2\.", ".second.0."),
    (r"\.c2\.", ".second.2."),
]
#: How the weights were made, for the card.
MADE = {
    "how": (
        "by a program of its own, not by this recipe: 500 s on one NVIDIA H100 that two other "
        "trainings shared, 1665 steps of 24 x 5.9 s, AdamW 1.5e-3, rate falling over the last 55 % "
        "of the time, mean of the weights 0.999, bfloat16; had not converged"
    ),
    "loss": (
        "L1 of the waveform + 2 x mean over three STFTs (4096, 1024, 512) of L1 of real and "
        "imaginary parts / sqrt(n_fft), on mixtures of RMS 1 heard at -30 to -10 dBFS; where stems "
        "are known in part, on sums of stems"
    ),
    "data": {
        "free, the first 42 % of the time": [
            "Everything is Free, songs 1 to 5 (Software-Entwicklungskit), CC0-1.0",
            "Producer Space, sung phrases, CC0-1.0",
            "sampled instruments",
            "music of games in Debian packages, as accompaniment",
        ],
        "non-commercial, after that": [
            "MUSDB18, 7-second excerpts of songs of train/",
            "MedleyDB, drums multitracks",
            "GTSinger, demo takes",
        ],
    },
}


def renamed(name):
    """Return our name of a tensor of the other program."""
    for pattern, ours in NAMES:
        name = re.sub(pattern, ours, name)
    return name


def converted(weights, n_maps):
    """Return the weights of the estimator, in single precision.

    Parameters
    ----------
    weights : dict of str to Tensor
        Of the other program.
    n_maps : int
        Maps of all masks together: sources, parts and channels.
    """
    ours = {}
    for name, value in weights.items():
        value = value.float() if value.is_floating_point() else value
        if name.startswith("heads."):  # bins of a band, maps: here the other way round
            value = value.unflatten(0, (-1, n_maps)).transpose(0, 1).flatten(0, 1)
        if match := re.fullmatch(r"fuse\.(\d)\.weight", name):
            k, (way_up, beside) = match[1], value[..., 0, 0].chunk(2, dim=1)
            up = weights[f"up.{k}.2.weight"].float()  # (in, out, frame, band)
            ours[f"backbone.up.{k}.2.weight"] = (up.movedim(1, -1) @ way_up.T).movedim(-1, 1)
            ours[f"backbone.skip.{k}.weight"] = beside[..., None, None]
        elif not re.fullmatch(r"up\.\d\.2\.weight", name):
            ours[renamed(name)] = value
    return ours


def read(path):
    """Return the tensors of the other program's file, and how many steps it trained."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return checkpoint.select(tensors, "mean"), int(file.metadata()["step"])


def main():
    """Read weights, write a run folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("run", type=Path)
    root = Path(__file__).parents[1]
    parser.add_argument("--recipe", type=Path, default=root / "recipes/music.toml")
    args = parser.parse_args()
    recipe = load(args.recipe)
    net = recipe.system().net
    theirs, steps = read(args.weights)
    net.load_state_dict(converted(theirs, net.n_sources * net.family.n_parts * net.n_channels))
    make_folder(args.run)
    named = {f"mean.{name}": value for name, value in net.state_dict().items()}
    header = {"recipe": recipe.to_dict(), "step": steps, "scores": {}}
    checkpoint.save(args.run / "best.safetensors", named, header)
    write_text(args.run / "recipe.toml", recipe.to_toml())
    write_text(args.run / "run.json", json.dumps(MADE, indent=2) + "\n")


if __name__ == "__main__":
    main()
