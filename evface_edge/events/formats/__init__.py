"""The table of recording formats. Adding one is adding a row here and a file beside this one.

A module named here offers `read(path, options) -> Contents`, and, where `writes` is set,
`Writer(file, size, options)`. It is imported when a file of its format is met.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events.contents import Contents, ReadOptions, WriterFactory
from evface_edge.events.formats import sniff

#: That much of the beginning of a file is looked at.
HEAD_BYTES = 65536


@dataclass(frozen=True)
class Format:
    """One row.

    Attributes:
        name: as in `?format=name`.
        title: for people.
        suffixes: of files, in lower case; the first row with a suffix is the one that writes it.
        module: below evface_edge.events.formats.
        sniff: tells the format by the beginning of a file.
        writes: whether the module has a writer.
        options: of reading, accepted after the question mark besides width, height and format.
        write_options: the same of writing.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    module: str
    sniff: Callable[[bytes], bool]
    writes: bool = False
    options: tuple[str, ...] = ()
    write_options: tuple[str, ...] = ()

    def read(self, path: Path, options: ReadOptions) -> Contents:
        """Reads the header.

        Raises:
            EventFormatError: it is not of this format, or lacks something.
        """
        module = importlib.import_module(f"{__name__}.{self.module}")
        return cast(Contents, module.read(path, options))

    @property
    def writer(self) -> WriterFactory:
        module = importlib.import_module(f"{__name__}.{self.module}")
        return cast(WriterFactory, module.Writer)


FORMATS: tuple[Format, ...] = (
    Format("npz", "NumPy archive", (".npz",), "npz", sniff.zip_archive, writes=True),
    Format("npy", "NumPy array", (".npy",), "npy", sniff.npy, writes=True),
    Format("evt3", "Prophesee EVT3", (".raw",), "evt3", sniff.raw("EVT3"), writes=True),
    Format("evt2", "Prophesee EVT2", (".raw",), "evt2", sniff.raw("EVT2"), writes=True),
    Format(
        "evt21", "Prophesee EVT2.1", (".raw",), "evt21", sniff.raw("EVT21"), options=("endianness",)
    ),
    Format(
        "dat",
        "Prophesee DAT",
        (".dat",),
        "dat",
        sniff.dat,
        writes=True,
        options=("version",),
        write_options=("version",),
    ),
    Format(
        "aedat4",
        "AEDAT 4",
        (".aedat4",),
        "aedat4",
        sniff.prefix(b"#!AER-DAT4"),
        writes=True,
        write_options=("compression",),
    ),
    Format("aedat3", "AEDAT 3.1", (".aedat",), "aedat3", sniff.prefix(b"#!AER-DAT3")),
    Format("aedat2", "AEDAT 2", (".aedat", ".aedat2"), "aedat2", sniff.prefix(b"#!AER-DAT2")),
    Format("es", "Event Stream", (".es",), "event_stream", sniff.prefix(b"Event Stream"), True),
    Format(
        "hdf5",
        "HDF5",
        (".h5", ".hdf5"),
        "hdf5",
        sniff.prefix(b"\x89HDF\r\n\x1a\n"),
        writes=True,
        options=("group", "time_unit"),
        write_options=("layout", "compression"),
    ),
    Format("bag", "ROS 1 bag", (".bag",), "rosbag", sniff.ros1_bag, options=("topic",)),
    Format("db3", "ROS 2 bag in SQLite", (".db3",), "rosbag", sniff.sqlite, options=("topic",)),
    Format("mcap", "ROS 2 bag in MCAP", (".mcap",), "rosbag", sniff.mcap, options=("topic",)),
    Format(
        "csv",
        "text",
        (".csv", ".txt"),
        "text",
        sniff.text,
        writes=True,
        options=("time_unit", "columns"),
        write_options=("time_unit", "columns"),
    ),
)


def by_name(name: str) -> Format:
    """The format of that name.

    Raises:
        ConfigError: there is none.
    """
    for row in FORMATS:
        if row.name == name:
            return row
    raise ConfigError("format", name, ", ".join(row.name for row in FORMATS))


def detect(path: Path, name: str | None = None) -> Format:
    """The format of a file: the one named, or else by its content, then by its suffix.

    Raises:
        EventFormatError: it cannot be opened, is empty, or is of no known format.
        ConfigError: no format has that name.
    """
    if (path / "metadata.yaml").is_file():  # the folder of a ROS 2 bag
        return by_name("mcap" if any(path.glob("*.mcap*")) else "db3")
    if path.is_dir():
        raise EventFormatError("this is a directory, expected a recording", path=path)
    if path.exists() and not path.is_file():
        raise EventFormatError("this is no regular file, expected a recording", path=path)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError:
        raise EventFormatError("there is no such file; check the path", path=path) from None
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
        "neither its content nor its suffix is of a known format "
        f"({', '.join(row.name for row in FORMATS)}); name one with ?format=",
        path=path,
    )


def for_writing(path: Path, name: str | None) -> Format:
    """The format named, or else the first that writes files with this suffix.

    Raises:
        EventFormatError: no format does.
    """
    if name is not None:
        row = by_name(name)
        if row.writes:
            return row
        raise EventFormatError(f"{row.title} can be read, not written", path=path)
    suffix = path.suffix.lower()
    for row in FORMATS:
        if row.writes and suffix in row.suffixes:
            return row
    written = sorted({suffix for row in FORMATS if row.writes for suffix in row.suffixes})
    raise EventFormatError(
        f"cannot write files that end in {suffix or 'no suffix'!r}; expected {', '.join(written)}",
        path=path,
    )
