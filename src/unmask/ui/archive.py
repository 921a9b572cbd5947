"""Files as one ZIP archive that is sent while it is made: nothing of it is on the disk."""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

_BLOCK = 1 << 20


class _Pipe:
    """What a ZIP archive is written to, and taken from at once."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes, /) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def taken(self) -> bytes:
        parts, self._parts = b"".join(self._parts), []
        return parts


def zipped(files: Mapping[str, Path]) -> Iterator[bytes]:
    """Yield the bytes of an archive of files as they are, which sound does not shrink.

    Parameters
    ----------
    files : mapping of str to path
        Name in the archive -> file.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for name, path in files.items():
            info = zipfile.ZipInfo.from_file(path, name)
            with path.open("rb") as file, archive.open(info, "w") as member:
                while part := file.read(_BLOCK):
                    member.write(part)
                    yield pipe.taken()
    yield pipe.taken()
