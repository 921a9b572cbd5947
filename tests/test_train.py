"""Training: the loss falls, a stop changes nothing, what is written can be trusted."""

import json

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from safetensors.torch import save_file  # noqa: E402

from unmask import checkpoint, recipe, train  # noqa: E402
from unmask.data import DATA  # noqa: E402
from unmask.errors import ConfigError, ModelError  # noqa: E402
from unmask.losses import si_sdr_db  # noqa: E402

RATE = 8000
TABLES = {
    "name": "tiny",
    "frontend": {"n_fft": 128, "hop": 64},
    "backbone": {"kind": "crn", "channels": [8, 12], "hidden": 16, "layers": 1},
    "head": {"mask": "complex_tanh"},
    "loss": {"kind": "si_sdr + complex", "n_fft": 128, "hop": 64},
    "data": {
        "sample_rate": RATE,
        "seconds": 0.5,
        "valid_examples": 4,
        "recordings": [
            {"role": "speech", "glob": "speech/*.wav", "valid_share": 0.4},
            {"role": "noise", "glob": "noise/1.wav"},
            {"role": "noise", "glob": "noise/2.wav", "valid_share": 1.0},
        ],
    },
    "train": {"steps": 20, "batch": 3, "log_every": 1, "valid_every": 10, "warmup_steps": 5},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Chords that come and go as speech, noise as noise."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    time = np.arange(2 * RATE) / RATE
    (root / "speech").mkdir()
    (root / "noise").mkdir()
    for k in range(8):
        tones = sum(np.sin(2 * np.pi * f * time) for f in rng.uniform(200, 1500, 3))
        swell = 0.2 + np.maximum(0, np.sin(2 * np.pi * 3 * time + k))
        soundfile.write(root / f"speech/{k}.wav", 0.1 * tones * swell, RATE)
    for k in (1, 2):
        soundfile.write(root / f"noise/{k}.wav", 0.1 * rng.standard_normal(2 * RATE), RATE)
    return root


def configure(**settings):
    return recipe.from_dict({**TABLES, "train": {**TABLES["train"], **settings}})


def records(run):
    lines = [json.loads(line) for line in (run / train.RECORDS).read_text().splitlines()]
    timings = ("seconds", "data_seconds", "data_share")
    return [{k: v for k, v in line.items() if k not in timings} for line in lines]


@pytest.fixture(scope="module")
def straight(root, tmp_path_factory):
    """A run of twenty steps without a stop, with a running mean of the weights."""
    out = tmp_path_factory.mktemp("runs") / "straight"
    return train.run(configure(ema=0.9), out, data_root=root)


class StoppedError(Exception):
    """Somebody pulled the plug."""


def test_a_run_that_was_stopped_and_resumed_gives_the_same_numbers(
    root, straight, tmp_path, monkeypatch
):
    step = train.Trainer._train

    def stop_at_13(self, batch):
        if self.step == 13:
            raise StoppedError
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(train.Trainer, "_train", stop_at_13)
        with pytest.raises(StoppedError):
            train.run(configure(ema=0.9), tmp_path / "run", data_root=root)
    with (tmp_path / "run" / train.RECORDS).open("a") as file:
        file.write('{"step": 13, "lo')  # the plug was pulled while it wrote
    train.run(configure(ema=0.9), tmp_path / "run", data_root=root, resume=True)
    assert records(tmp_path / "run") == records(straight)
    for name in (train.LAST, train.BEST):
        one, two = (checkpoint.load(run / name)[0] for run in (straight, tmp_path / "run"))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one)


def test_workers_do_not_change_the_numbers(root, straight, tmp_path):
    run = train.run(configure(ema=0.9, workers=1, steps=20), tmp_path / "run", data_root=root)
    assert records(run)[:8] == records(straight)[:8]


def test_another_seed_gives_other_numbers(root, straight, tmp_path):
    run = train.run(configure(seed=1, steps=2), tmp_path / "run", data_root=root)
    assert records(run)[0]["loss"] != records(straight)[0]["loss"]


def test_training_improves_recordings_that_were_not_trained_on(root, tmp_path):
    settings = configure(steps=80, batch=6, log_every=80, valid_every=80, learning_rate=5e-3)
    run = train.run(settings, tmp_path / "run", data_root=root)
    scores = [line["valid"] for line in records(run) if "valid" in line]
    assert scores[-1]["si_sdr_improvement_db"] > 3
    assert scores[-1]["si_sdr_db"] == pytest.approx(
        2.5 + scores[-1]["si_sdr_improvement_db"], abs=2.6
    )


