"""Sixteen events at a time: where in the cells each of them belongs, by vector instructions.

An event is 13 bytes, so its fields lie where no compiler finds a vector, and reading three of them,
testing each and multiplying takes half the time that counting an event does. Here the bytes of
sixteen are shuffled into vectors first, in LLVM's own terms: it chooses the instructions, so this
is right on every processor, and fast on those that shuffle 64 bytes at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from evface_edge.events.array import EVENT_DTYPE

#: Events at once; 64 bytes hold a quarter of them.
TOGETHER = 16

_QUARTER = 4
_LOADED = 64

_INT8, _INT32, _INT64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_Vector = ir.VectorType(_INT32, TOGETHER)


def _place(
    context: Any, events: Any, first: Any, width: Any, height: Any, places: Any, at: Any
) -> Any:
    """places[at : at + 16] = (p · height + y) · width + x of events[first : first + 16], as uint32.

    Both arrays are contiguous; there is an event after these sixteen (some bytes of it are loaded,
    not looked at); 2 · height · width is below 2^32. Returns whether one of them is outside, or
    has a polarity above 1.
    """

    def generate(target: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        events, first, width, height, places, at = values
        memory = target.make_array(signature.args[0])(target, builder, events).data
        x, y, p = _fields(builder, builder.bitcast(memory, _INT8.as_pointer()), first)
        width, height = (_everywhere(builder, value) for value in (width, height))
        outside = builder.or_(
            builder.icmp_unsigned(">=", x, width), builder.icmp_unsigned(">=", y, height)
        )
        one = ir.Constant(_Vector, [1] * TOGETHER)
        outside = builder.or_(outside, builder.icmp_unsigned(">", p, one))
        rows = builder.add(builder.mul(p, height), y)
        found = builder.add(builder.mul(rows, width), x)
        memory = target.make_array(signature.args[4])(target, builder, places).data
        memory = builder.bitcast(builder.gep(memory, [at]), _Vector.as_pointer())
        builder.store(found, memory, align=4)
        lanes = ir.IntType(TOGETHER)
        return builder.icmp_unsigned("!=", builder.bitcast(outside, lanes), ir.Constant(lanes, 0))

    size = types.uint32
    return types.boolean(events, types.uint64, size, size, places, types.uint64), generate


#: For compiled code only.
place: Callable[..., bool] = intrinsic(_place)


def _fields(builder: ir.IRBuilder, memory: ir.Value, first: ir.Value) -> tuple[ir.Value, ...]:
    """x, y and p of sixteen events."""
    step = EVENT_DTYPE.itemsize
    start = builder.gep(memory, [builder.mul(first, ir.Constant(_INT64, step))])
    loaded = ir.VectorType(_INT8, _LOADED)
    quarters = []
    for quarter in range(TOGETHER // _QUARTER):
        from_here = builder.gep(start, [ir.Constant(_INT64, quarter * _QUARTER * step)])
        quarters.append(builder.load(builder.bitcast(from_here, loaded.as_pointer()), align=1))
    return tuple(_field(builder, quarters, name) for name in ("x", "y", "p"))


def _field(builder: ir.IRBuilder, quarters: list[ir.Value], name: str) -> ir.Value:
    """One field of sixteen events, widened to 32 bits."""
    assert EVENT_DTYPE.fields is not None
    dtype, offset = EVENT_DTYPE.fields[name][:2]
    chosen = []
    for event in range(_QUARTER):
        here = event * EVENT_DTYPE.itemsize + offset
        own = range(here, here + dtype.itemsize)
        chosen += [*own, *[_LOADED] * (_INT32.width // 8 - dtype.itemsize)]  # zeros above it
    zeros = ir.Constant(quarters[0].type, [0] * _LOADED)
    mask = ir.Constant(ir.VectorType(_INT32, len(chosen)), chosen)
    parts = [
        builder.bitcast(
            builder.shuffle_vector(quarter, zeros, mask), ir.VectorType(_INT32, _QUARTER)
        )
        for quarter in quarters
    ]
    while len(parts) > 1:
        count = 2 * parts[0].type.count
        order = ir.Constant(ir.VectorType(_INT32, count), list(range(count)))
        parts = [
            builder.shuffle_vector(low, high, order)
            for low, high in zip(parts[::2], parts[1::2], strict=True)
        ]
    return parts[0]


def _everywhere(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """The same number sixteen times."""
    empty = ir.Constant(_Vector, ir.Undefined)
    one = builder.insert_element(empty, value, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(one, empty, ir.Constant(_Vector, [0] * TOGETHER))
