"""What one listener gets: which pages, in which order, what is A and what is B."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence

import numpy as np

from unmask.listen import pages
from unmask.listen.design import Page, Test
from unmask.listen.store import Sheet

#: Position of the page that does not count; the others begin with 1.
TRAINING = 0


def sheets(test: Test, number: int, counts: Mapping[str, int]) -> list[Sheet]:
    """Return the pages of listener `number`, of those that were given least often.

    Of a pair each side is A equally often over listeners, within one; when a page comes again the
    sides are swapped. Clips to rate are in random order.

    Parameters
    ----------
    test : Test
    number : int
        Of the listener, from 1; with the seed of the test it decides all chance.
    counts : mapping of str to int
        How often each page was given before.
    """
    rng = np.random.default_rng([test.seed, 2, number])
    given = {page.id: counts.get(page.id, 0) for page in test.pages}
    chosen = pages.choose(given, test.pages_per_listener, rng)
    ordered = pages.repeated(chosen, test.repeats, rng)
    return [
        Sheet(position, name, repeat, _shown(test, test.page(name), given[name] + repeat, rng))
        for position, (name, repeat) in enumerate(ordered, start=1)
    ]


def training(test: Test) -> Sheet | None:
    """Return the page to try things out on."""
    if not test.training:
        return None
    page = test.page(test.training[0])
    return Sheet(TRAINING, page.id, 0, page.stimuli)


def _shown(test: Test, page: Page, turn: int, rng: np.random.Generator) -> tuple[str, ...]:
    if test.kind == "mushra":
        return tuple(page.stimuli[k] for k in rng.permutation(len(page.stimuli)))
    first = np.random.default_rng([test.seed, 3, _number(page.id)]).integers(2)
    return page.stimuli if (first + turn) % 2 == 0 else page.stimuli[::-1]


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def clip_names(key: str, session: str, position: int, n_clips: int) -> list[str]:
    """Return the names of the clips of a page for one listener.

    They are like no others and tell nothing: a keyed hash of listener, page and place.
    """
    return [derived(key, "clip", session, str(position), str(k)) for k in range(n_clips)]


def derived(key: str, *parts: str) -> str:
    """Return a keyed hash of some texts in 32 hexadecimal digits."""
    message = "\0".join(parts).encode()
    return hmac.new(bytes.fromhex(key), message, hashlib.sha256).hexdigest()[:32]


def letters(n: int) -> Sequence[str]:
    """Return what clips are called: A, B and so on."""
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:n]
