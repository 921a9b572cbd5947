"""Listening tests analysed: published examples, slow arithmetic, listeners made by chance."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from unmask.errors import ConfigError
from unmask.listen.analysis import (
    Choice,
    Rating,
    clustered,
    detectable,
    mixed,
    needed,
    pair_results,
    preference,
    rated,
    screened,
)
from unmask.listen.analysis.distributions import (
    beta_cdf,
    binomial_bounds,
    binomial_p,
    minimum,
    student_p,
    student_reach,
)
from unmask.listen.analysis.pairs import codes
from unmask.listen.power import power


def answers_of(seed, n_listeners, n_items, beta=0.0, s=0.0, t=0.0):
    """Preferences of listeners and about items that have leanings of their own."""
    rng = np.random.default_rng(seed)
    listeners, items = (axis.ravel() for axis in np.indices((n_listeners, n_items)))
    odds = beta + rng.normal(0, s, n_listeners)[listeners] + rng.normal(0, t, n_items)[items]
    return (rng.random(odds.size) < 1 / (1 + np.exp(-odds))).astype(float), listeners, items


# one of two


def test_what_the_paper_counted_decides_about_quality_and_not_about_separation():
    separation, quality = preference(61, 105), preference(68, 105)
    assert separation.p == pytest.approx(0.118, abs=5e-4)
    assert separation.low < 0.5 < separation.high
    assert quality.p == pytest.approx(0.0032, abs=5e-5)
    assert quality.low > 0.5
    assert needed(0.58) == 312
    assert needed(0.65) == 90


def test_the_exact_test_adds_up_the_tails():
    tail = sum(math.comb(10, k) for k in (0, 1, 9, 10)) / 2**10
    assert preference(9, 10).p == pytest.approx(tail)
    assert preference(5, 10).p == 1


def test_the_exact_interval_is_that_of_clopper_and_pearson_and_the_other_wilsons():
    all_of_them = preference(10, 10)
    assert all_of_them.low == pytest.approx(0.025 ** (1 / 10))
    assert all_of_them.high == 1
    z, n, share = 1.959964, 40, 0.3
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    wilson = preference(12, 40)
    assert (wilson.wilson_low, wilson.wilson_high) == pytest.approx(
        (middle - reach, middle + reach)
    )


@pytest.mark.parametrize("n", [1, 8, 37, 105])
def test_the_interval_holds_a_half_where_the_test_finds_nothing(n):
    for k in range(n + 1):
        found = preference(k, n)
        assert (found.p < 0.05) == (not found.low <= 0.5 <= found.high)


def test_what_is_detectable_is_what_has_the_power():
    assert power(105, detectable(105)) >= 0.8 > power(105, detectable(105) - 1e-3)
    assert detectable(5) is None
    assert needed(0.5) is None


@pytest.mark.parametrize(("k", "n"), [(0, 0), (3, 2), (-1, 4)])
def test_counts_that_cannot_be_are_refused(k, n):
    with pytest.raises(ConfigError, match=f"^k: {k} of {n}, should be 0 or more, of 1 or more$"):
        preference(k, n)


def test_distributions_are_scipys():
    for a, b in itertools.product((0.5, 1, 3.2, 40, 700), repeat=2):
        for x in (0.001, 0.3, 0.5, 0.77, 0.999):
            assert beta_cdf(x, a, b) == pytest.approx(stats.beta.cdf(x, a, b), rel=1e-9, abs=1e-14)
    for df in (1, 2.5, 7, 19, 500):
        assert student_reach(df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-9)
        assert student_p(-2.1, df) == pytest.approx(2 * stats.t.sf(2.1, df), rel=1e-9)
    for k, n in ((0, 1), (3, 7), (61, 105), (120, 300), (999, 1000)):
        exact = stats.binomtest(k, n)
        assert binomial_p(k, n) == pytest.approx(exact.pvalue, rel=1e-9)
        assert binomial_bounds(k, n) == pytest.approx(tuple(exact.proportion_ci()), rel=1e-7)


def test_a_minimum_is_found_within_bounds_and_at_them():
    inside, is_found = minimum(
        lambda x: (x[0] - 1) ** 2 + 5 * (x[1] + 2) ** 2, np.zeros(2), (-5, 2)
    )
    assert is_found
    assert inside == pytest.approx([1, -2], abs=1e-3)
    assert minimum(lambda x: x[0] - x[1], np.zeros(2), (-5, 2))[0].tolist() == [-5, 2]


# clusters


def test_the_variance_of_clusters_is_that_of_the_formula():
    values, listeners, items = answers_of(1, 6, 5, 0.4, 0.8, 0.8)
    found = clustered(values, listeners, items, null=0.5)
    rest = values - values.mean()
    of_listeners = sum(rest[listeners == k].sum() ** 2 for k in range(6)) * 6 / 5
    of_items = sum(rest[items == k].sum() ** 2 for k in range(5)) * 5 / 4
    both = max(of_listeners + of_items - np.sum(rest**2), of_listeners, of_items)
    independent = np.sum(rest**2) * 30 / 29
    assert found.mean == values.mean()
    assert found.design_effect == pytest.approx(both / independent)


def test_one_listener_who_said_all_is_worth_one_item_each():
    """Answers that are copies of each other count once: ten copies change nothing."""
    values, _, items = answers_of(3, 1, 30, 0.8)
    many = np.tile(values, 10)
    once = clustered(values, np.zeros(30, int), items, null=0.5, is_share=True)
    copied = clustered(many, np.zeros(300, int), np.tile(items, 10), null=0.5, is_share=True)
    assert copied.design_effect == pytest.approx(10, rel=0.05)
    assert copied.p == pytest.approx(once.p, abs=0.02)


def test_p_is_below_five_per_cent_where_the_interval_leaves_out_the_null():
    for seed in range(30):
        values, listeners, items = answers_of(seed, 8, 6, 0.5, 0.4, 0.4)
        found = clustered(values, listeners, items, null=0.5, is_share=True, n_resamples=199)
        assert (found.p < 0.05) == (not found.low <= 0.5 <= found.high)


def test_what_is_a_and_what_is_b_is_no_matter():
    values, listeners, items = answers_of(5, 9, 7, 0.6, 0.5, 0.5)
    one = clustered(values, listeners, items, null=0.5, is_share=True)
    other = clustered(1 - values, listeners, items, null=0.5, is_share=True)
    assert (other.low, other.high) == pytest.approx((1 - one.high, 1 - one.low))
    assert other.p == one.p


def test_where_nothing_varies_there_are_no_clusters():
    listeners, items = (axis.ravel() for axis in np.indices((4, 3)))
    assert clustered(np.ones(12), listeners, items, null=0.5, is_share=True) is None
    assert clustered(np.array([1.0, 0.0]), np.zeros(2, int), np.zeros(2, int), null=0.5) is None


# the mixed model


def test_without_leanings_the_mixed_model_is_the_binomial_one():
    """Every listener and every item has the same share: 2 of 4."""
    values = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]], float)
    listeners, items = np.indices((4, 4))
    found = mixed(values.ravel(), listeners.ravel(), items.ravel())
    assert found.share == pytest.approx(0.5)
    assert (found.listener_sd, found.item_sd) == (0, 0)
    assert found.p == pytest.approx(1)
    assert math.log(found.high / (1 - found.high)) == pytest.approx(
        2.131 * math.sqrt(1 / (16 * 0.25)),
        rel=2e-3,  # Student's of 15 degrees of freedom
    )


def brute_force(values, listeners, items, deviation):
    """Return the log of the restricted likelihood of listeners' leanings, by adding up a grid."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(41)
    betas = np.linspace(-2, 3, 201)
    odds = betas[:, None] + deviation * nodes
    total = np.zeros(len(betas))
    for listener in np.unique(listeners):
        own = values[listeners == listener]
        log = own.sum() * odds - len(own) * np.logaddexp(0, odds)
        total += np.log(np.exp(log) @ weights)
    return np.log(np.trapezoid(np.exp(total - total.max()), betas)) + total.max()


