"""What a model file says about itself: JSON that is checked field by field and never executed."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unmask.errors import ModelError, printable

#: Format of the metadata that this version reads and writes, see docs/architecture.md.
FORMAT = 2
#: Lowest and highest sample rate that is separated, in Hz.
SAMPLE_RATES = (8000, 192000)
# What a file may ask for before it is used: names, values of its state and of its smallest call
# (128 MB), levels of objects. A thousand times what networks need, and machines have.
_MOST_NAMES = 256
_MOST_VALUES = 2**25
_MOST_LEVELS = 32
_MOST_OVERLAP = 64

_Check = Callable[[Any], bool]


def _is_a(kind: type) -> _Check:
    return lambda value: isinstance(value, kind)


def _is_int(low: int, high: float = math.inf) -> _Check:
    return lambda value: type(value) is int and low <= value <= high


def _is_word(pattern: str) -> _Check:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


# Names become parts of file names: nothing in them may lead out of a folder, or be a device.
_DEVICE = r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(?:\.|$))"
_is_name = _is_word(_DEVICE + r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
_is_stem = _is_word(_DEVICE + r"[a-z0-9][a-z0-9_-]{0,63}")
_is_variable = _is_word(r"[A-Za-z0-9_.:/-]{1,128}")


def _is_text(most: int) -> _Check:
    return lambda value: isinstance(value, str) and len(value) <= most and value.isprintable()


def _are_different(names: Sequence[Any], is_one: _Check) -> bool:
    return all(map(is_one, names)) and len(set(names)) == len(names) <= _MOST_NAMES


def _are_stems(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and _are_different(value, _is_stem)


def _are_options(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and not value.keys() & {"name", "paper", "sample_rate"}  # not theirs to say
        and all(x is None or (isinstance(x, int | float) and abs(x) <= 1e6) for x in value.values())
    )


def _are_states(value: Any) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(state, dict) and _is_shape(state.get("shape")) for state in value)
        and _are_different([state.get("name") for state in value], _is_variable)
        and sum(math.prod(state["shape"]) for state in value) <= _MOST_VALUES
    )


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 8 and all(map(_is_int(1, 2**24), value))


def _is_number(low: float, high: float) -> _Check:
    return lambda value: type(value) in (int, float) and low <= value <= high


def _is_level(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict)
        and value.keys() == {"rms", "seconds"}
        and _is_number(1e-6, 1e6)(value["rms"])
        and _is_number(1e-3, 1e4)(value["seconds"])
    )


# Field -> check, and what is expected in words.
FIELDS: Mapping[str, tuple[_Check, str]] = {
    "name": (_is_name, "a file name of letters, digits and . _ -, at most 64"),
    "version": (_is_text(64), "a string of a line, at most 64 characters"),
    "task": (_is_text(64), "a string of a line, at most 64 characters"),
    "sample_rate": (_is_int(*SAMPLE_RATES), f"{SAMPLE_RATES[0]} to {SAMPLE_RATES[1]}"),
    "frontend": (_is_a(dict), "an object"),
    "frontend.kind": (lambda value: value in _FRONTENDS, "'stft' or 'frames'"),
    "channels": (_is_int(1, 8), "1 to 8"),
    "mask": (_is_a(dict), "an object"),
    "mask.family": (_is_text(128), "the name of a mask family"),
    "mask.options": (_are_options, "an object of numbers up to 1e6"),
    "stems": (_are_stems, "a list of different lower-case names"),
    "residual": (lambda value: value is None or _is_stem(value), "a lower-case name or null"),
    "lookahead_frames": (_is_int(0, 10_000), "a whole number >= 0"),
    "context_frames": (_is_int(0, 10_000), "a whole number >= 0"),
    "unit_frames": (_is_int(1, 10_000), "a whole number >= 1"),
    "level": (_is_level, 'null or {"rms": 1e-6 to 1e6, "seconds": 0.001 to 10000}'),
    "slow_terms": (_is_int(0, 8), "0 to 8"),
    "permutation": (lambda value: value in ("fixed", "free"), "fixed or free"),
    "slow_stem": (lambda value: value is None or _is_stem(value), "a lower-case name or null"),
    "state": (
        _are_states,
        'a list of {"name": string, "shape": [sizes]}, different names, '
        f"at most {_MOST_NAMES} and {_MOST_VALUES} values",
    ),
}


# Kind of front-end -> its other fields, all of them.
_FRONTENDS: Mapping[str, Mapping[str, tuple[_Check, str]]] = {
    "stft": {
        "frontend.n_fft": (_is_int(2, 2**17), "2 to 131072"),
        "frontend.hop": (_is_int(1, 2**17), "1 to n_fft"),
        "frontend.window": (_is_text(64), "the name of a window"),
    },
    "frames": {
        "frontend.length": (_is_int(1, 2**17), "1 to 131072"),
        "frontend.hop": (_is_int(1, 2**17), "1 to length"),
    },
}

# What a field is when a file leaves it out.
DEFAULTS: Mapping[str, Any] = {
    "context_frames": 0,
    "unit_frames": 1,
    "channels": 1,
    "level": None,
    "slow_terms": 0,
    "slow_stem": None,
    "permutation": "fixed",
}


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
    metadata = _object(text, subject)
    number: Any = metadata.get("format") if isinstance(metadata, dict) else None
    if not _is_int(1)(number):
        raise ModelError(f"{subject}: metadata has no format number; export it again")
    if number != FORMAT:
        remedy = "update unmask" if number > FORMAT else "export it again"
        raise ModelError(f"{subject}: has format {number}, this version reads {FORMAT}; {remedy}")
    metadata = {**metadata, **{k: v for k, v in DEFAULTS.items() if k not in metadata}}
    _check_fields(FIELDS, metadata, subject)
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
    if (slow := metadata["slow_stem"]) is not None and (
        slow not in metadata["stems"] or metadata["residual"] is not None
    ):
        raise ModelError(
            f"{subject}: metadata field slow_stem is {slow!r}, expected a stem of a model "
            "without a residual; export it again"
        )
    if metadata["slow_terms"] and front["kind"] != "stft":
        raise ModelError(
            f"{subject}: metadata field slow_terms is {metadata['slow_terms']}, expected 0 with a "
            "learned front-end, whose frames are short; export it again"
        )
    _check_chunks(metadata, subject)
    _check_sizes(metadata, subject)
    return metadata


def _object(text: str, subject: object) -> Any:
    """Return what JSON says; NaN and infinity, which it lacks and Python writes, are null."""
    try:
        found = json.loads(
            text, parse_int=_whole, parse_float=_finite, parse_constant=lambda _: None
        )
    except (ValueError, RecursionError) as error:
        wrong = printable(str(error)).partition("\n")[0]
        raise ModelError(f"{subject}: metadata is no JSON: {wrong}; export it again") from None
    level = [found]
    for _ in range(_MOST_LEVELS):
        level = [inner for value in level for inner in _inside(value)]
    if level:
        raise ModelError(
            f"{subject}: metadata has objects in objects, more than {_MOST_LEVELS}; export it again"
        )
    return found


def _inside(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _whole(digits: str) -> int:
    if len(digits) > 19:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _check_fields(
    fields: Mapping[str, tuple[_Check, str]], metadata: Mapping[str, Any], subject: object
) -> None:
    for name, (check, expected) in fields.items():
        value: Any = metadata
        for key in name.split("."):
            if key not in value:
                raise ModelError(
                    f"{subject}: metadata field {name} is missing, expected {expected}; "
                    "export it again"
                )
            value = value[key]
        if not check(value):
            raise ModelError(
                f"{subject}: metadata field {name} is {value!r:.80}, expected {expected}; "
                "export it again"
            )


def _check_sizes(metadata: Mapping[str, Any], subject: object) -> None:
    """Refuse networks whose frames overlap beyond use, or whose smallest call fills the memory."""
    front = metadata["frontend"]
    length = front["n_fft"] if front["kind"] == "stft" else front["length"]
    if length > _MOST_OVERLAP * front["hop"]:
        raise ModelError(
            f"{subject}: metadata field frontend.hop is {front['hop']}, expected at least "
            f"1/{_MOST_OVERLAP} of {length}; export it again"
        )
    n_frames = metadata["lookahead_frames"] + 2 * metadata["context_frames"]
    n_values = metadata["channels"] * (length + 2) * (n_frames + metadata["unit_frames"])
    if n_values > _MOST_VALUES:
        raise ModelError(
            f"{subject}: metadata asks for calls of {n_values} values, expected at most "
            f"{_MOST_VALUES} in frontend, channels, lookahead, context and unit; export it again"
        )


def _check_chunks(metadata: Mapping[str, Any], subject: object) -> None:
    """Refuse a network that works in chunks and on whose grid its context does not fit."""
    context, unit = metadata["context_frames"], metadata["unit_frames"]
    if context % unit:
        raise ModelError(
            f"{subject}: metadata field context_frames is {context}, expected a multiple of "
            f"unit_frames = {unit}; export it again"
        )
    if context and (metadata["state"] or metadata["lookahead_frames"]):
        raise ModelError(
            f"{subject}: metadata has context_frames = {context}, expected neither state nor "
            "lookahead_frames beside it; export it again"
        )
