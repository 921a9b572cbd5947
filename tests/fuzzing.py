"""Gives readers damaged files for some seconds: python tests/fuzzing.py KIND SECONDS SEED FOLDER.

A process of its own, since what goes wrong in a library in C ends the process, and since it watches
itself: what Python opens outside of the folder and of what is installed, opens to write, runs,
connects to or unpickles ends it too, as does a case that takes long or much memory. A case is a
file of this kind with some changes, all made of the seed; the one that failed stays in the folder.
"""

import json
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

MOST_S = 20
MOST_BYTES = 4 << 30
#: What numbers of 8 to 64 bits are turned into.
ODD = [0, 1, -1, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63]
WORDS = ["1e999", "-1", "0", "9" * 400, "null", '"../../../../etc/passwd"', "{}", "[]", "NaN"]
WORDS += ['"\\u0000"', '"\\u001b[31m\\n"', "true", "1.5", '"/etc/passwd"', "[[[[[[[[", "[" * 5000]


def changed(data, rng, others):
    """Return bytes with one to four changes, most of them near the beginning."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(1 + min(len(data), rng.choice((64, 512, 1 << 30))))
        _change(data, place, rng, others)
    return bytes(data)


def _change(data, place, rng, others):
    way = rng.randrange(7)
    if way == 0 and data:
        data[place % len(data)] = rng.randrange(256)
    elif way == 1:
        size, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
        data[place : place + size] = (rng.choice(ODD) % 256**size).to_bytes(size, order)
    elif way == 2:
        del data[place:]
    elif way == 3:
        del data[place : place + rng.choice((1, 4, 100))]
    elif way == 4:
        data[place:place] = rng.randbytes(rng.choice((1, 4, 100)))
    elif way == 5:
        data[place:place] = data[place : place + rng.choice((8, 300, 5000))]
    else:
        other = rng.choice(others)
        data[place:] = other[rng.randrange(1 + len(other)) :]


def reworded(data, rng, others):
    """Return a text with some of its values, keys or lines changed, or its bytes."""
    if rng.random() < 0.3:
        return changed(data, rng, others)
    text = data.decode("utf-8", "replace")
    marks = [k for k, char in enumerate(text) if char in ':=,[{"\n']
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.choice(marks) if marks else 0
        end = rng.choice((at, at, *(k for k in marks if at < k < at + 80)))
        text = f"{text[: at + 1]}{rng.choice(WORDS)}{text[end + 1 :]}"
        marks = [k for k in marks if k < len(text)]
    return text.encode()


# --- What is read: kind -> files that are sound, how they are changed, and what reads one


def sounds(folder):
    """Every container that is written, with tags and chunks beside the sound."""
    import soundfile

    from unmask import audio
    from unmask.audio.notes import read_notes

    x = 0.3 * np.random.default_rng(0).standard_normal((2, 4000))
    for suffix in ("wav", "flac", "ogg", "mp3", "aiff", "caf", "w64", "au", "rf64"):
        kind = {"rf64": "RF64", "aiff": "AIFF", "caf": "CAF", "w64": "W64", "au": "AU"}
        with soundfile.SoundFile(
            folder / f"seed.{suffix}", "w", 16000, 2, format=kind.get(suffix, suffix)
        ) as file:
            if suffix in ("wav", "flac", "ogg", "mp3"):
                file.title, file.comment = "\x1b[31mtitle", "../../comment" * 20
            file.write(x.T)
    bext = bytes(range(256)) * 3
    wav = (folder / "seed.wav").read_bytes()
    chunks = b"bext" + len(bext).to_bytes(4, "little") + bext + b"iXML\x04\0\0\0<a/>"
    (folder / "seed.bext.wav").write_bytes(
        wav[:4] + (len(wav) - 8 + len(chunks)).to_bytes(4, "little") + wav[8:] + chunks
    )

    def read(path):
        audio.info(path)
        assert audio.read(path)[0].size < 1e7, "more samples than bytes can hold"
        read_notes(path)

    return read


def models(folder):
    """Small networks, one with a state."""
    import onnx_models
    from unmask.engine.model import load_model

    onnx_models.constant(folder / "seed.onnx", [[0.5, 0.1]])
    meta = onnx_models.metadata(state=[{"name": "s", "shape": [1, 1]}])
    graph = onnx_models.Graph()
    zero = graph("Unsqueeze", graph.magnitude("spectrum"), graph.ints(1))
    graph.name("mask", graph("Concat", zero, zero, axis=2))
    graph.name("next_s", "s")
    onnx_models.save(folder / "seed2.onnx", graph, meta, 2)

    def read(path):
        load_model(path).separate(np.zeros((1, 300), np.float32), 16000)

    return read


def masks(folder):
    """Masks as they are saved, and as NumPy compresses them."""
    from unmask import STFT, mask_files

    header = mask_files.Header(
        stems=("a",),
        stft=STFT(64, 32, "sqrt_hann"),
        sample_rate=16000,
        n_channels=1,
        n_samples=640,
        family="irm1",
    )
    values = np.random.default_rng(0).random(header.shape, np.float32)
    mask_files.save(folder / "seed.npz", mask_files.Masks(values, header))
    np.savez_compressed(folder / "seed2.npz", masks=values, header=header.text())
    np.savez(folder / "seed3.npz", masks=np.array([{}], object), header=header.text())

    def read(path):
        for mapped in (False, True):
            list(mask_files.load(path, mapped=mapped).blocks())

    return read


def checkpoints(folder):
    """A checkpoint of two tensors."""
    import torch

    from unmask import checkpoint

    header = {"step": 3, "nested": {"a": [1, 2]}}
    checkpoint.save(folder / "seed.safetensors", {"a.b": torch.ones(3, 4)}, header)
    return checkpoint.load


def recipes(folder):
    """A recipe of a run, composed and planned as far as it goes without recordings."""
    from unmask import recipe

    (folder / "seed.toml").write_text(
        'name = "tiny"\nfrontend = {n_fft = 128, hop = 64}\n'
        'backbone = {kind = "crn", channels = [8, 12], hidden = 16, layers = 1}\n'
        "head = {depth = 2, hidden = 8}\ntrain = {steps = 1, batch = 2, valid_every = 1}\n"
        '[mask]\nfamily = "complex_tanh"\n[data]\nsample_rate = 16000\nseconds = 0.5\n'
        'recordings = [{role = "speech", glob = "*.wav", valid_share = 0.5}]\n'
    )
    return recipe.load


def tests(folder):
    """A listening test: design and secret in one file here."""
    from unmask.listen import design

    item = {"id": "i", "track": "t", "stem": "s", "start_s": 0.0, "duration_s": 1.0}
    item |= {"sample_rate": 16000, "references": {"mixture": "c0"}}
    made = {"format": 1, "id": "x", "kind": "pairs", "preset": "p", "seed": 0, "systems": ["a"]}
    made |= {"questions": [], "items": [item], "training": [], "pages_per_listener": 1}
    made |= {"pages": [{"id": "p", "item": "i", "stimuli": ["c0"]}], "repeats": 0}
    made |= {"min_heard_s": 0.0, "loudness_lufs": -23.0, "headphones": "off", "texts": {}}
    clip = {"item": "i", "system": "a", "condition": "system", "gain_db": 0.0}
    secret = {"format": 1, "test": "x", "key": "k", "organiser": "o", "clips": {"c0": clip}}
    (folder / "seed.json").write_text(f"{json.dumps(made)}\n\n{json.dumps(secret)}")
    (folder / "audio").mkdir()
    (folder / "audio" / "c0.flac").touch()

    def read(path):
        first, _, second = path.read_bytes().partition(b"\n\n")
        (path.parent / design.DESIGN).write_bytes(first)
        (path.parent / design.SECRET).write_bytes(second)
        test, _ = design.read(path.parent)
        for page in test.pages:
            for name in page.stimuli:
                clip = path.parent / design.AUDIO / f"{name}{design.SUFFIX}"
                assert clip.resolve().parent == (path.parent / design.AUDIO).resolve()

    return read


def scores(folder):
    """Score files as museval has them, in a folder and in an archive."""
    import zipfile

    from unmask.evaluate.document import read_results

    frame = {"time": 0.0, "duration": 1.0, "metrics": {"SDR": 1.5, "SIR": None}}
    (folder / "seed.json").write_text(
        json.dumps({"targets": [{"name": "vocals", "frames": [frame, frame]}]})
    )
    with zipfile.ZipFile(folder / "seed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "seed.json", "test/a.json")

    def read(path):
        if path.suffix == ".zip":
            read_results(path)
        else:
            inner = path.parent / "system"
            inner.mkdir(exist_ok=True)
            (inner / "a.json").write_bytes(path.read_bytes())
            read_results(inner)

    return read


def tables(folder):
    """Answers of a listening test, and what is said of recordings."""
    from unmask.data.recordings import read_manifest
    from unmask.listen.analysis import read as read_answers

    header = "listener,item,stem,question,system_a,system_b,answer\n"
    (folder / "seed.csv").write_text(header + 'l,i,s,quality,"a, b",c,a\n' * 3)

    def read(path):
        (path.parent / "manifest.csv").write_bytes(path.read_bytes())
        for reader in (read_manifest, lambda path: read_answers([path])):
            _refusing(reader, path.parent if reader is read_manifest else path)

    return read


def papers(folder):
    """Pins of models, run records, and papers of a training run."""
    from unmask import pins
    from unmask.checkpoint import read_object
    from unmask.layout import jobs

    pin = pins.Pin(
        repository="a/b",
        revision="v1",
        commit=40 * "a",
        file="m.onnx",
        sha256=64 * "a",
        n_bytes=3,
        licence="mit",
        path="x",
        pulled="2026",
    )
    record = {"settings": {"out": "out"}, "outputs": [{"path": "out/a/b.wav"}]}
    (folder / "seed.json").write_text(json.dumps(vars(pin)))
    (folder / "seed2.json").write_text(json.dumps(record))

    def read(path):
        for reader in (pins._read, read_object, lambda path: jobs._made(path.parent)):
            _refusing(reader, path)

    return read


KINDS = {f.__name__: f for f in (sounds, models, masks, checkpoints, recipes)}
KINDS |= {f.__name__: f for f in (tests, scores, tables, papers)}
TEXTS = {"recipes", "tests", "scores", "tables", "papers"}


# --- Watching


def peak_mb():
    """Return the peak memory of this process; `ru_maxrss` would know that of the one before it."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 1024