def test_the_deviation_of_listeners_has_the_largest_likelihood_of_all():
    values, listeners, items = answers_of(13, 25, 20, 0.5, 1.2, 0.0)
    found = mixed(values, listeners, items)
    grid = np.linspace(0.8, 1.8, 41)
    best = grid[np.argmax([brute_force(values, listeners, items, s) for s in grid])]
    assert found.item_sd == 0
    assert found.listener_sd == pytest.approx(best, rel=0.04)  # Laplace's approximation


def test_more_listeners_than_items_or_fewer_give_the_same_model():
    values, listeners, items = answers_of(2, 9, 6, 0.4, 0.9, 0.5)
    one, other = mixed(values, listeners, items), mixed(values, items, listeners)
    assert other.share == pytest.approx(one.share, abs=1e-4)
    assert (other.item_sd, other.listener_sd) == pytest.approx(
        (one.listener_sd, one.item_sd), abs=2e-3
    )


def test_the_population_is_nearer_to_a_half_than_its_middle():
    found = mixed(*answers_of(4, 30, 12, 1.0, 1.0, 0.7))
    assert 0.5 < found.population < found.share


def test_a_model_without_a_maximum_is_none_and_one_at_the_edge_says_so():
    listeners, items = (axis.ravel() for axis in np.indices((6, 8)))
    assert mixed(np.ones(48), listeners, items) is None
    assert mixed(np.ones(8), np.zeros(8, int), np.arange(8)) is None
    decided = mixed((listeners % 2).astype(float), listeners, items)
    assert "some prefer always the same" in decided.problem


