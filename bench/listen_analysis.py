"""How often intervals of ``unmask listen analyse`` hold the truth, for listeners made by chance.

::

    python bench/listen_analysis.py coverage [--simulations 1000]   # a few minutes
    python bench/listen_analysis.py paper        # 210 answers of 8 people: 58 % and 65 %
    python bench/listen_analysis.py statsmodels  # its mixed models on the same listeners

Listeners and items have leanings drawn from normal distributions (standard deviations in log odds;
of ratings in points), and answers are chance. The truth is the share, or mean, over all listeners
and items that there could be; of the mixed model the share of the middle one.
"""

import argparse
import functools
import math
import warnings

import numpy as np

from unmask import workers
from unmask.listen.analysis import clustered, mixed, preference, strengths
from unmask.listen.power import power

#: listeners, items, log odds of the middle, deviations of listeners and items, share of pages given
PAIRS = [
    (8, 13, 0.33, 0.0, 0.0, 1.0),
    (20, 12, 0.33, 0.0, 0.0, 1.0),
    (20, 12, 0.0, 0.7, 0.5, 1.0),
    (20, 12, 0.33, 0.7, 0.5, 1.0),
    (20, 12, 0.33, 0.7, 0.5, 0.5),
    (30, 10, 1.0, 1.0, 0.7, 1.0),
    (15, 8, 1.5, 0.5, 1.0, 1.0),
    (8, 13, 0.33, 0.7, 0.5, 1.0),
]
#: listeners, items, mean, deviations of listeners, items and of what is left
RATINGS = [(20, 10, 60.0, 0.0, 0.0, 15.0), (20, 10, 60.0, 10.0, 8.0, 15.0)]
#: listeners, items, deviation of each listener's own strengths
STRENGTHS = [(20, 6, 0.0), (20, 6, 0.6)]
TRUE = np.array([0.8, 0.2, -0.2, -0.8])


def logistic(x):
    return 1 / (1 + np.exp(-x))


def population(beta, deviation):
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return weights @ logistic(beta + deviation * nodes) / math.sqrt(2 * math.pi)


def answers(rng, n_listeners, n_items, beta, s, t, given):
    """Return preferences, listeners and items."""
    listeners, items = (axis.ravel() for axis in np.indices((n_listeners, n_items)))
    odds = beta + rng.normal(0, s, n_listeners)[listeners] + rng.normal(0, t, n_items)[items]
    kept = rng.random(odds.size) < given
    won = (rng.random(odds.size) < logistic(odds)).astype(float)
    return won[kept], listeners[kept], items[kept]


def holds(low, high, truth):
    return float(low <= truth <= high)


def of_pairs(case, seed):
    """Return which intervals hold the truth, and which tests find a difference at 5 %."""
    rng = np.random.default_rng([seed, PAIRS.index(case)])
    won, listeners, items = answers(rng, *case)
    beta, s, t = case[2:5]
    truth, middle = population(beta, math.hypot(s, t)), logistic(beta)
    test = preference(int(won.sum()), len(won))
    spread = clustered(won, listeners, items, null=0.5, is_share=True, n_resamples=999, seed=seed)
    model = mixed(won, listeners, items)
    held = [
        holds(test.low, test.high, truth),
        holds(test.wilson_low, test.wilson_high, truth),
        holds(spread.low, spread.high, truth) if spread else math.nan,
        holds(model.low, model.high, middle) if model else math.nan,
    ]
    found = [test.p < 0.05, spread.p < 0.05 if spread else 0, model.p < 0.05 if model else 0]
    return held, [float(x) for x in found], float(bool(model and model.problem))


def of_ratings(case, seed):
    n_listeners, n_items, mean, s, t, rest = case
    rng = np.random.default_rng([seed, 100 + RATINGS.index(case)])
    listeners, items = (axis.ravel() for axis in np.indices((n_listeners, n_items)))
    values = mean + rng.normal(0, s, n_listeners)[listeners] + rng.normal(0, t, n_items)[items]
    values = values + rng.normal(0, rest, values.size)
    spread = clustered(values, listeners, items, null=0, n_resamples=999, seed=seed)
    error = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    usual = holds(values.mean() - error, values.mean() + error, mean)
    return usual, holds(spread.low, spread.high, mean)


def of_strengths(case, seed):
    n_listeners, n_items, own = case
    rng = np.random.default_rng([seed, 200 + STRENGTHS.index(case)])
    names = "abcd"
    pairs, outcomes, who = [], [], []
    for listener in range(n_listeners):
        mine = TRUE + rng.normal(0, own, len(TRUE))
        for first in range(4):
            for second in range(first + 1, 4):
                won = rng.random(n_items) < logistic(mine[first] - mine[second])
                pairs += [(names[first], names[second])] * n_items
                outcomes += list(won.astype(float))
                who += [str(listener)] * n_items
    found = {row.system: row for row in strengths(pairs, outcomes, who).systems}
    # What is estimated is the share over all listeners, which is nearer to a half.
    truth = marginal_strengths(own) if own else TRUE
    return [
        holds(found[name].low, found[name].high, value)
        for name, value in zip(names, truth, strict=True)
    ]


@functools.cache
def marginal_strengths(own):
    """Return the strengths that many listeners have together, with weights instead of chance."""
    from scipy.optimize import minimize

    first, second = np.triu_indices(4, 1)
    shares = np.array(
        [
            population(TRUE[i] - TRUE[j], own * math.sqrt(2))
            for i, j in zip(first, second, strict=True)
        ]
    )

    def loss(values):
        odds = values[first] - values[second]
        return np.sum(np.logaddexp(0, odds) - shares * odds) + values.sum() ** 2

    return minimize(loss, TRUE, tol=1e-12).x


