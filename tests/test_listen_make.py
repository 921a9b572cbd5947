"""Making listening tests: what is heard, how loud, on which page, and what is refused."""

import json
import math
from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from listening import RATE, found, made, write_recordings
from unmask import audio
from unmask.cli import main
from unmask.errors import ConfigError, FileError, SampleRateError, ShapeError, SignalError
from unmask.listen import design, pages
from unmask.listen import make as making
from unmask.listen.clips import fades, low_pass
from unmask.listen.excerpts import choose, spread
from unmask.listen.power import approximately_needed, judgements_needed, power
from unmask.loudness import integrated_loudness


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    write_recordings(folder, systems=("ours", "theirs", "c", "d"))
    return folder


@pytest.fixture
def own(tmp_path):
    """Recordings that a test may spoil."""
    write_recordings(tmp_path)
    return tmp_path


def clips_of(folder):
    test, secret = design.read(folder)
    read = {name: audio.read(folder / "audio" / f"{name}.flac")[0] for name in secret.clips}
    return test, secret, read


# How many judgements.


def test_power_is_how_often_the_exact_test_finds_what_is_there():
    n, p = 40, 0.7
    ways = np.random.default_rng(0).binomial(n, p, 4000)
    tail = [sum(math.comb(n, j) for j in range(k + 1)) / 2**n for k in range(n + 1)]
    found_it = np.mean([2 * tail[min(k, n - k)] <= 0.05 for k in ways.tolist()])
    assert power(n, p) == pytest.approx(found_it, abs=0.02)
    assert power(n, 0.5) <= 0.05
    assert power(5, 0.9) == 0  # five of five are not significant


@pytest.mark.parametrize(("preference", "approximate", "exact"), [(0.58, 305, 312), (0.65, 85, 90)])
def test_as_many_judgements_are_needed_as_the_binomial_test_takes(preference, approximate, exact):
    assert approximately_needed(preference) == approximate
    n = judgements_needed(preference)
    assert n == exact == judgements_needed(1 - preference)
    assert power(n, preference) >= 0.8 > power(n - 1, preference)


@pytest.mark.parametrize("preference", [0.5, 0.0, 1.0, 2.0])
def test_no_preference_needs_no_number_of_judgements(preference):
    with pytest.raises(ConfigError, match="preference"):
        judgements_needed(preference)


# Which pairs, which pages.


@given(st.integers(2, 9), st.integers(1, 30), st.integers(0, 99))
def test_incomplete_designs_compare_every_pair_equally_often(n, n_items, seed):
    systems = [f"s{k}" for k in range(n)]
    every = list(combinations(range(n), 2))
    per_item = 1 + seed % len(every)
    rng = np.random.default_rng(seed)
    chosen = pages.pairs_of_items(n_items, systems, per_item, rng)
    counts = Counter(frozenset(pair) for item in chosen for pair in item)
    assert all(len({frozenset(pair) for pair in item}) == per_item for item in chosen)
    numbers = [counts[frozenset((systems[a], systems[b]))] for a, b in every]
    assert max(numbers) - min(numbers) <= 1


@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 99))
def test_pages_are_given_to_listeners_equally_often(n_pages, n_listeners, seed):
    counts = {f"p{k}": 0 for k in range(n_pages)}
    each = 1 + seed % n_pages
    for listener in range(n_listeners):
        chosen = pages.choose(counts, each, np.random.default_rng([seed, listener]))
        assert len(set(chosen)) == each
        counts = {page: count + (page in chosen) for page, count in counts.items()}
        assert max(counts.values()) - min(counts.values()) <= 1


