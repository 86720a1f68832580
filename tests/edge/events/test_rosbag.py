"""ROS bags, written by rosbags itself, and the goldens of the ROS packages' own tests."""

from __future__ import annotations

import sqlite3
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evface_edge.errors import ConfigError, EventFormatError, EventFormatWarning
from evface_edge.events import EventArray, make_events, open_events, read_events, write_events
from evface_edge.geometry import SensorSize

rosbag1 = pytest.importorskip("rosbags.rosbag1", reason="the extra rosbag is not installed")
rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="the extra rosbag is not installed")
typesys = pytest.importorskip("rosbags.typesys", reason="the extra rosbag is not installed")

SIZE = SensorSize(346, 260)
START_US = 1_700_000_000_123_456
DVS_EVENT = "uint16 x\nuint16 y\ntime ts\nbool polarity\n"
DVS_ARRAY = "Header header\nuint32 height\nuint32 width\ndvs_msgs/Event[] events\n"
PACKET = """std_msgs/Header header
uint32 height
uint32 width
uint64 seq
uint64 time_base
string encoding
bool is_bigendian
uint8[] events
"""
KINDS = {
    "dvs_msgs/msg/Event": DVS_EVENT,
    "dvs_msgs/msg/EventArray": DVS_ARRAY,
    "event_camera_msgs/msg/EventPacket": PACKET,
}

#: Topic → type and messages, each a time in ns and the fields after the header.
Topics = dict[str, tuple[str, list[tuple[int, dict[str, Any]]]]]


def sample(count: int = 1000, size: SensorSize = SIZE) -> EventArray:
    rng = np.random.default_rng(5)
    t = START_US + np.cumsum(rng.integers(0, 30, count))
    x, y = rng.integers(0, size.width, count), rng.integers(0, size.height, count)
    return make_events(t, x, y, rng.integers(0, 2, count))


