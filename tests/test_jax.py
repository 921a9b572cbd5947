"""JAX gives what NumPy gives, compiled (``jax.jit``), wherever docs/portability.md says so."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from unmask import masks

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="JAX is not installed (pip install jax)"
)


@pytest.fixture(scope="module")
def differences():
    """Function -> how far JAX is from NumPy, relative to the largest value."""
    script = Path(__file__).with_name("jax_laws.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_compiled_functions_give_what_numpy_gives(differences):
    assert {"analyze", "synthesize", "si_sdr", "gradient"} <= differences.keys()
    assert {f"ideal {name}" for name in masks.FAMILIES} <= differences.keys()
    assert {name: value for name, value in differences.items() if not value < 1e-5} == {}
