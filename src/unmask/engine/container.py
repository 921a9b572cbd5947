"""What an ONNX file holds, looked at before anything runs it.

A model needs weights inside its file, operators of ONNX, and one graph. What else the format allows
can read other files, never end, or fill the memory: it is refused by its place in the file, before
ONNX Runtime sees it. What is not known here is stepped over; what the file's encoding could hide
from this reader and show to another is refused too.
"""

from collections.abc import Callable, Iterator, Mapping
from math import prod
from pathlib import Path

from unmask.errors import ModelError

#: Largest file that its encoding allows, in bytes.
MOST_BYTES = 2**31 - 1
# Largest metadata in bytes, most entries of a file: a network of 500 layers has 10 000.
_MOST_METADATA = 2**20
_MOST_ENTRIES = 2**20
# Most values of a constant that is made of its shape (256 MB), most bytes of a shape.
_MOST_VALUES, _MOST_SHAPE = 2**26, 256

_Value = memoryview | int
# What is wrong with an entry: a text, a check of its value, or the rules of the entries inside it.
_Rules = Mapping[int, "_Rule"]
_Rule = str | Callable[[_Value], str | None] | _Rules


class _BrokenError(Exception):
    """Bytes are not of this encoding."""


def _foreign(domain: _Value) -> str | None:
    known = isinstance(domain, memoryview) and bytes(domain) in (b"", b"ai.onnx")
    return None if known else "holds operators that are not ONNX's own"


# Numbers of the entries, from onnx.proto.
_EXTERNAL = "refers to data outside of the file"
_INNER = "holds graphs inside of operators (If, Loop, Scan)"
_SPARSE = "holds sparse weights"
_TENSOR: _Rules = {13: _EXTERNAL, 14: lambda place: _EXTERNAL if place else None}
_ATTRIBUTE: _Rules = {5: _TENSOR, 10: _TENSOR, 6: _INNER, 11: _INNER, 22: _SPARSE, 23: _SPARSE}
_NODE: _Rules = {5: _ATTRIBUTE, 7: _foreign}
_GRAPH: _Rules = {1: _NODE, 5: _TENSOR, 15: _SPARSE}
_MODEL: _Rules = {7: _GRAPH, 20: "holds training steps", 25: "holds functions of its own"}
_MODEL_GRAPH, _MODEL_METADATA, _KEY, _VALUE = 7, 14, 1, 2
_NODES, _TENSORS, _INPUT, _OUTPUT, _OPERATOR, _ATTRIBUTES = 1, 5, 1, 2, 4, 5
_DATA_TYPE, _INT64, _INTEGERS, _TENSOR_NAME, _RAW = 2, 7, 7, 8, 9


def metadata_of(content: bytes, path: Path) -> str:
    """Return the metadata entry ``unmask`` of a model's bytes, once they are found sound.

    Raises
    ------
    ModelError
        If they are no ONNX file, hold what no model needs, or no such entry.
    """
    try:
        # The encoding of ONNX Runtime's own, which it would take as well.
        if content[4:8] == b"ORTM" or not _is_sound(content, path):
            raise _BrokenError
        _check_constants(content, path)
        text = _entry(content, path)
    except _BrokenError:
        raise ModelError(
            f"{path}: is not an ONNX file, or not a whole one; "
            "make one of a training run with `unmask export`"
        ) from None
    if text is None:
        raise ModelError(
            f"{path}: is an ONNX file without the metadata 'unmask'; "
            "make one of a training run with `unmask export`"
        )
    return text


def _is_sound(content: bytes, path: Path) -> bool:
    """Return whether there is a graph; refuse what none may hold."""
    todo: list[tuple[memoryview, _Rules]] = [(memoryview(content), _MODEL)]
    n_entries, has_graph = 0, False
    while todo:
        message, rules = todo.pop()
        for number, value in _entries(message):
            n_entries += 1
            if n_entries > _MOST_ENTRIES:
                raise ModelError(f"{path}: has more than {_MOST_ENTRIES} entries; export it again")
            rule = rules.get(number)
            if rule is None:
                continue
            if isinstance(rule, Mapping):
                if isinstance(value, int):
                    raise _BrokenError
                has_graph |= rule is _GRAPH
                todo.append((value, rule))
            elif wrong := rule if isinstance(rule, str) else rule(value):
                raise ModelError(f"{path}: {wrong}, which no model needs; export it again")
    return has_graph


