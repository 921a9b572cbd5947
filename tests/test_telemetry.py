"""Nothing is sent home, and nothing is left in it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IMPORT = re.compile(r"^\s*(?:import|from)\s+onnxruntime\b", re.MULTILINE)
OFF = 'os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")'

#: Ends the process where ONNX Runtime is imported and not told to be silent before.
GUARD = """
import os, sys
class Guard:
    def find_spec(self, name, *_):
        if name == "onnxruntime" and os.environ.get("ORT_DISABLE_TELEMETRY") != "1":
            os._exit(77)
sys.meta_path.insert(0, Guard())
"""
WAYS = {
    "load_model": "import unmask; unmask.load_model('denoise-16k')",
    "dnsmos": "from unmask.metrics.dnsmos import DNSMOS\n"
    "try: DNSMOS(sys.argv[1])\nexcept ValueError: pass",
    "info": "from unmask.cli import main; main(['info'])",
    "denoise": "from unmask.cli import main; main(['denoise', sys.argv[1], '-o', sys.argv[2]])",
}


def run(code, home, *arguments, **environment):
    """Run Python with an empty home; return the exit code and the files that it left there."""
    own = {"HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA", "ORT_DISABLE_TELEMETRY"}
    kept = {k: v for k, v in os.environ.items() if k not in own and not k.startswith("XDG_")}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=home,
        env=kept | {name: str(home) for name in own - {"ORT_DISABLE_TELEMETRY"}} | environment,
        capture_output=True,
        timeout=120,
    )
    return done.returncode, [str(path) for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize("way", WAYS)
def test_an_empty_home_stays_empty(way, tmp_path):
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    recording = ROOT / "assets" / "demo" / "mixture.flac"
    assert run(GUARD + WAYS[way], home, recording, out) == (0, [])


def test_the_guard_notices_an_import_that_was_not_told(tmp_path):
    assert run(GUARD + "import onnxruntime", tmp_path) == (77, [])


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
