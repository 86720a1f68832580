"""What a file leaves open: what the caller gives, or it states, or only one reading allows.

Every reader decides with the functions below, in this order:

1. *given* by the caller (`options.py`);
2. *stated* by the file, or by the layout of a known data set or program;
3. *inferred*: of the possible readings, only one is in order of time, inside the sensor, and has a
   rate of events that a sensor can have;
4. *assumed*, the usual reading: seconds for times with a fraction, and in short files;
5. otherwise an error that names the options to choose with.

docs/reference/inference.md is for users.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError, EventFormatError, printable
from evface_edge.events.formats.options import UNIT_EXPONENTS, ReadOptions
from evface_edge.events.limits import MAX_STEP_FORWARD_US
from evface_edge.geometry import SensorSize

Value = TypeVar("Value")

#: Events that suffice to tell one reading from another.
ENOUGH_EVENTS = 1000
#: Mean rates (events per second) of nearly all recordings, and what no camera can send.
_USUAL_RATE_HZ, _MAX_RATE_HZ = (20.0, 20e6), 1e9
#: How many events at each end give its time.
_ENDS = 33
#: The fraction of timestamps that may step back in an intact recording.
_MAX_STEPS_BACK = 0.05


@dataclass(frozen=True)
class Fact(Generic[Value]):
    """Something that the reading of a file depends on.

    Attributes:
        name: such as "time unit".
        source: given, stated, inferred or assumed.
        reason: why, in a few words.
    """

    name: str
    value: Value
    source: str
    reason: str = ""

    def __str__(self) -> str:
        because = f": {self.reason}" if self.reason else ""
        return f"{self.value} ({self.source}{because})"


def sensor_size(
    path: Path, options: ReadOptions, stated: SensorSize | None, reason: str = ""
) -> Fact[SensorSize]:
    """The size of the sensor; EventFormatError if neither the caller nor the file gives it."""
    if options.size is not None:
        return Fact("sensor size", options.size, "given")
    if stated is not None:
        return Fact("sensor size", stated, "stated", reason)
    raise EventFormatError(
        "the file does not state the sensor size",
        path=path,
        field="size",
        fix=f"give it as '{path.name}?width=640&height=480', with the numbers of your sensor",
    )


def column_order(
    path: Path, table: NDArray[Any], options: ReadOptions, usual: str | None = None
) -> Fact[str]:
    """The order of the columns of a table without names.

    Args:
        table: (N, 4) first rows, in the order of the file.
        usual: order of such files, assumed if several are possible.

    Raises:
        EventFormatError: several orders are possible, or none.
    """
    if options.columns is not None:
        return Fact("columns", options.columns, "given")
    possible = _possible_orders(table, options.size)
    if len(possible) == 1:
        return Fact("columns", possible[0], "inferred", "no other order is possible")
    if usual in possible or (usual is not None and not len(table)):
        return Fact("columns", usual, "assumed", "the usual order")
    found = f"{', '.join(possible[:4])} are possible" if possible else "none is possible"
    raise EventFormatError(
        f"does not state the order of its columns, and {found}",
        path=path,
        field="columns",
        value=tuple(possible),
        fix=f"give it as '{path.name}?columns=txyp'",
    )


def _possible_orders(table: NDArray[Any], size: SensorSize | None) -> list[str]:
    """All orders that the rows allow; with y before x only if no other is possible."""
    limits = {"x": 65536, "y": 65536}
    if size is not None:
        limits = {"x": size.width, "y": size.height}
    columns = [np.asarray(table[:, k], np.float64) for k in range(4)]
    # A few events may be damaged.
    least = min(0.99 * len(table), len(table) - 1)

    def fits(field: str, column: NDArray[np.float64]) -> bool:
        if field == "t":
            return bool((np.diff(column) < 0).sum() <= _MAX_STEPS_BACK * max(len(column) - 1, 0))
        if field == "p":
            return bool(np.isin(column, (-1, 0, 1)).sum() >= least)
        inside = (column >= 0) & (column < limits[field]) & (column == np.rint(column))
        return bool(inside.sum() >= least)

    fitting = {(field, k): fits(field, columns[k]) for field in "txyp" for k in range(4)}
    orders = ["".join(order) for order in itertools.permutations("txyp")]
    orders = [o for o in orders if all(fitting[field, k] for k, field in enumerate(o))]
    usual = [order for order in orders if order.index("x") < order.index("y")]
    return usual or orders


@dataclass(frozen=True)
class TimeSample:
    """Times of a recording, in the unit of the file.

    Attributes:
        head: of the first events (N,), float64.
        first, last: of the first and the last events (medians, as single ones may be damaged).
        events: in the whole recording, about.
        is_float: whether times are stored as floating-point numbers, or written with a point.
        has_fraction: whether any that was looked at is not whole.
    """

    head: NDArray[np.float64]
    first: float
    last: float
    events: int
    is_float: bool
    has_fraction: bool

    @classmethod
    def of(cls, head: NDArray[Any], tail: NDArray[Any], events: int) -> TimeSample:
        """From the times of the first and the last events."""
        is_float = head.dtype.kind == "f"
        times = np.concatenate([head, tail]).astype(np.float64)
        times = times[np.isfinite(times)]
        if not len(times):
            return cls(times, 0.0, 0.0, 0, is_float, False)
        fraction = is_float and bool((times != np.rint(times)).any())
        first, last = (float(np.median(part)) for part in (times[:_ENDS], times[-_ENDS:]))
        return cls(times[: len(head)], first, last, events, is_float, fraction)

    @classmethod
    def none(cls) -> TimeSample:
        """No times, where the unit is stated."""
        return cls.of(np.empty(0, np.int64), np.empty(0, np.int64), 0)

    def rate_hz(self, unit: str) -> float:
        """The mean rate if times are in that unit; infinite if all are the same."""
        span = (self.last - self.first) * 10.0 ** UNIT_EXPONENTS[unit]
        return self.events / span * 1e6 if span > 0 else float("inf")

    def is_possible(self, unit: str) -> bool:
        """Whether a camera can have recorded this."""
        steps_us = np.diff(self.head) * 10.0 ** UNIT_EXPONENTS[unit]
        gaps = int((steps_us > MAX_STEP_FORWARD_US).sum())
        few = self.events < ENOUGH_EVENTS
        return gaps <= 0.01 * len(steps_us) and (few or self.rate_hz(unit) <= _MAX_RATE_HZ)

    def is_usual(self, unit: str) -> bool:
        low, high = _USUAL_RATE_HZ
        return self.is_possible(unit) and low <= self.rate_hz(unit) <= high


def time_unit(
    path: Path,
    sample: TimeSample,
    options: ReadOptions,
    stated: str | None = None,
    reason: str = "",
) -> Fact[str]:
    """The unit of time: s, ms, us or ns.

    Whole numbers are µs or ns, numbers with a fraction s; the others only if these are impossible.

    Raises:
        EventFormatError: several units are possible.
    """
    name = "time unit"
    if options.time_unit is not None:
        return Fact(name, options.time_unit, "given")
    if stated is not None:
        return Fact(name, stated, "stated", reason)
    usual = "s" if sample.is_float else "us"
    few = sample.events < ENOUGH_EVENTS
    if not len(sample.head) or (few and not sample.is_float):
        return Fact(name, usual, "assumed", "too few events to tell")
    candidates = ("s", "ms", "us") if sample.has_fraction else ("us", "ns")
    if sample.is_float and not sample.has_fraction:
        candidates = ("us", "ns", "s")
    possible = [unit for unit in candidates if sample.is_possible(unit)]
    possible = possible or [unit for unit in UNIT_EXPONENTS if sample.is_possible(unit)]
    if len(possible) == 1:
        return Fact(name, possible[0], "inferred", f"{_others(candidates, possible)} impossible")
    if few and possible:
        unit = usual if usual in possible else possible[0]
        return Fact(name, unit, "assumed", "too few events to tell")
    likely = [unit for unit in possible if sample.is_usual(unit)]
    if sample.has_fraction and "s" in likely and len(likely) > 1:
        if _in_whole_us(sample):
            return Fact(name, "s", "inferred", "a fraction, in steps of 1 µs")
        return Fact(name, "s", "assumed", "a fraction")
    if len(likely) == 1:
        rate = f"{sample.rate_hz(likely[0]):.3g} events/s"
        return Fact(name, likely[0], "inferred", f"{rate}; other units give no usual rate")
    readings = ", ".join(_reading(sample, unit) for unit in possible) or "no unit is possible"
    choice = " or ".join(f"time_unit={unit}" for unit in likely or possible)
    raise EventFormatError(
        f"does not state the unit of its times ({readings})",
        path=path,
        field="time_unit",
        value=tuple(likely or possible),
        fix=f"give it as '{path.name}?{choice}'",
    )


def _others(candidates: Sequence[str], possible: Sequence[str]) -> str:
    return ", ".join(unit for unit in candidates if unit not in possible) + " would be"


def _reading(sample: TimeSample, unit: str) -> str:
    span_s = (sample.last - sample.first) * 10.0 ** (UNIT_EXPONENTS[unit] - 6)
    return f"{unit}: {span_s:.3g} s with {sample.rate_hz(unit):.3g} events/s"


def _in_whole_us(sample: TimeSample) -> bool:
    """Whether the times are whole µs if they are in s, but not whole ms."""
    # A float64 holds times of today, in s, to about 0.2 µs.
    us, ms = sample.head * 1e6, sample.head * 1e3
    near_us = np.abs(us - np.rint(us)) < 0.3
    near_ms = np.abs(ms - np.rint(ms)) < 0.0003
    return bool(near_us.mean() > 0.99 and near_ms.mean() < 0.9)


def one_of(
    path: Path, name: str, choices: Mapping[str, str], given: str | int | None, option: str
) -> Fact[str]:
    """One of several streams, groups or chips, which only the caller can choose.

    Args:
        choices: value of the option → what it is.

    Raises:
        ConfigError: the caller chose another.
        EventFormatError: there are several, and the caller chose none.
    """
    if given is not None:
        if str(given) not in choices:
            raise ConfigError(option, given, ", ".join(choices))
        return Fact(name, str(given), "given")
    if len(choices) == 1:
        return Fact(name, next(iter(choices)), "stated", "the only one")
    listed = ", ".join(f"{value} ({what})" if what else value for value, what in choices.items())
    raise EventFormatError(
        f"has several {name}s of events: {printable(listed)}",
        path=path,
        field=option,
        value=tuple(choices),
        fix=f"choose one as '{path.name}?{option}={next(iter(choices))}'",
    )


def word_order(words: NDArray[np.uint64], kinds: Iterable[int], time_high: int) -> Fact[str]:
    """The order of the halves of EVT2.1 words (N,), from the kinds of word that each order gives.

    Args:
        kinds: that exist.
        time_high: the kind that every recording has.
    """
    name = "word order"
    known = np.isin(np.arange(16), list(kinds))
    fits = {}
    for order, shift in (("little", 60), ("legacy", 28)):
        found = (words >> np.uint64(shift)) & np.uint64(15)
        fits[order] = bool(known[found.astype(np.intp)].all() and (found == time_high).any())
    if fits["little"] != fits["legacy"]:
        order = "little" if fits["little"] else "legacy"
        return Fact(name, order, "inferred", "the other order gives no times")
    return Fact(name, "little", "assumed", "the usual order")
