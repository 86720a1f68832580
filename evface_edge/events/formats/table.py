"""The table of recording formats. To add a format, add a row here and a file beside this one.

`base.py` defines what the file of a format offers. It is imported when it is first needed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events.formats import sniff
from evface_edge.events.formats.base import Contents, Options, Writer
from evface_edge.events.formats.options import ReadOptions
from evface_edge.geometry import SensorSize

#: Bytes at the start of a file that `sniff` gets.
_HEAD_BYTES = 65536


@dataclass(frozen=True)
class Format:
    """A row of the table.

    Attributes:
        name: as in `?format=name`.
        title: for people.
        suffixes: of files, in lower case; the first writable format with a suffix writes it.
        module: with the reader.
        sniff: detects the format by the first bytes of a file.
        writer: the module with the writer; empty if the format cannot be written.
        options: for reading, besides width, height and format.
        write_options: for writing, besides format.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    module: str
    sniff: Callable[[bytes], bool]
    writer: str = ""
    options: tuple[str, ...] = ()
    write_options: tuple[str, ...] = ()

    def read(self, path: Path, options: ReadOptions) -> Contents:
        """Reads the header; EventFormatError if it is damaged or incomplete."""
        return cast(Contents, _import(self.module).read(path, options))

    def open_writer(self, file: BinaryIO, size: SensorSize, options: Options) -> Writer:
        """A writer; EventFormatError if the format does not support the sensor size."""
        return cast(Writer, _import(self.writer).Writer(file, size, options))


FORMATS: tuple[Format, ...] = (
    Format(
        "npz",
        "NumPy archive",
        (".npz",),
        "npz",
        sniff.prefix(b"PK\3\4", b"PK\5\6"),
        writer="npz",
        options=("columns", "time_unit"),
    ),
    Format(
        "npy",
        "NumPy array",
        (".npy",),
        "npy",
        sniff.prefix(b"\x93NUMPY"),
        writer="npy",
        options=("columns", "time_unit"),
    ),
    Format("evt3", "Prophesee EVT3", (".raw",), "evt3", sniff.raw("EVT3"), "evt3"),
    Format("evt2", "Prophesee EVT2", (".raw",), "evt2", sniff.raw("EVT2"), "evt2"),
    Format(
        "evt21", "Prophesee EVT2.1", (".raw",), "evt21", sniff.raw("EVT21"), options=("endianness",)
    ),
    Format(
        "dat",
        "Prophesee DAT",
        (".dat",),
        "dat",
        sniff.dat,
        writer="dat",
        options=("version",),
        write_options=("version",),
    ),
    Format(
        "aedat4",
        "AEDAT 4",
        (".aedat4",),
        "aedat4",
        sniff.prefix(b"#!AER-DAT4"),
        writer="aedat4_writer",
        options=("stream",),
        write_options=("compression",),
    ),
    Format("aedat3", "AEDAT 3.1", (".aedat",), "aedat3", sniff.prefix(b"#!AER-DAT3")),
    Format(
        "aedat2",
        "AEDAT 2",
        (".aedat", ".aedat2"),
        "aedat2",
        sniff.prefix(b"#!AER-DAT2"),
        options=("chip",),
    ),
    Format(
        "es",
        "Event Stream",
        (".es",),
        "event_stream",
        sniff.prefix(b"Event Stream"),
        writer="event_stream",
    ),
    Format(
        "hdf5",
        "HDF5",
        (".h5", ".hdf5"),
        "hdf5",
        sniff.prefix(b"\x89HDF\r\n\x1a\n"),
        writer="hdf5_writer",
        options=("group", "columns", "time_unit"),
        write_options=("layout", "compression"),
    ),
    Format("bag", "ROS 1 bag", (".bag",), "rosbag", sniff.ros1_bag, options=("topic",)),
    Format("db3", "ROS 2 bag in SQLite", (".db3",), "rosbag", sniff.sqlite, options=("topic",)),
    Format(
        "mcap",
        "ROS 2 bag in MCAP",
        (".mcap",),
        "rosbag",
        sniff.prefix(b"\x89MCAP0\r\n"),
        options=("topic",),
    ),
    Format(
        "csv",
        "text",
        (".csv", ".txt"),
        "text",
        sniff.text,
        writer="text",
        options=("time_unit", "columns"),
        write_options=("time_unit", "columns"),
    ),
)


def by_name(name: str) -> Format:
    """The format of that name; ConfigError if there is none."""
    for row in FORMATS:
        if row.name == name:
            return row
    raise ConfigError("format", name, ", ".join(row.name for row in FORMATS))


def detect(path: Path, name: str | None = None) -> Format:
    """The format of a file: the one named, or else by its content, then by its suffix.

    Raises:
        EventFormatError: the file cannot be opened, is empty, or of unknown format.
        ConfigError: no format has that name.
    """
    if (path / "metadata.yaml").is_file():  # the folder of a ROS 2 bag
        return by_name("mcap" if any(path.glob("*.mcap*")) else "db3")
    if path.is_dir():
        raise EventFormatError("this is a directory, expected a recording", path=path)
    if path.exists() and not path.is_file():
        raise EventFormatError("this is not a regular file, expected a recording", path=path)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError:
        raise EventFormatError("no such file; check the path", path=path) from None
    except OSError as error:
        raise EventFormatError(f"cannot be opened: {error.strerror}", path=path) from None
    if not head:
        raise EventFormatError("the file is empty, expected a recording", path=path)
    if name is not None:
        return by_name(name)
    for row in FORMATS:
        if row.sniff(head):
            return row
    for row in FORMATS:
        if path.suffix.lower() in row.suffixes:
            return row
    raise EventFormatError(
        f"unknown format, expected {', '.join(row.name for row in FORMATS)}; name it with ?format=",
        path=path,
    )


def for_writing(path: Path, name: str | None) -> Format:
    """The format of that name, or else the first one that writes files with this suffix.

    Raises:
        EventFormatError: there is none.
    """
    if name is not None:
        row = by_name(name)
        if row.writer:
            return row
        raise EventFormatError(f"{row.title} cannot be written, only read", path=path)
    suffix = path.suffix.lower()
    writable = [row for row in FORMATS if row.writer]
    for row in writable:
        if suffix in row.suffixes:
            return row
    suffixes = sorted({suffix for row in writable for suffix in row.suffixes})
    raise EventFormatError(
        f"cannot write files with the suffix {suffix!r}, expected {', '.join(suffixes)}", path=path
    )


def _import(module: str) -> Any:
    return importlib.import_module(f"evface_edge.events.formats.{module}")
