"""Which clips meet on a page, and which pages a listener gets: balanced designs."""

from collections.abc import Mapping, Sequence

import numpy as np


def round_robin(n: int) -> list[tuple[int, int]]:
    """Return all pairs of `n` in rounds in which each of them comes once (the circle method).

    >>> round_robin(4)
    [(0, 3), (2, 1), (2, 0), (3, 1), (0, 1), (2, 3)]
    """
    ring = [*range(n), *([-1] if n % 2 else [])]  # with an odd number one rests
    half, pairs = len(ring) // 2, []
    for turn in range(len(ring) - 1):
        met = zip(ring[:half], reversed(ring[half:]), strict=True)
        # Who stands first changes, so that nobody always does.
        pairs += [(a, b) if (turn + a) % 2 == 0 else (b, a) for a, b in met if -1 not in (a, b)]
        ring = [ring[0], ring[-1], *ring[1:-1]]
    return pairs


def pairs_of_items(
    n_items: int, systems: Sequence[str], per_item: int | None, rng: np.random.Generator
) -> list[list[tuple[str, str]]]:
    """Return the pairs of systems that are compared on each item.

    With fewer than all (a balanced incomplete design) every pair comes equally often over the
    items, within one, and every system nearly so.

    Parameters
    ----------
    n_items : int
    systems : sequence of str
    per_item : int or None
        How many of the pairs an item is used for; all when None.
    rng : numpy.random.Generator
        Decides who is who in the scheme.
    """
    named = [systems[k] for k in rng.permutation(len(systems))]
    pairs = [(named[a], named[b]) for a, b in round_robin(len(named))]
    count = len(pairs) if per_item is None else per_item
    return [
        [pairs[k % len(pairs)] for k in range(item * count, (item + 1) * count)]
        for item in range(n_items)
    ]


def choose(counts: Mapping[str, int], n: int, rng: np.random.Generator) -> list[str]:
    """Return `n` pages in random order: those that were given least often, chance among equals.

    If all listeners get as many, no page is ever given to two listeners more than another, less
    one: the numbers differ by at most 1.

    Parameters
    ----------
    counts : mapping of str to int
        How often each page was given before.
    n : int
        At most as many as there are.
    rng : numpy.random.Generator
    """
    names = sorted(counts)
    order = rng.permutation(len(names))
    least = sorted(order, key=lambda k: counts[names[k]])[:n]  # stable: chance among equals
    return [names[least[k]] for k in rng.permutation(n)]


def repeated(pages: Sequence[str], n: int, rng: np.random.Generator) -> list[tuple[str, int]]:
    """Return pages with ``repeat`` 0, and `n` of them once more with 1.

    Those of the first half come again somewhere in the second, never twice running.

    Parameters
    ----------
    pages : sequence of str
    n : int
        At most half as many.
    rng : numpy.random.Generator
    """
    half = len(pages) // 2
    head, tail = [(page, 0) for page in pages[:half]], [(page, 0) for page in pages[half:]]
    tail += [(pages[k], 1) for k in rng.permutation(half)[:n]]
    tail = [tail[k] for k in rng.permutation(len(tail))]
    if head and tail[0][0] == head[-1][0]:
        tail = [*tail[1:], tail[0]]
    return head + tail
