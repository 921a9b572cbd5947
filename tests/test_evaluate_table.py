"""Numbers from scores: aggregation, intervals, comparison; and files in museval's shape."""

import importlib.util
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from unmask import evaluate as ev
from unmask.errors import ConfigError, FileError
from unmask.evaluate.document import document, dumps, table_of
from unmask.evaluate.scoring import Scores

NAN, INF = math.nan, math.inf
real = st.floats(-30, 30)


def table(found, method="x", metric="SDR", target="vocals"):
    """Track -> scores of its frames, as a table."""
    return {
        ev.Key(method, track, target, metric): ev.Series(
            np.arange(len(scores), dtype=float), np.array(scores, dtype=float)
        )
        for track, scores in found.items()
    }


def only(rows):
    (row,) = rows
    return row


FRAMES = {"a": [1, 2, 9], "b": [NAN, 5, 7], "c": [NAN, NAN], "d": [0, INF, 3]}


def test_the_median_is_over_frames_first_then_over_tracks():
    row = only(ev.aggregate(table(FRAMES), "median"))
    assert row.value == 3  # of 2, 6 and 3; of all frames pooled it would be 4
    assert (row.n_tracks, row.n_tracks_nan) == (3, 1)
    assert (row.n_frames, row.n_frames_nan, row.n_inf) == (8, 3, 1)


def test_the_mean_is_over_frames_first_then_over_tracks():
    found = {"a": [1, 2, 9], "b": [NAN, 5, 7, 12]}
    assert only(ev.aggregate(table(found), "mean")).value == 6  # pooled it would be 6 too
    found["a"] = [0, 0, 0, 0, 0, 0, 6]
    assert only(ev.aggregate(table(found), "mean")).value == pytest.approx((6 / 7 + 8) / 2)


def test_nothing_defined_is_nan_and_counted():
    row = only(ev.aggregate(table({"a": [NAN], "b": [NAN]})))
    assert all(map(math.isnan, (row.value, row.low, row.high)))
    assert (row.n_tracks, row.n_tracks_nan) == (0, 2)


def test_rows_are_in_the_order_of_the_table_systems_beside_each_other():
    found = {}
    for method in ("z", "y"):
        for target in ("vocals", "bass"):
            for metric in ("SDR", "ISR"):
                found |= table({"a": [1.0]}, method, metric, target)
    assert [(row.metric, row.target, row.method) for row in ev.aggregate(found)] == [
        (metric, target, method)
        for metric in ("SDR", "ISR")
        for target in ("vocals", "bass")
        for method in ("z", "y")
    ]


def test_unknown_aggregations_are_refused():
    for function in (ev.aggregate, lambda *rest: ev.compare(rest[0], "x", "x", rest[1])):
        with pytest.raises(ConfigError, match="no aggregation 'mode'; there are median, mean"):
            function(table({"a": [1]}), "mode")


@given(real, st.integers(2, 30))
def test_the_interval_of_a_constant_has_no_width(value, n_tracks):
    low, high = ev.interval(np.full(n_tracks, value), "median")
    assert low == high == value


@given(st.lists(real, min_size=2, max_size=20), st.sampled_from(["mean", "median"]))
def test_the_interval_lies_within_the_values_and_leaves_nan_out(values, statistic):
    low, high = ev.interval(np.array(values), statistic, n_resamples=200)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    assert ev.interval(np.array([NAN, *values]), statistic, n_resamples=200) == (low, high)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_the_interval_is_the_percentile_bootstrap(rng, statistic):
    values = rng.standard_normal(40)
    known = stats.bootstrap(
        (values,), getattr(np, statistic), method="percentile", n_resamples=20000
    ).confidence_interval
    found = ev.interval(values, statistic, n_resamples=20000)
    assert found == pytest.approx(tuple(known), abs=0.03)


