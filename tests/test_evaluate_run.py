"""Scores of tracks: right, kept, not computed twice, the same on many cores; and the commands."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from unmask import audio, metrics
from unmask import evaluate as ev
from unmask.cli import main
from unmask.errors import ConfigError, ShapeError
from unmask.workers import Processes

RATE = 8000
LEVELS = {"a": 0.1, "b": 0.01, "c": 0.03}
SETTINGS = ev.Settings(metrics=("sdr",))


def put(root, waves):
    root.mkdir(parents=True, exist_ok=True)
    for name, wave in waves.items():
        audio.write(root / f"{name}.wav", wave, RATE, subtype="FLOAT")


@pytest.fixture
def songs(tmp_path, rng):
    """Three songs of two stems, estimated with an error of -20, -40 and -30.5 dB."""
    for name, level in LEVELS.items():
        truth = {stem: rng.standard_normal((2, 2 * RATE)) / 10 for stem in ("drums", "vocals")}
        put(tmp_path / "targets" / name, truth | {"mixture": sum(truth.values())})
        put(tmp_path / "mine" / name, {stem: (1 - level) * x for stem, x in truth.items()})
    return tmp_path


def tracks(songs):
    return ev.pair(songs / "mine", songs / "targets").tracks


def run(songs, **options):
    options = {"out": songs / "scores" / "mine", "settings": SETTINGS} | options
    return {result.track: result for result in ev.evaluate(tracks(songs), **options)}


def spied(monkeypatch):
    """Count the calls of a metric."""
    calls = []
    true = ev.METRICS["sdr"]

    def score(*arguments):
        calls.append(len(arguments[0].targets))
        return true.score(*arguments)

    monkeypatch.setitem(ev.METRICS, "sdr", ev.Metric(true.columns, score))
    return calls


def test_whole_tracks_score_what_was_put_in(songs):
    found = run(songs)
    assert list(found) == ["a", "b", "c"]
    for name, level in LEVELS.items():
        for stem in ("drums", "vocals"):
            time, score = found[name].table[ev.Key("mine", name, stem, "uSDR")]
            assert score == pytest.approx([-20 * math.log10(level)], abs=1e-3)
            assert np.isnan(time).tolist() == [True]


def test_windows_come_with_their_times(songs):
    settings = ev.Settings(metrics=("bsseval",), window_s=0.5, hop_s=0.25)
    result = run(songs, settings=settings)["a"]
    stems = [ev.METRICS["bsseval"].columns, ("drums", "vocals")]
    assert {(key.metric, key.target) for key in result.table} == {
        (metric, stem) for metric in stems[0] for stem in stems[1]
    }
    time, score = result.table[ev.Key("mine", "a", "vocals", "SDR")]
    assert time.tolist() == [0.25 * k for k in range(7)]
    assert score == pytest.approx(20, abs=1e-3)


def test_the_scores_are_those_of_the_metrics(songs, rng):
    estimate = rng.standard_normal((2, 2 * RATE)) / 10
    put(songs / "mine" / "a", {"drums": estimate})
    settings = ev.Settings(metrics=("bsseval", "si_sir", "si_sar", "si_sdr"))
    table = run(songs, settings=settings)["a"].table
    estimates, targets = (
        np.stack(
            [audio.read(songs / side / "a" / f"{stem}.wav")[0] for stem in ("drums", "vocals")]
        )
        for side in ("mine", "targets")
    )
    expected = metrics.bss_eval(estimates, targets, sample_rate=RATE).sir[0]
    assert table["mine", "a", "drums", "SIR"].score == pytest.approx(expected, abs=1e-4)
    for column, score in (("SI-SIR", metrics.si_sir), ("SI-SAR", metrics.si_sar)):
        (value,) = table["mine", "a", "drums", column].score
        assert value == pytest.approx(float(score(estimates, targets)[0]), abs=1e-4)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Speech and noise of the demo, 3 s; estimates with little and with much of the other."""
    root = tmp_path_factory.mktemp("spoken")
    demo = Path(__file__).parents[1] / "assets" / "demo"
    waves = {stem: audio.read(demo / f"{stem}.flac", stop_s=3)[0] for stem in ("speech", "noise")}
    mixture = sum(waves.values())
    for folder, rest in {"targets": 0, "good": 0.05, "bad": 0.4}.items():
        (root / folder).mkdir()
        for stem, wave in waves.items():
            artefacts = np.random.default_rng(0).standard_normal(wave.shape) / 100
            estimate = (1 - rest) * wave + rest * (mixture + artefacts)
            audio.write(root / folder / f"{stem}.wav", estimate, 16000, subtype="FLOAT")
    return root


