"""The size that a compressed image states in its header: known before anything is decompressed."""

from __future__ import annotations

import struct

_PNG = b"\x89PNG\r\n\x1a\n"
_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # these three among them are tables
_STANDALONE = {0x01, *range(0xD0, 0xD8)}


def stated_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height in pixels of a JPEG or PNG file; None for anything else, and where none is stated."""
    if data[:8] == _PNG:
        return _pair(data, 16, ">II") if data[12:16] == b"IHDR" else None
    return _size_of_jpeg(data) if data[:2] == b"\xff\xd8" else None


def _size_of_jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 1 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker in _START_OF_FRAME:
            size = _pair(data, at + 5, ">HH")
            return size and (size[1], size[0])  # a JPEG states its height first
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2:at + 4], "big"))
    return None


def _pair(data: bytes, at: int, form: str) -> tuple[int, int] | None:
    if len(data) < at + struct.calcsize(form):
        return None
    first, second = struct.unpack_from(form, data, at)
    return first, second
