"""Tasks on the machines of a cluster: done once, whatever is killed; nothing told to anybody."""

import os
import pickle
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import onnx_models
from unmask import Settings, audio, cluster, remote
from unmask.cli import main
from unmask.engine.model import load_model
from unmask.errors import ConfigError, MissingExtraError, UnmaskError, WorkerError
from unmask.layout import Output
from unmask.separate import plan_with_urls, separate_files
from unmask.separate.run import _attempt, _Work
from unmask.workers import attempt, call

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="no Ray here: unmask[cluster]")


class Machines:
    """A cluster of three processes; where it is, and what its processes are."""

    def __init__(self, ray_cluster):
        self.address = ray_cluster.address
        self.executor = cluster.Cluster(self.address)
        self.raylet = ray_cluster.head_node.all_processes["raylet"][0].process.pid

    def kill(self, at_work):
        """Kill the processes that are at work; return how many."""
        killed = 0
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                name = (folder / "cmdline").read_bytes()
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                if parent == str(self.raylet) and name.startswith(at_work):
                    os.kill(int(folder.name), signal.SIGKILL)
                    killed += 1
            except (OSError, ProcessLookupError):
                continue
        return killed


@pytest.fixture(scope="session")
def machines():
    """A cluster that lasts as long as the tests do; its processes find functions of these files."""
    if sys.platform != "linux":
        pytest.skip("processes are found by name on Linux alone")
    folder = tempfile.mkdtemp(prefix="unmask-")
    paths = [str(Path(__file__).parent), str(Path(cluster.__file__).parents[1])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # read when Ray is imported
        utils = pytest.importorskip("ray.cluster_utils", reason="no Ray here: unmask[cluster]")
        how = {"num_cpus": 3, "object_store_memory": 80_000_000, "include_dashboard": False}
        try:
            found = utils.Cluster(True, head_node_args=how)
        except Exception as error:  # what it raises where a start takes more than 30 s
            shutil.rmtree(folder, ignore_errors=True)
            if "timed out" not in str(error):
                raise
            pytest.skip("Ray gave up its start, as it does on a machine as busy as this")
        try:
            yield Machines(found)
        finally:
            found.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


def square(x):
    return x * x, os.getpid()


def refuse(x):
    if x == 2:
        raise ConfigError("2: is even; take another")
    return x


def die(x):
    """End this process: always for 13, and the first time for 7."""
    if x == 13 or (x == 7 and attempt() == 0):
        os.kill(os.getpid(), signal.SIGKILL)
    return x, attempt()


def test_tasks_are_done_by_several_processes_that_are_not_this_one(machines):
    found = list(machines.executor.map(square, range(40)))
    assert sorted(value for value, _ in found) == [k * k for k in range(40)]
    assert os.getpid() not in {process for _, process in found}
    assert len({process for _, process in found}) > 1
    assert list(machines.executor.map(square, [])) == []


def test_an_error_of_a_task_arrives_here_as_it_is(machines):
    with pytest.raises(ConfigError, match=r"^2: is even; take another$"):
        list(machines.executor.map(refuse, [1, 2, 3]))


def test_a_task_whose_process_is_killed_is_done_again_and_one_that_kills_all_is_given_up(machines):
    tasks = [1, 7, 13, 5]
    found = list(machines.executor.map(die, tasks, lost=lambda task, error: (task, str(error))))
    assert sorted(pair for pair in found if pair[0] != 13) == [(1, 0), (5, 0), (7, 1)]
    [(_, message)] = [pair for pair in found if pair[0] == 13]
    assert message.startswith("the processes that worked on it were killed 3 times")
    assert len(found) == len(tasks)


def test_tasks_that_need_more_than_any_machine_has_are_refused(machines):
    with pytest.raises(ConfigError, match=r"threads: 64, the machines of .* have 3 processors"):
        list(cluster.Cluster(machines.address, threads=64).map(square, [1]))


def test_another_version_on_the_machines_is_refused(machines, monkeypatch):
    monkeypatch.setattr(cluster, "__version__", "99")
    with pytest.raises(WorkerError, match=r"^cluster: .* has unmask .*, this machine 99; install"):
        list(machines.executor.map(square, [1]))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "duo.onnx"
    mask = {"family": "irm1", "options": {}}
    return load_model(
        onnx_models.recurrent(path, n_parts=1, name="duo", stems=["vocals", "drums"], mask=mask)
    )


@pytest.fixture
def songs(tmp_path, rng):
    """A folder of songs, each of a minute, and a file that is none."""
    (tmp_path / "in").mkdir()
    for k in range(6):
        x = 0.1 * rng.standard_normal((2, 16000 * 60)).astype(np.float32)
        audio.write(tmp_path / f"in/{k}.wav", x, 16000)
    (tmp_path / "in/none.wav").write_text("no sound")
    return tmp_path


def files_below(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix == ".wav"
    }


def separated(paths, model, out, **options):
    with remote.stand_ins() as stand_ins:
        output = Output(out=stand_ins.out(out))
        jobs = plan_with_urls(paths, model, output, stand_ins)
        yield from separate_files(jobs, model, output, **options)


@pytest.mark.parametrize("place", ["", "file://"])
def test_every_file_is_done_once_though_processes_are_killed_in_the_middle(
    machines, songs, model, place
):
    """Inputs and outputs by URL, or on a disk that all machines share."""
    seen, killed = [], 0
    options = {"executor": machines.executor, "resume": True}
    for one in separated([f"{place}{songs}/in"], model, f"{place}{songs}/out", **options):
        killed += machines.kill(b"ray::_do") if len(seen) == 1 else 0
        seen.append(one)
    assert killed > 0
    assert sorted(one.job.track for one in seen) == ["0", "1", "2", "3", "4", "5", "none"]
    [bad] = [one for one in seen if isinstance(one.outcome, UnmaskError)]
    assert str(bad.outcome).startswith(f"{place}{songs}/in/none.wav: ")
    list(separated([songs / "in"], model, songs / "alone"))
    assert files_below(songs / "out") == files_below(songs / "alone")
    assert not list((songs / "out").rglob(".unmask*"))
    again = separated([f"{place}{songs}/in"], model, f"{place}{songs}/out", **options)
    assert sum(one.reused for one in again) == 6


def test_commands_do_on_a_cluster_what_they_do_here(machines, tmp_path, rng, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mask = {"family": "complex", "options": {}}
    onnx_models.constant(tmp_path / "half.onnx", [[0.5, 0]], name="half", mask=mask, stems=["x"])
    for name in ("in/a.wav", "in/b.wav", "true/a/x.wav", "true/b/x.wav"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        audio.write(name, 0.1 * rng.standard_normal((1, 16000)).astype(np.float32), 16000)
    Path("in/c.wav").write_text("no sound")
    far = ["--cluster", machines.address]
    url = f"file://{tmp_path}"
    words = ["separate", "-m", "half.onnx", f"{url}/in", "-o", f"{url}/far"]
    made = CliRunner().invoke(main, words + far)
    assert made.exit_code == 1
    assert sorted(made.stdout.split()) == [f"{url}/far/half/{name}/x.wav" for name in "ab"]
    [line] = made.stderr.splitlines()
    assert line.startswith(f"unmask: error: {url}/in/c.wav: ")
    scores = []
    for where, more in (("here", ["-j", "1"]), ("far", far)):
        words = ["evaluate", "far/half", "true", "--metric", "sdr", "-o", where, *more]
        assert CliRunner().invoke(main, words).exit_code == 0
        scores.append(Path(where, "a.json").read_text())
    assert scores[0] == scores[1]


@pytest.mark.parametrize("place", ["", "file://"])
def test_what_a_killed_process_had_done_is_not_done_again(model, songs, place):
    """It was killed between its last file and its answer."""
    out = f"{place}{songs}/out"
    with remote.stand_ins() as stand_ins:
        output = Output(out=stand_ins.out(out))
        [job] = plan_with_urls([f"{place}{songs}/in/0.wav"], model, output, stand_ins)
        [first] = separate_files([job], model, output)
        work = pickle.dumps(partial(_attempt, _Work(model, output, Settings()), None, False))
        task = job, songs / "out/staging/0"
        (songs / "out/staging").mkdir()
        again = call(work, task, attempt=1)
        assert (again.outcome, again.reused) == (first.outcome, False)
        assert call(work, task, attempt=0).outcome["timings"] != first.outcome["timings"]


def test_what_is_not_on_a_machine_is_said(model, songs):
    """A folder for stems that is on this machine alone."""
    [job, *_] = plan_with_urls(
        [songs / "in/0.wav"], model, Output(out=songs / "out"), remote.StandIns(songs)
    )
    work = _Work(model, Output(out=songs / "out"), Settings())
    found = _attempt(work, None, False, (job, songs / "out/staging/0"))
    assert str(found.outcome).startswith(f"{songs}/out: is not there on ")


@needs_ray
def test_an_address_without_a_cluster_is_said_in_a_line():
    with pytest.raises(WorkerError, match=r"^cluster 127\.0\.0\.1:nowhere: cannot be joined: "):
        list(cluster.Cluster("127.0.0.1:nowhere").map(square, [1]))


def test_without_ray_a_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r'pip install "unmask\[cluster\]"'):
        list(cluster.Cluster("local").map(square, [1]))


#: Ends the process where Ray is imported and not told to be silent before.
GUARD = """
import os, sys
class Guard:
    def find_spec(self, name, *_):
        if name == "ray" and os.environ.get("RAY_USAGE_STATS_ENABLED") != "0":
            os._exit(77)
sys.meta_path.insert(0, Guard())
"""


@needs_ray
def test_ray_is_told_to_report_nothing_before_it_is_imported():
    told = "from unmask import cluster\nray = cluster._imported()\n"
    told += "import ray._common.usage.usage_lib as usage\n"
    told += "to_nobody = usage._usage_stats_report_url() == 'http://127.0.0.1:9/'\n"
    told += "sys.exit(usage.usage_stats_enabled() or not to_nobody)"
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    for code, expected in ((told, 0), ("import ray", 77)):
        done = subprocess.run([sys.executable, "-c", GUARD + code], env=env, check=False)
        assert done.returncode == expected