def _check_constants(content: bytes, path: Path) -> None:
    """Refuse a constant that is small in the file and large once it is made of its shape."""
    sizes: dict[bytes, int] = {}
    wanted: list[bytes] = []
    for number, graph in _entries(memoryview(content)):
        if number != _MODEL_GRAPH or isinstance(graph, int):
            continue
        for kind, part in _entries(graph):
            if kind == _TENSORS and not isinstance(part, int):
                name, size = _size_by(part)
                sizes[name] = size
            elif kind == _NODES and not isinstance(part, int):
                entries = [(k, bytes(v)) for k, v in _entries(part) if not isinstance(v, int)]
                named = {k: v for k, v in reversed(entries)}  # the first input, the first output
                if named.get(_OPERATOR) == b"ConstantOfShape":
                    wanted.append(named.get(_INPUT, b""))
                elif named.get(_OPERATOR) == b"Constant" and _ATTRIBUTES in named:
                    tensor = dict(_entries(memoryview(named[_ATTRIBUTES]))).get(_TENSORS)
                    if isinstance(tensor, memoryview):
                        sizes[named.get(_OUTPUT, b"")] = _size_by(tensor)[1]
    if (largest := max((sizes.get(name, 0) for name in wanted), default=0)) > _MOST_VALUES:
        raise ModelError(
            f"{path}: makes a constant of {largest:.2g} values, expected at most {_MOST_VALUES}; "
            "export it again"
        )


def _size_by(tensor: memoryview) -> tuple[bytes, int]:
    """Return the name of a tensor, and the size of what has its few integers as shape."""
    name, values, is_int64 = b"", list[int](), False
    for number, value in _entries(tensor):
        if number == _DATA_TYPE:
            is_int64 = value == _INT64
        elif number == _INTEGERS and isinstance(value, int):
            values.append(value)
        elif isinstance(value, int):
            continue
        elif number == _TENSOR_NAME:
            name = bytes(value)
        elif number == _INTEGERS and len(value) < _MOST_SHAPE:
            at = 0
            while at < len(value):
                one, at = _varint(value, at)
                values.append(one)
        elif number == _RAW and len(value) < _MOST_SHAPE:
            raw = bytes(value)
            values += [int.from_bytes(raw[k : k + 8], "little") for k in range(0, len(raw), 8)]
    return name, prod(values) if is_int64 and len(values) < _MOST_SHAPE else 0


def _entry(content: bytes, path: Path) -> str | None:
    """Return the metadata entry ``unmask``."""
    size, found = 0, None
    for number, pair in _entries(memoryview(content)):
        if number != _MODEL_METADATA or isinstance(pair, int):
            continue
        size += len(pair)
        if size > _MOST_METADATA:
            raise ModelError(f"{path}: has more than {_MOST_METADATA} bytes of metadata")
        entry = dict(_entries(pair))
        key, value = (bytes(entry.get(part, b"")) for part in (_KEY, _VALUE))
        if key == b"unmask":
            found = value
    try:
        return None if found is None else found.decode()
    except UnicodeDecodeError:
        raise ModelError(f"{path}: metadata is no UTF-8 text; export it again") from None


def _entries(message: memoryview) -> Iterator[tuple[int, _Value]]:
    """Return number and value of the entries of a message: bytes, or an integer (0 for floats)."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        value: _Value = 0
        if kind == 0:
            value, at = _varint(message, at)
        elif kind == 2:
            size, at = _varint(message, at)
            value, at = message[at : at + size], at + size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise _BrokenError
        # Others cut a longer tag to 32 bits and would see another number.
        if at > end or not 0 < number < 2**29:
            raise _BrokenError
        yield number, value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the integer that begins at a place, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        value, at = value | (byte & 127) << shift, at + 1
        if byte < 128:
            return value, at
    raise _BrokenError
