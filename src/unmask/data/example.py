"""One example: a mixture, what is known of its sources, and how loud it is."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol, TypedDict

import numpy as np

from unmask.data.store import Disk, Store


class Example(TypedDict):
    """A mixture and what is known of the sources that are asked for, float32.

    Where every source is known on its own, `sums` is the identity and `targets` are the sources.
    Of sources known only together (a bass that lies inside "other"), the first has their sum in
    its place, and the others have zeros in theirs.
    """

    mixture: Any
    """Shape (channel, sample)."""
    targets: Any
    """Sums of sources, shape (source, channel, sample)."""
    sums: Any
    """Which sources are in each of them, 0 or 1, shape (source, source). Each source is in at most
    one; a row of zeros says nothing."""


class Drawable(Protocol):
    """Examples in two halves: numbers that depend on seed and index alone, sounds made of them."""

    def draw(self, index: int, /) -> Any:
        """Return what is random in example `index`."""

    def render(self, drawn: Sequence[Any], store: Store, /) -> Example:
        """Return the examples that were drawn, each entry with an axis of examples in front."""


def known_sums(targets: Sequence[str], contents: Iterable[Collection[str]]) -> Any:
    """Return what is known of the targets in a mixture of parts.

    Parts that share a target are known together only: a bass of its own beside one that lies
    inside "other" leaves bass + other as all there is to compare.

    Parameters
    ----------
    targets : sequence of str
        Names of the sources.
    contents : iterable of collection of str
        For every part the sources in it, all of them targets, or none.

    Returns
    -------
    array [shape=(source, source)], float32
        As in :class:`Example`: each sum stands in the row of its first source.

    Examples
    --------
    >>> known_sums(["bass", "drums", "other"], [["drums"], ["other", "bass"]]).astype(int)
    array([[1, 0, 1],
           [0, 1, 0],
           [0, 0, 0]])
    """
    groups = [{name} for name in targets]
    for held in contents:
        apart = [group for group in groups if group.isdisjoint(held)]
        together = [group for group in groups if not group.isdisjoint(held)]
        groups = [*apart, set().union(*together)]
    sums = np.zeros((len(targets), len(targets)), np.float32)
    for group in filter(None, groups):
        row = [name in group for name in targets]
        sums[row.index(True)] = row
    return sums


def rms(x: Any) -> float:
    """Return the root of the mean square, 0 for nothing."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float32)))) if x.size else 0.0


def column(values: Sequence[float], store: Store) -> Any:
    """Return a number for each of some sounds (sound, channel, sample)."""
    return store.array(values)[:, None, None]


def known_apart(n_examples: int, n_sources: int, store: Store) -> Any:
    """Return the sums of examples in which every source is known on its own."""
    return store.array(np.tile(np.eye(n_sources), (n_examples, 1, 1)))


def single(examples: Drawable, index: int) -> Example:
    """Return one example, made of the files: as a device makes it in a batch."""
    batch = examples.render([examples.draw(index)], Disk())
    return {
        "mixture": batch["mixture"][0],
        "targets": batch["targets"][0],
        "sums": batch["sums"][0],
    }
