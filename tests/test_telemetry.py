"""Nothing is sent home, and nothing is left in it."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from unmask import audio, pins
from unmask.engine.model import bundled
from unmask.files import sha256

ROOT = Path(__file__).parents[1]
IMPORT = re.compile(r"^\s*(?:import|from)\s+onnxruntime\b", re.MULTILINE)
OFF = 'os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")'

#: Ends the process where a library that reports home is imported and not told to be silent before.
GUARD = """
import os, sys
OFF = {"onnxruntime": "ORT_DISABLE_TELEMETRY", "huggingface_hub": "HF_HUB_DISABLE_TELEMETRY"}
class Guard:
    def find_spec(self, name, *_):
        if name in OFF and os.environ.get(OFF[name]) != "1":
            os._exit(77)
sys.meta_path.insert(0, Guard())
"""
WAYS = {
    "load_model": "import unmask; unmask.load_model('denoise-16k')",
    "dnsmos": "from unmask.metrics.dnsmos import DNSMOS\n"
    "try: DNSMOS(sys.argv[1])\nexcept ValueError: pass",
    "info": "from unmask.cli import main; main(['info'])",
    "denoise": "from unmask.cli import main; main(['denoise', sys.argv[1], '-o', sys.argv[2]])",
    "hub": "from unmask.hub import client; client.host(); client.is_offline()",
    "a model of a hub": "from unmask.cli import main\n"
    "try: main(['denoise', '-m', 'hf://people/voices', sys.argv[1]])\n"
    "except SystemExit as end: sys.exit(end.code != 1 or 'huggingface_hub' in sys.modules)",
}


COMMAND = "import sys; from unmask.cli import main; main(sys.argv[1:])"
#: Runs a command without a network, and says what it tried to send to one: look-ups have no route.
ALONE = """
"$@"; code=$?
awk '/^Ip:/ && !at {for (k = 1; k <= NF; k++) if ($k == "OutNoRoutes") at = k; next}
     /^Ip:/ {print "sent", $at}
     /^Udp:/ && !udp {for (k = 1; k <= NF; k++) if ($k == "OutDatagrams") udp = k; next}
     /^Udp:/ {print "sent", $udp}' /proc/net/snmp
