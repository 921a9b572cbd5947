"""Training: the loss falls, a stop changes nothing, what is written can be trusted."""

import csv
import itertools
import json
import multiprocessing
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from click.testing import CliRunner  # noqa: E402
from lightning_fabric import Fabric  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from unmask import checkpoint, losses, recipe, train  # noqa: E402
from unmask.cli import main  # noqa: E402
from unmask.data import DATA  # noqa: E402
from unmask.errors import ConfigError, ModelError  # noqa: E402
from unmask.losses import combine, si_sdr_db  # noqa: E402
from unmask.train import devices, loop  # noqa: E402
from unmask.train.progress import Bar  # noqa: E402
from unmask.train.validation import count_active, validate  # noqa: E402

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
    """A run of twenty steps without a stop, with a running mean of the weights and all logs."""
    out = tmp_path_factory.mktemp("runs") / "straight"
    return train.run(configure(**AVERAGED), out, data_root=root)


AVERAGED = {"ema": 0.9, "log": ["csv", "tensorboard"]}


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
            train.run(configure(**AVERAGED), tmp_path / "run", data_root=root)
    with (tmp_path / "run" / train.RECORDS).open("a") as file:
        file.write('{"step": 13, "lo')  # the plug was pulled while it wrote
    train.run(configure(**AVERAGED), tmp_path / "run", data_root=root, resume=True)
    assert records(tmp_path / "run") == records(straight)
    for name in (train.LAST, train.BEST):
        one, two = (checkpoint.load(run / name)[0] for run in (straight, tmp_path / "run"))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one)
    about = train.read_about(tmp_path / "run")
    times = [line["seconds"] for line in lines_of(tmp_path / "run") if "seconds" in line]
    assert times == sorted(times)
    assert about["result"]["seconds"] >= times[-1]


def lines_of(run):
    return [json.loads(line) for line in (run / train.RECORDS).read_text().splitlines()]


