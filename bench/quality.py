"""How good our denoisers and their peers are: the same recordings, all treated alike.

``python bench/quality.py [MODEL …] --peers FOLDER --python PYTHON`` scores our models (names of
bundled ones, or ``.onnx`` files, either with ``@RATE``; all bundled ones when none is given) and
every peer of ``bench/peers`` on the mixtures of ``bench/denoise.py``: at 16 kHz, and, those that
work at 48 kHz, on the same recordings mixed at 48 kHz. FOLDER and PYTHON are those of
``bench/speed.py``; WORK takes mixtures and outputs.

It writes OUT.json after each system and OUT.md in the end. What is in OUT.json stays there, and is
computed anew only where the version or the weights are others: ``--only none MODEL`` adds a model.
"""

import datetime
import json
from pathlib import Path

import numpy as np

from denoise import SNRS_DB, interval, write
from speed import HERE, bundled, good, label, launch, machine, measure, systems_parser
from unmask import audio
from unmask.metrics import pesq, si_sdr, stoi

from denoisers import folder_name  # isort: skip

RATES = (16000, 48000)
METRICS = {"si_sdr": ".2f", "gain": "+.2f", "pesq": ".2f", "stoi": ".3f", "estoi": ".3f"}
NOTES = """\
The 105 mixtures of [denoise.md](denoise.md): 32 LJ Speech (one voice) and 3 LibriSpeech recordings
of its test split, noise of ESC-10 fold 5, at 0, 5 and 10 dB. Means over the mixtures, in brackets
the bootstrap 95 % interval over the 35 recordings of speech (three mixtures each). SI-SDR in dB,
and its gain over the mixture; PESQ-WB by `pesq`, STOI and ESTOI by `pystoi`. "Rate" is the
system's own.

All systems get the same files. One of another rate gets them resampled there and back (soxr, high
quality), and every output, ours too, is shifted by its lag at highest correlation with its input.

What it does not say: four voices that read English are an indication, not a benchmark. Ours were
trained on other voices, but on other folds of the same ESC-10: noise of a kind they know. The DNS
Challenge's data, which most of the peers were trained on, is read speech of LibriVox and noise of
AudioSet and Freesound, where LibriSpeech, LJ Speech and ESC-50 come from too: they may know some
of these recordings. HANCE without a key adds noise of -39 to -48 dBFS to the first 2.5 s of each:
its scores, SI-SDR above all, are somewhat too low.""".splitlines()
NOTES_48 = """\
The same recordings mixed at 48 kHz, systems of that rate only. LJ Speech ends at 11 kHz,
LibriSpeech at 8 kHz, the noise at 22 kHz: this says how the noise above the speech is removed,
nothing of speech there. PESQ is of both signals resampled to 16 kHz.""".splitlines()


def arguments():
    parser = systems_parser(__doc__)
    parser.add_argument("--work", type=Path, default=Path("quality"), help="folder of recordings")
    parser.add_argument("--timeout", type=float, help="seconds for one system; none by default")
    parser.add_argument("--out", type=Path, default=HERE / "quality", help="OUT.json and OUT.md")
    parser.set_defaults(audio="", seconds=0, core=None)  # of bench/speed.py
    return parser.parse_intermixed_args()


def scores(estimates, speeches):
    """Return the scores of each file of a folder, metric by metric."""
    rows = []
    for path in sorted(speeches.glob("*.wav")):
        speech, rate = audio.read(path)
        estimate, _ = audio.read(estimates / path.name)
        row = {"si_sdr": si_sdr(estimate, speech)}
        if rate != 16000:
            estimate, speech = (audio.resample(x, rate, 16000) for x in (estimate, speech))
        row["pesq"] = pesq(estimate, speech, sample_rate=16000)
        row["stoi"] = stoi(estimate, speech, sample_rate=16000)
        row["estoi"] = stoi(estimate, speech, sample_rate=16000, extended=True)
        rows.append({key: round(value.item(), 4) for key, value in row.items()})
    return {key: [None if np.isnan(row[key]) else row[key] for row in rows] for key in rows[0]}


