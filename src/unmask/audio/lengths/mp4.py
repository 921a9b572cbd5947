"""MP4 and relatives: boxes that say how long they are."""

from __future__ import annotations

import struct

from unmask.audio.lengths.parts import MOST_CHUNKS, Bytes


def check(file: Bytes, start: int) -> tuple[str, ...]:
    """Refuse an MP4 that ends within a box, or that holds a second one; other files pass.

    Raises
    ------
    AudioFileError
        If it does.
    """
    if file.at(start + 4, 4) != b"ftyp":
        return ()
    place, n_indices = start, 0
    for _ in range(MOST_CHUNKS):
        header = file.at(place, 16)
        if len(header) < 8:
            break
        length, name = struct.unpack(">I4s", header[:8])
        if length == 1 and len(header) == 16:
            length = struct.unpack(">Q", header[8:])[0]
        if length == 0:  # to the end
            break
        if length < 8 or not name.isascii():
            return (f"{file.size - place} bytes at its end are no sound and no tag",)
        n_indices += name == b"moov"
        place += length
        if name == b"mdat" and place > file.size:
            raise file.short(place - file.size)
    if n_indices > 1:
        raise file.damaged(f"it holds {n_indices} recordings, of which one would be read")
    return ()
