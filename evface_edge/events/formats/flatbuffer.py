"""As much of FlatBuffers as AEDAT 4 needs: tables, with every offset checked.

https://flatbuffers.dev/internals. A damaged buffer raises ValueError, never reads elsewhere.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Little-endian, by the codes of `struct`.
_NUMBERS = {code: struct.Struct(f"<{code}") for code in "iqIH"}


class Table:
    """A table inside a buffer."""

    def __init__(self, data: bytes | memoryview, position: int) -> None:
        self._data, self._position = data, position
        self._slots = position - self._number("i", position)
        self._slots_end = self._slots + self._number("H", self._slots)

    @classmethod
    def root(cls, data: bytes | memoryview) -> Table:
        """The outermost table of a buffer that begins with its own length."""
        try:
            return cls(data, 4 + _NUMBERS["I"].unpack_from(data, 4)[0])
        except struct.error:
            raise ValueError("a buffer that is too short") from None

    def integer(self, field: int, code: str, default: int) -> int:
        """A scalar field; `code` is that of `struct`."""
        where = self._field(field)
        return default if where is None else self._number(code, where)

    def text(self, field: int) -> str:
        start, length = self._vector(field, 1)
        return bytes(self._data[start : start + length]).decode("utf-8", "replace")

    def structs(self, field: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """A vector of structs (N,) of that type."""
        start, length = self._vector(field, dtype.itemsize)
        return np.frombuffer(self._data, dtype, length, start)

    def _vector(self, field: int, item_bytes: int) -> tuple[int, int]:
        where = self._field(field)
        if where is None:
            return 0, 0
        start = where + self._number("I", where)
        length = self._number("I", start)
        if start + 4 + length * item_bytes > len(self._data):
            raise ValueError("a vector that leaves its buffer")
        return start + 4, length

    def _field(self, field: int) -> int | None:
        slot = self._slots + 4 + 2 * field
        if slot + 2 > self._slots_end:
            return None
        offset = self._number("H", slot)
        return self._position + offset if offset else None

    def _number(self, code: str, where: int) -> int:
        number = _NUMBERS[code]
        if not 0 <= where <= len(self._data) - number.size:
            raise ValueError("an offset that leaves its buffer")
        return int(number.unpack_from(self._data, where)[0])