def guard(folder):
    """End the process where Python does what no reader may."""
    allowed = [*map(os.path.realpath, (folder, sys.prefix, sys.base_prefix))]
    allowed += [os.path.realpath(path) for path in (Path(__file__).parents[1], "/proc", "/sys")]
    allowed += ["/dev/null", "/dev/urandom", os.path.realpath("/etc/localtime")]

    def watch(event, arguments):
        if event in ("os.system", "subprocess.Popen", "os.exec", "socket.connect"):
            end(f"{event} {arguments}")
        if event == "pickle.find_class" and not str(arguments[0]).startswith(("numpy", "_codecs")):
            end(f"{event} {arguments}")
        if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            path, flags = os.path.realpath(os.fsdecode(arguments[0])), arguments[2] or 0
            is_inside = any(path == top or path.startswith(f"{top}/") for top in allowed)
            # Without a name: np.memmap of what was compressed.
            if not is_inside and not flags & getattr(os, "O_TMPFILE", 0) > os.O_DIRECTORY:
                end(f"opens {path}")

    sys.addaudithook(watch)


def end(what):
    print(f"FORBIDDEN: {what}", flush=True)
    traceback.print_stack()
    os._exit(3)


def _refusing(read, path):
    """Read; what is refused has a line that can be shown."""
    from unmask.errors import UnmaskError, one_line, printable

    try:
        read(path)
    except UnmaskError as error:
        line = one_line(error)
        assert line == printable(line), line
        assert len(line) < 3000, f"a line of {len(line)} characters"