def test_the_interval_covers_the_truth_about_nineteen_times_in_twenty(rng):
    hits = 0
    for seed in range(200):
        low, high = ev.interval(rng.standard_normal(50), "mean", n_resamples=500, seed=seed)
        hits += low <= 0 <= high
    assert 180 <= hits <= 198


def test_the_interval_is_the_same_whatever_the_order_of_tracks_in_the_table(rng):
    tracks = {str(k): rng.standard_normal(5) for k in range(9)}
    turned = dict(reversed(tracks.items()))
    assert ev.aggregate(table(tracks)) == ev.aggregate(table(turned))


def test_one_track_has_no_interval_and_infinite_ones_an_infinite_bound():
    assert all(map(math.isnan, ev.interval(np.array([3.0, NAN]), "mean")))
    assert ev.interval(np.array([1.0, INF, INF, INF]), "median")[1] == INF


def both(x, y):
    return table(x, "x") | table(y, "y")


def test_a_system_does_not_differ_from_itself(rng):
    scores = {str(k): rng.standard_normal(7) for k in range(8)}
    row = only(ev.compare(both(scores, scores), "x", "y"))
    assert row.n_pairs == 8
    assert (row.difference, row.low, row.high) == (0, 0, 0)
    assert (row.p, row.rank_biserial, row.cohens_dz) == (1, 0, 0)


def test_effect_sizes_by_hand():
    x = dict(zip("abcdef", ([3], [1], [2], [6], [INF], [NAN]), strict=True))
    y = dict(zip("abcdeg", ([1], [2], [2], [1], [INF], [1]), strict=True))
    row = only(ev.compare(both(x, y), "x", "y"))
    # differences 2, -1, 0, 5, 0; ranks of the first, second and fourth: 2, 1, 3
    assert (row.n_pairs, row.n_left_out) == (5, 2)
    assert row.difference == 0
    assert row.rank_biserial == pytest.approx((2 + 3 - 1) / 6)
    assert row.cohens_dz == pytest.approx(1.2 / math.sqrt(22.8 / 4))
    assert row.p == 0.5  # of 8 signs, two have a rank sum of 5 or more; both sides


@settings(max_examples=10)
@given(st.lists(st.tuples(real, real), min_size=2, max_size=8))
def test_exchanging_the_systems_changes_the_signs_alone(pairs):
    x, y = ({str(k): [pair[i]] for k, pair in enumerate(pairs)} for i in (0, 1))
    one = only(ev.compare(both(x, y), "x", "y", "mean", n_resamples=50))
    other = only(ev.compare(both(x, y), "y", "x", "mean", n_resamples=50))
    assert one.p == pytest.approx(other.p)
    assert one.difference == pytest.approx(-other.difference)
    assert one.rank_biserial == pytest.approx(-other.rank_biserial)
    assert -1 <= one.rank_biserial <= 1
    assert one.cohens_dz == pytest.approx(-other.cohens_dz, nan_ok=True)


def test_a_constant_gain_is_certain():
    x = {str(k): [k + 0.5] for k in range(10)}
    y = {str(k): [k] for k in range(10)}
    row = only(ev.compare(both(x, y), "x", "y"))
    assert (row.difference, row.low, row.high) == (0.5, 0.5, 0.5)
    assert row.p == pytest.approx(2 / 2**10)
    assert row.rank_biserial == 1


def test_tracks_count_once_however_long_they_are():
    x = {"a": [5] * 1000, "b": [0], "c": [0]}
    y = {"a": [4] * 1000, "b": [1], "c": [1]}
    assert only(ev.compare(both(x, y), "x", "y")).difference == -1


def test_systems_without_anything_in_common_are_refused():
    found = table({"a": [1]}, "x") | table({"a": [1]}, "y", metric="SIR")
    with pytest.raises(ConfigError, match="x and y have no stem and metric in common"):
        ev.compare(found, "x", "y")
    with pytest.raises(ConfigError, match="no results of 'z'; there are x, y"):
        ev.compare(found, "x", "z")


