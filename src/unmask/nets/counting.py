"""How large a network is: parameters, and multiply-accumulates while it runs."""

import math
from typing import Any

import torch
from torch import Tensor, nn


def count_parameters(net: nn.Module) -> int:
    """Return the number of trained numbers."""
    return sum(parameter.numel() for parameter in net.parameters())


def macs_per_frame(net: Any, n_frames: int = 64) -> float:
    """Return the multiply-accumulates of one frame of one channel.

    Convolutions, linear layers and GRUs are counted as they run; biases, normalisation,
    activations and the front-end are not. It is an average over `n_frames`, rounded up to what
    the network works in.

    Parameters
    ----------
    net : Module
        As :func:`unmask.nets.build` returns it.
    """
    n_frames += -n_frames % net.unit_frames
    total = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        nonlocal total
        total += _macs(module, inputs[0], output)

    hooks = [module.register_forward_hook(count) for module in net.modules()]
    training = net.training
    try:
        with torch.no_grad():
            net.eval()(torch.zeros(1, 2, net.config.n_freq, n_frames), net.initial_state(1))
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()
    return total / n_frames


def _macs(module: nn.Module, x: Tensor, output: Any) -> int:
    """Return the multiply-accumulates of one call of a layer, 0 for layers that are not counted."""
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        kernel = math.prod(module.kernel_size) * module.in_channels // module.groups
        return int(output.numel() * kernel)
    if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d):
        kernel = math.prod(module.kernel_size) * module.out_channels // module.groups
        return int(x.numel() * kernel)
    if isinstance(module, nn.Linear):
        return int(output.numel() * module.in_features)
    if isinstance(module, nn.GRU):
        n_weights = sum(w.numel() for name, w in module.named_parameters() if "weight" in name)
        return x.shape[0] * x.shape[1] * n_weights
    return 0
