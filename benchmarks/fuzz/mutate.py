"""Damage: bytes, texts, numbers and message fields as nobody would send them on purpose."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

NUMBERS = (0, 1, -1, 2, 7, 255, 256, 65_535, 2**31 - 1, -2**31, 2**32 - 1, 2**63 - 1)
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, -1e300, 1e-12, float("nan"), float("inf"), float("-inf"), 0.5, 1e6)
WORDS = ("", " ", "/", "\x00", "cam", "/cam", "cell", "bgr8", "mono8", "rgb16", "bayer_rggb8", "8UC17", "32FC1",
         "yuv422", "16SC3", "plumb_bob", "equidistant", "NaN", "\u00e9" * 40, "../../etc/passwd", "a" * 5000, "%s%n",
         "-", "1e999")
TOKENS = (b"nan", b"inf", b"-1", b"0", b"1e999", b"\x00", b"\xff" * 8, b"\n", b"{", b"}", b"[", b"]", b"&a", b"*a",
          b"!!", b"<<:", b"solid ", b"facet", b"f 1 2 9999999\n", b"v 1e308 0 0\n", b"f 1/1/1 2//2 -1\n",
          b"element face 4294967295\n", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"99999999999999999999")


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with one to a few damages: flipped, cut, put in, doubled, moved."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(out) + 1)
        rng.choice(_DAMAGES)(out, at, rng)
    return bytes(out)


def _flip(out: bytearray, at: int, rng: random.Random) -> None:
    if at < len(out):
        out[at] ^= 1 << rng.randrange(8)


def _overwrite(out: bytearray, at: int, rng: random.Random) -> None:
    token = rng.choice(TOKENS)
    out[at:at + len(token)] = token


def _insert(out: bytearray, at: int, rng: random.Random) -> None:
    out[at:at] = rng.choice(TOKENS)


def _number(out: bytearray, at: int, rng: random.Random) -> None:
    size = rng.choice((1, 2, 4, 8))
    value = rng.choice(NUMBERS) % 2 ** (8 * size)
    out[at:at + size] = value.to_bytes(size, "little")


def _cut(out: bytearray, at: int, _rng: random.Random) -> None:
    del out[at:]


def _remove(out: bytearray, at: int, rng: random.Random) -> None:
    del out[at:at + rng.randrange(1, 200)]


def _double(out: bytearray, at: int, rng: random.Random) -> None:
    out[at:at] = out[at:at + rng.randrange(1, 400)]


def _blank(out: bytearray, at: int, rng: random.Random) -> None:
    end = min(len(out), at + rng.randrange(1, 400))
    out[at:end] = bytes(end - at)


def _noise(out: bytearray, at: int, rng: random.Random) -> None:
    end = min(len(out), at + rng.randrange(1, 64))
    out[at:end] = rng.randbytes(end - at)


_DAMAGES: tuple[Callable[[bytearray, int, random.Random], None], ...] = (
    _flip, _flip, _overwrite, _insert, _number, _cut, _remove, _double, _blank, _noise)


def spoil(message: Any, rng: random.Random, share: float = 0.15) -> Any:
    """Change fields of a ROS message, nested ones too, to what their type allows and nobody expects."""
    for name, kind in message.get_fields_and_field_types().items():
        value = getattr(message, name)
        if hasattr(value, "get_fields_and_field_types"):
            spoil(value, rng, share)
        elif isinstance(value, list) and value and hasattr(value[0], "get_fields_and_field_types"):
            for item in value:
                spoil(item, rng, share)
            if rng.random() < share:
                setattr(message, name, value[:rng.randrange(len(value) + 1)])
        elif rng.random() < share:
            _set(message, name, kind, rng)
    return message


def _set(message: Any, name: str, kind: str, rng: random.Random) -> None:
    low, high = _RANGES.get(kind, (0, 0))
    if kind in _RANGES:
        setattr(message, name, min(max(rng.choice(NUMBERS) + rng.choice((0, 0, 1, -3)), low), high))
    elif kind in ("double", "float"):
        setattr(message, name, _fitting(rng.choice(FLOATS), kind))
    elif kind == "boolean":
        setattr(message, name, rng.random() < 0.5)
    elif kind == "string":
        setattr(message, name, rng.choice(WORDS))
    elif kind.startswith("sequence<uint8>"):
        setattr(message, name, mutated(bytes(getattr(message, name)), rng))
    elif kind.startswith("sequence<uint16>"):
        setattr(message, name, [rng.choice((0, 10, 31, 36, 50, 100, 9999, 65535)) for _ in range(rng.randrange(4))])
    elif kind.startswith("sequence<double>"):
        setattr(message, name, [rng.choice(FLOATS) for _ in range(rng.choice((0, 1, 4, 5, 8, 12, 14, 100)))])
    elif kind.startswith("double["):
        values = list(getattr(message, name))
        values[rng.randrange(len(values))] = rng.choice(FLOATS)
        setattr(message, name, values)


def _fitting(value: float, kind: str) -> float:
    return value if kind == "double" or not 1e38 < abs(value) < float("inf") else 3e38


_RANGES = {"uint8": (0, 2**8 - 1), "uint16": (0, 2**16 - 1), "uint32": (0, 2**32 - 1), "int32": (-2**31, 2**31 - 1),
           "octet": (0, 255), "int8": (-128, 127), "int64": (-2**63, 2**63 - 1), "uint64": (0, 2**64 - 1)}