def test_the_logs_tell_what_the_records_tell_and_every_step_once(root, straight, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train.run(configure(**AVERAGED, steps=10), tmp_path / "run", data_root=root)
    train.run(configure(**AVERAGED), tmp_path / "run", data_root=root, resume=True)
    for run in (straight, tmp_path / "run"):
        with (run / "csv" / "metrics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        losses = [(int(r["step"]), float(r["train/loss"])) for r in rows if r["train/loss"]]
        scores = [(int(r["step"]), float(r["valid/si_sdr_db"])) for r in rows if r["valid/loss"]]
        told = lines_of(run)
        assert losses == [(line["step"], line["loss"]) for line in told if "loss" in line]
        assert scores == [(k["step"], k["valid"]["si_sdr_db"]) for k in told if "valid" in k]
        board = events.EventAccumulator(str(run / "tensorboard")).Reload()
        seen = [(event.step, event.value) for event in board.Scalars("train/loss")]
        np.testing.assert_allclose(seen, losses, rtol=1e-6)


def test_workers_do_not_change_the_numbers(root, straight, tmp_path):
    run = train.run(configure(**AVERAGED, workers=1), tmp_path / "run", data_root=root)
    assert records(run)[:8] == records(straight)[:8]


def test_another_seed_gives_other_numbers(root, straight, tmp_path):
    run = train.run(configure(seed=1, steps=2), tmp_path / "run", data_root=root)
    assert records(run)[0]["loss"] != records(straight)[0]["loss"]


def test_training_improves_recordings_that_were_not_trained_on(root, tmp_path):
    settings = configure(steps=120, batch=6, log_every=120, valid_every=120, learning_rate=5e-3)
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
    made = configure(**AVERAGED)
    assert recipe.load(straight / "recipe.toml") == made
    about = train.read_about(straight)
    assert about["seed"] == 0
    found, expected = about["versions"]["torch"], torch.__version__
    assert found.partition("+")[0] == expected.partition("+")[0]  # +cpu, +cu130
    assert about["data"]["train noise"]["files"] == 1
    assert about["parameters"] == sum(p.numel() for p in made.system().net.parameters())
    assert about["macs_per_second"] > about["parameters"]
    assert (about["valid_examples"], about["valid_active"]) == (4, {"speech": 4})
    assert about["device"]["type"] == "cpu"
    assert (about["device"]["devices"], about["device"]["threads"]) == (1, torch.get_num_threads())
    result = about["result"]
    assert (result["steps"], result["stopped_early"]) == (20, False)
    assert result["steps_per_second"] == pytest.approx(20 / result["seconds"], rel=1e-2)
    assert 0 < result["data_share"] < 1
    steps = [line["step"] for line in records(straight)]
    assert steps == sorted(steps)
    assert [line["step"] for line in records(straight) if "valid" in line] == [10, 20]


def test_the_share_of_time_that_is_spent_waiting_is_recorded(root, tmp_path, monkeypatch):
    kind = type(
        DATA["speech_in_noise"][1](configure().data, root, tmp_path, seed=0, n_examples=1)[0]
    )
    get = kind.__getitem__

    def slow(self, index):
        time.sleep(0.1)
        return get(self, index)

    monkeypatch.setattr(kind, "__getitem__", slow)
    run = train.run(configure(steps=6, valid_every=6), tmp_path / "run", data_root=root)
    lines = [line for line in lines_of(run) if "data_share" in line]
    assert lines[-1]["data_seconds"] > 6 * 3 * 0.1
    for one, two in itertools.pairwise(lines):
        waited, passed = (two[key] - one[key] for key in ("data_seconds", "seconds"))
        assert two["data_share"] == pytest.approx(waited / passed)
        assert 0.3 / passed < two["data_share"] < 1
    assert train.read_about(run)["result"]["data_share"] > 0


def test_a_dry_run_says_what_a_run_would_be_and_leaves_none(root, tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(configure().to_toml())
    command = ["train", str(path), "--data", str(root), "-o", str(tmp_path / "run")]
    said = CliRunner().invoke(main, [*command, "--dry-run", "--cache", str(tmp_path / "cache")])
    assert said.exit_code == 0, said.output
    net = configure().system().net
    assert f"parameters  {sum(p.numel() for p in net.parameters()):,}" in said.output
    assert "examples    60" in said.output
    assert "validation  4 examples: speech in 4" in said.output
    assert not (tmp_path / "run").exists()
    wrong = CliRunner().invoke(main, [*command, "--dry-run", "-s", "data.recordings=[]"])
    assert (wrong.exit_code, wrong.output.count("\n")) == (1, 1)
    ran = CliRunner().invoke(main, [*command, "-s", "train.steps=2"])
    assert ran.stdout == f"{tmp_path / 'run'}\n"
    assert "2 steps in " in ran.stderr
    assert "of the time waiting for data" in ran.stderr


def test_a_run_is_not_resumed_with_other_data(root, tmp_path):
    run = tmp_path / "run"
    train.run(configure(steps=2), run, data_root=root)
    about = train.read_about(run) | {"data_sha256": "0" * 64}
    (run / "run.json").write_text(json.dumps(about))
    with pytest.raises(ConfigError, match=r"is not the data that .* was begun with"):
        train.run(configure(steps=2), run, data_root=root, resume=True)


def test_a_run_is_resumed_with_its_own_settings_only(root, straight, tmp_path):
    """What a checkpoint says of its making holds for all its steps; its length may change."""
    run = shutil.copytree(straight, tmp_path / "run")
    own = recipe.load(run / "recipe.toml")
    others = {"loss": replace(own.loss, kind="complex"), "train": replace(own.train, seed=9)}
    for section, changed in others.items():
        other = replace(own, **{section: changed})
        with pytest.raises(ModelError, match=r"another recipe, (loss.kind|train.seed) differ"):
            train.run(other, run, data_root=root, resume=True)
    longer = replace(own, train=replace(own.train, steps=own.train.steps + 1))
    assert train.run(longer, run, data_root=root, resume=True) == run


@pytest.mark.parametrize("text", ["", "{bad", "[]", "[" * 5000])
def test_papers_of_a_run_that_are_broken_are_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ModelError, match=r"run.json: (cannot be read|is no JSON object)"):
        train.read_about(tmp_path)


@pytest.mark.parametrize("name", ["run.json", "best.safetensors"])
def test_a_run_folder_that_lacks_something_is_not_exported(straight, tmp_path, name):
    run = shutil.copytree(straight, tmp_path / "run")
    (run / name).unlink()
    result = CliRunner().invoke(main, ["export", str(run), str(tmp_path / "m.onnx")])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"unmask: error: {run / name}: ")
    (run / name).mkdir()
    result = CliRunner().invoke(main, ["export", str(run), str(tmp_path / "m.onnx")])
    assert result.stderr.startswith(f"unmask: error: {run / name}: ")
    assert not (tmp_path / "m.onnx").exists()


def test_a_file_in_place_of_the_run_folder_is_refused(root, tmp_path):
    (tmp_path / "run").write_text("x")
    with pytest.raises(ConfigError, match="run: is a file, expected a folder"):
        train.run(configure(), tmp_path / "run", data_root=root)


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


def test_a_run_can_begin_with_the_weights_of_another_where_they_fit(root, straight, tmp_path):
    still = {"steps": 1, "learning_rate": 1e-9, "weight_decay": 0.0, "warm_start": str(straight)}
    began = train.run(configure(**still), tmp_path / "same", data_root=root)
    wider = recipe.from_dict(
        {
            **TABLES,
            "backbone": {**TABLES["backbone"], "hidden": 17},
            "train": {**TABLES["train"], **still},
        }
    )
    grown = train.run(wider, tmp_path / "wider", data_root=root)
    best, same, other = (
        checkpoint.select(checkpoint.load(run / train.BEST)[0], "mean")
        for run in (straight, began, grown)
    )
    weights = [name for name in best if name.endswith(("weight", "bias"))]
    assert all(torch.allclose(same[name], best[name], atol=1e-6) for name in weights)
    kept = [name for name in weights if best[name].shape == other[name].shape]
    assert {"backbone.encoder.1.0.weight", "head.branches.0.0.0.bias"} <= set(kept) < set(weights)
    assert all(torch.allclose(other[name], best[name], atol=1e-6) for name in kept)


def test_a_start_that_is_not_there_or_does_not_fit_is_refused(root, tmp_path):
    with pytest.raises(ModelError, match="no such checkpoint"):
        train.run(configure(warm_start=str(tmp_path)), tmp_path / "run", data_root=root)
    assert not (tmp_path / "run").exists()
    checkpoint.save(tmp_path / train.BEST, {"mean.head.branches.0.0.0.bias": torch.zeros(1)}, {})
    with pytest.raises(ModelError, match="no weight has the name and shape"):
        train.run(configure(warm_start=str(tmp_path)), tmp_path / "run", data_root=root)


def test_the_rate_rises_stays_and_falls_to_zero():
    settings = configure(steps=100, warmup_steps=10, decay_share=0.5, learning_rate=2.0).train
    rates = [train.learning_rate(step, step / 100, settings) for step in range(101)]
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


class Unnormalised(recipe.Recipe):
    """A recipe whose network has no batch statistics, which processors do not share."""

    def system(self):
        system = super().system()
        for module in list(system.modules()):
            for name, child in module.named_children():
                if isinstance(child, torch.nn.BatchNorm2d):
                    setattr(module, name, torch.nn.GroupNorm(1, child.num_features))
        return system


def test_two_devices_see_and_learn_what_one_does(root, tmp_path):
    made = configure(steps=6, batch=4, valid_every=3, ema=0.5)
    made = Unnormalised(**{name: getattr(made, name) for name in made.__dataclass_fields__})
    one, two = (
        train.run(made, tmp_path / str(n), data_root=root, cache=tmp_path / "cache", devices=n)
        for n in (1, 2)
    )
    assert train.read_about(two)["device"]["devices"] == 2
    assert multiprocessing.active_children() == []
    assert len(records(one)) == len(records(two)) == 8
    for line, other in zip(records(one), records(two), strict=True):
        assert line.keys() == other.keys()
        assert other.pop("valid", {}) == pytest.approx(line.pop("valid", {}), rel=1e-4)
        assert other == pytest.approx(line, rel=1e-4)
    for name in (train.LAST, train.BEST):
        saved, other = (checkpoint.load(run / name)[0] for run in (one, two))
        assert saved.keys() == other.keys()
        for key in saved:
            torch.testing.assert_close(other[key], saved[key], rtol=1e-3, atol=1e-5)


TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "unmask")


