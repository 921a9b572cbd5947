"""What BSSEval costs here and in museval, and what lossy stems do to it, on real stems.

Four stereo stems of 60 s (the MDN song of the folder of recordings, see ``UNMASK_SHARED``) and
Wiener-masked estimates of them are scored by museval and by unmask, each in a process of its own
with one thread; CPU time and peak memory are those of the process beyond the loaded input. The
stems are decoded MP3, once as they are and once rounded to 16 bits as a WAV file would hold them.

Prints Markdown and writes it to ``bench/bsseval.md``. Run it with ``python bench/bsseval.py``; it
needs museval and takes some minutes.
"""

import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

SHARED = Path(os.environ.get("UNMASK_SHARED", Path(__file__).parents[2] / "shared"))
MUSIC = SHARED / "audio" / "music"
STEMS = ("drums", "bassguitar", "leadguitar", "clav")
RATE, START_S, LENGTH_S = 44100, 12, 60
SCORES = ("SDR", "ISR", "SIR", "SAR")
THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


def load_museval():
    """Load museval's metrics alone: the package needs ffmpeg to be imported."""
    folder = importlib.util.find_spec("museval").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location("museval_metrics", f"{folder}/metrics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_stems(paths, start_s, length_s):
    from unmask import audio

    span = {"start_s": start_s, "stop_s": start_s + length_s}
    return 0.5 * np.stack([audio.read(path, **span)[0] for path in paths]).astype(np.float64)


def wiener(targets):
    """Estimates by power-ratio masks of the stems' sum: 4096 / 1024 Hann."""
    from scipy.signal import ShortTimeFFT, get_window

    stft = ShortTimeFFT(get_window("hann", 4096), 1024, RATE)
    power = np.abs(stft.stft(targets)) ** 2
    masks = power / np.maximum(power.sum(axis=0), 1e-20)
    return stft.istft(masks * stft.stft(targets.sum(axis=0)), k1=targets.shape[-1])


def usage():
    """CPU seconds and peak memory in MB of this process (Linux; ru_maxrss knows the parent's)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status").read_text()
    peak_kb = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return np.array([used.ru_utime + used.ru_stime, int(peak_kb) / 1024])


def child(program, targets, estimates, out, options):
    """Score two .npy files, as a process of its own."""
    options = json.loads(options)
    if program == "museval":
        metrics = load_museval()
    else:
        from unmask.metrics import bss_eval
    warnings.simplefilter("ignore")
    targets, estimates = np.load(targets), np.load(estimates)
    if options.pop("reversed", False):
        targets, estimates = targets[::-1], estimates[::-1]
    before = usage()
    if program == "museval":
        scores = metrics.bss_eval(targets, estimates, window=RATE, hop=RATE)[:4]
        condition = None
    else:
        result = bss_eval(estimates, targets, sample_rate=RATE, **options)
        scores, condition = result[:4], float(result.condition[0])
    cpu_s, memory_mb = usage() - before
    np.save(out, np.stack(scores))
    print(json.dumps({"cpu_s": cpu_s, "memory_mb": memory_mb, "condition": condition}))


def run(folder, program, name, **options):
    """Scores and costs of `program` on the stems called `name`."""
    paths = [str(folder / f"{program}_{name}_{kind}.npy") for kind in ("targets", "estimates")]
    command = [sys.executable, __file__, program, *paths, str(folder / "out.npy")]
    environment = {**os.environ, **THREADS}
    done = subprocess.run(
        [*command, json.dumps(options)], env=environment, check=True, capture_output=True, text=True
    )
    return np.load(folder / "out.npy"), json.loads(done.stdout)


def difference(a, b):
    """Largest difference of each score over all frames, dB."""
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        raise SystemExit("the two programs disagree on which frames are defined")
    return [float(np.nanmax(np.abs(x - y))) for x, y in zip(a, b, strict=True)]


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def cost_table(folder):
    """Time and memory, on 16-bit stems of one minute and of ten."""
    reference, slow = run(folder, "museval", "rounded")
    runs = [run(folder, "unmask", "rounded") for _ in range(5)]
    scores, fast = sorted(runs, key=lambda x: x[1]["cpu_s"])[2]
    _, long = run(folder, "unmask", "ten_minutes")
    yield (
        "| program | CPU s | peak memory added | largest difference, dB: "
        + " / ".join(SCORES)
        + " |"
    )
    yield "|---|---|---|---|"
    yield f"| museval | {slow['cpu_s']:.1f} | {slow['memory_mb']:.0f} MB | |"
    found = " / ".join(f"{x:.0e}" for x in difference(scores, reference))
    ours = f"{fast['cpu_s']:.2f} | {fast['memory_mb']:.0f} MB"
    yield f"| unmask (median of 5 runs) | {ours} | {found} |"
    ratios = [slow[key] / fast[key] for key in ("cpu_s", "memory_mb")]
    yield f"| ratio | **{ratios[0]:.0f}** | **{ratios[1]:.0f}** | |"
    yield f"| unmask, 10 minutes | {long['cpu_s']:.2f} | {long['memory_mb']:.0f} MB | |"


def condition_table(folder):
    """Scores of lossy stems, as decoded and rounded, with and without regularisation."""
    yield "| stems | regularisation | condition | " + " | ".join(SCORES) + " |"
    yield "|---|---|---|---|---|---|---|"
    for name, label in (("float", "decoded MP3"), ("rounded", "the same in 16 bits")):
        for share in (0, 1e-9, 1e-8, 1e-7, 1e-6):
            scores, info = run(folder, "unmask", name, regularisation=share)
            medians = np.nanmedian(scores, axis=-1).mean(axis=-1)
            cells = " | ".join(f"{x:.2f}" for x in medians)
            yield f"| {label} | {share:g} | {info['condition']:.0e} | {cells} |"


def noise_table(folder):
    """How far museval is from itself when the same sources come in another order."""
    yield "| stems, 10 s | museval, sources in reverse order | unmask |"
    yield "|---|---|---|"
    for name, label in (
        ("short", "MDN in 16 bits"),
        ("short_float", "MDN, decoded MP3"),
        ("lithium", "EV3 2.Lithium, decoded Vorbis, bass nearly silent"),
    ):
        reference, _ = run(folder, "museval", name)
        turned = run(folder, "museval", name, reversed=True)[0][:, ::-1]
        ours, _ = run(folder, "unmask", name)
        cells = [" / ".join(f"{x:.0e}" for x in difference(y, reference)) for y in (turned, ours)]
        yield f"| {label} | {cells[0]} | {cells[1]} |"


def report(folder):
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("museval", "unmask", "numpy", "scipy")
    )
    yield "# BSSEval v4: cost and condition\n"
    yield (
        f"{len(STEMS)} stereo stems of {LENGTH_S} s at {RATE} Hz (MDN, CC0), windows of 1 s, "
        f"512 taps; one thread of {cpu_name()}; Python {platform.python_version()}, {versions}. "
        "Made by `python bench/bsseval.py`.\n"
    )
    yield "## Time and memory, 16-bit stems\n"
    yield from cost_table(folder)
    yield "\n## Condition: medians over frames, mean over stems, dB\n"
    yield from condition_table(folder)
    yield "\n## Rounding: largest difference to museval in dB, " + " / ".join(SCORES) + "\n"
    yield from noise_table(folder)


def save(folder, name, kind, x):
    """Write stems for both programs, each in its own layout."""
    np.save(folder / f"unmask_{name}_{kind}.npy", x)
    np.save(folder / f"museval_{name}_{kind}.npy", np.ascontiguousarray(np.moveaxis(x, -1, -2)))


def main():
    targets = read_stems([MUSIC / "mdn" / f"{stem}.mp3" for stem in STEMS], START_S, LENGTH_S)
    estimates = wiener(targets)
    names = ("vocals", "drums", "bass", "other")
    other = read_stems([MUSIC / "ev3" / "2.Lithium" / f"{stem}.ogg" for stem in names], 171, 10)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, x in (("targets", targets), ("estimates", estimates)):
            rounded = np.round(x * 32768) / 32768
            save(folder, "float", kind, x)
            save(folder, "rounded", kind, rounded)
            save(folder, "short_float", kind, x[..., : 10 * RATE])
            save(folder, "short", kind, rounded[..., : 10 * RATE])
            np.save(folder / f"unmask_ten_minutes_{kind}.npy", np.tile(rounded, 10))
        save(folder, "lithium", "targets", other)
        save(folder, "lithium", "estimates", wiener(other))
        lines = []
        for line in report(folder):
            print(line, flush=True)
            lines.append(line)
    Path(__file__).with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        child(*sys.argv[1:])