def test_rows_of_interest_can_be_chosen():
    found = table({"a": [1]}, target="bass") | table({"a": [2]}) | table({"a": [3]}, metric="SIR")
    assert [key.target for key in ev.select(found, metrics=["SDR"])] == ["bass", "vocals"]
    assert [key.metric for key in ev.select(found, targets=["vocals"])] == ["SDR", "SIR"]
    assert ev.select(found) == found
    with pytest.raises(ConfigError, match="no metric 'SAR' in the results; there are SDR, SIR"):
        ev.select(found, metrics=["SAR"])


SCORES = Scores(
    {
        "vocals": {
            "SDR": np.array([1.23456789, NAN, INF]),
            "SIR": np.array([2.0, NAN, -INF]),
            "uSDR": np.array(6.5),
        },
        'a "NaN", Infinity': {"SDR": np.array([1.0, 2.0, 3.0])},
    },
    [],
)
SETTINGS = ev.Settings(window_s=1.0, hop_s=0.5)


def reread(*, museval=False):
    text = dumps(document(SCORES, SETTINGS, {}), museval=museval)
    return table_of(json.loads(text), method="m", track="t", file="f")


def test_what_is_written_is_read_again_to_five_decimals():
    found = reread()
    assert len(found) == 4
    time, score = found["m", "t", "vocals", "SDR"]
    assert time.tolist() == [0, 0.5, 1]
    assert np.array_equal(score, [1.23457, NAN, INF], equal_nan=True)
    assert np.array_equal(found["m", "t", "vocals", "SIR"].score, [2, NAN, -INF], equal_nan=True)
    assert found["m", "t", "vocals", "uSDR"].score.tolist() == [6.5]
    assert found["m", "t", 'a "NaN", Infinity', "SDR"].score.tolist() == [1, 2, 3]


def test_ours_is_json_and_museval_s_is_what_museval_writes():
    def refuse(word):
        raise AssertionError(word)

    ours = json.loads(dumps(document(SCORES, SETTINGS, {})), parse_constant=refuse)
    assert ours["museval_version"] == "0.4.1"
    frame = {"time": 0.5, "duration": 1.0, "metrics": {"SDR": None, "SIR": None}}
    assert ours["targets"][0]["frames"][1] == frame
    text = dumps(document(SCORES, SETTINGS, {}), museval=True)
    assert (text.count(": NaN"), text.count("null"), text.count(": Infinity")) == (4, 0, 0)


# museval writes NaN, null (older ones) or nothing for what is undefined
OTHERS = """{"targets": [{"name": "drums", "frames": [
  {"time": 0.0, "duration": 1.0, "metrics": {"SDR": 4.5, "SIR": Infinity, "SAR": null}},
  {"time": 1.0, "duration": 1.0, "metrics": {"SIR": NaN, "SDR": 1}},
  {"time": 2.0, "duration": 1.0, "metrics": {}}]}]}"""


def test_what_others_wrote_is_read(tmp_path):
    folder = tmp_path / "TAK1"
    (folder / "test").mkdir(parents=True)
    (folder / "test" / "a - b.json").write_text(OTHERS)
    (folder / "test" / "._a - b.json").write_text("no result")
    found = ev.read_results(folder)
    assert {key.metric for key in found} == {"SDR", "SIR", "SAR"}
    scores = {key.metric: series.score for key, series in found.items()}
    assert np.array_equal(scores["SDR"], [4.5, 1, NAN], equal_nan=True)
    assert np.array_equal(scores["SIR"], [INF, NAN, NAN], equal_nan=True)
    assert np.isnan(scores["SAR"]).all()
    assert {(key.method, key.track, key.target) for key in found} == {("TAK1", "a - b", "drums")}