def test_processes_of_torchrun_learn_what_one_does_and_one_goes_on_where_they_stopped(
    root, tmp_path
):
    """A network without batch statistics, which processes on CPUs keep to themselves."""
    backbone = {"kind": "tcn", "channels": 4, "hidden": 5, "skip": 6, "blocks": 2, "repeats": 1}
    even = {**TABLES["train"], "batch": 4, "valid_every": 2, "decay_share": 0.0}
    short, long = (
        recipe.from_dict({**TABLES, "backbone": backbone, "train": {**even, "steps": n}})
        for n in (2, 4)
    )
    cache, out = tmp_path / "cache", tmp_path / "run"
    one = train.run(long, tmp_path / "one", data_root=root, cache=cache)
    (tmp_path / "short.toml").write_text(short.to_toml())
    words = ("train", tmp_path / "short.toml", "--data", root, "--cache", cache, "-o", out)
    done = subprocess.run(
        [sys.executable, "-m", *TORCHRUN, *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(out)]  # said once
    assert train.read_about(out)["device"]["devices"] == 2
    assert len(records(out)) == 3  # two steps and a validation, written once
    for line, other in zip(records(one), records(out), strict=False):
        assert other.pop("valid", {}) == pytest.approx(line.pop("valid", {}), rel=1e-4)
        assert other == pytest.approx(line, rel=1e-4)
    train.run(long, out, data_root=root, cache=cache, resume=True)
    saved, expected = (checkpoint.load(run / train.LAST)[0] for run in (out, one))
    for key, value in expected.items():
        torch.testing.assert_close(saved[key], value, rtol=0, atol=1e-5)


def test_what_torchrun_has_started_and_what_is_asked_for_must_agree(monkeypatch):
    assert train.is_first()
    started = {
        "TORCHELASTIC_RUN_ID": "x",
        "RANK": 1,
        "GROUP_RANK": 0,
        "LOCAL_RANK": 1,
        "LOCAL_WORLD_SIZE": 2,
        "WORLD_SIZE": 2,
    }
    for name, value in started.items():
        monkeypatch.setenv(name, str(value))
    assert not train.is_first()
    with pytest.raises(ConfigError, match="a batch of 3 cannot be shared by 2 devices"):
        devices.open_devices("cpu", 1, "32-true", batch=3)
    with pytest.raises(ConfigError, match="devices: 4, torchrun has started 2; leave it out"):
        devices.open_devices("cpu", 4, "32-true", batch=4)


def test_no_process_is_left_after_a_stop():
    process = multiprocessing.Process(target=time.sleep, args=(60,))

    class Devices:
        def launch(self, *_):
            process.start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        devices.launch(Devices(), print)
    assert process.exitcode is not None


def test_what_goes_wrong_on_a_device_is_raised_as_it_is():
    def refuse(fabric):
        raise ModelError("the weights are lost")

    with pytest.raises(ModelError, match="the weights are lost"):
        devices.launch(Fabric(accelerator="cpu", devices=1), refuse)


@pytest.mark.parametrize(
    ("monitor", "scores"),
    [
        ("loss", [3.0, 2.0, 2.5, 2.0, 1.0]),
        ("si_sdr_db", [-3.0, 2.0, 1.5, 2.0, 9.0]),
    ],
)
def test_training_stops_when_the_watched_score_gets_no_better(
    root, tmp_path, monkeypatch, monitor, scores
):
    settings = configure(valid_every=2, monitor=monitor, patience=2)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "validate", stop_after(1, monitor, scores))
        with pytest.raises(StoppedError):
            train.run(settings, tmp_path / "run", data_root=root)
    monkeypatch.setattr(loop, "validate", stop_after(9, monitor, scores[1:]))
    for _ in range(2):  # a run that has stopped is over
        train.run(settings, tmp_path / "run", data_root=root, resume=True)
        result = train.read_about(tmp_path / "run")["result"]
        assert (result["steps"], result["stopped_early"], result["best"]) == (8, True, 2.0)
        assert checkpoint.read_header(tmp_path / "run" / train.BEST)["step"] == 4


