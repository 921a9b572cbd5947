"""Strengths of many systems, and agreement of listeners: published examples."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from unmask.listen.analysis import cohens_kappa, krippendorff, strengths

#: American League 1987, who beat whom how often (Agresti, Categorical Data Analysis, 2002).
CLUBS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
WINS = (
    (0, 7, 9, 7, 7, 9, 11),
    (6, 0, 7, 5, 11, 9, 9),
    (4, 6, 0, 7, 7, 8, 12),
    (6, 8, 6, 0, 6, 7, 10),
    (6, 2, 6, 7, 0, 7, 12),
    (4, 4, 5, 6, 6, 0, 6),
    (2, 4, 1, 3, 1, 7, 0),
)


# many systems


def games():
    for a, b in itertools.permutations(range(7), 2):
        for _ in range(WINS[a][b]):
            yield CLUBS[a], CLUBS[b]


def test_strengths_of_ball_clubs_are_those_of_the_textbook():
    pairs = list(games())
    found = {s.system: s for s in strengths(pairs, [1] * len(pairs), ["one"] * len(pairs)).systems}
    values = [found[club].strength - found["Baltimore"].strength for club in CLUBS]
    assert values == pytest.approx([1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0], abs=5e-3)
    assert sum(s.strength for s in found.values()) == pytest.approx(0)
    assert sum(s.n for s in found.values()) == 2 * len(pairs)


def test_strengths_of_two_are_the_log_odds_and_their_error_the_binomial_one():
    first, second = strengths([("x", "y")] * 100, [1] * 70 + [0] * 30, ["one"] * 100).systems
    assert first.strength - second.strength == pytest.approx(math.log(70 / 30))
    error = math.sqrt(1 / (100 * 0.7 * 0.3))
    assert first.high - first.low == pytest.approx(1.959964 * error)  # half the difference, twice


def test_ties_follow_davidson():
    """With equal strengths a tie has the chance nu / (2 + nu)."""
    found = strengths([("x", "y")] * 40, [1] * 10 + [0] * 10 + [0.5] * 20, ["one"] * 40)
    assert found.tie == pytest.approx(2)
    assert found.systems[0].strength == pytest.approx(0, abs=1e-9)


def test_answers_that_each_listener_repeats_make_intervals_of_listeners():
    rng = np.random.default_rng(8)
    pairs = [("x", "y"), ("y", "z"), ("x", "z")] * 20
    outcomes = list((rng.random(60) < 0.6).astype(float))
    who = [str(k // 3) for k in range(60)]
    once = strengths(pairs, outcomes, who).systems[0]
    five = strengths(pairs * 5, outcomes * 5, who * 5).systems[0]
    assert (five.low, five.high) == pytest.approx((once.low, once.high))


def test_the_error_of_a_strength_is_that_between_listeners():
    """The sum of residuals of each of five listeners, and Student's distribution of four."""
    won = np.array([3, 5, 2, 6, 4]) / 6
    share, n = won.mean(), 30
    outcomes = [float(k < round(6 * mine)) for mine in won for k in range(6)]
    first, _ = strengths([("x", "y")] * n, outcomes, [str(k // 6) for k in range(n)]).systems
    between = np.sum((6 * (won - share)) ** 2) * 5 / 4
    error = math.sqrt(between) / (n * share * (1 - share))  # of the log odds of the two
    assert first.high - first.low == pytest.approx(stats.t.ppf(0.975, 4) * error)


@pytest.mark.parametrize(
    ("pairs", "outcomes", "problem"),
    [
        ([("a", "b"), ("b", "c"), ("c", "b")], [1, 1, 1], "a won against all others, every time"),
        ([("a", "b"), ("b", "a"), ("c", "d")], [1, 1, 1], "a, b were never compared with the"),
    ],
)
def test_strengths_that_are_not_finite_are_not_told(pairs, outcomes, problem):
    found = strengths(pairs, outcomes, ["one"] * 3)
    assert found.systems == ()
    assert found.problem.startswith(problem)


# agreement


def observed():
    table = (
        (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
        (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
        (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
        (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
    )
    return {
        unit: [value for value in values if value is not None]
        for unit, values in enumerate(zip(*table, strict=True))
    }


def test_alpha_is_that_of_krippendorffs_example():
    assert krippendorff(observed(), "nominal") == pytest.approx(0.743, abs=5e-4)
    assert krippendorff(observed(), "interval") == pytest.approx(0.849, abs=5e-4)


def test_kappa_is_that_of_the_table():
    """20 and 15 agreed, 5 and 10 not; chance alone would make a half agree."""
    first = "y" * 25 + "n" * 25
    second = "y" * 20 + "n" * 5 + "y" * 10 + "n" * 15
    assert cohens_kappa(first, second) == pytest.approx((0.7 - 0.5) / 0.5)
    assert math.isnan(cohens_kappa("yy", "yy"))
    assert math.isnan(krippendorff({1: ["a"], 2: ["b"]}, "nominal"))
