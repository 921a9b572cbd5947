"""Keep the strongest units of a trained CRN, for a smaller one to begin with.

``python tools/slim_crn.py RUN OUT --data RECORDINGS --channels 24 40 56 --hidden 128`` reads the
best weights of RUN and writes OUT, which ``-s train.warm_start=OUT`` takes up. A unit's strength is
the RMS of what it puts out on examples of the run's training set, times the norm of the weights
that read it (after Li et al., 2017, who take the norm alone).
"""

import argparse
from itertools import pairwise
from pathlib import Path

import torch

from unmask import checkpoint
from unmask.data import DATA
from unmask.recipe import from_dict

N_EXAMPLES = 24


def rms_of_inputs(net, run):
    """Return the RMS of every input of every layer while `run()` runs, by the layer's name."""
    found = {}

    def hook(name):
        def keep(layer, inputs, output):
            x = inputs[0].movedim(1, -1) if isinstance(layer, torch.nn.Conv2d) else inputs[0]
            found[name] = x.detach().square().flatten(0, -2).mean(0).sqrt()

        return keep

    kinds = (torch.nn.Conv2d, torch.nn.Linear, torch.nn.GRU)
    layers = [(name, layer) for name, layer in net.named_modules() if isinstance(layer, kinds)]
    handles = [layer.register_forward_hook(hook(name)) for name, layer in layers]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    return found


def norms(weight):
    """Norm of the weights that read each input."""
    return weight.transpose(0, 1).flatten(1).norm(dim=1)


def strongest(strength, n):
    """Return the indices of the `n` strongest, in their order."""
    return strength.topk(n).indices.sort().values


def slim(net, rms, channels, hidden):
    """Return the weights of an estimator whose backbone is a CRN of that size."""
    crn, w = net.backbone, net.state_dict()
    old = crn.config.channels
    levels, deepest = range(len(old)), len(old) - 1
    # What reads the decoder: the readout, or the first layer of a deep head.
    head = next(name for name in rms if name.startswith("head.branches.0."))

    def read(name):
        return rms[name] * norms(w[f"{name}.weight"])

    def of_maps(name):  # of a linear layer that reads a whole frame
        return read(name).reshape(old[-1], -1).norm(dim=1)

    # What the encoder puts out at every level, and what the decoder takes in.
    encoded, decoded = [], []
    for k in levels:
        skip = read(f"backbone.skips.{deepest - k}")
        deeper = of_maps("backbone.down") if k == deepest else read(f"backbone.encoder.{k + 1}.0")
        encoded.append(strongest((skip.square() + deeper.square()).sqrt(), channels[k]))
        taken = read(head) if k == 0 else read(f"backbone.decoder.{deepest - k}.0.0")
        decoded.append(strongest(taken, channels[k]))
    # What the bottleneck is told, and the units of its recurrent layers.
    units = []
    for k in range(len(crn.recurrent)):
        name = f"backbone.recurrent.{k}"
        units.append(strongest(rms[name] * norms(w[f"{name}.weight_ih_l0"]), hidden))
    units.append(strongest(read("backbone.up"), hidden))

    out = {}

    def take(name, rows=None, columns=None):
        value = w[name]
        value = value if rows is None else value[rows]
        out[name] = value if columns is None else value[:, columns]

    def take_layer(name, rows, columns):
        take(f"{name}.0.weight", rows, columns)
        for part in ("weight", "bias", "running_mean", "running_var"):
            take(f"{name}.1.{part}", rows)

    def bins(maps, n_bins):
        return (maps[:, None] * n_bins + torch.arange(n_bins)).flatten()

    for k in levels:
        take_layer(f"backbone.encoder.{k}", encoded[k], encoded[k - 1] if k else None)
        skip = f"backbone.skips.{deepest - k}"
        take(f"{skip}.weight", decoded[k], encoded[k])
        take(f"{skip}.bias", decoded[k])
        if k:
            take_layer(f"backbone.decoder.{deepest - k}.0", bins(decoded[k - 1], 2), decoded[k])
    take(f"{head}.weight", None, decoded[0])
    n_bins = crn.n_bins[-1]
    take("backbone.down.weight", units[0], bins(encoded[-1], n_bins))
    take("backbone.down.bias", units[0])
    take("backbone.up.weight", bins(decoded[-1], n_bins), units[-1])
    take("backbone.up.bias", bins(decoded[-1], n_bins))
    for k, (told, own) in enumerate(pairwise(units)):
        gates = (torch.arange(3)[:, None] * crn.config.hidden + own).flatten()
        name = f"backbone.recurrent.{k}"
        take(f"{name}.weight_ih_l0", gates, told)
        take(f"{name}.weight_hh_l0", gates, own)
        take(f"{name}.bias_ih_l0", gates)
        take(f"{name}.bias_hh_l0", gates)
    for name in w.keys() - out.keys():  # what no unit that went was part of
        if name.startswith(("backbone.coarse.", "head.", "front.")):
            take(name)
    if crn.coarse is not None:
        take("backbone.coarse.down.weight", units[0])
        take("backbone.coarse.up.weight", None, units[-1])
    return out


def main():
    """Read a run, write the start of another."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of the recordings")
    parser.add_argument("--cache", type=Path, help="folder of decoded recordings")
    parser.add_argument("--channels", type=int, nargs="+", required=True)
    parser.add_argument("--hidden", type=int, required=True)
    args = parser.parse_args()
    tensors, header = checkpoint.load(args.run / "best.safetensors")
    recipe = from_dict(header["recipe"], subject=str(args.run))
    system = recipe.system().eval()
    system.net.load_state_dict(checkpoint.select(tensors, "mean"))
    cache = args.cache or args.run / "cache"
    make = DATA[recipe.data_kind][1]
    examples = make(recipe.data, args.data, cache, seed=0, n_examples=N_EXAMPLES)[0]
    mixtures = torch.stack([torch.from_numpy(examples[k]["mixture"]) for k in range(N_EXAMPLES)])
    rms = rms_of_inputs(system.net, lambda: system(mixtures))
    weights = slim(system.net, rms, args.channels, args.hidden)
    args.out.mkdir(parents=True, exist_ok=True)
    named = {f"mean.{name}": value for name, value in weights.items()}
    checkpoint.save(args.out / "best.safetensors", named, header)


if __name__ == "__main__":
    main()
