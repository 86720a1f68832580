"""ROS bags: ROS 1 (.bag), ROS 2 in SQLite (.db3) and in MCAP (extra: rosbag).

rosbags (https://ternaris.gitlab.io/rosbags) reads the files, `ros_message.py` decodes the messages.
The path of a ROS 2 bag may be its folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from evface_edge.errors import (
    ConfigError,
    EventFormatError,
    EvfaceError,
    RuntimeUnavailable,
    first_line,
    printable,
)
from evface_edge.events.array import EventArray
from evface_edge.events.formats import ros_message, sniff
from evface_edge.events.formats.base import Contents, header_size
from evface_edge.events.formats.compression import decompress_zstd
from evface_edge.events.formats.inference import Fact, sensor_size
from evface_edge.events.formats.options import ReadOptions
from evface_edge.events.validation import Validator
from evface_edge.geometry import SensorSize

_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_MESSAGE_LIMIT_BYTES = 1 << 30


def read(path: Path, options: ReadOptions) -> Contents:
    parts = bag_files(path)
    with _opened(parts[0]) as bag:
        topic = _choose_topic(bag.topics, path, options.topic)
        kind = bag.topics[topic]
        size = sensor_size(path, options, bag.stated_size(topic), "the first message")

    def packets(validator: Validator) -> Iterator[EventArray]:
        decoder = ros_message.MessageDecoder(kind)
        for index, part in enumerate(parts):
            with _opened(part) as bag:
                for done, events in bag.events(topic, decoder, validator):
                    validator.fraction = (index + done) / len(parts)
                    yield events

    stream = Fact("stream", printable(topic), "given" if options.topic else "stated", "the topic")
    return Contents(
        (size, stream), packets, {"topic": printable(topic), "message type": printable(kind)}
    )


def bag_files(path: Path) -> list[Path]:
    """The file itself, or the files of the folder of a ROS 2 bag, in order."""
    if not path.is_dir():
        return [path]
    names = sorted(part.name for part in path.iterdir())
    files = [name for name in names if name.endswith((".db3", ".mcap"))]
    packed = [name for name in names if name.endswith((".db3.zstd", ".mcap.zstd"))]
    if packed:
        raise EventFormatError(
            f"its files are compressed; decompress them first: zstd -d {packed[0]}",
            path=path,
        )
    if not files:
        raise EventFormatError("holds no .db3 and no .mcap file of a ROS 2 bag", path=path)

    def number(name: str) -> int:
        match = re.search(r"_([0-9]{1,9})\.", name)
        return int(match[1]) if match else -1

    return [path / name for name in sorted(files, key=number)]


@dataclass(frozen=True)
class _Bag:
    """An opened file of a bag.

    Attributes:
        reader: of rosbags.
        cdr: whether its messages are those of ROS 2.
    """

    path: Path
    reader: Any
    cdr: bool

    @property
    def topics(self) -> dict[str, str]:
        """Topic → type of its messages."""
        return {each.topic: each.msgtype for each in self.reader.connections}

    def messages(self, topic: str) -> Iterator[tuple[int, bytes]]:
        """Time (ns) and bytes of the messages of a topic, in order of time."""
        connections = [each for each in self.reader.connections if each.topic == topic]
        if not connections:
            return
        time_ns = None
        try:
            for _, time_ns, data in self.reader.messages(connections):
                packed = data[:4] == _ZSTANDARD
                yield (
                    time_ns,
                    decompress_zstd(data, _MESSAGE_LIMIT_BYTES) if packed else bytes(data),
                )
        except EvfaceError:
            raise
        except Exception as error:  # a damaged file makes rosbags raise any error
            raise EventFormatError(
                f"the bag is damaged: {first_line(error)}",
                path=self.path,
                offset=None if time_ns is None else self._offset(time_ns),
            ) from None

    def stated_size(self, topic: str) -> SensorSize | None:
        """The size that the first message states, if any."""
        for _, data in self.messages(topic):
            try:
                width, height = ros_message.stated_size(data, self.cdr)
            except ValueError as error:
                raise self._damaged(1, topic, error, None) from None
            return header_size(self.path, width, height) if width or height else None
        return None

    def events(
        self, topic: str, decoder: ros_message.MessageDecoder, validator: Validator
    ) -> Iterator[tuple[float, EventArray]]:
        """Yields the fraction of the messages that was read, and events."""
        total = sum(each.msgcount for each in self.reader.connections if each.topic == topic)
        for number, (time_ns, data) in enumerate(self.messages(topic), 1):
            offset = self._offset(time_ns)
            try:
                for events in decoder.events(data, self.cdr, validator, offset):
                    yield min(1.0, number / max(total, 1)), events
            except ValueError as error:
                validator.damaged_chunk(self._damaged(number, topic, error, offset))

    def _offset(self, time_ns: int) -> int | None:
        """Byte offset of the chunk with the message; None for SQLite."""
        if not self.cdr:
            return int(self.reader.current_chunk[0])
        chunks = getattr(self.reader, "chunks", [])
        starts = [c.chunk_start_offset for c in chunks if c.message_start_time <= time_ns]
        return int(starts[-1]) if starts else None

    def _damaged(
        self, number: int, topic: str, error: Exception, offset: int | None
    ) -> EventFormatError:
        return EventFormatError(
            f"message {number} of {printable(topic)} is damaged: {first_line(error)}",
            path=self.path,
            offset=offset,
        )


@contextmanager
def _opened(path: Path) -> Iterator[_Bag]:
    """Opens a file of a bag; errors of rosbags become EventFormatError."""
    try:
        from rosbags import rosbag1, rosbag2
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(
            f"{path.name}: reading ROS bags needs {error.name}: pip install 'evface-edge[rosbag]'"
        ) from None
    with path.open("rb") as file:
        head = file.read(16)
    cdr = not sniff.ros1_bag(head)
    reader: Any
    try:
        if not cdr:
            reader = rosbag1.Reader(path)
        elif sniff.sqlite(head):
            # rosbags uses the path in a URI, in which a question mark would end the name.
            escaped = Path(quote(os.fspath(path.absolute())))
            reader = rosbag2.Reader.STORAGE_PLUGINS[".db3"](escaped)
        else:
            reader = rosbag2.Reader.STORAGE_PLUGINS[".mcap"](path)
        reader.open()
        try:
            yield _Bag(path, reader, cdr)
        finally:
            reader.close()
    except EvfaceError:
        raise
    except Exception as error:  # a damaged file makes rosbags raise any error
        raise EventFormatError(f"the bag is damaged: {first_line(error)}", path=path) from None


def _choose_topic(topics: dict[str, str], path: Path, name: str | None) -> str:
    """The topic to read: the one of that name, or else the only one with events."""
    of_events = sorted(topic for topic, kind in topics.items() if kind in ros_message.TYPES)
    listed = ", ".join(f"{topic} ({kind})" for topic, kind in sorted(topics.items()))
    listed = printable(listed) or "none"
    if name is not None:
        if name not in of_events:
            raise ConfigError("topic", name, f"one with events; the bag has the topics {listed}")
        return name
    if len(of_events) == 1:
        return of_events[0]
    if of_events:
        raise EventFormatError(
            f"has several topics with events: {printable(', '.join(of_events))}; "
            f"choose one, such as '{path.name}?topic={printable(of_events[0])}'",
            path=path,
        )
    known = ", ".join(kind.replace("/msg/", "/") for kind in ros_message.TYPES)
    raise EventFormatError(f"has the topics {listed}, expected one of type {known}", path=path)