def stop_after(count, monitor, scores):
    """Validations with these scores; the plug is pulled after some of them."""
    left = iter(scores[:count])

    def validate(*_, **__):
        score = next(left, None)
        if score is None:
            raise StoppedError
        return {monitor: score}

    return validate


def test_weights_that_are_lost_are_noticed_before_they_are_kept(root, tmp_path):
    settings = configure(learning_rate=1e30, warmup_steps=0, max_grad_norm=1e30, log_every=100)
    with pytest.raises(ModelError, match=r"lower train\.learning_rate"):
        train.run(settings, tmp_path / "run", data_root=root)
    assert not (tmp_path / "run" / train.LAST).exists()


class Excerpts(list):
    """Validation examples (source, sample) of a mixture that is their sum.

    `sums` says for some of them what is known.
    """

    def __init__(self, sets, sums=()):
        super().__init__(sets)
        self.sums = dict(sums)

    def __getitem__(self, index):
        targets = torch.tensor(super().__getitem__(index))[:, None]
        sums = torch.tensor(self.sums.get(index, np.eye(len(targets)).tolist()))
        return {"mixture": targets.sum(0), "targets": combine(sums, targets), "sums": sums}


def scored(estimate, sets, batch=2, sums=(), stems=("drums", "bass")):
    return validate(
        estimate,
        lambda estimates, batch: (
            (combine(batch["sums"], estimates) - batch["targets"]).square().mean((1, 2, 3))
        ),
        lambda estimates, targets, mixture, sums: combine(sums, estimates),
        Excerpts(sets, sums),
        fabric=Fabric(accelerator="cpu", devices=1),
        batch=batch,
        stems=stems,
    )


