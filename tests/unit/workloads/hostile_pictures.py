"""Small files that are expensive to decode."""

from __future__ import annotations

import struct
import zlib

CHANNELS = {0: 1, 2: 3, 6: 4}
"""Channels by the colour type of a PNG: grey, RGB, RGBA."""


def chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def black_png(width: int, height: int, depth: int = 8, colour: int = 2, before: bytes = b"") -> bytes:
    """A PNG of zeros, with other chunks `before` its data. It has a thousandth of the bytes of its pixels."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width * CHANNELS[colour] * depth + 7) // 8)
    data = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def segment(marker: int, content: bytes) -> bytes:
    """One marker segment of a JPEG."""
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def bits(text: str) -> bytes:
    """Bits as entropy-coded data: filled up with ones, and 00 after each FF."""
    text += "1" * (-len(text) % 8)
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8)).replace(b"\xff", b"\xff\x00")


def jpeg_of_scans(width: int, height: int, scans: int, between: bytes = b"") -> bytes:
    """A progressive grey JPEG whose scans after the first say that nothing changes. `between` stands before each of them.

    Sizes with a number of blocks that is a multiple of 32,767 give the shortest scans.
    """
    blocks = ((width + 7) // 8) * ((height + 7) // 8)
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    tables = segment(0xC4, bytes([0x00, 1, *[0] * 15, 0x00])) + segment(0xC4, bytes([0x10, 1, 1, *[0] * 14, 0xE0, 0x00]))
    first = segment(0xDA, b"\x01\x01\x00\x00\x00\x00") + bits("0" * blocks)
    runs, rest = divmod(blocks, 2**15 - 1)
    nothing = segment(0xDA, b"\x01\x01\x00\x01\x3f\x00") + bits(("0" + "1" * 14) * runs + "10" * rest)
    quantisation = segment(0xDB, b"\x00" + b"\x01" * 64)
    return b"\xff\xd8" + quantisation + segment(0xC2, frame) + tables + first + (between + nothing) * (scans - 1) + b"\xff\xd9"


LARGE = (217 * 8, 2869 * 8)
"""39.8 megapixels in 19 runs of 32,767 blocks."""