def test_the_best_weights_are_kept_with_their_score(root, straight):
    tensors, header = checkpoint.load(straight / train.BEST)
    scores = {line["step"]: line["valid"] for line in records(straight) if "valid" in line}
    best = max(scores, key=lambda step: scores[step]["si_sdr_improvement_db"])
    assert header["step"] == best
    assert header["scores"] == scores[best]
    config = recipe.from_dict(header["recipe"])
    system = config.system()
    system.net.load_state_dict(checkpoint.select(tensors, "mean"))
    make = DATA[config.data_kind][1]
    valid = make(config.data, root, straight / "cache", seed=0, n_examples=1)[1]
    with torch.no_grad():
        found = [
            si_sdr_db(
                system.eval()(torch.from_numpy(e["mixture"])[None])[0],
                torch.from_numpy(e["targets"]),
            )
            for e in map(valid.__getitem__, range(4))
        ]
    assert torch.stack(found).mean().item() == pytest.approx(scores[best]["si_sdr_db"], abs=1e-3)


def test_a_run_folder_says_what_was_done(straight):
    assert recipe.load(straight / "recipe.toml") == configure(ema=0.9)
    facts = json.loads((straight / "run.json").read_text())
    assert facts["seed"] == 0
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["data"]["train noise"]["files"] == 1
    steps = [line["step"] for line in records(straight)]
    assert steps == sorted(steps)
    assert [line["step"] for line in records(straight) if "valid" in line] == [10, 20]


def test_a_folder_that_holds_a_run_is_not_overwritten(root, straight, tmp_path):
    with pytest.raises(ConfigError, match="holds a run already; resume it"):
        train.run(configure(), straight, data_root=root)
    with pytest.raises(ConfigError, match="no checkpoint to resume from"):
        train.run(configure(), tmp_path / "new", data_root=root, resume=True)


@pytest.mark.parametrize(
    ("accelerator", "devices", "message"),
    [
        ("abacus", 1, "accelerator 'abacus', 1 device, precision '32-true': You selected"),
        ("cuda", 3, "accelerator 'cuda', 3 devices, precision '32-true': "),
        ("cpu", 2, "a batch of 3 cannot be shared by 2 devices"),
    ],
)
def test_what_the_machine_cannot_do_is_refused(root, tmp_path, accelerator, devices, message):
    if accelerator == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigError, match=message) as refusal:
        train.run(
            configure(),
            tmp_path / "x",
            data_root=root,
            accelerator=accelerator,
            devices=devices,
        )
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_another_network_is_refused(root, straight, tmp_path):
    other = recipe.from_dict(
        {**TABLES, "backbone": {"kind": "crn", "channels": [4, 6], "hidden": 8}}
    )
    (tmp_path / train.LAST).write_bytes((straight / train.LAST).read_bytes())
    with pytest.raises(ModelError, match="was made by another recipe"):
        train.run(other, tmp_path, data_root=root, resume=True)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [train.LAST]


def test_the_rate_rises_stays_and_falls_to_zero():
    settings = configure(steps=100, warmup_steps=10, decay_share=0.5, learning_rate=2.0).train
    rates = [train.learning_rate(step, settings) for step in range(101)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9:51] == [2.0] * 42
    assert rates[75] == pytest.approx(1.0)
    assert rates[100] == 0


def test_a_checkpoint_comes_back_bit_by_bit(tmp_path):
    tensors = {"net.a": torch.randn(3, 4).T, "net.b": torch.tensor(7), "other": torch.ones(1)}
    checkpoint.save(tmp_path / "x.safetensors", tensors, {"step": 3})
    loaded, header = checkpoint.load(tmp_path / "x.safetensors")
    assert header == {"format": 1, "step": 3}
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    assert checkpoint.select(loaded, "net").keys() == {"a", "b"}


def test_a_checkpoint_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, {"a": torch.zeros(2)}, {"step": 1})

    def break_off(tensors, target, metadata):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save_file", break_off)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(path, {"a": torch.ones(2)}, {"step": 2})
    assert checkpoint.load(path)[1]["step"] == 1


def test_files_that_are_no_checkpoints_are_refused(tmp_path):
    with pytest.raises(ModelError, match="no such checkpoint"):
        checkpoint.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(ModelError, match="not a safetensors file"):
        checkpoint.load(tmp_path / "text.safetensors")
    torch.save({"a": torch.zeros(1)}, tmp_path / "pickle.safetensors")
    with pytest.raises(ModelError, match="not a safetensors file"):
        checkpoint.load(tmp_path / "pickle.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ModelError, match="checkpoint format is None, this version reads 1"):
        checkpoint.load(tmp_path / "foreign.safetensors")
