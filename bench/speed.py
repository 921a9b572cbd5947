"""How fast our models and their peers are: one run, one thread, the same audio.

``python bench/speed.py [MODEL …] --peers FOLDER`` measures our models (names of bundled ones, or
``.onnx`` files, either with ``@RATE``, or ``+FRAMES`` that the network is given a call; all bundled
ones when none is given) and every peer of ``bench/peers``, each in a process of its own that is
pinned to one core: the whole file at once, and a stream fed hop by hop. FOLDER holds the peers'
repositories, ``--python`` is the interpreter of the environment that has their packages: see
``bench/peers/denoisers.py``. The systems take turns, in alternating order, as often as
``--repeats`` says; the table shows medians.

It writes OUT.json after each measurement, goes on from there when it is started again with the same
settings, and writes OUT.md. A peer that is not there is a row that says so.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
sys.path.append(str(HERE / "peers"))

from denoisers import PEERS, label  # noqa: E402

THREADS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "RAYON", "VECLIB_MAXIMUM")
WAYS = ("file", "stream")
NOTES = """\
Speed is seconds of audio per second of CPU, in brackets of wall time; loading and resampling are
left out. Streams are fed one hop a call, from Python. Latency is measured: the lag of the output at
highest correlation with the input, plus the samples that wait. Memory is the peak of the process in
the file way, with Python and the audio. Weights and multiply-accumulates are counted from each
system's graph, those of dense layers; – is unknown, or does not apply.""".splitlines()


def arguments():
    parser = systems_parser(__doc__)
    parser.add_argument("--audio", type=Path, default=HERE.parent / "assets/demo/mixture.flac")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--core", type=int, default=last_core(), help="the core to pin to")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one measurement")
    parser.add_argument("--out", type=Path, default=HERE / "speed", help="OUT.json and OUT.md")
    return parser.parse_intermixed_args()


def systems_parser(doc):
    """Return a parser that asks which systems, and where the peers are."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("models", nargs="*", help="our models; all bundled ones when left out")
    parser.add_argument("--peers", type=Path, default=Path("peers"), help="folder of repositories")
    parser.add_argument("--python", default=sys.executable, help="interpreter for the peers")
    parser.add_argument("--only", default=",".join(PEERS), help="peers, as rnnoise,dtln; or none")
    return parser


def last_core():
    """Return the number of the last core this process may use, where the system tells."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def bundled():
    """Return the bundled models that give clean speech."""
    from unmask import load_model
    from unmask.model import bundled as all_bundled

    return [name for name in all_bundled() if "speech" in load_model(name).stems]


def launch(name, script, *words, args):
    """Run a script of the peers for one system in its own process, on one thread."""
    python = sys.executable if name.startswith("unmask:") else args.python
    command = [python, HERE / "peers" / script, *words, "--peers", args.peers]
    return subprocess.run(
        [str(word) for word in command],
        env=os.environ | {f"{name}_NUM_THREADS": "1" for name in THREADS},
        capture_output=True,
        text=True,
        timeout=args.timeout,
    )


def measure(name, way, args):
    """Run one measurement in its own process; return its row, or why there is none."""
    words = [name, way, "--audio", args.audio, "--seconds", args.seconds]
    words += [] if args.core is None else ["--core", args.core]
    try:
        done = launch(name, "measure.py", *words, args=args)
    except subprocess.TimeoutExpired:
        return {"absent": f"took longer than {args.timeout:g} s"}
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        said = done.stderr.strip().splitlines() or ["no message"]
        return {"absent": f"failed with {done.returncode}: {said[-1][:160]}"}


def machine():
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next(
        (x.split(": ")[1] for x in lines if x.startswith("model name")), platform.processor()
    )
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}"