def bag(path: Path, topics: Topics) -> Path:
    """Writes a bag in the format of the suffix; rosbags serialises the messages."""
    ros1 = path.suffix == ".bag"
    version = typesys.Stores.ROS1_NOETIC if ros1 else typesys.Stores.ROS2_HUMBLE
    store = typesys.get_typestore(version)
    for name, text in KINDS.items():
        own = text if ros1 else text.replace("Header header", "std_msgs/Header header", 1)
        own = own.replace("std_msgs/std_msgs/", "std_msgs/")
        own = own if ros1 else own.replace("time ts", "builtin_interfaces/Time ts")
        store.register(typesys.get_types_from_msg(own, name))
    types = store.types
    folder = path.with_suffix("")
    if ros1:
        writer = rosbag1.Writer(path)
    else:
        plugin = rosbag2.StoragePlugin.MCAP if path.suffix == ".mcap" else None
        plugin = plugin or rosbag2.StoragePlugin.SQLITE3
        writer = rosbag2.Writer(folder, version=9, storage_plugin=plugin)
    with writer:
        connections = {
            topic: writer.add_connection(topic, kind, typestore=store)
            for topic, (kind, _) in topics.items()
        }
        for topic, (kind, messages) in topics.items():
            for number, (t_ns, fields) in enumerate(messages):
                stamp = types["builtin_interfaces/msg/Time"](t_ns // 10**9, t_ns % 10**9)
                sequence = {"seq": number} if ros1 else {}
                header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera", **sequence)
                if kind == "dvs_msgs/msg/EventArray":
                    fields = {**fields, "events": dvs_events(types, fields["events"])}
                message = types[kind](header=header, **fields)
                serialize = store.serialize_ros1 if ros1 else store.serialize_cdr
                writer.write(connections[topic], t_ns, serialize(message, kind))
    return path if ros1 else next(folder.glob(f"*{path.suffix}"))


def dvs_events(types: Any, events: EventArray) -> list[Any]:
    event, time = types["dvs_msgs/msg/Event"], types["builtin_interfaces/msg/Time"]
    return [
        event(
            x=int(e["x"]),
            y=int(e["y"]),
            ts=time(int(e["t"]) // 10**6, int(e["t"]) % 10**6 * 1000 + 999),
            polarity=bool(e["p"]),
        )
        for e in events
    ]


def dvs(events: EventArray, parts: int = 4) -> tuple[str, list[tuple[int, dict[str, Any]]]]:
    messages = [
        (
            int(part["t"][-1]) * 1000,
            {"height": SIZE.height, "width": SIZE.width, "events": part},
        )
        for part in np.array_split(events, parts)
    ]
    return "dvs_msgs/msg/EventArray", messages


def packets(
    encoding: str, bodies: list[tuple[int, bytes]], *, big: bool = False, size: SensorSize = SIZE
) -> tuple[str, list[tuple[int, dict[str, Any]]]]:
    """Bodies with their time base in ns."""
    messages = [
        (
            START_US * 1000 + number,
            {
                "height": size.height,
                "width": size.width,
                "seq": number,
                "time_base": base_ns,
                "encoding": encoding,
                "is_bigendian": big,
                "events": np.frombuffer(body, np.uint8),
            },
        )
        for number, (base_ns, body) in enumerate(bodies)
    ]
    return "event_camera_msgs/msg/EventPacket", messages


def mono(events: EventArray, order: str = "<") -> list[tuple[int, bytes]]:
    bodies = []
    for part in np.array_split(events, 3):
        base = int(part["t"][0]) * 1000 + 250  # not on a µs, as real ones
        words = [
            int(e["p"]) << 63
            | int(e["y"]) << 48
            | int(e["x"]) << 32
            | max(0, int(e["t"]) * 1000 - base)
            for e in part
        ]
        bodies.append((base, struct.pack(f"{order}{len(words)}Q", *words)))
    return bodies


def raw_words(events: EventArray, target: str, folder: Path) -> bytes:
    """The words of a RAW file, which other tests hold against other libraries."""
    write_events(f"{folder}/words.raw?format={target}", events, SIZE)
    data = (folder / "words.raw").read_bytes()
    return data[data.index(b"% end\n") + 6 :]


BAGS = ["a.bag", "a.db3", "a.mcap"]


@pytest.mark.parametrize("name", BAGS)
@pytest.mark.parametrize("count", [1, 2, 3, 1000])
def test_lists_of_events(name: str, count: int, tmp_path: Path) -> None:
    events = sample(count)
    path = bag(tmp_path / name, {"/dvs/events": dvs(events, min(4, count))})
    found, size = read_events(path)
    assert size == SIZE
    np.testing.assert_array_equal(found, events)


@pytest.mark.parametrize("name", BAGS)
@pytest.mark.parametrize("big", [False, True])
def test_packets_of_mono(name: str, big: bool, tmp_path: Path) -> None:
    events = sample()
    bodies = mono(events, ">" if big else "<")
    found, size = read_events(bag(tmp_path / name, {"/e": packets("mono", bodies, big=big)}))
    assert size == SIZE
    np.testing.assert_array_equal(found, events)


@pytest.mark.parametrize("name", BAGS)
@pytest.mark.parametrize("encoding", ["evt3", "evt2"])
@pytest.mark.parametrize("big", [False, True])
def test_packets_of_words(name: str, encoding: str, big: bool, tmp_path: Path) -> None:
    """The state of the words runs on from packet to packet; the time base means nothing."""
    events = sample()
    events["t"] -= START_US
    data = raw_words(events, encoding, tmp_path)
    width = 2 if encoding == "evt3" else 4
    if big:
        data = np.frombuffer(data, f"<u{width}").astype(f">u{width}").tobytes()
    bodies = [(77, data[i : i + 20 * width]) for i in range(0, len(data), 20 * width)]
    path = bag(tmp_path / name, {"/e": packets(encoding, bodies, big=big)})
    np.testing.assert_array_equal(read_events(path)[0], events)


def test_packets_of_inivation_cameras(tmp_path: Path) -> None:
    base = START_US * 1000
    records = [(3 << 17 | 7 << 2 | 3, 2**31 - 2), (345 << 17 | 259 << 2 | 1, 1)]
    body = b"".join(struct.pack("<Ii", *record) for record in records)
    path = bag(tmp_path / "a.mcap", {"/e": packets("libcaer", [(base, body)])})
    assert read_events(path)[0].tolist() == [
        (START_US + 2**31 - 2, 3, 7, 1),
        (START_US + 2**31 + 1, 345, 259, 0),
    ]
    words = [0 << 12 | 2, 1 << 12 | 5, 2 << 12 | 9, 3 << 12 | 1 << 11 | 4]
    words += [4 << 12 | 20, 5 << 12 | 0b10000001, 5 << 12 | 1]
    body = struct.pack(f"<{len(words)}H", *words)
    path = bag(tmp_path / "b.mcap", {"/e": packets("libcaer_cmp", [(base, body)])})
    t = START_US + (2 << 12) + 5
    assert read_events(path)[0].tolist() == [(t, 9, 4, 1)] + [(t, 9, y, 0) for y in (20, 27, 28)]


@pytest.mark.parametrize("name", BAGS)
def test_one_topic_of_several(name: str, tmp_path: Path) -> None:
    left, right = sample(30), sample(40)
    topics = {"/left/events": dvs(left), "/right/events": dvs(right)}
    path = bag(tmp_path / name, topics)
    with pytest.raises(EventFormatError, match=r"/left/events, /right/events.*\?topic="):
        read_events(path)
    np.testing.assert_array_equal(read_events(f"{path}?topic=/left/events")[0], left)
    with open_events(f"{path}?topic=/right/events") as source:
        assert sum(map(len, source)) == sum(map(len, source)) == 40  # and again
    with pytest.raises(ConfigError, match=r"/left/events \(dvs_msgs") as raised:
        read_events(f"{path}?topic=/imu")
    assert (raised.value.field, raised.value.value) == ("topic", "/imu")


def test_no_topic_of_events(tmp_path: Path) -> None:
    writer = rosbag2.Writer(tmp_path / "a", version=9)
    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    with writer:
        text = writer.add_connection("/chatter", "std_msgs/msg/String", typestore=store)
        message = store.types["std_msgs/msg/String"](data="hello")
        writer.write(text, 1, store.serialize_cdr(message, "std_msgs/msg/String"))
    with pytest.raises(EventFormatError, match=r"/chatter \(std_msgs/msg/String\)"):
        read_events(tmp_path / "a")


def test_the_folder_of_a_bag_and_unusual_names(tmp_path: Path) -> None:
    events = sample(50)
    for name in ("a.db3", "b.mcap"):
        path = bag(tmp_path / name, {"/e": dvs(events)})
        np.testing.assert_array_equal(read_events(path.parent)[0], events)
    odd = tmp_path / "50% #1?.db3"
    odd.write_bytes((tmp_path / "a" / "a.db3").read_bytes())
    np.testing.assert_array_equal(read_events(odd)[0], events)
    with pytest.raises(EventFormatError) as raised:
        read_events(tmp_path)
    assert raised.value.path == tmp_path


def test_a_bag_in_several_files_and_a_compressed_one(tmp_path: Path) -> None:
    events = sample(90)
    folder = tmp_path / "whole"
    folder.mkdir()
    (folder / "metadata.yaml").write_text("rosbag2_bagfile_information: {}")
    for number, part in zip((2, 9, 10), np.array_split(events, 3), strict=True):
        path = bag(tmp_path / f"part{number}.mcap", {"/e": dvs(part)})
        path.rename(folder / f"whole_{number}.mcap")
    np.testing.assert_array_equal(read_events(folder)[0], events)
    (folder / "whole_11.mcap.zstd").write_bytes(b"\x28\xb5\x2f\xfd")
    with pytest.raises(EventFormatError, match=r"zstd -d whole_11\.mcap\.zstd"):
        read_events(folder)


def test_compressed_messages(tmp_path: Path) -> None:
    events = sample(60)
    zstandard = pytest.importorskip("zstandard", reason="the extra rosbag is not installed")
    path = bag(tmp_path / "a.db3", {"/e": dvs(events)})
    for row in range(1, 5):
        edit(path, zstandard.compress, row)
    np.testing.assert_array_equal(read_events(path)[0], events)


def big_endian(events: EventArray) -> bytes:
    """A list of events in CDR with the other byte order, built field by field."""
    out = b"\x00\x00\x00\x00" + struct.pack(">III", 1, 2, 7) + b"camera\0" + b"\0"
    out += struct.pack(">III", SIZE.height, SIZE.width, len(events))
    for event in events:
        out += bytes(-(len(out) - 4) % 2) + struct.pack(">HH", event["x"], event["y"])
        seconds, rest = divmod(int(event["t"]), 10**6)
        out += bytes(-(len(out) - 4) % 4) + struct.pack(">iIB", seconds, rest * 1000, event["p"])
    return out


def test_cdr_of_the_other_byte_order(tmp_path: Path) -> None:
    events = sample(7)
    path = bag(tmp_path / "a.db3", {"/e": dvs(events, 1)})
    edit(path, lambda data: big_endian(events), 1)
    np.testing.assert_array_equal(read_events(path)[0], events)


def edit(path: Path, change: Callable[[bytes], bytes], row: int) -> None:
    with sqlite3.connect(path) as database:
        ((data,),) = database.execute("SELECT data FROM messages WHERE id = ?", (row,))
        database.execute("UPDATE messages SET data = ? WHERE id = ?", (change(data), row))
    database.close()


CHANGES: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("25 events", lambda data: data[:-20]),
    ("10 bytes", lambda data: data[:10]),
    ("2147483663 or more", lambda data: data[:12] + b"\xff\xff\xff\x7f" + data[16:]),
    ("000a", lambda data: b"\x00\x0a" + data[2:]),
    ("347×260", lambda data: data[:28] + struct.pack("<I", 347) + data[32:]),
    ("4294967295 events", lambda data: data[:32] + b"\xff" * 4 + data[36:]),
]


@pytest.mark.parametrize(("message", "change"), CHANGES, ids=[text for text, _ in CHANGES])
def test_a_damaged_message(message: str, change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    events = sample(100)
    path = bag(tmp_path / "a.db3", {"/e": dvs(events)})
    edit(path, change, 3)
    with pytest.warns(EventFormatWarning, match=f"message 3 of /e .*{message}"):
        found, _ = read_events(path, damage="salvage")
    np.testing.assert_array_equal(found, events[:50])
    with pytest.raises(EventFormatError, match=message):
        read_events(path)


def test_an_event_outside_the_sensor(tmp_path: Path) -> None:
    events = sample(100)
    path = bag(tmp_path / "a.mcap", {"/e": dvs(events)})
    data = bytearray(path.read_bytes())
    place = data.rindex(struct.pack("<HH", int(events[90]["x"]), int(events[90]["y"])))
    data[place : place + 2] = struct.pack("<H", 400)
    path.write_bytes(data)
    with pytest.warns(EventFormatWarning, match=r"346×260.*\(byte [0-9]+"):
        found, _ = read_events(path, damage="salvage")
    np.testing.assert_array_equal(found, events[:90])


def test_unknown_encodings_and_odd_sizes(tmp_path: Path) -> None:
    path = bag(tmp_path / "a.mcap", {"/e": packets("trigger", [(0, bytes(8))])})
    with pytest.raises(EventFormatError, match=r"'trigger'.* evt3, evt2, mono"):
        read_events(path)
    path = bag(tmp_path / "b.mcap", {"/e": packets("mono", [(0, bytes(9))])})
    with pytest.raises(EventFormatError, match=r"9 bytes .* 8"):
        read_events(path)


@pytest.mark.parametrize("name", BAGS)
def test_a_truncated_bag(name: str, tmp_path: Path) -> None:
    path = bag(tmp_path / name, {"/e": dvs(sample(100))})
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(EventFormatError) as raised:
        read_events(path)
    assert raised.value.path == path


def test_without_rosbags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from evface_edge.errors import RuntimeUnavailable

    path = bag(tmp_path / "a.bag", {"/e": dvs(sample(10))})
    monkeypatch.setitem(sys.modules, "rosbags", None)
    with pytest.raises(RuntimeUnavailable, match=r"pip install 'evface-edge\[rosbag\]'"):
        read_events(path)


# t in ns, x, y, p: the sums that the tests of event_camera_codecs (Apache-2.0) expect.
SUMS = {
    "event_camera_codecs/test_data_mono_cd": (4_950_000, 34_450, 26_450, 50),
    "event_camera_codecs/test_data_evt3_trigger": (
        1_222_326_831_810_000,
        42_078_718,
        31_656_267,
        41_439,
    ),
}


@pytest.mark.shared
@pytest.mark.parametrize("name", SUMS)
def test_recordings_agree_with_published_sums(name: str, shared_data: Path) -> None:
    folder = shared_data / "events" / name
    if not folder.exists():
        pytest.skip(f"no recording at {folder}")
    events, _ = read_events(folder)
    found = tuple(int(events[field].astype(np.int64).sum()) for field in "txyp")
    assert (found[0] * 1000, *found[1:]) == SUMS[name]


@pytest.mark.shared
def test_one_recording_as_ros1_and_ros2(shared_data: Path) -> None:
    folder = shared_data / "events" / "event_camera_py"
    if not folder.exists():
        pytest.skip(f"no recording at {folder}")
    first, size = read_events(folder / "test_events_1.bag")
    second, _ = read_events(folder / "test_events_1")
    assert size == SensorSize(640, 480)
    assert len(first) == 343_474
    np.testing.assert_array_equal(first, second)
    # A DAVIS in MCAP; its metadata.yaml does not name the storage.
    davis, size = read_events(folder / "test_events_2")
    assert size == SensorSize(346, 260)
    assert davis["t"][-1] - davis["t"][0] == pytest.approx(1e6, rel=0.01)