def test_targets_that_are_silent_do_not_count():
    a, b, quiet = [4.0, 0, 0, 0], [0, 2.0, 0, 0], [0.0, 0, 1e-4, 0]
    sets = [[a, b], [a, quiet], [b, a]]
    # half of the mixture for each: 6 dB between the sources of the first and the last
    scores = scored(lambda mixture: torch.stack([mixture, mixture], 1) / 2, sets)
    assert scores["silent"] == 1
    assert scores["drums/si_sdr_db"] == pytest.approx((6.0206 + 30 - 6.0206) / 3, abs=1e-3)
    assert scores["bass/si_sdr_db"] == pytest.approx(0, abs=1e-3)
    assert scores["si_sdr_db"] == pytest.approx(5.0, abs=1e-3)  # each stem counts once
    assert scores["si_sdr_improvement_db"] == pytest.approx(0, abs=1e-5)
    assert scores["loss"] == pytest.approx((10 / 8 + 8 / 8 + 10 / 8) / 3, rel=1e-3)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_score_does_not_depend_on_the_batch(rng, batch):
    sets = rng.standard_normal((5, 2, 64)).astype(np.float32).tolist()
    half = lambda mixture: torch.stack([mixture, mixture.flip(-1)], 1)  # noqa: E731
    assert scored(half, sets, batch) == pytest.approx(scored(half, sets, 5), rel=1e-4)


