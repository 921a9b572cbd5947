"""Examples made on the device: those of the loader, from recordings in memory, in batches."""

import subprocess
import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from importlib.metadata import PackageNotFoundError  # noqa: E402

from unmask import recipe, train  # noqa: E402
from unmask._version import __version__  # noqa: E402
from unmask.data import (  # noqa: E402
    DATA,
    Held,
    Recordings,
    SpeechInNoiseConfig,
    StemMixturesConfig,
    TalkerMixturesConfig,
    TalkersConfig,
    Tracks,
)
from unmask.data.recordings import Selection  # noqa: E402
from unmask.data.store import Disk, Piece, Recording  # noqa: E402
from unmask.data.voices import Voices  # noqa: E402
from unmask.errors import ConfigError  # noqa: E402
from unmask.train import batches, loop, plan, progress, records  # noqa: E402

RATE = 8000
SPEECH = SpeechInNoiseConfig(
    sample_rate=RATE,
    seconds=0.5,
    recordings=(
        Recordings(role="speech", glob="speech/*.wav", valid_share=0.3),
        Recordings(role="noise", glob="noise/1.wav"),
        Recordings(role="noise", glob="noise/2.wav", valid_share=1.0),
    ),
    synthetic_share=0.4,
    reverb_share=0.5,
    clean_share=0.1,
    noise_share=0.1,
    second_noise_share=0.5,
    babble_share=0.2,
    rumble_share=0.5,
    clipped_share=0.3,
    early_s=0.05,
    valid_examples=4,
)
SONGS = StemMixturesConfig(
    sample_rate=RATE,
    samples=4000,
    channels=2,
    targets=("vocals", "drums", "other"),
    sources=("vocals", "drums", "other"),
    tracks=(
        Tracks(glob="train/*", contains={"other": ("other", "drums")}, lacks=("drums",)),
        Tracks(glob="phrases/*.wav", stem="vocals"),
        Tracks(glob="hits/[01].wav", stem="drums"),
        Tracks(glob="hits/2.wav", stem="other"),
        Tracks(glob="valid/*", valid_share=1.0),
    ),
    equalise_db=6.0,
    excerpt_speed=(0.85, 1.15),
    reverb_share=0.5,
    swap_share=0.5,
    valid_examples=4,
)
TALKERS = TalkersConfig(
    sample_rate=RATE,
    seconds=0.5,
    voices=(Voices(glob="voices/*.wav", valid_share=0.4),),
    noises=(Selection(glob="noise/1.wav"), Selection(glob="noise/2.wav", valid_share=1.0)),
    rooms=(Selection(glob="rooms/*.wav"),),
    noise_share=0.5,
    room_share=0.5,
    valid_examples=4,
)
MIXED = TalkerMixturesConfig(
    sample_rate=RATE, seconds=0.5, train=("mixed/tr",), valid=("mixed/cv",), mixture="mix"
)
CONFIGS = {
    "speech_in_noise": SPEECH,
    "stems": SONGS,
    "talkers": TALKERS,
    "talker_mixtures": MIXED,
    "plain stems": replace(SONGS, equalise_db=0.0, excerpt_speed=(1.0, 1.0), reverb_share=0.0),
}
N = 24


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Speech at another rate, some of it short; songs, phrases and hits shorter than an example."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)

    def write(name, n_samples, channels=1, rate=RATE):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal((n_samples, channels)), rate)

    for k in range(8):
        write(f"speech/{k}.wav", 900 + 1500 * k, rate=RATE // (1 + k % 2))
    for k in (1, 2):
        write(f"noise/{k}.wav", 9000)
    for song in ("train/a", "train/b"):
        for stem in ("vocals", "other"):
            write(f"{song}/{stem}.wav", 12_000, channels=2)
    for stem in ("vocals", "drums", "other"):
        write(f"valid/c/{stem}.wav", 12_000)
    for k in range(8):
        write(f"voices/{k}.wav", 2000 + 1500 * k)
    for k, n_channels in enumerate((1, 2)):
        write(f"rooms/{k}.wav", 700, channels=n_channels)
    for split, folder in product(("tr", "cv"), ("mix", "s1", "s2")):
        for k in range(2):
            write(f"mixed/{split}/{folder}/{k}.wav", 3000 + 4000 * k)
    for k in range(3):
        write(f"phrases/{k}.wav", 1300)
        write(f"hits/{k}.wav", 5000, channels=2)
    return root


def examples_of(name, root):
    kind = DATA[name.removeprefix("plain ")]
    return kind.make(CONFIGS[name], root, root / "cache", seed=5, n_examples=N)[0]


def made_on(device, examples, dtype=torch.float32):
    store = batches.hold(examples.recordings, torch.device(device), dtype)
    return examples.render([examples.draw(k) for k in range(N)], store)


def farthest(one, other):
    """The largest difference between two batches, of the largest sample of each example."""
    found = []
    for name in ("mixture", "targets"):
        a, b = (np.asarray(batch[name], float).reshape(N, -1) for batch in (one, other))
        peaks = np.abs(np.asarray(one["mixture"], float)).reshape(N, -1).max(1)
        assert (peaks > 0).all()
        found.append((np.abs(a - b).max(1) / peaks).max())
    return max(found)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_device_makes_the_examples_of_the_loader(root, name):
    examples = examples_of(name, root)
    made = made_on("cpu", examples)
    loaded = [examples[k] for k in range(N)]
    expected = {key: np.stack([one[key] for one in loaded]) for key in loaded[0]}
    assert made.keys() == expected.keys()
    for key, array in expected.items():
        assert made[key].dtype == torch.float32
        assert made[key].shape == array.shape
    assert np.array_equal(made["sums"], expected["sums"])
    assert farthest(made, expected) < 1e-5


@pytest.mark.parametrize("name", CONFIGS)
def test_single_and_double_precision_make_the_same_examples(root, name):
    examples = examples_of(name, root)
    precise = made_on("cpu", examples, torch.float64)
    assert precise["mixture"].dtype == torch.float64
    assert farthest(precise, made_on("cpu", examples)) < 1e-4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("name", CONFIGS)
def test_a_gpu_makes_the_examples_of_the_cpu(root, name):
    examples = examples_of(name, root)
    made = {key: value.cpu() for key, value in made_on("cuda", examples).items()}
    assert farthest(made_on("cpu", examples), made) < 1e-4


def test_an_example_does_not_depend_on_those_beside_it(root):
    examples = examples_of("stems", root)
    store = batches.hold(examples.recordings, torch.device("cpu"))
    alone = examples.render([examples.draw(7)], store)["mixture"][0]
    among = examples.render([examples.draw(k) for k in (3, 7, 1)], store)["mixture"][1]
    assert torch.allclose(alone, among, rtol=0, atol=1e-6 * float(alone.abs().max()))


def test_what_is_held_reads_as_what_is_on_disk(tmp_path, rng):
    files = [tmp_path / f"{k}.npy" for k in range(3)]
    for k, file in enumerate(files):
        np.save(file, rng.integers(-30_000, 30_000, (2, 100 + k), np.int16))
    a, b, c = map(Recording.of, files)
    rows = [
        [Piece(c, 5, 190, 2.0)],
        [Piece(a, 199, 1, 1.0), Piece(b, 0, 30, 7.0), Piece(a, 10, 20, 3.0)],
        [Piece(b, 101, 60, 32767.0)],
    ]
    held = np.concatenate([np.load(file).ravel() for file in files])
    assert np.array_equal(Held(held, [a, b, c]).rows(rows, 190), Disk().rows(rows, 190))
    expected = np.concatenate([np.load(files[1])[1, :60] / np.float32(32767), np.zeros(130)])
    assert np.array_equal(Disk().rows(rows, 190)[2], expected.astype(np.float32))


def test_each_recording_is_held_once_and_what_does_not_fit_is_refused(root, monkeypatch):
    examples = examples_of("speech_in_noise", root)
    twice = [*examples.recordings, *examples.recordings]
    n_bytes = sum(2 * one.n_samples for one in examples.recordings)
    store = batches.hold(twice, torch.device("cpu"))
    assert store._samples.numel() * store._samples.element_size() == n_bytes
    monkeypatch.setattr(torch, "empty", lambda *_, **__: (_ for _ in ()).throw(RuntimeError()))
    with pytest.raises(ConfigError, match=r"need 0\.0 GB of cpu, which has not that much left"):
        batches.hold(twice, torch.device("cpu"))


TABLES = {
    "name": "tiny",
    "frontend": {"n_fft": 128, "hop": 64},
    "backbone": {"kind": "crn", "channels": [4, 6], "hidden": 8, "layers": 1},
    "data": {
        "sample_rate": RATE,
        "seconds": 0.5,
        "valid_examples": 4,
        "recordings": [
            {"role": "speech", "glob": "speech/*.wav", "valid_share": 0.3},
            {"role": "noise", "glob": "noise/1.wav"},
            {"role": "noise", "glob": "noise/2.wav", "valid_share": 1.0},
        ],
    },
    "loss": {"kind": "si_sdr", "n_fft": 128, "hop": 64},
    "train": {"steps": 6, "batch": 3, "log_every": 1, "valid_every": 3, "warmup_steps": 1},
}


def configure(**settings):
    return recipe.from_dict({**TABLES, "train": {**TABLES["train"], **settings}})


def losses_of(run):
    return [line["loss"] for line in records.read(run) if "loss" in line]


@pytest.fixture(scope="module")
def loaded(root, tmp_path_factory):
    return train.run(configure(), tmp_path_factory.mktemp("runs") / "loader", data_root=root)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_learns_the_same_from_examples_of_the_device(root, loaded, tmp_path, workers):
    settings = configure(examples="device", workers=workers)
    run = train.run(settings, tmp_path / "run", data_root=root)
    assert losses_of(run) == pytest.approx(losses_of(loaded), abs=1e-3)


def test_a_run_may_go_on_with_examples_of_the_device(root, loaded, tmp_path):
    run = train.run(configure(steps=3, decay_share=0.0), tmp_path / "run", data_root=root)
    whole = train.run(configure(decay_share=0.0), tmp_path / "whole", data_root=root)
    train.run(configure(decay_share=0.0, examples="device"), run, data_root=root, resume=True)
    assert losses_of(run) == pytest.approx(losses_of(whole), abs=1e-3)


@pytest.fixture
def ticking(monkeypatch):
    """Time that passes only when it is looked at, a tenth of a second each."""
    ticks = iter(range(1_000_000))
    for module in (progress, loop):
        monkeypatch.setattr(module.time, "monotonic", lambda: 0.1 * next(ticks))


def rates_of(monkeypatch):
    """What was spent before each step, and its rate."""
    found, rate = [], loop.learning_rate

    def noted(step, spent, settings):
        found.append((spent, rate(step, spent, settings)))
        return found[-1][1]

    monkeypatch.setattr(loop, "learning_rate", noted)
    return found


@pytest.mark.usefixtures("ticking")
def test_a_run_of_minutes_ends_with_them_and_the_rate_falls_with_the_time(
    root, tmp_path, monkeypatch
):
    rates = rates_of(monkeypatch)
    settings = configure(minutes=0.2, steps=2, decay_share=0.5, learning_rate=1e-3)
    run = train.run(settings, tmp_path / "run", data_root=root)
    result = train.read_about(run)["result"]
    assert result["seconds"] >= 12 > result["seconds"] - 2
    assert result["steps"] == len(rates) > 2 * settings.train.steps
    assert result["examples"] == 3 * result["steps"]
    assert not result["stopped_early"]
    assert train.read_about(run)["examples"] is None
    for spent, rate in rates:
        assert rate == pytest.approx(1e-3 * min(1, (1 - spent) / 0.5))
    assert rates[-1][1] < 2e-4 < rates[len(rates) // 4][1]
    assert "valid" in records.read(run)[-1]


@pytest.mark.usefixtures("ticking")
def test_a_run_of_minutes_that_is_taken_up_has_what_is_left_of_them(root, tmp_path, monkeypatch):
    run, settings = tmp_path / "run", configure(minutes=0.2, steps=2)
    step = train.Trainer._train

    def stop(self, batch):
        if self.step == 4:
            raise KeyboardInterrupt
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(train.Trainer, "_train", stop)
        with pytest.raises(KeyboardInterrupt):
            train.run(settings, run, data_root=root)
    rates = rates_of(monkeypatch)
    train.run(settings, run, data_root=root, resume=True)
    assert rates[0][0] > 0.1
    assert 12 <= train.read_about(run)["result"]["seconds"] < 14
    assert records.read(run)[0]["step"] == 1


def test_effects_of_the_cpu_are_refused_on_the_device():
    tables = {"data": {"kind": "stems", "effects": {"reverb": 0.1}}}
    recipe.from_dict(tables)
    with pytest.raises(ConfigError, match=r"data\.effects are played on the CPU"):
        recipe.from_dict({**tables, "train": {"examples": "device"}})


@pytest.mark.parametrize(
    ("settings", "match"),
    [({"examples": "gpu"}, "examples 'gpu'; there are"), ({"minutes": -1.0}, "minutes = -1.0")],
)
def test_impossible_settings_are_refused(settings, match):
    with pytest.raises(ConfigError, match=match):
        configure(**settings)


def test_a_run_says_its_version_where_the_package_is_only_on_the_path(monkeypatch):
    version = plan.version

    def not_installed(name):
        if name == "unmask":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(plan, "version", not_installed)
    assert plan._versions()["unmask"] == __version__


@pytest.mark.parametrize("room", ["train", "nets", "losses", "recipe", "checkpoint", "export"])
def test_a_room_that_needs_torch_says_so_in_one_line(room):
    program = f"""
import sys
sys.modules["torch"] = None
try:
    import unmask.{room}
except ImportError as error:
    print(type(error).__name__, error)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    expected = 'MissingExtraError training: torch is not installed; pip install "unmask[train]"\n'
    assert (said.stdout, said.stderr) == (expected, "")
