"""A ROS 2 bag on disk, whole or damaged, as a stream of messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml
from backports import zstd
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from ptad_core.errors import BagError
from ptad_core.evaluation.salvage import RawMessage, salvage

# The messages needed here have had the same definition in every ROS 2 release, so the bag's own are not consulted:
# a bag with some broken custom definition is read all the same.
_TYPES = get_typestore(Stores.ROS2_JAZZY)

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # a CDR message starts with 0x00, so the two cannot be confused


class Recording:
    """A bag: which topics it has, how many messages of them can be read, and how many there should be.

    The bag is a folder with ``metadata.yaml``, a folder that lost it, or a single ``.mcap`` or ``.db3`` file. Opening
    it reads it once from end to end, because only that shows whether it is whole; the messages of the types in
    ``keep_types`` (small ones) stay in memory, in ``kept``.

    Attributes:
        path: the bag.
        types: message type by topic.
        read: readable messages by topic.
        expected: recorded messages by topic according to ``metadata.yaml``; None where that is missing.
        damage: what is wrong with the files, in words; empty for a whole bag.
        kept: messages of ``keep_types``, in order.
    """

    def __init__(self, path: Path, keep_types: Collection[str] = ()) -> None:
        if path.suffix == ".bag":
            raise BagError(f"{path}: expected a ROS 2 bag, got a ROS 1 bag; `rosbags-convert` turns it into one")
        if not path.exists():
            raise BagError(f"{path}: no such bag")
        self.path = path
        self.expected = _expected_counts(path)
        self.damage: list[str] = []
        self._whole = True
        try:
            self._survey(keep_types)
        except Exception as error:  # noqa: BLE001  rosbags lets struct, zstd, SQLite and index errors through
            self._whole = False
            self.damage = []
            self._survey(keep_types)
            if not self.damage:
                self.damage = [f"the bag's index cannot be used: {error}"]
        if not self.types:
            raise BagError(f"{path}: no readable message; {'; '.join(self.damage) or 'the bag is empty'}")

    def _survey(self, keep_types: Collection[str]) -> None:
        self.types: dict[str, str] = {}
        self.kept: list[RawMessage] = []
        counts: Counter[str] = Counter()
        for message in self._all_messages():
            self.types[message.topic] = message.msgtype
            counts[message.topic] += 1
            if message.msgtype in keep_types:
                self.kept.append(message)
        self.read: dict[str, int] = dict(counts)

    def messages(self, topics: Collection[str]) -> Iterator[RawMessage]:
        """Yield the readable messages of some topics, in the order they were recorded in."""
        for message in self._all_messages(topics):
            if message.topic in topics:
                yield message

    def topics_of(self, *msgtypes: str) -> list[str]:
        """Return the topics of any of these types, sorted."""
        return sorted(topic for topic, msgtype in self.types.items() if msgtype in msgtypes)

    def lost(self, topic: str) -> int | None:
        """Return how many messages of a topic are lost; None where nobody knows."""
        if self.expected is None:
            return None if self.damage else 0
        return max(0, self.expected.get(topic, 0) - self.read.get(topic, 0))

    def _all_messages(self, topics: Collection[str] = ()) -> Iterator[RawMessage]:
        return self._indexed(topics) if self._whole else self._salvaged()

    def _indexed(self, topics: Collection[str]) -> Iterator[RawMessage]:
        with Reader(self.path) as reader:
            connections = [c for c in reader.connections if not topics or c.topic in topics]
            if not connections:
                return
            for connection, log_ns, data in reader.messages(connections):
                yield RawMessage(connection.topic, connection.msgtype, log_ns, bytes(data))

    def _salvaged(self) -> Iterator[RawMessage]:
        note = _NoteOnce(self.damage)
        for file in _files_of(self.path):
            try:
                with closing(salvage(file, note)) as messages:
                    yield from map(_decompressed, messages)
            except BagError as error:
                note(str(error))


def _decompressed(message: RawMessage) -> RawMessage:
    """Undo per-message compression; a message that is damaged keeps its bytes, and fails when it is decoded."""
    if message.data[:4] != _ZSTD_MAGIC:
        return message
    try:
        return message._replace(data=zstd.decompress(message.data))
    except zstd.ZstdError:
        return message


def deserialize(message: RawMessage) -> Any:
    """Return a message as an object with the fields of its ROS type.

    Raises:
        BagError: if the bytes are no such message.
    """
    try:
        return _TYPES.deserialize_cdr(message.data, message.msgtype)
    except Exception as error:  # whatever the generated decoder meets: struct, index, value errors
        raise BagError(f"{message.topic}: not a readable {message.msgtype}: {error}") from error


class _NoteOnce:
    """The files are walked several times; each damage is stated once."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes

    def __call__(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)


def _files_of(path: Path) -> list[Path]:
    """Return the bag's storage files in the order they were written in."""
    if path.is_file():
        return [path]
    files = sorted(f for f in path.iterdir() if f.suffix in (".mcap", ".db3"))
    if not files:
        raise BagError(f"{path}: expected a ROS 2 bag (a folder with .mcap or .db3 files), found none")
    # bag_10 comes after bag_9: rosbag2 numbers its files without leading zeros.
    return sorted(files, key=lambda f: (len(f.name), f.name))


def _expected_counts(path: Path) -> dict[str, int] | None:
    file = path / "metadata.yaml"
    if not path.is_dir() or not file.exists():
        return None
    try:
        topics = yaml.safe_load(file.read_text(encoding="utf-8"))["rosbag2_bagfile_information"][
            "topics_with_message_count"]
        return {t["topic_metadata"]["name"]: int(t["message_count"]) for t in topics}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return None

