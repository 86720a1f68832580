"""Compilation of loops with numba. Import this only where numba may be imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """The function as machine code, cached on disk, which releases the interpreter lock."""
    return cast(Function, njit(function, cache=True, nogil=True))


def compiled_reordering(function: Function) -> Function:
    """The same for sums whose order does not matter, so that vector instructions can be used."""
    return cast(Function, njit(function, cache=True, nogil=True, fastmath={"reassoc", "nsz"}))
