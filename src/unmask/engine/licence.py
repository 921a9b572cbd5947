"""What the licence of a model's weights keeps its users from."""

import re

_NO_COMMERCE = re.compile(r"\bnc\b|non-?commercial", re.IGNORECASE)


def forbids_commerce(licence: object) -> bool:
    """Tell whether a licence, as a model file names it, says that commercial use is not free.

    Examples
    --------
    >>> forbids_commerce("CC BY-NC-SA 4.0"), forbids_commerce("MIT"), forbids_commerce(None)
    (True, False, False)
    """
    return isinstance(licence, str) and _NO_COMMERCE.search(licence) is not None


def short(licence: object) -> str:
    """Return the name of a licence, without what a model file says about it in brackets.

    Examples
    --------
    >>> short("CC-BY-NC-SA-4.0 (trained on non-commercial recordings)"), short(None)
    ('CC-BY-NC-SA-4.0', '')
    """
    return str(licence or "").partition(" (")[0]
