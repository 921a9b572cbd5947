"""How large a network is: parameters, and multiply-accumulates while it runs."""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from unmask.errors import ConfigError
from unmask.nets.contract import Network

# Layers whose parameters scale or move what passes, a few operations a value.
_UNCOUNTED = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.PReLU)


def count_parameters(net: nn.Module) -> int:
    """Return the number of trained numbers."""
    return sum(parameter.numel() for parameter in net.parameters())


def macs_per_frame(net: Network, n_frames: int = 64) -> float:
    """Return the multiply-accumulates of one frame of one channel.

    Convolutions, linear and recurrent layers are counted as they run; biases, normalisation,
    activations and the host's front-end are not. It is an average over `n_frames`, rounded up to
    what the network works in. A layer of another kind with weights of its own says what a call
    takes by a method ``macs(x, output)``.

    Parameters
    ----------
    net : Estimator or Parallel
    n_frames : int
        That the average is over.

    Raises
    ------
    ConfigError
        If a layer has weights and nothing tells what it does with them.
    """
    n_frames += -n_frames % net.unit_frames
    _check_countable(cast(nn.Module, net))
    return _counted(net, n_frames) / n_frames / net.n_channels


def _counted(net: Network, n_frames: int, of: Callable[[nn.Module], bool] | None = None) -> int:
    """Return the multiply-accumulates of a call with `n_frames`, in all layers or those `of`."""
    module, total = cast(nn.Module, net), 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        nonlocal total
        total += _macs(layer, inputs[0], output)

    layers = filter(of, module.modules()) if of else module.modules()
    hooks = [layer.register_forward_hook(count) for layer in layers]
    training = module.training
    try:
        with torch.no_grad():
            module.eval()(net.front.example(1, n_frames), net.initial_state(1))
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return total


def shares_of_head(net: Network) -> tuple[float, float]:
    """Return what of the parameters, and of the multiply-accumulates, are those of the head.

    Learned grouping belongs to it. Both are from 0 to 1.

    Parameters
    ----------
    net : Estimator
    """
    module = cast(Any, net)
    parts = [part for part in (module.head, module.grouping) if part is not None]
    n_head = sum(map(count_parameters, parts))
    inside = {layer for part in parts for layer in part.modules()}
    macs = _counted(net, net.unit_frames, lambda layer: layer in inside)
    return n_head / count_parameters(module), macs / _counted(net, net.unit_frames)


def _macs(module: nn.Module, x: Tensor, output: Any) -> int:
    """Return the multiply-accumulates of one call of a layer, 0 for layers without weights."""
    own: Any = getattr(module, "macs", None)
    if own is not None:
        return int(own(x, output))
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        kernel = math.prod(module.kernel_size) * module.in_channels // module.groups
        return int(output.numel() * kernel)
    if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d):
        kernel = math.prod(module.kernel_size) * module.out_channels // module.groups
        return int(x.numel() * kernel)
    if isinstance(module, nn.Linear):
        return int(output.numel() * module.in_features)
    if isinstance(module, nn.RNNBase):
        n_weights = sum(w.numel() for name, w in module.named_parameters() if "weight" in name)
        return x.shape[0] * x.shape[1] * n_weights
    return 0


def _check_countable(net: nn.Module) -> None:
    """Refuse layers with weights that would count as nothing."""
    counted = (
        nn.Conv1d,
        nn.Conv2d,
        nn.ConvTranspose1d,
        nn.ConvTranspose2d,
        nn.Linear,
        nn.RNNBase,
        *_UNCOUNTED,
    )
    for name, module in net.named_modules():
        own = next(module.parameters(recurse=False), None) is not None
        if own and not isinstance(module, counted) and not hasattr(module, "macs"):
            raise ConfigError(
                f"{name} ({type(module).__name__}): has weights whose multiplications are not "
                "counted; give it a method macs(x, output)"
            )
