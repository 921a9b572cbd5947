"""Containers of one header and samples to the end: AU, NIST SPHERE, VOC."""

from __future__ import annotations

import re
import struct

from unmask.audio.lengths.chunks import is_unknown, settle
from unmask.audio.lengths.parts import MOST_CHUNKS, Bytes, Found, Part

#: Bits of a sample of AU, by its number of the encoding.
_AU_BITS = {1: 8, 2: 8, 3: 16, 4: 24, 5: 32, 6: 32, 7: 64, 23: 4, 24: 4, 25: 3, 26: 5, 27: 8}
_SOUND, _CONTINUED, _SILENCE, _SOUND_16 = 1, 2, 3, 9
_VOC_WRAP = 1 << 24


def au(file: Bytes, start: int) -> Found:
    """Sun and NeXT, of either byte order."""
    head = file.at(start, 24)
    if len(head) < 24:
        return Found(Part(start, file.size), file.size)
    order = ">" if head[:4] == b".snd" else "<"
    offset, length, encoding, rate, n_channels = struct.unpack(f"{order}5I", head[4:])
    place = start + offset
    unknown = is_unknown(length)
    n_bytes, end = settle(file, place, length, unknown=unknown, tail=lambda end: end)
    fixed = unknown or n_bytes == length
    patches = () if fixed else ((start + 8, b"\xff" * 4),)
    bytes_per_s = rate * n_channels * _AU_BITS.get(encoding, 0) / 8
    return Found(Part(start, place + n_bytes, patches), end, bytes_per_s)


def nist(file: Bytes, start: int) -> Found:
    """NIST SPHERE: lines of text in a header whose size is its second line."""
    lines = file.at(start, 16).split(b"\n")
    n_head = int(lines[1]) if len(lines) > 1 and lines[1].strip().isdigit() else 1024
    text = file.at(start, min(n_head, 1 << 16))
    values = dict(re.findall(rb"(?m)^(\w+) -[irs]\d* (\S+)", text))
    numbers = [
        int(values.get(name, b"0")) if values.get(name, b"0").isdigit() else 0
        for name in (b"sample_count", b"channel_count", b"sample_n_bytes", b"sample_rate")
    ]
    n_samples, n_channels, width, rate = numbers
    length = n_samples * n_channels * width
    if b"embedded" in values.get(b"sample_coding", b""):
        length = 0
    n_bytes, end = settle(
        file, start + n_head, length, unknown=length == 0, tail=lambda place: place
    )
    return Found(Part(start, start + n_head + n_bytes), end, float(rate * n_channels * width))


def voc(file: Bytes, start: int) -> Found | None:
    """Creative Voice: blocks with lengths of 24 bits; None if there is more than one of sound."""
    first = place = start + struct.unpack("<H", file.at(start, 22).ljust(22, b"\0")[20:])[0]
    n_sounds = 0
    for _ in range(MOST_CHUNKS):
        head = file.at(place, 4)
        if len(head) < 4 or head[0] == 0:
            break
        is_sound = head[0] in {_SOUND, _CONTINUED, _SILENCE, _SOUND_16}
        n_sounds += is_sound
        place += 4 + int.from_bytes(head[1:], "little")
        left = file.size - place - 1
        if is_sound and n_sounds == 1 and left >= _VOC_WRAP and left % _VOC_WRAP == 0:
            place = file.size  # the header holds 24 bits only
        if place > file.size:
            raise file.short(place - file.size)
    else:
        raise file.damaged(f"it has more than {MOST_CHUNKS} blocks")
    end = min(file.size, place + 1)
    if n_sounds > 1:
        return None
    rate = 0.0
    if file.at(first, 1)[:1] == bytes([_SOUND_16]):
        rate, bits, n_channels = struct.unpack("<IBB", file.at(first + 4, 6).ljust(6, b"\0"))
        rate *= bits * n_channels / 8
    return Found(Part(start, end), end, rate)