def test_archives_and_folders_read_alike(tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "t.json").write_text(OTHERS)
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive:
        archive.writestr("test/t.json", OTHERS)
        archive.writestr("train/t.json", OTHERS)
        archive.writestr("readme.txt", "hello")
    found = ev.read_systems([folder, tmp_path / "y.zip"])
    names = [("x", "t"), ("y", "test/t"), ("y", "train/t")]
    assert sorted({(key.method, key.track) for key in found}) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"x/t\.json: is no JSON"),
        ("[]", r"x/t\.json: is no museval JSON"),
        ('{"targets": [{"name": "a"}]}', r"x/t\.json: is no museval JSON \(KeyError: 'frames'\)"),
        (OTHERS.replace("4.5", '"high"'), "is no museval JSON .*high"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, text, message):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "t.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        ev.read_results(tmp_path / "x")


def test_impossible_results_are_refused(tmp_path):
    (tmp_path / "a" / "x").mkdir(parents=True)
    (tmp_path / "x").mkdir()
    with pytest.raises(ConfigError, match="x: no JSON file in it"):
        ev.read_results(tmp_path / "x")
    with pytest.raises(ConfigError, match=r"nowhere: no folder and no \.zip"):
        ev.read_results(tmp_path / "nowhere")
    for folder in (tmp_path / "x", tmp_path / "a" / "x"):
        (folder / "t.json").write_text(OTHERS)
    with pytest.raises(ConfigError, match=r"a/x: has the name of .*/x; rename one"):
        ev.read_systems([tmp_path / "x", tmp_path / "a" / "x"])


READ_BY_MUSEVAL = """
import sys
import museval
for folder in sys.argv[1:]:
    store = museval.EvalStore()
    store.add_eval_dir(folder)
    print(store.agg_frames_tracks_scores()["vocals"].to_json())
"""


def test_museval_reads_both_kinds(tmp_path):
    if importlib.util.find_spec("museval") is None:
        pytest.skip("museval is not installed")
    columns = {name: np.array([k, NAN, k + 1.0]) for k, name in enumerate(("SDR", "ISR"))}
    columns |= {name: np.array([3.0, 4.0, 5.0]) for name in ("SIR", "SAR")}
    scores = Scores({"vocals": columns | {"uSDR": np.array(2.0)}}, [])
    folders = [tmp_path / "ours", tmp_path / "theirs"]
    for folder in folders:
        (folder / "test").mkdir(parents=True)
        text = dumps(document(scores, SETTINGS, {}), museval=folder.name == "theirs")
        (folder / "test" / "song.json").write_text(text)
    for name in ("ffmpeg", "ffprobe"):  # which museval wants to see, and does not use here
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-c", READ_BY_MUSEVAL, *map(str, folders)],
        env=os.environ | {"PATH": path},
        capture_output=True,
        check=True,
    )
    for line in done.stdout.splitlines():
        assert json.loads(line) == {"ISR": 1.5, "SAR": 4.0, "SDR": 0.5, "SIR": 4.0}
    assert len(done.stdout.splitlines()) == 2


def test_rows_are_written_in_the_long_form(tmp_path):
    found = table({"a": [1.5, NAN]}, method="m")
    found[ev.Key("m", "a", "vocals", "uSDR")] = ev.Series(np.array([NAN]), np.array([7.0]))
    ev.write_rows(found, tmp_path)
    path = tmp_path / "scores.csv"
    assert path.read_text().splitlines() == [
        "track,target,metric,score,time,method",
        "a,vocals,SDR,1.5,0.0,m",
        "a,vocals,SDR,,1.0,m",
        "a,vocals,uSDR,7.0,,m",
    ]