@pytest.mark.parametrize("name", ev.METRICS)
def test_every_metric_prefers_the_better_estimate(spoken, tmp_path, name):
    if name in {"pesq", "pesq_nb", "composite", "stoi", "estoi"}:
        pytest.importorskip("pystoi" if "stoi" in name else "pesq")
    tables = {}
    for side in ("good", "bad"):
        how = ev.Pairing(stems=("speech",))
        (track,) = ev.pair(spoken / side, spoken / "targets", how=how).tracks
        settings = ev.Settings(metrics=(name,))
        (result,) = ev.evaluate([track], out=tmp_path / side, settings=settings)
        tables[side] = {key.metric: np.median(one.score) for key, one in result.table.items()}
    assert list(tables["good"]) == list(ev.METRICS[name].columns)
    for column, good in tables["good"].items():
        sign = -1 if column == "STFT distance" else 1
        assert sign * good > sign * tables["bad"][column], column


def test_targets_without_estimate_still_interfere(songs):
    settings = ev.Settings(metrics=("bsseval", "si_sir"))
    every = run(songs, settings=settings)["a"].table
    shutil.rmtree(songs / "mine" / "a")
    leak = sum(audio.read(songs / "targets" / "a" / f"{s}.wav")[0] for s in ("drums", "vocals"))
    put(songs / "mine" / "a", {"drums": leak})
    how = ev.Pairing(stems=("drums",), allow_missing=True)
    (track, *_) = ev.pair(songs / "mine", songs / "targets", how=how).tracks
    (result,) = ev.evaluate([track], out=songs / "one", settings=settings)
    assert {key.target for key in result.table} == {"drums"}
    assert result.table["one", "a", "drums", "SI-SIR"].score == pytest.approx(0, abs=0.3)
    assert np.median(result.table["one", "a", "drums", "SIR"].score) < 3
    assert every["mine", "a", "drums", "SI-SIR"].score > 100


def test_accompaniment_is_scored_with_vocals_alone_as_in_museval(songs):
    for side in ("mine", "targets"):
        folder = songs / side / "a"
        drums, vocals = (audio.read(folder / f"{s}.wav")[0] for s in ("drums", "vocals"))
        put(folder, {"bass": drums[::-1], "accompaniment": drums + drums[::-1] + 0.1 * vocals})
    settings = ev.Settings(metrics=("si_sir",))
    table = next(ev.evaluate(tracks(songs), out=songs / "mine2", settings=settings)).table
    assert {key.target for key in table} == {"accompaniment", "bass", "drums", "vocals"}
    # among four sources it would have been a sum of the others: nothing but interference
    values = {key.target: series.score[0] for key, series in table.items()}
    assert min(values.values()) > 15
    pair = ["vocals", "accompaniment"]
    sides = (
        np.stack([audio.read(songs / side / "a" / f"{stem}.wav")[0] for stem in pair])
        for side in ("mine", "targets")
    )
    expected = metrics.si_sir(*sides)
    assert [values[stem] for stem in pair] == pytest.approx(expected.tolist(), abs=1e-3)


def test_what_is_finished_is_not_computed_again(songs, monkeypatch):
    calls = spied(monkeypatch)
    first = run(songs)
    assert calls == [2] * 3
    again = run(songs)
    assert len(calls) == 3
    assert [one.reused for one in again.values()] == [True] * 3
    for name, result in first.items():
        assert not result.reused
        for key, series in result.table.items():
            assert np.array_equal(series.score, again[name].table[key].score)


