"""Run what a Containerfile runs, without an engine: python tools/containerfile.py [FOLDER].

Every RUN, COPY, ENV and the ENTRYPOINT in order, with the places of an image (/src, /opt, /models)
below a folder, in a temporary one unless told otherwise. What it cannot try is the base image: the
system's own libraries, and its user.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
_PLACES = re.compile(r"(?<![\w.])/(?=(?:src|opt|models|work)\b)")


def instructions(text):
    """Return the instructions of a Containerfile: name and the rest of the line."""
    joined = re.sub(r"\\\n", " ", text)
    lines = (line for line in joined.splitlines() if line.strip() and not line.startswith("#"))
    return [tuple(line.split(None, 1)) for line in lines]


def run(text, image):
    """Do what the instructions say below `image`, then separate the demonstration with it."""
    environment, folder, entry = dict(os.environ), image, []
    environment.pop("PYTHONPATH", None)
    for name, rest in instructions(text):
        rest = _PLACES.sub(f"{image}/", rest)
        print(name, rest, flush=True)
        if name == "WORKDIR":
            folder = Path(rest)
            folder.mkdir(parents=True, exist_ok=True)
        elif name == "ENV":
            pairs = (pair.partition("=")[::2] for pair in shlex.split(rest))
            environment |= {
                key: value.replace("$PATH", environment["PATH"]) for key, value in pairs
            }
        elif name == "COPY" and not rest.startswith("--from"):
            ignored = shutil.ignore_patterns(".git", ".venv*", "__pycache__", "node_modules")
            shutil.copytree(ROOT, folder, dirs_exist_ok=True, ignore=ignored)
            for line in (ROOT / ".containerignore").read_text("utf-8").split():
                shutil.rmtree(folder / line, ignore_errors=True)
        elif name == "RUN":
            subprocess.run(rest, shell=True, cwd=folder, env=environment, check=True)
        elif name == "ENTRYPOINT":
            entry = json.loads(rest)
    clip = ROOT / "assets" / "demo" / "mixture.flac"
    found = shutil.which(entry[0], path=environment["PATH"])
    for words in (["--version"], ["denoise", str(clip), "-o", "out"], ["models", "verify"]):
        subprocess.run([found, *entry[1:], *words], cwd=folder, env=environment, check=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        image = Path(sys.argv[1] if sys.argv[1:] else temporary)
        run((ROOT / "Containerfile").read_text("utf-8"), image)
