"""The file itself: an uncompressed ``.npz``, written and read in blocks of frames.

Frames are the slowest axis in the file (Fortran's order), so that blocks follow one another; masks
that NumPy saved in the other order, or compressed, are read as well.
"""

import io
import lzma
import math
import mmap
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from unmask._arrays import Array, to_numpy
from unmask.errors import FileError, ShapeError, SignalError, UnmaskError
from unmask.files import staged, writing
from unmask.mask_files.header import Header, parse

_MASKS, _HEADER = "masks.npy", "header.npy"
_TYPES = {"float16", "float32", "float64", "complex64", "complex128", "bool"}
_MOST_HEADER = 1 << 18
_COPY = 1 << 22
#: Times that compressed masks may be larger than their file, above some size: zeros reach 1000.
_MOST_RATIO, _FREE_BYTES = 200, 1 << 26
#: Frames of a block that is handed out.
_BLOCK = 64
_EPOCH = (1980, 1, 1, 0, 0, 0)
_IS_ENCRYPTED = 1
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class Masks:
    """Masks and what they are for.

    Raises
    ------
    ShapeError
        If `masks` has another shape than the header's.
    SignalError
        If its type is none of real or complex floating point, or of true and false.
    """

    masks: Array
    """(source, channel, freq, frame), real or complex."""
    header: Header
    name: str = "masks"
    """What errors call them."""

    def __post_init__(self) -> None:
        _check(self.masks.dtype, tuple(self.masks.shape), self.header, self.name)

    def blocks(self) -> Iterator[Array]:
        """Yield all frames in blocks, float32 or complex64.

        Raises
        ------
        SignalError
            If a value is NaN or infinite.
        """
        for first in range(0, self.header.shape[-1], _BLOCK):
            yield self.frames(first, first + _BLOCK)

    def frames(self, first: int, stop: int) -> Array:
        """Return some frames, as :meth:`blocks` does."""
        block = to_numpy(self.masks[..., first:stop])
        with np.errstate(over="ignore"):  # found below
            block = block.astype(np.complex64 if block.dtype.kind == "c" else np.float32)
        _let_go(self.masks)
        _check_finite(block, first, self.name)
        return block


class MaskWriter:
    """Write masks block by block; the file appears whole or not at all.

    Parameters
    ----------
    path
        The ``.npz`` file; its folder must exist.
    header : Header
    is_complex : bool
        Whether masks are written as complex64, else as float32.

    Raises
    ------
    FileError
        If it cannot be written there.
    ShapeError
        If blocks have another shape, or other frames in all, than the header says.
    SignalError
        If a value is NaN or infinite, or complex where real ones were promised.
    """

    def __init__(self, path: str | Path, header: Header, *, is_complex: bool) -> None:
        self.path, self.header = Path(path), header
        if self.path.suffix.lower() != ".npz":
            raise FileError(f"{path}: masks are written to .npz files; change the name")
        self._dtype = np.dtype("<c8" if is_complex else "<f4")
        self._n_frames = 0

    @property
    def share(self) -> float:
        """What share of the frames is written."""
        return self._n_frames / self.header.shape[-1]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            partial = stack.enter_context(staged(self.path))
            with writing(self.path):
                archive = zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED)
                stack.enter_context(archive)
                archive.writestr(_info(_HEADER), _npy(np.array(self.header.text())))
                self._file = stack.enter_context(archive.open(_info(_MASKS), "w", force_zip64=True))
                self._file.write(_npy_head(self.header.shape, self._dtype))
            self._stack = stack.pop_all()
        return self

    def write(self, masks: Array) -> None:
        """Write the next frames, (source, channel, freq, frame).

        Raises
        ------
        ShapeError
            If they have another shape than the header says, or are too many.
        SignalError
            If a value is NaN or infinite, or complex where real ones were promised.
        """
        masks, shape = to_numpy(masks), self.header.shape
        n_frames = self._n_frames + masks.shape[-1]
        if masks.shape[:-1] != shape[:-1] or n_frames > shape[-1]:
            raise ShapeError(
                f"{self.path}: masks {masks.shape} after {self._n_frames} frames, expected {shape} "
                "in all: (source, channel, freq, frame)"
            )
        if masks.dtype.kind == "c" and self._dtype.kind != "c":
            raise SignalError(f"{self.path}: masks are complex, real ones were promised")
        with np.errstate(over="ignore"):
            masks = masks.astype(self._dtype)
        _check_finite(masks, self._n_frames, self.path)
        with writing(self.path):
            self._file.write(masks.tobytes(order="F"))
        self._n_frames = n_frames

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, traceback)
            return
        with self._stack:
            if self._n_frames < self.header.shape[-1]:
                raise ShapeError(
                    f"{self.path}: {self._n_frames} frames of masks, "
                    f"expected {self.header.shape[-1]}"
                )


def save(path: str | Path, masks: Masks) -> None:
    """Write masks to an ``.npz`` file, whole or not at all.

    Raises
    ------
    FileError, SignalError
        As :class:`MaskWriter`.
    """
    is_complex = "complex" in str(masks.masks.dtype)
    with MaskWriter(path, masks.header, is_complex=is_complex) as writer:
        for block in masks.blocks():
            writer.write(block)


