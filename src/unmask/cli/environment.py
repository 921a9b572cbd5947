"""``unmask info``: what is installed here."""

import platform

import click

from unmask._version import __version__
from unmask.cli import show

# What each extra brings; the first line is what is always needed.
_PACKAGES = {
    "": ("numpy", "onnxruntime", "soundfile", "soxr"),
    "train": ("torch", "lightning-fabric", "safetensors", "onnx"),
    "plot": ("matplotlib",),
    "speech": ("pesq", "pystoi"),
    "loudness": ("pyloudnorm",),
    "media": ("av",),
    "augment": ("pedalboard",),
    "live": ("sounddevice",),
    "hub": ("huggingface-hub",),
}


@click.command()
@show.json_option
def info(json_file: str | None) -> None:
    """Report versions, processors and models of this installation, for bug reports.

    \b
    Example:
      unmask info --json environment.json
    """
    from unmask.engine.model import bundled
    from unmask.engine.session import available_providers
    from unmask.workers import n_processors

    found = {
        "unmask": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": str(n_processors()),
        "providers": " ".join(available_providers()),
        "models": " ".join(bundled()) or "none",
    }
    for extra, packages in _PACKAGES.items():
        for package in packages:
            found[package] = _version(package) or f'missing: pip install "unmask[{extra}]"'
    rows = [{"name": name, "value": value} for name, value in found.items()]
    show.table(rows, {"name": "", "value": ""}, title="unmask on this machine", prose=["value"])
    show.write_json(json_file, found)


def versions() -> str:
    """Return the versions that a result depends on, in a line."""
    packages = ("numpy", "scipy", "onnxruntime", "soundfile", "torch")
    found = {name: _version(name) for name in packages}
    known = [f"{name} {number}" for name, number in found.items() if number]
    return ", ".join([f"Python {platform.python_version()}", *known])


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # 30 ms

    try:
        return version(package)
    except PackageNotFoundError:
        return None