def test_an_estimate_that_is_silent_is_the_worst_there_is():
    sets = [[[1.0, 0, 0], [0, 1.0, 0]]]
    scores = scored(lambda mixture: torch.zeros(1, 2, 1, 3), sets)
    assert scores["si_sdr_db"] == -30
    assert scores["si_sdr_improvement_db"] == pytest.approx(-30, abs=1e-4)


def test_the_perfect_estimate_has_a_bounded_score():
    sets = [[[1.0, 0, 0], [0, 1.0, 0]]]
    truth = torch.tensor(sets[0])[None, :, None]
    scores = scored(lambda mixture: truth, sets)
    assert (scores["si_sdr_db"], scores["loss"]) == (30, 0)
    assert scores["median_improvement_db"] == pytest.approx(30, abs=1e-4)


#: The first stem is known, the others only together.
TOGETHER = [[1.0, 0, 0], [0, 1, 1], [0, 0, 0]]
THREE = ("vocals", "drums", "bass")


def halves(mixture):
    """Vocals get half of the mixture, drums and bass a quarter each."""
    return torch.stack([mixture / 2, mixture / 4, mixture / 4], 1)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_stems_that_are_known_together_have_a_score_together(batch):
    a, b, c, none = [4.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 1.0, 0], [0.0] * 4
    sets = [[a, b, c], [b, c, a], [a, none, none]]
    scores = scored(halves, sets, batch, {1: TOGETHER, 2: TOGETHER}, THREE)
    db = lambda ratio: 10 * np.log10(ratio)  # noqa: E731
    expected = {
        "vocals": (db(16 / 5) + db(4 / 17) + 30) / 3,
        "drums": db(4 / 17),
        "bass": db(1 / 20),
        "sums": db(17 / 4),
    }
    found = {name: scores[f"{name}/si_sdr_db"] for name in expected}
    assert found == pytest.approx(expected, abs=1e-3)
    assert scores["si_sdr_db"] == pytest.approx(np.mean([*expected.values()]), abs=1e-3)
    assert scores["si_sdr_improvement_db"] == pytest.approx(0, abs=1e-4)
    assert scores["silent"] == 1  # a row of zeros says nothing, not that a stem is silent


def test_where_the_sound_of_a_sum_lies_has_no_say_in_a_score(rng):
    sets = rng.standard_normal((4, 3, 64)).astype(np.float32).tolist()
    sums = {k: TOGETHER for k in (0, 2, 3)}

    def moved(mixture):
        estimates = halves(mixture)
        shift = estimates.flip(-1) * torch.tensor([0.0, 1, -1])[:, None, None]
        return torch.where(mixture[:, None] == sets_mixture(1), estimates, estimates + shift)

    def sets_mixture(index):
        return torch.tensor(sets[index]).sum(0)

    assert scored(moved, sets, 2, sums, THREE) == pytest.approx(
        scored(halves, sets, 2, sums, THREE), abs=1e-4
    )


def test_without_sums_there_is_no_score_of_them(rng):
    sets = rng.standard_normal((2, 3, 64)).astype(np.float32).tolist()
    assert not any("sums" in name for name in scored(halves, sets, stems=THREE))


def test_a_stem_that_is_never_known_alone_cannot_be_validated():
    a, b, c = [4.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 1.0, 0]
    both = Excerpts([[a, b, c], [c, b, a]], {1: TOGETHER})
    assert count_active(both, THREE) == {"vocals": 2, "drums": 1, "bass": 1, "sums": 1}
    with pytest.raises(
        ConfigError, match=r"\['drums', 'bass'\] are silent, or known only together"
    ):
        count_active(Excerpts(both, {0: TOGETHER, 1: TOGETHER}), THREE)


