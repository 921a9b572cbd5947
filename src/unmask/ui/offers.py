"""The models that the page offers, each loaded once it is wanted."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unmask.engine.licence import forbids_commerce, short
from unmask.engine.model import Model, load_model
from unmask.errors import UnmaskError, one_line


@dataclass(frozen=True)
class Offer:
    """A model by the name that :func:`unmask.load_model` takes."""

    name: str
    about: str = ""
    """When one takes it."""


class Models:
    """Models by name, loaded when they are used first.

    Parameters
    ----------
    offers : sequence of Offer
        The first is chosen unless told otherwise.
    threads : int
        Of the network.
    providers : sequence of str
        What runs it, best first.
    """

    def __init__(
        self, offers: Sequence[Offer], *, threads: int = 1, providers: Sequence[str] = ()
    ) -> None:
        self._offers = {offer.name: offer for offer in offers}
        self._threads, self._providers = threads, tuple(providers)
        self._loaded: dict[str, Model] = {}
        self._lock = threading.Lock()

    def __contains__(self, name: object) -> bool:
        return name in self._offers

    def get(self, name: str) -> Model:
        """Return a model that is offered.

        Raises
        ------
        KeyError
            If it is not.
        UnmaskError
            As :func:`unmask.load_model`.
        """
        offer = self._offers[name]
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = load_model(
                    offer.name, threads=self._threads, providers=self._providers
                )
            return self._loaded[name]

    def said(self) -> list[dict[str, Any]]:
        """Return what the page tells of every model; of one that cannot be read, why."""
        return [self._said(offer) for offer in self._offers.values()]

    def _said(self, offer: Offer) -> dict[str, Any]:
        try:
            model = self.get(offer.name)
        except UnmaskError as error:
            return {"name": offer.name, "title": offer.name, "error": one_line(error)}
        licence = model.metadata.get("licence")
        return {
            "name": offer.name,
            "title": model.name,
            "about": offer.about,
            "stems": list(model.stems),
            "residual": model.residual,
            "has_rest": not model.residual_is_source,
            "licence": short(licence),
            "is_not_commercial": forbids_commerce(licence),
        }
