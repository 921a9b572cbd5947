"""Wilcoxon's test against an independent one, and on paper."""

import numpy as np
import pytest
from scipy import stats

from unmask.evaluate.signed_ranks import p_value, ranks


def test_equal_values_share_the_mean_of_their_ranks():
    np.testing.assert_array_equal(
        ranks(np.array([3.0, 1.0, 3.0, 7.0, 1.0])), [3.5, 1.5, 3.5, 5, 1.5]
    )


@pytest.mark.parametrize("n_differences", [1, 2, 3, 10, 50, 51, 200])
def test_p_is_scipys(n_differences, rng):
    differences = rng.normal(0.3, 1, n_differences)
    expected = stats.wilcoxon(differences).pvalue
    assert p_value(differences) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n_differences", [7, 12])
def test_with_ties_p_is_that_of_every_pattern_of_signs(n_differences, rng):
    differences = rng.choice([-2.0, -1.0, 1.0, 2.0, 3.0], n_differences)
    own = ranks(np.abs(differences))
    signs = 1 & np.arange(2**n_differences)[:, None] >> np.arange(n_differences)
    sums, found = signs @ own, own[differences > 0].sum()
    expected = 2 * min(np.mean(sums <= found), np.mean(sums >= found))
    assert p_value(differences) == pytest.approx(min(1, expected), rel=1e-12)


def test_many_ties_widen_the_normal_distribution_as_scipys(rng):
    differences = rng.choice([-2.0, -1.0, 1.0, 2.0, 3.0], 80)
    assert p_value(differences) == pytest.approx(stats.wilcoxon(differences).pvalue, rel=1e-9)


def test_five_wins_of_five_are_one_of_sixteen():
    assert p_value(np.arange(1.0, 6.0)) == 2 / 2**5
