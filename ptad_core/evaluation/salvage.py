"""Messages out of damaged bag files: an MCAP file cut in the middle, a corrupt chunk, a torn SQLite database.

Intact files are read through their index by ``rosbags``. A file that was never closed has no index, so it is walked
record by record from its start, as far as it goes. What could not be read is put into words, never passed over.
"""

from __future__ import annotations

import sqlite3
import struct
from binascii import crc32
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import lz4.frame
from backports import zstd

from ptad_core.errors import BagError

MCAP_MAGIC = b"\x89MCAP0\r\n"

_HEADER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x01, 0x03, 0x04, 0x05, 0x06, 0x0F
_RECORD_PREFIX = struct.Struct("<BQ")  # opcode, length of what follows


class RawMessage(NamedTuple):
    """One message as it lies in the bag: CDR bytes, with the time it was logged at."""

    topic: str
    msgtype: str
    log_ns: int
    data: bytes


def salvage(path: Path, state_damage: Callable[[str], None]) -> Generator[RawMessage, None, None]:
    """Yield what can be read of one bag file, in the order of the file; put the rest into words.

    Raises:
        BagError: if the file cannot be opened or is of no known kind.
    """
    if path.suffix == ".mcap":
        yield from _salvage_mcap(path, state_damage)
    elif path.suffix == ".db3":
        yield from _salvage_sqlite(path, state_damage)
    else:
        raise BagError(f"{path.name}: expected an .mcap or .db3 file")


def _salvage_mcap(path: Path, state_damage: Callable[[str], None]) -> Iterator[RawMessage]:
    def note(text: str) -> None:
        state_damage(f"{path.name}: {text}")

    try:
        file = path.open("rb")
    except OSError as error:
        raise BagError(f"{path}: cannot be opened: {error.strerror}") from error
    size = path.stat().st_size
    with file:
        if file.read(len(MCAP_MAGIC)) != MCAP_MAGIC:
            raise BagError(f"{path.name}: expected an MCAP file, got other content")
        schemas: dict[int, str] = {}
        channels: dict[int, tuple[str, str]] = {}
        orphans = 0
        for block in _blocks(file, size, note):
            messages = []
            for opcode, content in block:
                if opcode == _SCHEMA:
                    (key,) = struct.unpack_from("<H", content)
                    schemas[key] = _string(content, 2)[0]
                elif opcode == _CHANNEL:
                    key, schema = struct.unpack_from("<HH", content)
                    channels[key] = (_string(content, 4)[0], schemas.get(schema, ""))
                elif opcode == _MESSAGE:
                    key, _, log_ns = struct.unpack_from("<HIQ", content)
                    if key in channels:
                        messages.append(RawMessage(*channels[key], log_ns, content[22:]))
                    else:
                        orphans += 1
            yield from sorted(messages, key=lambda message: message.log_ns)
        if orphans:
            note(f"{orphans} messages belong to topics whose names were lost")


def _blocks(file: BinaryIO, size: int, note: Callable[[str], None]) -> Iterator[list[tuple[int, bytes]]]:
    """Yield records in groups: those of one chunk together, others alone, up to where the file makes no sense."""
    while True:
        offset = file.tell()
        prefix = file.read(_RECORD_PREFIX.size)
        if len(prefix) < _RECORD_PREFIX.size:
            note(f"the file ends at byte {offset} without its index: it was cut off or never closed")
            return
        opcode, length = _RECORD_PREFIX.unpack(prefix)
        if not 0 < opcode <= _DATA_END:
            note(f"no readable record at byte {offset}; nothing after it was read")
            return
        cut = length > size - file.tell()
        content = file.read(min(length, size - file.tell()))
        if opcode == _DATA_END and not cut:
            return
        if opcode == _CHUNK:
            records, damage = _chunk_records(content)
            if damage and not cut:
                note(f"the chunk at byte {offset} is damaged: {damage}")
            yield records
        elif not cut:
            yield [(opcode, content)]
        if cut:
            note(f"the file ends in the middle of a record at byte {offset}")
            return


def _chunk_records(content: bytes) -> tuple[list[tuple[int, bytes]], str]:
    """Return the whole records of a chunk, however much of it there is, and what is wrong with it."""
    try:
        uncompressed_size, crc = struct.unpack_from("<QI", content, 16)
        compression, start = _string(content, 28)
        packed = content[start + 8:]
        if compression == "zstd":
            data = zstd.ZstdDecompressor().decompress(packed)
        elif compression == "lz4":
            data = lz4.frame.LZ4FrameDecompressor().decompress(packed)
        elif compression == "":
            data = packed
        else:
            return [], f"unknown compression {compression!r}"
    except (struct.error, UnicodeDecodeError, zstd.ZstdError, RuntimeError) as error:
        return [], str(error)
    damage = ""
    if len(data) != uncompressed_size:
        damage = f"expected {uncompressed_size} bytes, got {len(data)}"
    elif crc and crc32(data) != crc:
        return [], "its checksum does not match"
    records: list[tuple[int, bytes]] = []
    at = 0
    while at + _RECORD_PREFIX.size <= len(data):
        opcode, length = _RECORD_PREFIX.unpack_from(data, at)
        at += _RECORD_PREFIX.size
        if opcode not in (_SCHEMA, _CHANNEL, _MESSAGE):
            return records, f"no readable record at its byte {at}"
        if at + length > len(data):
            damage = damage or f"a record of {length} bytes does not fit in it"
            break
        records.append((opcode, data[at:at + length]))
        at += length
    return records, damage


def _string(content: bytes, at: int) -> tuple[str, int]:
    """Return a length-prefixed string, and where it ends."""
    (length,) = struct.unpack_from("<I", content, at)
    end = at + 4 + length
    return content[at + 4:end].decode(errors="replace"), end


def _salvage_sqlite(path: Path, state_damage: Callable[[str], None]) -> Iterator[RawMessage]:
    # By row, not by the time index: rows lie in the order they were written, the index is what breaks first.
    query = ("SELECT topics.name, topics.type, messages.timestamp, messages.data FROM messages NOT INDEXED "
             "JOIN topics ON messages.topic_id = topics.id ORDER BY messages.id")
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)
    read = 0
    try:
        # SQLite refuses a file that is shorter than its header says, unless it is told to be used to damage.
        connection.execute("PRAGMA writable_schema = ON")
        for row in connection.execute(query):
            yield RawMessage(*row)
            read += 1
    except sqlite3.DatabaseError as error:
        state_damage(f"{path.name}: the database is damaged after message {read}: {error}")
    finally:
        connection.close()