@given(st.integers(2, 20), st.integers(0, 99))
def test_repeated_pages_come_later_and_never_twice_running(n, seed):
    names = [f"p{k}" for k in range(n)]
    ordered = pages.repeated(names, n // 2, np.random.default_rng(seed))
    assert Counter(name for name, again in ordered if not again) == Counter(names)
    again = [(k, name) for k, (name, repeat) in enumerate(ordered) if repeat]
    assert len(again) == len({name for _, name in again}) == n // 2
    assert all(ordered.index((name, 0)) < k for k, name in again)
    if n > 2:
        assert all(a[0] != b[0] for a, b in pairwise(ordered))


# Excerpts and clips.


def test_excerpts_lie_where_the_target_sounds_and_do_not_overlap(tmp_path):
    write_recordings(tmp_path, tracks=1, stems=("bass",), s=10)
    target = np.zeros((1, 10 * RATE))
    target[:, 4 * RATE : 7 * RATE] = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE)
    audio.write(tmp_path / "true" / "song0" / "bass.wav", target, RATE)
    (recording,) = found(tmp_path)
    first, second = choose(recording, 2, 1.0, np.random.default_rng(0))
    assert abs(first.start_s - second.start_s) >= 1
    assert all(4 <= one.start_s <= 6 for one in (first, second))
    with pytest.raises(ConfigError, match="that do not overlap, 9 were asked for"):
        choose(recording, 9, 1.0, np.random.default_rng(0))


def test_stems_are_heard_equally_often_and_no_recording_twice_before_all_once(recordings):
    chosen = spread(found(recordings), 6, np.random.default_rng(0))
    counts = {recording.name: count for recording, count in chosen}
    assert sorted(counts.values()) == [1, 1, 2, 2]
    by_stem = Counter()
    for recording, count in chosen:
        by_stem[recording.stem] += count
    assert by_stem == {"bass": 3, "drums": 3}


@pytest.mark.parametrize("preset", ["paper", "cartwright", "ab", "mushra"])
def test_all_clips_of_an_excerpt_are_equally_loud_and_long_and_begin_and_end_in_silence(
    preset, recordings, tmp_path
):
    settings = making.Settings(preset=preset, items=2, duration_s=2.0, loudness_lufs=-26)
    plan = making.plan(["ours", "theirs"], found(recordings), settings)
    making.make(plan, tmp_path / "test")
    test, secret, read = clips_of(tmp_path / "test")
    n_clips = {"paper": 4, "cartwright": 4, "ab": 2, "mushra": 5}[preset]
    assert len(read) == n_clips * len(test.items)
    for clip in read.values():
        assert clip.shape == (1, 2 * RATE)
        assert integrated_loudness(clip, RATE) == pytest.approx(-26, abs=0.02)
        assert max(abs(clip[0, 0]), abs(clip[0, -1])) < 1e-3 < np.abs(clip).max()
    assert {clip.system for clip in secret.clips.values()} >= {"ours", "theirs"}


def test_clips_are_the_samples_of_their_files(recordings, tmp_path):
    folder = made(recordings, tmp_path / "test", items=1)
    test, secret, read = clips_of(folder)
    (item,) = test.items
    mine = next(name for name, clip in secret.clips.items() if clip.system == "ours")
    path = recordings / "ours" / item.track / f"{item.stem}.wav"
    source, _ = audio.read(path, start_s=item.start_s, stop_s=item.start_s + 1)
    expected = 10 ** (secret.clips[mine].gain_db / 20) * source * fades(RATE, RATE)
    np.testing.assert_allclose(read[mine], expected, atol=2e-5)