def test_a_run_that_stopped_goes_on(songs, monkeypatch):
    results = ev.evaluate(tracks(songs), out=songs / "scores" / "mine", settings=SETTINGS)
    next(results)
    results.close()
    calls = spied(monkeypatch)
    assert [one.reused for one in run(songs).values()] == [True, False, False]
    assert len(calls) == 2


@pytest.mark.parametrize("change", ["estimate", "target", "settings", "version", "damage", "other"])
def test_what_was_made_otherwise_is_computed_again(songs, monkeypatch, change):
    run(songs)
    path = songs / "scores" / "mine" / "a.json"
    settings = SETTINGS
    match change:
        case "estimate" | "target":
            folder = songs / ("mine" if change == "estimate" else "targets") / "a"
            put(folder, {"drums": np.full((2, 2 * RATE), 0.5)})
        case "settings":
            settings = ev.Settings(metrics=("sdr",), window_s=2.0)
        case "version":
            monkeypatch.setattr("unmask.evaluate.run.__version__", "0")
        case "damage":
            path.write_text(path.read_text()[:-10])
        case "other":
            path.write_text('{"targets": []}')
    assert not run(songs, settings=settings)["a"].reused
    assert run(songs, settings=settings)["a"].reused


def test_many_processes_give_the_same(songs):
    one, many = (
        run(songs, out=songs / str(jobs) / "mine", executor=Processes(jobs)) for jobs in (1, 2)
    )
    assert one.keys() == many.keys()
    for name, result in one.items():
        for key, series in result.table.items():
            assert np.array_equal(series.score, many[name].table[key].score)


def test_files_that_disagree_are_refused_before_anything_is_scored(songs, monkeypatch):
    calls = spied(monkeypatch)
    put(songs / "mine" / "c", {"drums": np.zeros((2, 10))})
    with pytest.raises(ShapeError, match=r"mine/c/drums\.wav: 2 channels of 10 samples, "):
        run(songs)
    assert calls == []


def test_an_error_of_a_metric_names_the_track(songs, monkeypatch):
    def refuse(*_):
        raise ConfigError("estimates: no; take others")

    monkeypatch.setitem(ev.METRICS, "sdr", ev.Metric(("uSDR",), refuse))
    with pytest.raises(ConfigError, match=r"^estimates: no; .*\ntrack a, metric sdr$"):
        run(songs)


@pytest.mark.parametrize("error", [ShapeError("too short"), ValueError("axis 1"), MemoryError()])
def test_a_track_that_a_metric_cannot_score_is_undefined_and_the_others_are_scored(
    songs, monkeypatch, error
):
    scored = []

    def refuse_first(sound, _):
        scored.append(1)
        if len(scored) == 1:
            raise error
        return (np.ones(len(sound.targets)),)

    monkeypatch.setitem(ev.METRICS, "sdr", ev.Metric(("uSDR",), refuse_first))
    found = run(songs, settings=ev.Settings(metrics=("sdr",)))
    assert len(found) == len(scored) > 1
    scores = [[s.score.item() for s in one.table.values()] for one in found.values()]
    assert sum(np.isnan(one).all() for one in scores) == 1
    assert sum(one.warnings != [] for one in found.values()) == 1


def test_what_metrics_warn_of_is_kept_with_the_scores(songs):
    t = np.arange(2 * RATE) / RATE
    for side in ("mine", "targets"):  # a tone leaves all other bands empty
        put(songs / side / "a", {"drums": np.tile(np.sin(2 * np.pi * 440 * t) / 10, (2, 1))})
    settings = ev.Settings(metrics=("bsseval",))
    for reused in (False, True):
        result = run(songs, settings=settings)["a"]
        assert result.reused is reused
        assert "not trustworthy" in result.warnings[0]


