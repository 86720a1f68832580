"""Energy meters: counters of the processor (RAPL), power sensors of the board (Jetson).

A meter measures everything behind its sensor, including idle power and other programs.

Sources: "Power Capping Framework" in the Linux kernel documentation (RAPL: `energy_uj` counts up
and wraps at `max_energy_range_uj`); NVIDIA, Jetson Linux Developer Guide, "Jetson Platform Power"
(INA3221: rails in hwmon, mV and mA).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: Names of the rail that feeds a whole Jetson, by generation.
TOTAL_RAILS = ("VDD_IN", "SYS5V")
_PERIOD_S = 0.05


class RaplMeter:
    """The packages of an x86 processor.

    Args:
        zones: folders of `/sys/class/powercap`, one for each package.
    """

    name = "RAPL, processor packages"

    def __init__(self, zones: tuple[Path, ...]) -> None:
        self._last_uj = {zone: _number(zone / "energy_uj") for zone in zones}
        self._total_uj = 0

    def read_j(self) -> float:
        """Return joules since the meter was created."""
        for zone, last in self._last_uj.items():
            now = _number(zone / "energy_uj")
            wrapped = _number(zone / "max_energy_range_uj") if now < last else 0
            self._total_uj += now - last + wrapped
            self._last_uj[zone] = now
        return self._total_uj * 1e-6


class PowerMeter:
    """Integrates the power of a board, which a thread reads repeatedly.

    Args:
        read_w: returns the current power in watts.
    """

    name = "INA3221, whole board"

    def __init__(self, read_w: Callable[[], float], period_s: float = _PERIOD_S) -> None:
        self._read_w, self._period_s = read_w, period_s
        self._total_j = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        before = time.monotonic()
        while not self._stop.wait(self._period_s):
            try:
                power_w = self._read_w()
            except (OSError, ValueError):
                continue
            now = time.monotonic()
            self._total_j += power_w * (now - before)
            before = now

    def read_j(self) -> float:
        """Return joules since the meter was created."""
        return self._total_j

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=1)


@contextmanager
def energy_meter(root: Path = Path("/")) -> Iterator[RaplMeter | PowerMeter | None]:
    """Yield the best meter of this machine, or None if it has none."""
    zones = rapl_zones(root)
    rail = None if zones else ina_rail(root)
    if rail is None:
        yield RaplMeter(zones) if zones else None
        return
    meter = PowerMeter(lambda: read_ina_w(*rail))
    try:
        yield meter
    finally:
        meter.close()


def rapl_zones(root: Path) -> tuple[Path, ...]:
    """Return the zones of whole packages that this user may read."""
    zones = []
    for zone in sorted((root / "sys/class/powercap").glob("intel-rapl:*")):
        try:
            named = (zone / "name").read_text().startswith("package")
            _number(zone / "energy_uj")
        except (OSError, ValueError):
            continue  # only root may read it since 2020
        if named:
            zones.append(zone)
    return tuple(zones)


def ina_rail(root: Path) -> tuple[Path, Path] | None:
    """Return the files of the rail that feeds the board: millivolts and milliamperes."""
    for label in sorted((root / "sys/class/hwmon").glob("hwmon*/in*_label")):
        try:
            rail = label.read_text().strip()
        except OSError:
            continue
        number = label.name[2:].partition("_")[0]
        current = label.with_name(f"curr{number}_input")
        if rail in TOTAL_RAILS and current.is_file():
            return label.with_name(f"in{number}_input"), current
    return None


def read_ina_w(volts: Path, amperes: Path) -> float:
    """Return the watts of one rail."""
    return _number(volts) * _number(amperes) * 1e-6


def _number(path: Path) -> int:
    return int(path.read_text())