def test_all_clips_are_turned_down_alike_where_one_would_clip(own):
    def spiky(samples):
        samples[:, :: RATE // 8] = 0.9
        return samples

    for path in (own / "ours").rglob("*.wav"):
        rewrite(path, spiky)
    _, _, read = clips_of(made(own, items=1, loudness_lufs=-15))
    assert max(np.abs(clip).max() for clip in read.values()) == pytest.approx(1, abs=1e-3)
    levels = [integrated_loudness(clip, RATE) for clip in read.values()]
    assert np.ptp(levels) < 0.1
    assert max(levels) < -15.5


@pytest.mark.parametrize("cutoff", [3500, 7000])
def test_anchors_pass_and_stop_what_the_recommendation_asks_for(cutoff):
    rate = 48000
    impulse = np.zeros((1, rate))
    impulse[0, rate // 2] = 1
    response = 20 * np.log10(np.abs(np.fft.rfft(low_pass(impulse, cutoff, rate)[0])) + 1e-12)
    assert np.abs(response[: cutoff + 1]).max() < 0.1
    assert response[round(cutoff * 4000 / 3500)] < -25
    assert response[round(cutoff * 4500 / 3500) :].max() < -50


def test_an_anchor_above_the_recording_is_refused():
    with pytest.raises(ConfigError, match=r"anchors: 7000 Hz.*end at 4000 Hz"):
        low_pass(np.ones((1, 8000)), 7000, 8000)


# The folder.


def test_no_file_that_can_be_served_names_a_system_of_a_clip(recordings, tmp_path):
    folder = made(recordings, tmp_path / "test", preset="mushra", anchors=(3500,), items=2)
    names = [path.stem for path in (folder / "audio").iterdir()]
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in names)
    public = json.loads((folder / "test.json").read_text())
    assert "ours" not in json.dumps([public["pages"], public["items"]])
    assert (folder / "secret.json").stat().st_mode & 0o077 == 0
    assert len({path.stat().st_mtime for path in (folder / "audio").iterdir()}) == 1
    again = made(recordings, tmp_path / "again", preset="mushra", anchors=(3500,), items=2)
    assert not set(names) & {path.stem for path in (again / "audio").iterdir()}


def test_the_same_seed_hears_the_same_and_another_does_not(recordings, tmp_path):
    def heard(seed, name):
        folder = made(recordings, tmp_path / name, seed=seed, duration_s=1.0)
        test, _ = design.read(folder)
        return [(item.track, item.stem, item.start_s) for item in test.items]

    assert heard(1, "a") == heard(1, "b") != heard(2, "c")


def test_a_page_compares_the_systems_of_its_pair(recordings, tmp_path):
    systems = ("ours", "theirs", "c", "d")
    folder = made(recordings, tmp_path / "test", systems=systems, pairs=3, items=4)
    test, secret = design.read(folder)
    assert len(test.pages) == 12
    pairs = Counter(
        frozenset(secret.clips[name].system for name in page.stimuli) for page in test.pages
    )
    assert set(pairs.values()) == {2}
    assert len(pairs) == 6
    for page in test.pages:
        assert {secret.clips[name].item for name in page.stimuli} == {page.item}


def test_rated_are_all_systems_the_hidden_reference_and_the_anchors(recordings, tmp_path):
    folder = made(recordings, tmp_path / "test", preset="mushra", items=2)
    test, secret = design.read(folder)
    for page in test.pages:
        clips = [secret.clips[name] for name in page.stimuli]
        assert Counter(clip.condition for clip in clips) == {
            "system": 2,
            "reference": 1,
            "anchor": 2,
        }
        assert {clip.system for clip in clips} >= {"reference", "anchor3500", "anchor7000"}


def test_a_mixture_is_looked_for_where_it_is_named_beside_the_targets_or_is_their_sum(own):
    assert [place.path.name for place in found(own)[0].mixture] == ["mixture.wav"]
    elsewhere = own / "mixtures"
    elsewhere.mkdir()
    for track in ("song0", "song1"):
        (own / "true" / track / "mixture.wav").rename(elsewhere / f"{track}.wav")
    assert [place.path.name for place in found(own)[0].mixture] == ["bass.wav", "drums.wav"]
    named = found(own, mixtures=elsewhere)
    assert [one.mixture[0].path.name for one in named[::2]] == ["song0.wav", "song1.wav"]
    (elsewhere / "song1.wav").unlink()
    with pytest.raises(ConfigError, match="song1: no mixture of that name"):
        found(own, mixtures=elsewhere)


def test_stems_that_are_other_sums_for_another_system_are_not_compared(tmp_path):
    write_recordings(tmp_path, tracks=1, stems=("vocals", "bass", "drums"))
    folder = tmp_path / "theirs" / "song0"
    bass, drums = (audio.read(folder / f"{stem}.wav")[0] for stem in ("bass", "drums"))
    for stem in ("bass", "drums"):
        (folder / f"{stem}.wav").unlink()
    audio.write(folder / "accompaniment.wav", bass + drums, RATE)
    (recording,) = found(tmp_path)
    assert recording.stem == "vocals"
    both = found(tmp_path, systems=("theirs",))
    assert [(one.stem, len(one.target)) for one in both] == [("accompaniment", 2), ("vocals", 1)]
    assert len(both[0].mixture) == 1


# What is refused: one line each.


def run(*arguments):
    return CliRunner().invoke(main, ["listen", *map(str, arguments)])


def refused(folder, *arguments, systems=("ours", "theirs")):
    out = folder / "refused"
    paths = [folder / system for system in systems]
    result = run("make", *paths, "--targets", folder / "true", "-o", out, *arguments)
    assert result.exit_code == 1, result.output
    *_, last = result.stderr.strip().splitlines()
    assert last.startswith("unmask: error: ")
    assert not out.exists()
    assert not list(folder.glob(".unmask-*")), "something half-written is left"
    return last


def rewrite(path, change, rate=RATE):
    samples, _ = audio.read(path)
    audio.write(path, change(samples), rate)


@pytest.mark.parametrize(
    ("change", "rate", "said"),
    [
        (lambda x: x[:, :-1], RATE, "must be aligned and equally long"),
        (lambda x: np.concatenate([x, x]), RATE, "2 channels"),
        (lambda x: x, 8000, "sample rate is 8000 Hz"),
        (lambda x: 0 * x, RATE, "is silent"),
        (lambda x: 1e-3 * x, RATE, "is silent, expected sound above -70 LUFS"),
    ],
)
def test_clips_that_cannot_be_compared_are_refused(change, rate, said, own):
    for track in ("song0", "song1"):
        rewrite(own / "theirs" / track / "bass.wav", change, rate)
    assert said in refused(own, "--duration", 1)


def test_a_silent_target_is_refused(own):
    rewrite(own / "true" / "song0" / "bass.wav", lambda x: 0 * x)
    assert "bass.wav: is silent" in refused(own, "--duration", 1)


def test_a_missing_reference_is_refused(own):
    for track in ("song0", "song1"):
        (own / "true" / track / "mixture.wav").unlink()
        for folder in ("true", "ours", "theirs"):
            (own / folder / track / "drums.wav").unlink()
    said = refused(own, "--duration", 1)
    assert "has no mixture, which is played as a reference" in said
    assert run("make", own / "ours", own / "theirs", "-o", own / "x").exit_code == 1


def test_systems_of_one_name_or_a_taken_one_are_refused(own):
    assert "two or more are called ours" in refused(own, systems=("ours", "ours"))
    assert "'reference' is the name of no system" in refused(own, "--names", "reference,b")
    assert "1 for 2 systems" in refused(own, "--names", "one")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pages", 9], "pages: 9 a listener, expected 1 to 4"),
        (["--repeats", 3], "repeats: 3 of 4 pages, expected 0 to 2"),
        (["--pairs", 2], "pairs: 2 an excerpt, expected 1 to 1"),
        (["--items", 0], "items: 0, expected 1 or more"),
        (["--duration", 0.1], "duration: 0.1 s, expected 1 to 60"),
        (["--loudness", 3], "loudness: 3 LUFS"),
        (["--min-heard", 90], "min_heard: 90 s"),
        (["--references", "echo"], "references: echo"),
        (["--preset", "mushra", "--references", "mixture"], "MUSHRA needs the target"),
        (["--preset", "mushra", "--anchors", ",".join(map(str, range(10)))], "at most 12"),
        (["--preset", "mushra", "--pairs", 1], "expected none, clips are rated"),
        (["--stems", "kazoo"], "kazoo"),
    ],
)
def test_numbers_that_do_not_fit_are_refused_before_anything_is_read(arguments, said, recordings):
    assert said in refused(recordings, *arguments)