exit $code
"""


def can_unshare():
    """Tell whether processes can be run without a network here."""
    if shutil.which("unshare") is None or shutil.which("awk") is None:
        return False
    return subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode == 0


needs_unshare = pytest.mark.skipif(not can_unshare(), reason="no network namespaces here")


def alone(home, *command):
    """Run a command with an empty home and no network; return what it tried to send."""
    own = {"HOME": str(home), "PATH": os.environ["PATH"]}
    kept = {
        k: v
        for k, v in os.environ.items()
        if k.startswith(("PYTHON", "OPENBLAS", "LD_", "UNMASK_"))
    }
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", ALONE, "sh", *map(str, command)],
        cwd=home.parent,
        env=kept | own,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("sent ")]


RECIPE = """
name = "tiny"
frontend = {n_fft = 128, hop = 64}
backbone = {kind = "crn", channels = [8, 12], hidden = 16, layers = 1}
train = {steps = 1, batch = 2, valid_every = 1, log = ["csv", "tensorboard"]}
[data]
sample_rate = 16000
seconds = 0.5
valid_examples = 2
recordings = [{role = "speech", glob = "*/speech.wav", valid_share = 0.5},
              {role = "noise", glob = "*/noise.wav", valid_share = 0.5}]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty home, a pin, and beside it a recipe and folders of stems."""
    rng = np.random.default_rng(0)
    (tmp_path / "home").mkdir()
    (tmp_path / "recipe.toml").write_text(RECIPE)
    monkeypatch.setenv("UNMASK_PINS", str(tmp_path / "pins"))
    model = bundled()["denoise-16k"]
    pins.Pin(
        repository="people/voices",
        revision=None,
        commit=40 * "0",
        file=model.name,
        sha256=sha256(model),
        n_bytes=model.stat().st_size,
        licence="mit",
        path=str(model),
        pulled="2026-11-28",
    ).save()
    for song in "abcd":
        (tmp_path / "songs" / song).mkdir(parents=True)
        for stem in ("speech", "noise"):
            sound = 0.1 * rng.standard_normal((1, 16000), np.float32)
            audio.write(tmp_path / "songs" / song / f"{stem}.wav", sound, 16000)
    return tmp_path


@needs_unshare
@pytest.mark.skipif(shutil.which("ip") is None, reason="no loopback can be made here")
@pytest.mark.skipif(find_spec("ray") is None, reason="no Ray here: unmask[cluster]")
def test_a_cluster_of_this_machine_tells_nobody_and_leaves_nothing_at_home(folder):
    """Ray reports its use, or that it is told not to, and asks whose cloud the machine is in."""
    home = folder / "home"
    words = ["denoise", "-m", "denoise-16k", "songs", "-o", "out", "--cluster", "local"]
    with_loopback = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    assert alone(home, *with_loopback, sys.executable, "-c", COMMAND, *words) == [0, 0]
    assert len(list((folder / "out").rglob("speech.wav"))) == 8
    assert [path for path in home.rglob("*") if path.is_file()] == []


COMMANDS = {
    "denoise": ("denoise", "songs/a/speech.wav", "-o", "out"),
    "a pulled model": ("denoise", "-m", "hf://people/voices", "songs/a/speech.wav", "-o", "out"),
    "separate": ("separate", "-m", "denoise-16k", "songs/a/speech.wav", "-o", "out", "-j", 2),
    "oracle": ("oracle", "songs/a"),
    "plot": ("plot", "masks", "complex_tanh", "songs/a", "-o", "masks.png"),
    "train": ("train", "recipe.toml", "--data", "songs", "-o", "run"),
}
WAY_NEEDS = {"hub": "huggingface_hub"}
NEEDS = {"plot": "matplotlib", "train": "lightning_fabric"}


@needs_unshare
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_asks_nobody_and_leaves_nothing_at_home(name, folder):
    pytest.importorskip(NEEDS.get(name, "unmask"))
    home = folder / "home"
    sent = alone(home, sys.executable, "-c", COMMAND, *COMMANDS[name])
    left = [path.name for path in home.rglob("*") if path.is_file()]
    assert sent == [0, 0]
    # Matplotlib keeps a list of the machine's fonts.
    assert [n for n in left if not (name == "plot" and n.startswith("fontlist-"))] == []


@needs_unshare
def test_a_look_up_is_noticed(tmp_path):
    code = "import contextlib, socket\n"
    code += "with contextlib.suppress(OSError): socket.getaddrinfo('example.invalid', 80)"
    (tmp_path / "home").mkdir()
    assert sum(alone(tmp_path / "home", sys.executable, "-c", code)) > 0


def run(code, home, *arguments, **environment):
    """Run Python with an empty home; return the exit code and the files that it left there."""
    own = {"HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA", "ORT_DISABLE_TELEMETRY"}
    own |= {"HF_HUB_DISABLE_TELEMETRY"}
    kept = {k: v for k, v in os.environ.items() if k not in own and not k.startswith("XDG_")}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=home,
        env=kept | {name: str(home) for name in own if name.isalpha()} | environment,
        capture_output=True,
        timeout=120,
    )
    return done.returncode, [str(path) for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize("way", WAYS)
def test_an_empty_home_stays_empty(way, tmp_path):
    pytest.importorskip(WAY_NEEDS.get(way, "unmask"))
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    recording = ROOT / "assets" / "demo" / "mixture.flac"
    assert run(GUARD + WAYS[way], home, recording, out) == (0, [])


def test_the_guard_notices_an_import_that_was_not_told(tmp_path):
    for library in ("onnxruntime", "huggingface_hub"):
        assert run(f"{GUARD}import {library}", tmp_path) == (77, [])


def test_who_asks_for_it_is_not_overruled(tmp_path):
    code = "import os, sys; sys.modules['onnxruntime'] = None\n"
    code += "try: import unmask._runtime\nexcept ImportError: pass\n"
    code += "sys.exit(os.environ['ORT_DISABLE_TELEMETRY'] == '0')"
    assert run(code, tmp_path, ORT_DISABLE_TELEMETRY="0") == (1, [])


def test_one_file_imports_the_runtime_and_scripts_for_other_environments_silence_it_first():
    own = ROOT / "src" / "unmask" / "_runtime.py"
    for folder in ("src", "bench", "assets", "tests", "tools", "web"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text("utf-8")
            found = IMPORT.search(text)
            if found is None or path in (own, Path(__file__)):
                continue
            assert folder == "bench", f"{path}: import it from unmask._runtime"
            assert 0 <= text.find(OFF) < found.start(), f"{path}: {OFF} belongs before the import"