# rows


def choices(values, listeners, items, **changes):
    return [
        Choice(f"L{who}", f"i{what}", "quality", "x", "y", "x" if won else "y", **changes)
        for won, who, what in zip(values, listeners, items, strict=True)
    ]


def test_second_hearings_and_answers_without_a_preference_do_not_count():
    rows = choices(*answers_of(6, 8, 6, 0.9, 0.3, 0.3))
    (plain,) = pair_results(rows)
    again = [Choice("L0", "i0", "quality", "y", "x", "y", repeat=True)] * 5
    none = [Choice("L1", "i1", "quality", "y", "x", "")] * 3
    (found,) = pair_results([*rows, *again, *none])
    assert found == plain._replace(n_none=3)
    assert (found.system, found.n_listeners, found.n_items) == ("x", 8, 6)


def test_a_preference_for_the_second_is_told_as_one_for_it():
    (found,) = pair_results(choices(np.array([1.0, 0, 0, 0]), [0, 0, 1, 1], [0, 1, 0, 1]))
    assert (found.system, found.over, found.binomial.share) == ("y", "x", 0.75)


def ratings(table, condition="system", system="s"):
    return [
        Rating(f"L{who}", f"i{what}", "quality", system, condition, float(value))
        for who, row in enumerate(table)
        for what, value in enumerate(row)
    ]


def test_listeners_who_miss_the_reference_in_more_than_15_per_cent_are_left_out():
    table = np.full((3, 20), 100)
    table[0, :3] = 89  # 15 %: not more
    table[1, :4] = 89  # 20 %
    table[2, :] = 90
    (found,) = screened(ratings(table, "reference"))
    assert found.listener == "L1"
    assert found.reason == "rates the hidden reference below 90 in 4 of 20 items"


def test_differences_are_of_the_same_listener_and_item():
    """Listeners who use other parts of the scale hide nothing."""
    base = np.add.outer(np.array([10, 30, 50, 70]), np.array([0, 5, 10]))
    better = base + 4 + np.arange(12).reshape(4, 3) % 3
    means, (found,) = rated(ratings(better, system="x") + ratings(base[:, :2], system="y"))
    assert [row.system for row in means] == ["x", "y"]
    assert means[0].mean == pytest.approx(better.mean())
    assert (found.system, found.over, found.n) == ("x", "y", 8)
    assert found.difference == pytest.approx((better - base)[:, :2].mean())


# coverage


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """A hundred of them; bench/listen_analysis.py makes a thousand of eight kinds."""
    beta, s, t = 0.33, 0.7, 0.5
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    truth = weights @ (1 / (1 + np.exp(-beta - math.hypot(s, t) * nodes))) / math.sqrt(2 * math.pi)
    middle = 1 / (1 + math.exp(-beta))
    held = np.zeros(3)
    for seed in range(100):
        values, listeners, items = answers_of(seed, 20, 12, beta, s, t)
        spread = clustered(values, listeners, items, null=0.5, is_share=True, n_resamples=199)
        model = mixed(values, listeners, items)
        test = preference(int(values.sum()), len(values))
        held += (
            spread.low <= truth <= spread.high,
            model.low <= middle <= model.high,
            test.low <= truth <= test.high,
        )
    assert np.all(held[:2] >= 90)
    assert held[2] < 85  # answers that are taken for independent, and are not


def test_codes_number_names():
    assert codes(["b", "a", "b"]).tolist() == [1, 0, 1]