def test_a_track_that_one_system_lacks_is_refused_or_left_out(own):
    for stem in ("bass", "drums"):
        (own / "theirs" / "song1" / f"{stem}.wav").unlink()
    assert "lacks song1" in refused(own)
    assert [one.track for one in found(own, allow_missing=True)] == ["song0", "song0"]


def test_a_test_is_never_replaced(recordings, tmp_path):
    folder = made(recordings, tmp_path / "test", items=1)
    before = (folder / "secret.json").read_text()
    with pytest.raises(FileError, match="is there already"):
        made(recordings, tmp_path / "test", items=1)
    assert (folder / "secret.json").read_text() == before


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("test.json", "{", "is no JSON"),
        ("test.json", "[]", "another format"),
        ("test.json", '{"format": 1}', "damaged"),
        ("secret.json", '{"format": 1, "clips": {}}', "damaged"),
        ("secret.json", None, "no such file"),
    ],
)
def test_a_damaged_test_is_refused(name, text, said, recordings, tmp_path):
    folder = made(recordings, tmp_path / "test", items=1)
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    result = run("serve", folder)
    assert result.exit_code == 1
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_parts_of_two_tests_are_refused(recordings, tmp_path):
    one, other = (made(recordings, tmp_path / name, items=1) for name in "ab")
    (one / "secret.json").write_text((other / "secret.json").read_text())
    with pytest.raises(FileError, match="are of two tests"):
        design.read(one)


