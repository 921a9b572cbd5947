"""Run by `make test-package` with an installation alone: what it holds and does, how large it is.

Not a test of the suite: that runs in the repository.
"""

import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

import numpy as np

import unmask
from unmask import audio

#: Megabytes of an environment with the core alone, without pip and setuptools.
MOST_MB = 250

home = Path(unmask.__file__).parent
site = home.parent
assert site.name == "site-packages", home
for part in (
    "web/index.html",
    "web/worklet.js",
    "models/denoise-16k.onnx",
    "listen/page/main.js",
    "py.typed",
):
    assert (home / part).is_file(), part
names = {Path(str(file)).name for file in distribution("unmask").files or ()}
assert {"LICENSE", "NOTICE.md"} <= names

tools = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
sizes = [path.stat().st_size for path in site.rglob("*") if path.is_file()]
theirs = [p.stat().st_size for name in tools for p in site.glob(f"{name}*/**/*") if p.is_file()]
size_mb = (sum(sizes) - sum(theirs)) / 1e6
assert size_mb <= MOST_MB, size_mb

with tempfile.TemporaryDirectory() as folder:
    noisy, clean = Path(folder) / "noisy.wav", Path(folder) / "clean.wav"
    audio.write(noisy, 0.1 * np.random.default_rng(0).standard_normal((1, 48000)), 48000)
    command = [
        Path(sys.executable).with_name("unmask"),
        "denoise",
        noisy,
        "-o",
        Path(folder) / "out",
    ]
    subprocess.run(command, check=True)
    (made,) = (Path(folder) / "out").rglob("*.wav")
    assert audio.info(made).n_samples == 48000
print(f"installed: {size_mb:.0f} MB, Python {sys.version.split()[0]}, NumPy {np.__version__}")