SONGS = ("vocals", "drums", "bass", "other")


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Songs of four stems; of one of them, only vocals and the rest are known."""
    root, rng = tmp_path_factory.mktemp("songs"), np.random.default_rng(0)
    for song in ("apart/a", "valid/b", "sung/c"):
        stems = {name: 0.1 * rng.standard_normal(2 * RATE) for name in SONGS}
        if song == "sung/c":
            stems = {"vocals": stems.pop("vocals"), "instrumental": sum(stems.values())}
        (root / song).mkdir(parents=True)
        for name, x in stems.items():
            soundfile.write(root / song / f"{name}.wav", x, RATE)
    return root


def joint(tracks, loss="complex_l1 + waveform", **settings):
    made = {
        **TABLES,
        "loss": {**TABLES["loss"], "kind": loss},
        "data": {
            "kind": "stems",
            "sample_rate": RATE,
            "samples": 2000,
            "targets": SONGS,
            "silent_share": 0,
            "valid_examples": 4,
            "tracks": tracks,
        },
        "train": {**TABLES["train"], "steps": 4, "valid_every": 2, **settings},
    }
    return recipe.from_dict(made)


APART = [{"glob": "apart/*"}, {"glob": "valid/*", "valid_share": 1.0}]
INSTRUMENTAL = {"glob": "sung/*", "contains": {"instrumental": ["drums", "bass", "other"]}}


@pytest.fixture
def sung(songs, tmp_path):
    """A trainer, and a batch of coherent excerpts of the song that is known in part."""
    made = joint([*APART, {**INSTRUMENTAL, "weight": 1e9}])
    data = replace(made.data, coherent_share=1.0)
    make = DATA["stems"].make
    train_set = make(data, songs, tmp_path / "cache", seed=0, n_examples=3)[0]
    batch = torch.utils.data.default_collate([train_set[k] for k in range(3)])
    known = torch.tensor([[1.0, 0, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert (batch["sums"] == known).all()
    trainer = train.Trainer(Fabric(accelerator="cpu", devices=1), made, tmp_path / "run")
    return trainer, batch


@pytest.mark.parametrize("loss", losses.NAMES)
def test_a_sum_decides_the_gradients_of_its_stems(sung, loss):
    trainer, batch = sung
    trainer.weights = {loss: 1.0}
    estimates = 0.3 * batch["mixture"][:, None].expand(3, 4, 1, 2000)
    estimates = (estimates + 0.01 * torch.randn(3, 4, 1, 2000)).requires_grad_()
    value = trainer._losses(estimates, batch)["loss"]
    assert value.shape == (3,)
    (slope,) = torch.autograd.grad(value.sum(), estimates)
    assert slope[:, 0].abs().amax((-2, -1)).all()
    assert slope[:, 1].abs().amax((-2, -1)).all()
    assert torch.equal(slope[:, 1], slope[:, 2])
    assert torch.equal(slope[:, 1], slope[:, 3])


def test_a_loss_is_the_mean_over_what_is_known_at_equal_loudness(sung):
    trainer, batch = sung
    trainer.weights = {"waveform": 2.0}
    silence = torch.zeros(3, 4, 1, 2000)
    found = trainer._losses(silence, batch)
    loudness = batch["mixture"].square().mean((1, 2)).sqrt()
    expected = batch["targets"][:, :2].abs().mean((1, 2, 3)) / loudness
    torch.testing.assert_close(found["waveform"], expected)
    torch.testing.assert_close(found["loss"], 2 * expected)


@pytest.mark.parametrize("loss", losses.NAMES)
def test_the_truth_has_the_least_loss_however_it_is_shared_out_in_a_sum(sung, loss):
    trainer, batch = sung
    trainer.weights = {loss: 1.0}
    rest = batch["targets"][:, 1]
    pieces = torch.randn(2, *rest.shape, generator=torch.Generator().manual_seed(0))
    values = []
    for p, q in ((0 * rest, 0 * rest), (rest, 0 * rest), tuple(rest.std() * pieces)):
        truth = torch.stack([batch["targets"][:, 0], rest - p - q, p, q], 1)
        values.append(trainer._losses(truth, batch)["loss"])
        leaky = truth + 0.1 * batch["mixture"][:, None]
        assert (trainer._losses(leaky, batch)["loss"] > values[-1] + 1e-5).all()
    for value in values:
        torch.testing.assert_close(value, values[0], rtol=1e-4, atol=1e-4)


def test_a_joint_network_learns_from_songs_known_in_part_whatever_makes_the_examples(
    songs, tmp_path
):
    held_out = {**INSTRUMENTAL, "valid_share": 1.0}
    runs = {
        (workers, seed): train.run(
            joint([*APART, held_out], workers=workers, seed=seed),
            tmp_path / f"{workers} {seed}",
            data_root=songs,
            cache=tmp_path / "cache",
        )
        for workers, seed in ((0, 0), (1, 0), (0, 1))
    }
    assert records(runs[0, 0]) == records(runs[1, 0])
    about = train.read_about(runs[0, 0])
    assert about["valid_active"]["vocals"] > about["valid_active"]["drums"] > 0
    scores = [line["valid"] for line in records(runs[0, 0]) if "valid" in line]
    assert all(np.isfinite([*score.values()]).all() for score in scores)
    assert {"sums/si_sdr_db", "sums/si_sdr_improvement_db"} <= scores[0].keys()
    losses = [[line["loss"] for line in records(run) if "loss" in line] for run in runs.values()]
    assert np.isfinite(losses).all()
    assert losses[0] != losses[2]


def test_a_score_of_sums_is_not_watched_where_no_sum_is_validated(songs, tmp_path):
    seldom = {**INSTRUMENTAL, "valid_share": 0.001}
    watched = joint([*APART, seldom], monitor="sums/si_sdr_db")
    with pytest.raises(ConfigError, match="in none of 4 validation examples play stems that are"):
        train.run(watched, tmp_path / "run", data_root=songs)
    assert not (tmp_path / "run" / "last.safetensors").exists()


@pytest.fixture(scope="module")
def panned(tmp_path_factory):
    """Songs of two noises that differ in their place alone: 14 dB louder left, or right."""
    root, rng = tmp_path_factory.mktemp("panned"), np.random.default_rng(0)
    for song in ("train/a", "valid/b"):
        (root / song).mkdir(parents=True)
        for name, gains in (("vocals", [1, 0.2]), ("other", [0.2, 1])):
            x = 0.1 * rng.standard_normal((2 * RATE, 1)) * gains
            soundfile.write(root / song / f"{name}.wav", x, RATE)
    return root


@pytest.mark.parametrize(
    ("channels", "kind", "mask"),
    [
        (1, "crn", "complex_tanh"),
        (1, "unet", "irm1"),
        (2, "crn", "psm_unit"),
        (2, "crn", "deep_filter"),
        (2, "crn", "hybrid:complex_tanh:2000:irm1"),
        (2, "crn", "consistent:cirm"),
        (2, "unet", "softmax"),
        (2, "unet", "complex"),
    ],
)
def test_places_are_told_apart_by_a_network_that_sees_both_channels_alone(
    panned, tmp_path, channels, kind, mask
):
    songs = [{"glob": "train/*"}, {"glob": "valid/*", "valid_share": 1.0}]
    made = joint(songs, steps=30, valid_every=30, learning_rate=1e-2, warmup_steps=1).to_dict()
    made["frontend"]["channels"] = channels
    made["backbone"] = TABLES["backbone"] if kind == "crn" else {"kind": kind, "width": 1 / 16}
    made["head"]["mask"] = mask
    made["data"] |= {"channels": 2, "sources": ["vocals", "other"], "targets": ["vocals", "other"]}
    run = train.run(recipe.from_dict(made), tmp_path / "run", data_root=panned)
    (scores,) = (line["valid"] for line in records(run) if "valid" in line)
    improvement = [scores[f"{stem}/si_sdr_improvement_db"] for stem in ("vocals", "other")]
    assert min(improvement) > 5 if channels == 2 else np.abs(improvement).max() < 1


def test_a_finished_run_shows_no_loss_and_no_speed_that_are_none(capsys):
    with Bar(configure(steps=10).train, 10, 1.0, shown=True):
        pass
    shown = capsys.readouterr().err
    assert "10/10" in shown
    assert "nan" not in shown
