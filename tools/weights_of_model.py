"""Make a run folder of a denoiser's ``.onnx`` file, for another run to begin with.

``python tools/weights_of_model.py MODEL RECIPE RUN --data RECORDINGS`` writes RUN, which ``-s
train.warm_start=RUN`` takes up: the weights of the bundled models are nowhere but in their files.
There the batch norms are part of the convolutions. Here each gets the mean and deviation of what
comes to it on examples of the recipe, and what undoes them after it: the same network, whose norms
are what training goes on from.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from unmask import checkpoint
from unmask.data import DATA
from unmask.files import make_folder
from unmask.recipe import load

N_EXAMPLES = 48
#: Layers with weights, and what they are in a file.
KINDS = {
    nn.Conv2d: "Conv",
    nn.ConvTranspose2d: "ConvTranspose",
    nn.GRU: "GRU",
    nn.Linear: "MatMul",
}


def weights_of_nodes(path):
    """Return the weights that the nodes of the graph read: kind of node -> those of each."""
    graph = onnx.load(path).graph
    held = {x.name: numpy_helper.to_array(x) for x in graph.initializer}
    casts = {x.output[0]: held[x.input[0]] for x in graph.node if x.input and x.input[0] in held}
    held = {name: torch.from_numpy(x.astype(np.float32)) for name, x in (held | casts).items()}
    found = {}
    for node in graph.node:
        read = [held[name] for name in node.input if name in held and held[name].ndim]
        if read:
            found.setdefault(node.op_type, []).append(read)
    return found


def layers_as_run(net, run):
    """Return the layers with weights in the order in which `run()` runs them, with their names."""
    order, names = [], {layer: name for name, layer in net.named_modules()}
    handles = [
        layer.register_forward_pre_hook(lambda layer, _: order.append((names[layer], layer)))
        for layer in names
        if type(layer) in KINDS
    ]
    run()
    for handle in handles:
        handle.remove()
    return order


def of_torch(gates):
    """Return the gates (reset, update, new) of a GRU of a file, (update, reset, new)."""
    update, reset, new = gates.chunk(3)
    return torch.cat([reset, update, new])


def fill(net, order, found):
    """Copy the weights of a file; return the bias of each convolution that a batch norm follows."""
    biases, shifts = [x[0] for x in found["Add"]], {}
    for name, layer in order:
        read = _next(found[KINDS[type(layer)]], layer)
        if isinstance(layer, nn.GRU):
            w, r, b = (x[0] for x in read)
            values = dict(zip(("weight_ih_l0", "weight_hh_l0"), (w, r), strict=True))
            values |= dict(zip(("bias_ih_l0", "bias_hh_l0"), b.chunk(2), strict=True))
            layer.load_state_dict({key: of_torch(x) for key, x in values.items()})
        elif isinstance(layer, nn.Linear):
            layer.weight.data.copy_(read[0].T)
            if layer.bias is not None:
                layer.bias.data.copy_(next(x for x in biases if x.shape == layer.bias.shape))
        else:
            layer.weight.data.copy_(read[0])
            if layer.bias is None:
                shifts[name.removesuffix(".0")] = read[1]
            else:
                layer.bias.data.copy_(read[1])
    return shifts


def _next(nodes, layer):
    """Take out the first node whose weights have the sizes of a layer's, in whatever order."""
    first = next(layer.parameters())
    sizes = sorted(n for n in first.shape if n > 1)
    fits = (k for k, x in enumerate(nodes) if sorted(n for n in x[0].shape if n > 1) == sizes)
    return nodes.pop(next(fits))


def norms_as_measured(net, shifts, run):
    """Give every batch norm, one after the other, the statistics that it meets, and undo them."""
    for name, shift in shifts.items():
        norm = net.get_submodule(f"{name}.1")
        norm.load_state_dict({**norm.state_dict(), "bias": shift})
        norm.running_var.fill_(1 - norm.eps)  # changes nothing: the network is the file's
        norm.register_forward_pre_hook(_measure)
    run()
    for name in shifts:
        norm = net.get_submodule(f"{name}.1")
        norm.weight.data.copy_((norm.measured[1] + norm.eps).sqrt())
        norm.bias.data.add_(norm.measured[0])
        norm.running_mean.copy_(norm.measured[0])
        norm.running_var.copy_(norm.measured[1])


def _measure(norm, inputs):
    norm.measured = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3))


@torch.no_grad()
def main(words=None):
    """Do what the module says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of the recordings")
    parser.add_argument("--cache", type=Path, required=True, help="folder of decoded recordings")
    args = parser.parse_args(words)
    recipe = load(args.recipe)
    system = recipe.system().eval()
    make = DATA[recipe.data_kind].make
    examples = make(recipe.data, args.data, args.cache, seed=0, n_examples=N_EXAMPLES)[0]
    mixtures = torch.stack([torch.from_numpy(examples[k]["mixture"]) for k in range(N_EXAMPLES)])
    order = layers_as_run(system.net, lambda: system(mixtures[:1, :, :9600]))
    shifts = fill(system.net, order, weights_of_nodes(args.model))
    norms_as_measured(system.net, shifts, lambda: system(mixtures))
    make_folder(args.run)
    named = {f"mean.{name}": value for name, value in system.net.state_dict().items()}
    checkpoint.save(args.run / "best.safetensors", named, {"recipe": recipe.to_dict()})


if __name__ == "__main__":
    main()