def many(function, case, n, jobs):
    return list(workers.map_tasks(functools.partial(function, case), range(n), jobs=jobs))


def per_cent(values):
    known = np.array(values, dtype=float)
    return f"{100 * np.nanmean(known):.1f}"


def coverage(options):
    n, jobs = options.simulations, options.jobs
    print(f"{n} simulations of each; intervals of 95 %\n")
    print("| listeners | items | share | deviations | binomial | Wilson | clusters | mixed | odd |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    errors = []
    for case in PAIRS:
        held, found, odd = zip(*many(of_pairs, case, n, jobs), strict=True)
        listeners, items, beta, s, t, given = case
        cells = [per_cent(column) for column in zip(*held, strict=True)]
        given = f" ({given:.0%} of pages)" * (given < 1)
        share = f"{100 * population(beta, math.hypot(s, t)):.1f} %"
        head = f"| {listeners} | {items}{given} | {share} | {s:g}, {t:g} |"
        print(head, " | ".join(cells), f"| {per_cent(odd)} |", flush=True)
        if beta == 0:
            errors.append((case, [per_cent(column) for column in zip(*found, strict=True)]))
    for case, cells in errors:
        print(f"\nno preference, {case[0]} x {case[1]}, {case[3]:g}, {case[4]:g}: found at 5 %:")
        print("binomial {}, clusters {}, mixed {}".format(*cells))
    print("\n| ratings: listeners | items | deviations | 1.96 s/√n | clusters |")
    print("|--:|--:|--:|--:|--:|")
    for case in RATINGS:
        cells = [per_cent(column) for column in zip(*many(of_ratings, case, n, jobs), strict=True)]
        print(f"| {case[0]} | {case[1]} | {case[3]:g}, {case[4]:g} |", " | ".join(cells), "|")
    print("\n| strengths of 4: listeners | items a pair | deviation | covered |\n|--:|--:|--:|--:|")
    for case in STRENGTHS:
        held = many(of_strengths, case, n, jobs)
        print(f"| {case[0]} | {case[1]} | {case[2]:g} | {per_cent(held)} |", flush=True)


def paper(_):
    """Say what 58 % and 65 % of 210 answers of 8 people show."""
    print("| question | n | preferred | share | p | 95 % | power of n for it | needed |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    from unmask.listen.analysis import detectable, needed

    for n in (105, 210):
        for question, share in (("Separation", 0.58), ("Quality", 0.65)):
            found = preference(round(share * n), n)
            between = f"{100 * found.low:.0f} to {100 * found.high:.0f} %"
            cells = [question, n, found.k, f"{100 * found.share:.1f} %", f"{found.p:.2g}", between]
            cells += [f"{100 * power(n, share):.0f} %", needed(share)]
            print("|", " | ".join(map(str, cells)), "|")
    for n in (105, 210):
        print(f"\n{n} show {100 * detectable(n):.1f} % or more with 80 % power")
    print("\nanswers of one person are alike: p with a design effect of 1 + (m - 1) rho\n")
    print("| rho | " + " | ".join(f"{q}, {n}" for n in (105, 210) for q in ("58 %", "65 %")) + " |")
    print("|--:|" + "--:|" * 4)
    for rho in (0, 0.02, 0.05, 0.1, 0.2):
        cells = []
        for n in (105, 210):
            effect = 1 + (n / 8 - 1) * rho
            for share in (0.58, 0.65):
                worth = round(n / effect)
                cells.append(f"{preference(round(share * worth), worth).p:.2g}")
        print(f"| {rho:g} |", " | ".join(cells), "|")


def statsmodels(options):
    from scipy import sparse
    from statsmodels.genmod.bayes_mixed_glm import BinomialBayesMixedGLM

    warnings.simplefilter("ignore")
    n = min(options.simulations, 200)
    print(f"{n} simulations of each; 95 % intervals of the middle listener and item\n")
    print("| listeners | items | deviations | variational | Laplace (MAP) | ours |\n|" + "--:|" * 6)
    for case in PAIRS:
        held = []
        for seed in range(n):
            rng = np.random.default_rng([seed, PAIRS.index(case)])
            won, listeners, items = answers(rng, *case)
            random = np.hstack([np.eye(case[0])[listeners], np.eye(case[1])[items]])
            kinds = np.r_[np.zeros(case[0], int), np.ones(case[1], int)]
            row = []
            for fit in ("fit_vb", "fit_map"):
                model = BinomialBayesMixedGLM(
                    won, np.ones((len(won), 1)), sparse.csr_matrix(random), kinds
                )
                found = getattr(model, fit)(rng=0)
                row.append(float(abs(found.fe_mean[0] - case[2]) < 1.96 * found.fe_sd[0]))
            ours = mixed(won, listeners, items)
            row.append(holds(ours.low, ours.high, logistic(case[2])) if ours else math.nan)
            held.append(row)
        cells = [per_cent(column) for column in zip(*held, strict=True)]
        head = f"| {case[0]} | {case[1]} | {case[3]:g}, {case[4]:g} |"
        print(head, " | ".join(cells), "|", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["coverage", "paper", "statsmodels"])
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=workers.n_processors())
    options = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    {"coverage": coverage, "paper": paper, "statsmodels": statsmodels}[options.what](options)


if __name__ == "__main__":
    main()