def load():
    """Return how many processes wanted a core lately: what else the machine did."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def start(names, args):
    """Return the report to go on with: what was measured with these settings of these systems."""
    settings = {"seconds": args.seconds, "audio": args.audio.name, "machine": machine()}
    about = {name: measure(name, "describe", args) for name in names}
    path = args.out.with_suffix(".json")
    report = json.loads(path.read_text()) if path.exists() else {"settings": settings}
    if report["settings"] != settings:
        sys.exit(f"{path}: has other settings ({report['settings']}); move it or give --out")
    known = report.get("about", {})
    same = {name for name in names if good(about[name]) and known.get(name) == about[name]}
    runs = [row for row in report.get("runs", []) if row["name"] in same and good(row)]
    return {"settings": settings, "about": about, "runs": runs}


def save(report, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(report, indent=1) + "\n")
    part.replace(path)


def run(names, args):
    """Measure what the report lacks; what was absent is tried again."""
    report, path = start(names, args), args.out.with_suffix(".json")
    done = {(row["name"], row["way"], row["repeat"]) for row in report["runs"]}
    present = [name for name in names if good(report["about"][name])]
    missing = set()
    for repeat in range(args.repeats):
        turns = present if repeat % 2 == 0 else present[::-1]
        for name, way in ((name, way) for name in turns for way in WAYS):
            if (name, way, repeat) in done or (name, way) in missing:
                continue
            row = {"name": name, "way": way, "repeat": repeat, "load": load()}
            row |= measure(name, way, args) | {"date": datetime.date.today().isoformat()}
            report["runs"].append(row)
            if not good(row):
                missing.add((name, way))
            save(report, path)
            print(name, way, repeat, row.get("absent") or times(row), flush=True)
    save(report, path)
    return report


def good(row):
    return "absent" not in row


def times(row):
    """Return seconds of audio per second of CPU, of one measurement."""
    return f"{row['audio_s'] / row['cpu_s']:.1f}"


def table(report, names):
    """Return the Markdown table, fastest file way first."""
    rows = defaultdict(lambda: defaultdict(list))
    for row in report["runs"]:
        rows[row["name"]][row["way"]].append(row)
    about = report["about"]
    present = [name for name in names if good(about[name])]
    present.sort(key=lambda name: -(rate(rows[name]["file"], "cpu_s") or 0))
    lines = [
        "| system | rate | file, × real time | stream, × real time | "
        "hop, ms: all, median, 99.9 % | latency | memory | weights | MMAC/s |",
        "|---|---|---|---|---|---|---|---|---|",
        *(line(name, about[name], rows[name]) for name in present),
    ]
    for name in names:
        if name not in present:
            lines.append(f"| {label(name)} | not measured: {about[name]['absent']} |")
    return lines


def rate(runs, clock):
    """Return the median of seconds of audio per second, or None."""
    values = [row["audio_s"] / row[clock] for row in runs if good(row)]
    return median(values) if values else None


def middle(runs, key, form):
    values = [row[key] for row in runs if key in row]
    return format(median(values), form) if values else "–"


def line(name, about, rows):
    whole, stream = rows["file"], rows["stream"]
    shown = f"**{label(name)}**" if name.startswith("unmask:") else name
    cells = [shown, f"{about['rate'] / 1000:g} k", speed(whole), speed(stream)]
    keys = ("hop_ms", ".1f"), ("median_ms", ".2f"), ("p999_ms", ".2f")
    per_hop = [middle(stream, *key) for key in keys]
    cells.append("–" if per_hop[0] == "–" else ", ".join(per_hop))
    latency = middle(stream, "latency_ms", ".0f")
    cells.append(latency if latency == "–" else f"{latency} ms")
    cells.append(f"{middle(whole, 'peak_mb', '.0f')} MB")
    weights, macs = about.get("parameters"), about.get("macs_per_second")
    cells += [f"{weights / 1000:.0f} k" if weights else "–", f"{macs / 1e6:.0f}" if macs else "–"]
    return f"| {' | '.join(cells)} |"


def speed(runs):
    cpu, wall = rate(runs, "cpu_s"), rate(runs, "wall_s")
    return f"{cpu:.1f} ({wall:.1f})" if cpu else "–"


def text(report, names):
    settings, runs = report["settings"], report["runs"]
    if not runs:
        return table(report, names)
    n_repeats = 1 + max((row["repeat"] for row in runs), default=0)
    loads = [row["load"] for row in runs if row.get("load") is not None]
    about = {name: row for name, row in report["about"].items() if good(row)}
    return [
        "# Speed, beside peers",
        "",
        f"Made by `python bench/speed.py`, {runs[-1]['date']}: {settings['machine']}; one thread "
        f"on one core; {settings['seconds']:g} s of {settings['audio']}, repeated as often as "
        f"needed, at each system's own rate; median of {n_repeats} runs in alternating order; load "
        f"average before a measurement {median(loads):.1f}, at most {max(loads):.1f} (1 is this "
        "program itself).",
        "",
        *NOTES,
        "",
        *table(report, names),
        "",
        "Versions and licences: "
        + "; ".join(f"{label(name)}: {x['version']} ({x['licence']})" for name, x in about.items())
        + ".",
    ]


def main():
    args = arguments()
    peers = [name for name in args.only.split(",") if name != "none"]
    names = [*(f"unmask:{name}" for name in args.models or bundled()), *peers]
    report = run(names, args)
    lines = text(report, names)
    args.out.with_suffix(".md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