def test_a_missing_clip_is_refused(recordings, tmp_path):
    folder = made(recordings, tmp_path / "test", items=1)
    next((folder / "audio").iterdir()).unlink()
    with pytest.raises(FileError, match="is missing"):
        design.read(folder)


def test_the_command_says_what_it_takes_before_it_starts(recordings, tmp_path):
    paths = [recordings / system for system in ("ours", "theirs", "c")]
    result = run(
        *("make", *paths, "--targets", recordings / "true", "-o", tmp_path / "t", "--duration", 1),
        *("--items", 4, "--pages", 6, "--json", "-"),
    )
    assert result.exit_code == 0, result.output
    assert "6 of 12 pages" in result.stderr
    assert "312 judgements a pair and question: 156 listeners" in result.stderr
    assert "90 judgements a pair and question: 45 listeners" in result.stderr
    assert json.loads(result.stdout)["pages_per_listener"] == 6


def test_that_mixtures_are_sums_of_targets_is_said(own):
    for track in ("song0", "song1"):
        (own / "true" / track / "mixture.wav").unlink()
    paths = [own / system for system in ("ours", "theirs")]
    result = run("make", *paths, "--targets", own / "true", "-o", own / "t", "--duration", 1)
    assert result.exit_code == 0
    assert "the sum of all targets of a track is played" in result.stdout
    _, secret, read = clips_of(own / "t")
    assert {clip.system for clip in secret.clips.values()} >= {"mixture"}
    assert all(clip.any() for clip in read.values())


def test_errors_are_of_the_library(own):
    rewrite(own / "theirs" / "song0" / "bass.wav", lambda x: x[:, :-1])
    plan = making.plan(["ours", "theirs"], found(own), making.Settings(duration_s=1.0))
    with pytest.raises(ShapeError):
        making.make(plan, own / "test")
    rewrite(own / "theirs" / "song0" / "bass.wav", lambda x: x, 8000)
    with pytest.raises(SampleRateError):
        making.make(plan, own / "test")
    rewrite(own / "true" / "song0" / "bass.wav", lambda x: 0 * x)
    with pytest.raises(SignalError):
        making.make(plan, own / "test")