def test_parquet_holds_the_same_rows(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    ev.write_rows(table({"a": [1.5, NAN]}, method="m"), tmp_path)
    path = tmp_path / "scores.parquet"
    read = parquet.read_table(path)
    assert read.column_names == ["track", "target", "metric", "score", "time", "method"]
    assert read["score"].to_pylist() == [1.5, None]


#: facts of the SiSEC 2018 evaluation: SDR, median over windows, then over the 50 tracks.
STEMS = ("vocals", "drums", "bass", "other", "accompaniment")
SISEC = {
    "IBM1": (7.67, 7.09, 5.19, 5.89, 10.03),
    "IBM2": (7.74, 7.26, 5.40, 6.01, 8.69),
    "IRM1": (8.52, 7.33, 6.18, 6.92, 14.50),
    "IRM2": (9.43, 8.45, 7.12, 7.85, 15.64),
    "MWF": (9.13, 8.09, 6.75, 7.56, 15.40),
    "TAK2": (7.16, 6.81, 5.40, 4.80, 13.74),
    "TAU1": (7.15, 6.96, 5.86, 4.73, 13.47),
    "MIX": (1.12, 1.33, 0.67, 1.16, 6.32),
}
SISEC_VOCALS = {("IBM2", "SIR"): 26.5, ("IRM1", "SIR"): 17.3, ("IRM2", "SAR"): 9.51}
SISEC_VOCALS |= {("IRM1", "SAR"): 9.18, ("IBM1", "SAR"): 7.60}


@pytest.fixture(scope="module")
def sisec(shared):
    if not (shared / "sisec2018").is_dir():
        pytest.skip("no results of SiSEC 2018 here")
    found = ev.read_systems(shared / "sisec2018" / f"{name}.zip" for name in SISEC)
    return {
        (row.method, row.metric, row.target): row for row in ev.aggregate(found, n_resamples=50)
    }


@pytest.mark.parametrize("system", SISEC)
def test_the_medians_of_sisec_2018_come_out(sisec, system):
    rows = [sisec[system, "SDR", stem] for stem in STEMS]
    # 7.125 may be rounded to 7.12 or 7.13
    assert [row.value for row in rows] == pytest.approx(SISEC[system], abs=0.00501)
    assert {row.n_tracks for row in rows} == {50}
    assert all(row.low < row.value < row.high for row in rows)


def test_the_other_metrics_of_sisec_2018_come_out(sisec):
    for (system, metric), value in SISEC_VOCALS.items():
        decimals = 1 if metric == "SIR" else 2
        assert round(sisec[system, metric, "vocals"].value, decimals) == value


def zipped(damage):
    """Return a .zip of good scores with the bytes that `damage` writes: place -> value."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", OTHERS)
    content = bytearray(file.getvalue())
    damage(content)
    return bytes(content)


def encrypt(content):
    content[6] |= 1
    content[content.rfind(b"PK\x01\x02") + 8] |= 1


def corrupt(content):
    content[content.find(b"a.json") + 20] ^= 255


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("sys/a.json", OTHERS.encode("utf-16"), "a.json: is not UTF-8"),
        ("sys/a.json", OTHERS.replace("drums", "caf\xe9").encode("latin-1"), "is not UTF-8"),
        ("sys/a.json", b"[" * 100_000, "a.json: is no JSON"),
        ("sys/a.json", OTHERS.replace("4.5", "9" * 400).encode(), "a.json: is no museval JSON"),
        ("sys/a.json", b'{"targets": []}', "sys: its 1 files hold no scores"),
        ("sys/a.json", b'{"targets": [{"name": "v", "frames": []}]}', "hold no scores"),
        ("sys.zip", zipped(corrupt), "sys.zip: is damaged, encrypted"),
        ("sys.zip", zipped(encrypt), "sys.zip: is damaged, encrypted"),
        ("sys.zip", zipped(lambda x: x.__delitem__(slice(0, 9))), "sys.zip: "),
    ],
)
def test_broken_score_files_are_refused_by_name(tmp_path, name, content, said):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(said)):
        ev.read_results(tmp_path / name.split("/")[0])


def test_a_pipe_among_score_files_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(ConfigError, match=r"a\.json: is no file but a folder, pipe or device"):
        ev.read_results(tmp_path)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="sets a limit of the system")
def test_room_for_the_rows_is_taken_before_any_track_is_scored(tmp_path):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(FileError, match=r"scores\.csv"), ev.rows_file(tmp_path, n_tracks=3):
            raise AssertionError
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert not list(tmp_path.iterdir())