def score(name, rate, args):
    """Let one system denoise the mixtures of one rate; return its scores, or why there are none."""
    folder = args.work / str(rate)
    if name != "mixture":
        done = launch(name, "denoisers.py", folder, name, args=args)
        if done.returncode or "absent" in done.stdout:
            said = (done.stdout + done.stderr).strip().splitlines() or ["no message"]
            return {"absent": said[-1][:160]}
    return scores(folder / folder_name(name), folder / "speech")


def run(names, args):
    """Score what the report lacks or has of other versions; what was absent is tried again."""
    path = args.out.with_suffix(".json")
    report = {}
    for row in json.loads(path.read_text()) if path.exists() else ():
        report[row["name"], row["mixtures_hz"]] = row
    for rate in RATES:
        if not (args.work / str(rate) / "speech").exists():
            write(args.work / str(rate), rate)
    about = {name: measure(name, "describe", args) for name in names}
    about["mixture"] = {"rate": max(RATES)}
    for rate in RATES:
        for name in ("mixture", *names):
            said, key = about[name], (label(name), rate)
            known = report.get(key, {"absent": ""})
            is_known = good(known) and (known["about"] == said or not good(said))
            if is_known or said.get("rate", rate) < rate:
                continue
            row = {"name": key[0], "mixtures_hz": rate, "ours": name.startswith("unmask:")}
            row |= {"about": said} | (score(name, rate, args) if good(said) else said)
            report[key] = row
            save(report, path)
            print(*key, row.get("absent") or f"SI-SDR {mean(row, 'si_sdr'):.2f}", flush=True)
    return report


def save(report, path):
    """Write JSON with a line for each system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text("[\n" + ",\n".join(json.dumps(row) for row in report.values()) + "\n]\n")
    part.replace(path)


def mean(row, metric):
    return float(np.nanmean(np.asarray(row[metric], float)))


def by_recording(row, metric):
    """Return means over the mixtures of each recording of speech."""
    return np.nanmean(np.reshape(np.asarray(row[metric], float), (-1, len(SNRS_DB))), axis=1)


def table(rows):
    """Return the Markdown table of the systems at one rate, best SI-SDR first."""
    mixture = next(row for row in rows if row["name"] == "mixture")
    present = [row for row in rows if good(row)]
    for row in present:
        row["gain"] = np.subtract(row["si_sdr"], mixture["si_sdr"]).tolist()
    present.sort(key=lambda row: -mean(row, "si_sdr"))
    lines = [
        "| system | rate | SI-SDR | gain | PESQ-WB | STOI | ESTOI |",
        "|---|---|---|---|---|---|---|",
        *(line(row) for row in present),
    ]
    return lines + [f"| {r['name']} | not scored: {r['absent']} |" for r in rows if not good(r)]


def line(row):
    cells = [f"**{row['name']}**" if row["ours"] else row["name"]]
    is_mixture = row["name"] == "mixture"
    cells.append("" if is_mixture else f"{row['about']['rate'] / 1000:g} k")
    for metric, form in METRICS.items():
        low, high = interval(by_recording(row, metric))
        cells.append(f"{mean(row, metric):{form}} [{low:{form}}, {high:{form}}]")
    if is_mixture:
        cells[3] = ""
    return f"| {' | '.join(cells)} |"


def text(report):
    at = {rate: [row for row in report.values() if row["mixtures_hz"] == rate] for rate in RATES}
    undefined = sum(row.get("pesq", []).count(None) for row in report.values())
    known = {row["name"]: row["about"] for row in report.values() if "version" in row["about"]}
    versions = [f"{name}: {x['version']} ({x['licence']})" for name, x in known.items()]
    return [
        "# Quality of denoisers, beside peers",
        "",
        f"Made by `python bench/quality.py`, {datetime.date.today()}: {machine()}.",
        "",
        *NOTES,
        "",
        "## Mixtures at 16 kHz",
        "",
        *table(at[16000]),
        "",
        "## Mixtures at 48 kHz",
        "",
        *NOTES_48,
        "",
        *table(at[48000]),
        "",
        *([f"PESQ found no speech {undefined} times: left out.", ""] if undefined else []),
        f"Versions and licences: {'; '.join(versions)}.",
    ]


def main():
    args = arguments()
    peers = [name for name in args.only.split(",") if name != "none"]
    names = [*(f"unmask:{name}" for name in args.models or bundled()), *peers]
    lines = text(run(names, args))
    args.out.with_suffix(".md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
