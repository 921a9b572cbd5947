"""Damaged files of every kind that is read: refused in one line, and nothing else happens.

So many of each kind, always the same ones; with UNMASK_FUZZ_S as many as these seconds allow, with
UNMASK_FUZZ_SEED others.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fuzzing

SECONDS = os.environ.get("UNMASK_FUZZ_S", "60")
CASES = "inf" if "UNMASK_FUZZ_S" in os.environ else "100"
SEED = os.environ.get("UNMASK_FUZZ_SEED", "0")
NEEDS = {"checkpoints": "torch", "recipes": "torch"}
MOST_MB = {"recipes": 1500, "checkpoints": 1500}


def fuzz(folder, kind, seconds=SECONDS):
    command = [sys.executable, fuzzing.__file__, kind, seconds, CASES, SEED, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=600)


@pytest.mark.parametrize("kind", fuzzing.KINDS)
def test_damaged_files_are_refused_in_one_line(kind, tmp_path):
    pytest.importorskip(NEEDS.get(kind, "unmask"))
    done = fuzz(tmp_path, kind)
    assert done.returncode == 0, f"{done.stdout[-3000:]}{done.stderr[-3000:]}\nsee {tmp_path}"
    n_cases, peak = map(int, re.search(r"(\d+) cases, (\d+) MB", done.stdout).groups())
    assert n_cases > 0
    assert peak < MOST_MB.get(kind, 500)


@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/hostname')",
        "import os; os.open('/etc/passwd', os.O_RDONLY)",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import pickle; pickle.loads(b'cposix\\nsystem\\n(S\\'true\\'\\ntR.')",
        "open('../written', 'w')",
    ],
)
def test_the_guard_notices(code, tmp_path):
    (tmp_path / "inner").mkdir()
    program = f"import fuzzing, sys; fuzzing.guard(sys.argv[1]); {code}"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "inner")],
        cwd=tmp_path / "inner",
        env=os.environ | {"PYTHONPATH": str(Path(fuzzing.__file__).parent)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "FORBIDDEN" in done.stdout) == (3, True), done.stderr
    assert not (tmp_path / "written").exists()