def main(kind, seconds, cases, seed, folder):
    """Read so many damaged files, or until the time is over; print how many."""
    folder = Path(folder)
    os.chdir(folder)
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    rng = random.Random(f"{kind} {seed}")
    read = KINDS[kind](folder)
    seeds = sorted(folder.glob("seed*"))
    contents = [path.read_bytes() for path in seeds]
    for path in seeds:
        _refusing(read, path)
    guard(folder)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGVTALRM, lambda *_: end(f"a case took {MOST_S} s"))
    stop, n_cases = time.monotonic() + float(seconds), 0
    change = reworded if kind in TEXTS else changed
    while time.monotonic() < stop and n_cases < float(cases):
        seed_path, content = rng.choice([*zip(seeds, contents, strict=True)])
        how = changed if seed_path.suffix == ".zip" else change
        case = folder / f"case{seed_path.suffix}"
        case.write_bytes(how(content, rng, contents))
        signal.setitimer(signal.ITIMER_VIRTUAL, MOST_S)
        _refusing(read, case)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        case.unlink()
        n_cases += 1
    print(f"{kind}: {n_cases} cases, {peak_mb():.0f} MB at the peak", flush=True)
    sys.stdout.flush()
    os._exit(0)  # not through the ends of libraries


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main(*sys.argv[1:])
