"""Fixtures that all tests share: a generator, each array library, the folder of recordings."""

import gc
import importlib.util
import os
import tracemalloc
from pathlib import Path

import array_api_strict
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# The scripts that made the reference values need programs that the tests do not.
collect_ignore = ["references"]

settings.register_profile(
    "unmask",
    deadline=None,
    derandomize=True,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("unmask")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(params=["numpy", "torch", "array_api_strict"])
def xp(request):
    """Each array library in turn, as an array-API namespace."""
    if request.param == "numpy":
        return np
    if request.param == "array_api_strict":
        return array_api_strict
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    return pytest.importorskip("array_api_compat.torch")


@pytest.fixture(scope="session")
def shared():
    """The folder of real recordings that lies beside the repository, where there is one."""
    default = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("UNMASK_SHARED", default))
    if not (folder / "audio").is_dir():
        pytest.skip("no folder of real recordings here (set UNMASK_SHARED)")
    return folder


@pytest.fixture
def growth():
    """How many bytes of Python's memory a streamer gains while it takes in 300 more blocks."""

    def measure(streamer, block):
        def memory_after(n_blocks):
            for _ in range(n_blocks):
                streamer.process(block)
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        try:
            early, late = memory_after(100), memory_after(300)
        finally:
            tracemalloc.stop()
        return late - early

    return measure


@pytest.fixture(scope="module")
def tool(request):
    """Return the module of `tools/` that a file of tests is named after."""
    name = request.path.stem.removeprefix("test_")
    path = Path(__file__).parents[1] / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
