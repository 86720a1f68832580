"""Detection of formats by the first bytes of a file. Imports no decoder."""

from __future__ import annotations

import re
from collections.abc import Callable

from evface_edge.events.formats import prophesee_header

_NUMBER = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SEPARATORS = re.compile(rb"[,;\t ]+")
_LONGEST_LINE = 1024


def prefix(*magics: bytes) -> Callable[[bytes], bool]:
    """A test whether a file starts with one of these."""
    return lambda head: head.startswith(magics)


ros1_bag = prefix(b"#ROSBAG V2.0\n")
sqlite = prefix(b"SQLite format 3\0")


def raw(encoding: str) -> Callable[[bytes], bool]:
    """A test whether a file is Prophesee RAW with that encoding."""
    return lambda head: head.startswith(b"%") and prophesee_header.parse(head).encoding == encoding


def dat(head: bytes) -> bool:
    """Prophesee DAT: a % header without an encoding, then type and size of an event."""
    if not head.startswith(b"% "):
        return False
    header = prophesee_header.parse(head)
    if header.encoding is not None:
        return False
    return head[header.end : header.end + 2] in (b"\x00\x08", b"\x0c\x08", b"\x0e\x08", b"(\x08")


def text(head: bytes) -> bool:
    """Lines of at least four numbers, after optional comments and column names."""
    lines = head.splitlines()
    if len(head) >= 4096 and len(lines) > 1:
        lines = lines[:-1]  # the last one may be incomplete
    rows = (line.strip() for line in lines)
    cells = [
        _SEPARATORS.split(row.strip(b",;"))
        for row in rows
        if row and row[:1] not in (b"#", b"%") and len(row) <= _LONGEST_LINE
    ][:3]
    if cells and len(cells[0]) == 2 and all(cell.isdigit() for cell in cells[0]):
        cells = cells[1:]  # width and height
    if cells and len(cells[0]) >= 4 and all(cell[:1].isalpha() for cell in cells[0]):
        cells = cells[1:]  # column names
    return bool(cells) and len(cells[0]) >= 4 and all(map(_NUMBER.fullmatch, cells[0][:3]))
