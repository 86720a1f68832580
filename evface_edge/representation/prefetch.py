"""Fetching memory before it is needed, which neither NumPy nor Numba offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

_FOR_WRITING, _KEEP, _DATA = 1, 3, 1  # arguments of llvm.prefetch

if TYPE_CHECKING:

    def prefetch(flat: NDArray[np.float32], index: int | np.uint64) -> None:
        """Bring the cell at `index` into the caches; never fails, wherever that is."""

else:

    @intrinsic
    def prefetch(typing_context: Any, flat: Any, index: Any) -> Any:
        """Bring the cell at `index` into the caches; never fails, wherever that is."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            cell = builder.bitcast(builder.gep(array.data, [arguments[1]]), byte)
            builder.call(function, [cell, *map(number, (_FOR_WRITING, _KEEP, _DATA))])
            return context.get_dummy_value()

        return types.void(flat, index), generate