def test_names_of_metrics_are_checked():
    with pytest.raises(ConfigError, match="no metric named 'sdrr'; there are bsseval, sdr, "):
        ev.Settings(metrics=("sdrr",))


def command(*words):
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def test_the_command_prints_one_number_a_stem_and_says_how_it_was_made(songs):
    out, file = songs / "results" / "mine", songs / "all.json"
    result = command(
        *("evaluate", songs / "mine", songs / "targets", "--metric", "sdr", "-j", 1),
        *("--out", out, "--json", file, "--aggregate", "both"),
    )
    assert result.exit_code == 0
    assert "median over tracks of the median over frames" in result.output
    assert "mean over tracks of the mean over frames" in result.output
    said = json.loads(file.read_text())
    middle, mean = (said[how]["scores"][0] for how in ("median", "mean"))
    decibels = [-20 * math.log10(level) for level in LEVELS.values()]
    assert middle["value"] == pytest.approx(np.median(decibels), abs=1e-3)
    assert mean["value"] == pytest.approx(np.mean(decibels), abs=1e-3)
    assert (middle["target"], middle["metric"], middle["n_tracks"]) == ("drums", "uSDR", 3)
    assert sorted(path.name for path in out.glob("*.json")) == ["a.json", "b.json", "c.json"]
    lines = (out / "scores.csv").read_text().splitlines()
    assert lines[0] == "track,target,metric,score,time,method"
    assert len(lines) == 1 + 3 * 2
    assert lines[1].split(",")[:3] == ["a", "drums", "uSDR"]
    assert lines[1].endswith(",,mine")


def test_the_commands_compare_systems_and_draw(songs):
    pytest.importorskip("matplotlib")
    for name in ("mine", "worse"):
        shutil.copytree(songs / "mine", songs / "separated" / name)
    for track in LEVELS:
        path = songs / "separated" / "worse" / track / "vocals.wav"
        wave, _ = audio.read(path)
        put(path.parent, {"vocals": 0.9 * wave})
    for name in ("mine", "worse"):
        words = (songs / "separated" / name, songs / "targets", "--metric", "sdr", "-j", 1)
        assert command("evaluate", *words, "-o", songs / "r" / name).exit_code == 0
    systems = [songs / "r" / name for name in ("mine", "worse")]
    said, figure = songs / "said.json", songs / "figure.svg"
    words = ("--compare", "--stems", "vocals", "--json", said, "--plot", figure)
    result = command("scores", *systems, *words)
    assert result.exit_code == 0
    assert "not corrected for 1 test" in " ".join(result.output.split())
    (row,) = json.loads(said.read_text())["median"]["comparisons"]
    assert (row["a"], row["b"], row["n_pairs"]) == ("mine", "worse", 3)
    assert row["rank_biserial"] == 1
    assert row["difference"] > 0
    assert figure.read_text().startswith("<?xml")
    nowhere = command("scores", *systems, "--plot", songs / "none" / "figure.svg")
    assert nowhere.exit_code == 1
    assert "figure.svg: cannot be written: folder" in nowhere.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("evaluate", "{0}/mine", "{0}/nothing"), "nothing: not a folder"),
        (("evaluate", "{0}/mine", "{0}/targets", "--metric", "x"), "no metric named 'x'"),
        (("evaluate", "{0}/mine", "{0}/targets", "--plot", "x.txt"), "should end in one of"),
        (("scores", "{0}/mine"), "mine: no JSON file in it"),
        (("scores", "{0}/mine", "--compare"), "--compare needs the results of two systems"),
    ],
)
def test_the_commands_refuse_in_one_line(songs, words, text):
    result = command(*(word.format(songs) for word in words))
    assert result.exit_code in {1, 2}
    assert text in result.output.splitlines()[-1]


def test_the_usual_metrics_never_read_a_track_as_a_whole(songs, monkeypatch):
    def refuse(_):
        raise AssertionError

    monkeypatch.setattr(audio.SumOnDisk, "whole", refuse)
    assert all(not result.warnings for result in run(songs).values())
