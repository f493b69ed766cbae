"""Counts the parts of a picture file, and checks those that a decoder does not, before it sees the file. Pure.

A decoder works on each chunk of a PNG and on each marker segment of a JPEG, however small. The time to decode a JPEG also grows with its
scans: each one walks over all pixels, and a few bytes are enough for a scan that says nothing (ITU-T T.81, G.1.2.2, end-of-band runs). A
file of 200 KB can have 2,000 scans of 40 megapixels, which take 8 s on a server.
"""

from __future__ import annotations

import re
import zlib
from typing import NamedTuple

MAX_PARTS = 16_384
"""Chunks or segments of one file. Encoders write chunks of 8 KiB or more."""
MAX_SCANS = 256
"""Scans of one JPEG. Encoders write at most about 100."""

PNG_HEAD = 8
CHUNK_OVERHEAD = 12
PROFILE = b"iCCP"
"""The one kind of chunk that a decoder decompresses each time it occurs. A file may have one (PNG, 11.3.2.3)."""
PALETTE, DATA = b"PLTE", b"IDAT"
COLOUR_TYPE, INDEXED = 25, 3
"""Where a PNG states what its values are, and the type whose values are indices of the palette."""

START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
SCAN = bytes([0xFF, START_OF_SCAN])
MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]")
"""A marker with a segment: not a stuffed byte, a fill byte or a restart marker (ITU-T T.81, B.1.1)."""


class Parts(NamedTuple):
    """How many parts a file has, at most one more than is allowed of each kind.

    Attributes:
        chunks: chunks of a PNG, marker segments of a JPEG.
        scans: scans of a JPEG; 1 for a PNG.
        profiles: colour profiles of a PNG.
        damage: what is wrong with a file that a decoder would take all the same; empty if nothing was found.
    """

    chunks: int
    scans: int = 1
    profiles: int = 0
    damage: str = ""

    @property
    def fault(self) -> str:
        """What there is too much of; empty if a decoder may see the file."""
        if self.chunks > MAX_PARTS:
            return f"more than {MAX_PARTS} chunks or segments"
        if self.scans > MAX_SCANS:
            return f"more than {MAX_SCANS} scans"
        return "more than one colour profile" if self.profiles > 1 else ""


def count_png(content: bytes) -> Parts:
    """The chunks of a PNG.

    Pillow checks neither the checksums of the picture's data, with which a flipped bit gives other pixels, nor that there is a palette,
    without which it takes the indices of colours for grey values.
    """
    at, parts, profiles, palette, damage = PNG_HEAD, 0, 0, False, ""
    view = memoryview(content)
    while at < len(content) and parts <= MAX_PARTS and profiles <= 1:
        kind, end = content[at + 4 : at + 8], at + CHUNK_OVERHEAD + int.from_bytes(content[at : at + 4])
        parts += 1
        profiles += kind == PROFILE
        palette = palette or kind == PALETTE
        # Of a chunk that ends early, the decoder says so.
        if kind == DATA and end <= len(content) and zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(content[end - 4 : end]):
            damage = damage or f"the checksum of the data from byte {at} on is wrong"
        at = end
    if not palette and content[COLOUR_TYPE : COLOUR_TYPE + 1] == bytes([INDEXED]):
        damage = damage or "it has indices of colours and no palette"
    return Parts(parts, profiles=profiles, damage=damage)


def count_jpeg(content: bytes) -> Parts:
    """The segments and scans of a JPEG, up to its end marker."""
    at, parts, scans = 2, 0, 0
    while parts <= MAX_PARTS and scans <= MAX_SCANS and (found := MARKER.search(content, at)):
        at = found.end()
        kind = content[at - 1]
        if kind == END_OF_IMAGE:
            break
        parts += 1
        at += max(2, int.from_bytes(content[at : at + 2]))
        if kind == START_OF_SCAN:
            scans += 1
            if content.find(SCAN, at) < 0:  # ten times as fast as the search for any marker
                break
    return Parts(parts, scans)
