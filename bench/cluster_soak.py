"""A cluster run whose processes are killed: whether every file is done once, what a task costs.

``python bench/cluster_soak.py [N_FILES]`` starts a cluster of this machine, separates files of ten
seconds by URL, kills what is at work three times at random, and compares all with a run here.
"""

import hashlib
import os
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from unmask import audio, cluster, remote
from unmask.engine.model import load_model
from unmask.layout import Output
from unmask.separate import plan_with_urls, separate_files

N_FILES, N_PROCESSES, N_KILLS, SECONDS = 200, 3, 3, 10
DEMO = Path(__file__).parents[1] / "assets" / "demo" / "mixture.flac"


def kill_one(raylet):
    """Kill one of the processes that are at work; return how many that were."""
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda _: random.random()):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if parent == raylet and (folder / "cmdline").read_bytes().startswith(b"ray::_do"):
                os.kill(int(folder.name), signal.SIGKILL)
                return 1
        except OSError:
            continue
    return 0


def hashes(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.wav"))
    }


def run(place, out, executor=None, each=lambda n: None):
    model = load_model("denoise-16k")
    with remote.stand_ins() as stand_ins:
        output = Output(out=stand_ins.out(out))
        jobs = plan_with_urls([place], model, output, stand_ins)
        done = []
        for result in separate_files(jobs, model, output, executor=executor):
            done.append(result)
            each(len(done))
        return done


def soak(folder, address, raylet, n_files):
    """Separate files while processes are killed; say what came of it."""
    x, rate = audio.read(DEMO)
    (folder / "in").mkdir()
    for k in range(n_files):
        audio.write(folder / f"in/{k:04}.wav", x[:, k : k + SECONDS * rate], rate)
    when = set(random.sample(range(2, n_files // 2), N_KILLS))
    killed = []
    far, began = cluster.Cluster(address), time.monotonic()
    url = f"file://{folder}"
    each = lambda n: killed.append(kill_one(raylet)) if n in when else None  # noqa: E731
    done = run(f"{url}/in", f"{url}/far", far, each)
    seconds = time.monotonic() - began
    counts = Counter(one.job.track for one in done)
    failed = [one for one in done if not isinstance(one.outcome, dict)]
    left = [path for path in (folder / "far").rglob(".unmask*")]
    run(folder / "in", folder / "here")
    same = hashes(folder / "far") == hashes(folder / "here")
    print(f"{n_files} files, {sum(killed)} processes killed, {seconds:.0f} s on the cluster")
    print(f"done once: {sum(n == 1 for n in counts.values())}, more: {len(done) - len(counts)}")
    print(f"failed: {len(failed)}, half files left: {len(left)}, same as here: {same}")


def overhead(address):
    """Say what a task that does nothing costs; the first few start the processes."""
    far = cluster.Cluster(address)
    for n in (10, 1000):
        began, busy = time.monotonic(), time.process_time()
        assert len(list(far.map(abs, range(n)))) == n
        wall, cpu = time.monotonic() - began, time.process_time() - busy
        print(f"{n} empty tasks: {wall:.2f} s, of this process {cpu:.2f} s of CPU")


def main():
    n_files = int(sys.argv[1]) if len(sys.argv) > 1 else N_FILES
    folder = Path(tempfile.mkdtemp(prefix="unmask-soak-"))
    os.environ |= {
        "RAY_TMPDIR": str(folder),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    from ray.cluster_utils import Cluster  # after `unmask.cluster`, which keeps it silent

    how = {"num_cpus": N_PROCESSES, "object_store_memory": 80_000_000, "include_dashboard": False}
    found = Cluster(True, head_node_args=how)
    raylet = str(found.head_node.all_processes["raylet"][0].process.pid)
    try:
        overhead(found.address)
        soak(folder, found.address, raylet, n_files)
    finally:
        found.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