def load(path: str | Path, *, mapped: bool = False) -> Masks:
    """Read a file of masks.

    Parameters
    ----------
    path
        Written by :func:`save`, or by ``numpy.savez`` with the arrays ``masks`` and ``header``.
    mapped : bool
        Leave masks on disk until they are used, for files larger than the memory. They then cannot
        be changed, and nobody may write to the file meanwhile (replace it: :func:`save` does).

    Raises
    ------
    FileError
        If it is none: no zip file, damaged, with other or pickled arrays, of another shape than the
        front-end in its header has, or a small file that unpacks to a huge one.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path)
            with archive.open(_HEADER) as file:
                header = parse(_text(file.read(), path), path)
            masks = _array(archive, path, header)
        return Masks(masks if mapped else np.array(masks), header, str(path))
    except UnmaskError as error:
        raise error if isinstance(error, FileError) else FileError(str(error)) from error
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}; check it") from error
    # What zipfile and NumPy say of bytes that are none of theirs.
    except (*_DAMAGED, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise FileError(
            f"{path}: is damaged or no .npz file of masks ({error}); save the masks again"
        ) from error


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    members = archive.infolist()
    names = sorted(member.filename for member in members)
    if names != sorted([_MASKS, _HEADER]):
        said = ", ".join(names[:4]) or "nothing"
        raise FileError(
            f"{path}: holds {said}, expected the arrays masks and header and nothing else; "
            "numpy.savez(file, masks=masks, header=header) writes it"
        )
    if any(member.flag_bits & _IS_ENCRYPTED for member in members):
        raise FileError(f"{path}: is encrypted, expected a plain .npz; save the masks again")
    if archive.getinfo(_HEADER).file_size > _MOST_HEADER:
        raise FileError(f"{path}: its header is too long to be one; save the masks again")
    large = archive.getinfo(_MASKS)
    if large.file_size > max(_FREE_BYTES, _MOST_RATIO * large.compress_size):
        raise FileError(
            f"{path}: unpacks to {large.file_size / 1e6:.0f} MB from "
            f"{large.compress_size / 1e6:.1f} MB, expected at most {_MOST_RATIO} times as much; "
            "save the masks without compression (numpy.savez)"
        )


def _text(content: bytes, path: Path) -> str:
    array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    if array.dtype.kind != "U" or array.shape != ():
        raise FileError(f"{path}: its header is no text; save the masks again")
    return str(array)


def _array(archive: zipfile.ZipFile, path: Path, header: Header) -> Array:
    """Return the masks, mapped from the file, or from a copy if they are compressed."""
    member = archive.getinfo(_MASKS)
    with archive.open(member) as file:
        shape, is_fortran, dtype = _npy_shape(file, path)
        _check(dtype, shape, header, str(path))
        start = file.tell()
        if member.file_size - start != math.prod(shape) * dtype.itemsize:
            raise FileError(f"{path}: its masks end early; save them again")
        order = "F" if is_fortran else "C"
        if member.compress_type != zipfile.ZIP_STORED:
            with tempfile.TemporaryFile() as copy:  # the map keeps it
                shutil.copyfileobj(file, copy, _COPY)
                copy.flush()
                return np.memmap(copy, dtype, "r", shape=shape, order=order)  # type: ignore[call-overload]
        while file.read(_COPY):  # to the end: it compares the checksum
            pass
    offset = _data_offset(path, member.header_offset) + start
    return np.memmap(path, dtype, "r", offset, shape, order)  # type: ignore[call-overload]


def _npy_shape(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise FileError(f"{path}: masks are of .npy version {version}, expected 1.0; save them again")


def _data_offset(path: Path, header_offset: int) -> int:
    """Return where the bytes of a member begin, after its local header."""
    with path.open("rb") as file:
        file.seek(header_offset + 26)
        sizes = file.read(4)
    return (
        header_offset + 30 + sum(int.from_bytes(size, "little") for size in (sizes[:2], sizes[2:]))
    )


def _let_go(masks: Array) -> None:
    """Let go of what was read of a map: the memory in use would seem to grow with the file."""
    base = getattr(masks, "base", None)
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)


def _check(dtype: Any, shape: tuple[int, ...], header: Header, name: str) -> None:
    """Refuse masks of another type or shape."""
    kind = str(dtype).removeprefix("torch.").lstrip("<>=")
    kind = dtype.name if isinstance(dtype, np.dtype) else kind
    if isinstance(dtype, np.dtype) and dtype.hasobject:
        raise SignalError(f"{name}: masks are pickled objects, expected numbers; never load those")
    if kind not in _TYPES:
        raise SignalError(f"{name}: masks are {kind}, expected float or complex numbers")
    if shape != header.shape:
        raise ShapeError(
            f"{name}: masks have shape {shape}, expected {header.shape}, (source, channel, freq, "
            f"frame), for {header.n_samples} samples with {header.stft}; they are of another "
            "front-end or recording"
        )


def _check_finite(block: Array, first: int, name: object) -> None:
    wrong = ~np.isfinite(block)
    if wrong.any():
        source, channel, freq, frame = (int(k) for k in np.argwhere(wrong)[0])
        raise SignalError(
            f"{name}: the mask at {(source, channel, freq, first + frame)} is "
            f"{block[source, channel, freq, frame]}, expected a finite number; mend the masks"
        )


def _info(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, _EPOCH)  # the same masks give the same bytes


def _npy(array: Array) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=False)
    return file.getvalue()


def _npy_head(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    file = io.BytesIO()
    said = {"descr": dtype.str, "fortran_order": True, "shape": shape}
    np.lib.format.write_array_header_1_0(file, said)
    return file.getvalue()
