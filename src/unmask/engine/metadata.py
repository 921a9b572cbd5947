"""What a model file says about itself: JSON that is checked field by field and never executed."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from unmask.errors import ModelError

#: Format of the metadata that this version reads and writes, see docs/architecture.md.
FORMAT = 2
#: Lowest and highest sample rate that is separated, in Hz.
SAMPLE_RATES = (8000, 192000)

_Check = Callable[[Any], bool]


def _is_a(kind: type) -> _Check:
    return lambda value: isinstance(value, kind)


def _is_int(low: int, high: float = math.inf) -> _Check:
    return lambda value: type(value) is int and low <= value <= high


def _is_word(pattern: str) -> _Check:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


# Names become parts of file names: nothing in them may lead out of a folder.
_is_name = _is_word(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_is_stem = _is_word(r"[a-z0-9][a-z0-9_-]*")


def _are_stems(value: Any) -> bool:
    return (
        isinstance(value, list) and all(map(_is_stem, value)) and 0 < len(set(value)) == len(value)
    )


def _are_options(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and "sample_rate" not in value  # the model's own
        and all(isinstance(x, int | float | None) for x in value.values())
    )


def _are_states(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(state, dict)
        and isinstance(state.get("name"), str)
        and isinstance(state.get("shape"), list)
        and all(map(_is_int(1), state["shape"]))
        for state in value
    )


# Field -> check, and what is expected in words.
_FIELDS: Mapping[str, tuple[_Check, str]] = {
    "name": (_is_name, "letters, digits and . _ -"),
    "version": (_is_a(str), "a string"),
    "task": (_is_a(str), "a string"),
    "sample_rate": (_is_int(*SAMPLE_RATES), f"{SAMPLE_RATES[0]} to {SAMPLE_RATES[1]}"),
    "frontend": (_is_a(dict), "an object"),
    "frontend.kind": (lambda value: value in _FRONTENDS, "'stft' or 'frames'"),
    "channels": (_is_int(1, 8), "1 to 8"),
    "mask": (_is_a(dict), "an object"),
    "mask.family": (_is_a(str), "the name of a mask family"),
    "mask.options": (_are_options, "an object of numbers"),
    "stems": (_are_stems, "a list of different lower-case names"),
    "residual": (lambda value: value is None or _is_stem(value), "a lower-case name or null"),
    "lookahead_frames": (_is_int(0, 10_000), "a whole number >= 0"),
    "context_frames": (_is_int(0, 10_000), "a whole number >= 0"),
    "unit_frames": (_is_int(1, 10_000), "a whole number >= 1"),
    "state": (_are_states, 'a list of {"name": string, "shape": [sizes]}'),
}


# Kind of front-end -> its other fields, all of them.
_FRONTENDS: Mapping[str, Mapping[str, tuple[_Check, str]]] = {
    "stft": {
        "frontend.n_fft": (_is_int(2, 2**17), "2 to 131072"),
        "frontend.hop": (_is_int(1, 2**17), "1 to n_fft"),
        "frontend.window": (_is_a(str), "the name of a window"),
    },
    "frames": {
        "frontend.length": (_is_int(1, 2**17), "1 to 131072"),
        "frontend.hop": (_is_int(1, 2**17), "1 to length"),
    },
}

# What a field is when a file leaves it out.
_DEFAULTS: Mapping[str, Any] = {"context_frames": 0, "unit_frames": 1, "channels": 1}


def parse(text: str, subject: object) -> dict[str, Any]:
    """Return the metadata that `text` holds, checked.

    Fields that this version does not know are kept; those of networks that work in chunks are added
    where they are left out.

    Parameters
    ----------
    text : str
        The entry ``unmask`` of a model's metadata, JSON.
    subject : str or path
        What errors name.

    Raises
    ------
    ModelError
        If it is no JSON, of another format, or a field is missing or not as it should be.
    """
    try:
        metadata = json.loads(text)
    except json.JSONDecodeError as error:
        raise ModelError(f"{subject}: metadata is no JSON: {error}; export it again") from error
    number: Any = metadata.get("format") if isinstance(metadata, dict) else None
    if not _is_int(1)(number):
        raise ModelError(f"{subject}: metadata has no format number; export it again")
    if number != FORMAT:
        remedy = "update unmask" if number > FORMAT else "export it again"
        raise ModelError(f"{subject}: has format {number}, this version reads {FORMAT}; {remedy}")
    metadata = {**_DEFAULTS, **metadata}
    _check_fields(_FIELDS, metadata, subject)
    front = metadata["frontend"]
    fields = _FRONTENDS[front["kind"]]
    _check_fields(fields, metadata, subject)
    if unknown := sorted(front.keys() - {name.partition(".")[2] for name in fields} - {"kind"}):
        raise ModelError(f"{subject}: metadata field frontend has {unknown}; export it again")
    if metadata["residual"] in metadata["stems"]:
        raise ModelError(
            f"{subject}: metadata field residual is {metadata['residual']!r}, which is a stem; "
            "export it again"
        )
    _check_chunks(metadata, subject)
    return metadata


def _check_fields(
    fields: Mapping[str, tuple[_Check, str]], metadata: Mapping[str, Any], subject: object
) -> None:
    for name, (check, expected) in fields.items():
        value: Any = metadata
        for key in name.split("."):
            value = value.get(key)
        if not check(value):
            raise ModelError(
                f"{subject}: metadata field {name} is {value!r:.80}, expected {expected}; "
                "export it again"
            )


def _check_chunks(metadata: Mapping[str, Any], subject: object) -> None:
    """Refuse a network that works in chunks and on whose grid its context does not fit."""
    context, unit = metadata["context_frames"], metadata["unit_frames"]
    if context % unit:
        raise ModelError(
            f"{subject}: metadata field context_frames is {context}, expected a multiple of "
            f"unit_frames = {unit}; export it again"
        )
    if (context or unit > 1) and (metadata["state"] or metadata["lookahead_frames"]):
        raise ModelError(
            f"{subject}: metadata has context_frames = {context} and unit_frames = {unit}, "
            "expected neither state nor lookahead_frames beside them; export it again"
        )
