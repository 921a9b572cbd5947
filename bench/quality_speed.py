"""Quality against speed: a figure, and who is both slower and no better.

``python bench/quality_speed.py`` reads what ``bench/quality.py`` and ``bench/speed.py`` wrote (JSON
of both), draws FIGURE and writes OUT. Quality is that at 16 kHz; speed is that of the stream, fed
hop by hop, or of the file where a system does not stream.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from denoise import interval
from quality import by_recording, mean
from speed import HERE, good, label, rate

RATE = 16000
PANELS = {"si_sdr": ("SI-SDR improvement", ", dB"), "pesq": ("PESQ-WB", "")}
OURS, PEER = "tab:red", "tab:blue"
NOTES = """\
Quality on the mixtures at 16 kHz of [quality.md](quality.md), speed as in [speed.md](speed.md):
seconds of audio per second of CPU on one thread. A difference is ours minus the peer's, paired over
recordings, with its bootstrap 95 % interval; "no better" is a peer whose interval is not wholly
below 0. "Times as fast" is our speed over the peer's, of streams; of files (marked) where the peer
takes whole files only. HANCE without a key adds some noise to the first 2.5 s of each recording,
which counts here. Systems of 48 kHz get these mixtures resampled; mixed at 48 kHz, where
DeepFilterNet 3, NSNet2 and HANCE do better, they are in [quality.md](quality.md).""".splitlines()


def speeds(path):
    """Return times real time, by system and way, of what bench/speed.py wrote."""
    runs = defaultdict(list)
    for row in json.loads(path.read_text())["runs"]:
        runs[label(row["name"]), row["way"]].append(row)
    found = {key: rate(rows, "cpu_s") for key, rows in runs.items()}
    return {key: value for key, value in found.items() if value}


def systems(quality, speed):
    """Return the systems that were both scored and timed, and the mixture."""
    timed = speeds(speed)
    rows = [row for row in json.loads(quality.read_text()) if row["mixtures_hz"] == RATE]
    rows = {row["name"]: row for row in rows if good(row)}
    for (name, way), value in timed.items():
        if name in rows:
            rows[name][way] = value
    return [row for row in rows.values() if "file" in row], rows["mixture"]


def fast(row):
    return row.get("stream") or row["file"]


def front(rows, metric):
    """Return the streaming systems that no other one beats in both, fastest first."""
    best, kept = -np.inf, []
    for row in sorted((row for row in rows if "stream" in row), key=fast, reverse=True):
        if mean(row, metric) > best:
            best = mean(row, metric)
            kept.append(row)
    return kept


def draw(rows, mixture, path):
    figure = Figure(figsize=(11, 5), layout="constrained")
    for axes, (metric, (title, unit)) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
        offset = mean(mixture, metric) if metric == "si_sdr" else 0.0
        ours = sorted((row for row in rows if row["ours"]), key=fast)
        for row in rows:
            colour = OURS if row["ours"] else PEER
            spot = fast(row), mean(row, metric) - offset
            face = colour if "stream" in row else "none"
            axes.plot(*spot, "o", color=colour, markerfacecolor=face, zorder=3)
            # Ours lie side by side: every other name is below its spot, in two rows.
            up = (-11, 4, -20, 4)[ours.index(row) % 4] if row["ours"] else 4
            place = {"xytext": (4, up), "textcoords": "offset points"}
            axes.annotate(row["name"], spot, **place, fontsize=7, color=colour)
        kept = front(rows, metric)
        axes.step(
            [fast(row) for row in kept],
            [mean(row, metric) - offset for row in kept],
            where="post",
            color="0.6",
            linewidth=1,
            label="front of those that stream",
        )
        axes.set(xscale="log", xlabel="times real time, one thread", ylabel=title + unit)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3, which="both")
        axes.plot([], [], "o", color=OURS, label="ours")
        axes.plot([], [], "o", color=PEER, label="peers, hop by hop")
        axes.plot([], [], "o", color=PEER, markerfacecolor="none", label="whole files only")
        axes.margins(x=0.18)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def against(ours, peer):
    """Return how one of ours compares with a peer: differences with intervals, ratio of speeds."""
    way = "stream" if "stream" in ours and "stream" in peer else "file"
    found = {"name": peer["name"], "way": way, "ratio": ours[way] / peer[way]}
    for metric in PANELS:
        difference = by_recording(ours, metric) - by_recording(peer, metric)
        found[metric] = (float(np.mean(difference)), *interval(difference))
    return found


def statement(ours, rows):
    """Return Markdown: who is slower and no better than `ours`, who is not, and a table."""
    all_ = [against(ours, row) for row in rows if not row["ours"]]
    lines = [f"## {ours['name']}", ""]
    for metric, (title, _) in PANELS.items():
        lines.append(f"By {title}:")
        lines.append("")
        for is_better in (False, True):
            for is_slower in (True, False):
                names = [
                    row["name"]
                    for row in all_
                    if (row[metric][2] < 0) == is_better and (row["ratio"] > 1) == is_slower
                ]
                kind = f"{'better' if is_better else 'no better'} and "
                kind += "slower" if is_slower else "as fast or faster"
                lines.append(f"* {kind}: {', '.join(names) or 'none'}")
        lines.append("")
    lines += ["| peer | SI-SDR, dB | PESQ-WB | times as fast |", "|---|---|---|---|"]
    for row in sorted(all_, key=lambda row: row["ratio"]):
        cells = [f"{x[0]:+.2f} [{x[1]:+.2f}, {x[2]:+.2f}]" for x in (row[key] for key in PANELS)]
        note = " (files)" if row["way"] == "file" else ""
        lines.append(f"| {row['name']} | {' | '.join(cells)} | {row['ratio']:.2f}{note} |")
    return [*lines, ""]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quality", type=Path, default=HERE / "quality.json")
    parser.add_argument("--speed", type=Path, default=HERE / "speed.json")
    figure = HERE.parent / "docs/figures/quality_speed.png"
    parser.add_argument("--figure", type=Path, default=figure)
    parser.add_argument("--out", type=Path, default=HERE / "quality_speed.md")
    args = parser.parse_args()
    rows, mixture = systems(args.quality, args.speed)
    draw(rows, mixture, args.figure)
    fronts = [
        f"Front of those that stream, by {title}, fastest first: "
        + ", ".join(row["name"] for row in front(rows, metric))
        + "."
        for metric, (title, _) in PANELS.items()
    ]
    lines = [
        "# Quality against speed, beside peers",
        "",
        "Made by `python bench/quality_speed.py`.",
    ]
    lines += ["", "![quality against speed](../docs/figures/quality_speed.png)", "", *NOTES, ""]
    lines += [line for text in fronts for line in (text, "")]
    for row in rows:
        if row["ours"]:
            lines += statement(row, rows)
    args.out.write_text("\n".join(lines).rstrip() + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
