"""Energy meters: counters of the processor (RAPL), power sensors of the board (Jetson).

A meter measures everything behind its sensor, including idle power and other programs.

Sources: "Power Capping Framework" in the Linux kernel documentation (RAPL: `energy_uj` counts up
and wraps at `max_energy_range_uj`); NVIDIA, Jetson Linux Developer Guide, "Jetson Platform Power"
(INA3221: rails in hwmon, mV and mA) and "tegrastats Utility" (`VDD_IN 4321mW/4300mW`).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

#: Names of the rail that feeds a whole Jetson, by generation.
TOTAL_RAILS = ("VDD_IN", "SYS5V", "POM_5V_IN")
_PERIOD_S = 0.05
_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]+) (\d+)(?:mW)?/\d+(?:mW)?(?=\s|$)")


class EnergyMeter(Protocol):
    """Measures energy.

    Attributes:
        name: what is measured, for a person to read.
    """

    name: str

    def read_j(self) -> float:
        """Return joules since the meter was created."""
        ...


@dataclass
class RaplMeter:
    """The packages of an x86 processor.

    Args:
        zones: folders of `/sys/class/powercap`, one for each package.
    """

    zones: tuple[Path, ...]
    name: str = "RAPL, processor packages"
    _last_uj: dict[Path, int] = field(default_factory=dict)
    _total_uj: int = 0

    def __post_init__(self) -> None:
        self._last_uj = {zone: _number(zone / "energy_uj") for zone in self.zones}

    def read_j(self) -> float:
        for zone, last in self._last_uj.items():
            now = _number(zone / "energy_uj")
            wrapped = _number(zone / "max_energy_range_uj") if now < last else 0
            self._total_uj += now - last + wrapped
            self._last_uj[zone] = now
        return self._total_uj * 1e-6


class PowerMeter:
    """Integrates power, which a thread reads repeatedly.

    Args:
        read_w: returns the current power in watts; may block until the next reading.
    """

    def __init__(self, name: str, read_w: Callable[[], float], period_s: float) -> None:
        self.name = name
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
        return self._total_j

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=1)


def rapl_zones(root: Path = Path("/")) -> tuple[Path, ...]:
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


def ina_rail(root: Path = Path("/")) -> tuple[Path, Path] | None:
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


def parse_tegrastats(line: str) -> dict[str, float]:
    """Parse one line of tegrastats: rail → watts. The mean after the slash is ignored."""
    return {name: int(milliwatts) * 1e-3 for name, milliwatts in _RAIL.findall(line)}


def total_w(rails: dict[str, float]) -> float:
    """Return the watts of the rail that feeds the board.

    Raises:
        ValueError: no such rail.
    """
    for name in TOTAL_RAILS:
        if name in rails:
            return rails[name]
    raise ValueError(f"none of {', '.join(TOTAL_RAILS)} among {', '.join(rails) or 'no rails'}")


@contextmanager
def energy_meter(root: Path = Path("/")) -> Iterator[EnergyMeter | None]:
    """Yield the best meter of this machine, or None if it has none."""
    zones = rapl_zones(root)
    if zones:
        yield RaplMeter(zones)
        return
    rail = ina_rail(root)
    if rail is not None:
        meter = PowerMeter("INA3221, whole board", lambda: read_ina_w(*rail), _PERIOD_S)
        try:
            yield meter
        finally:
            meter.close()
        return
    program = shutil.which("tegrastats")
    if program is None:
        yield None
        return
    with _tegrastats(program) as meter:
        yield meter


@contextmanager
def _tegrastats(program: str) -> Iterator[PowerMeter]:
    command = [program, "--interval", str(round(1000 * _PERIOD_S))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = process.stdout

        def read_w() -> float:
            return total_w(parse_tegrastats(lines.readline() if lines else ""))

        meter = PowerMeter("tegrastats, whole board", read_w, period_s=1e-3)
        try:
            yield meter
        finally:
            process.terminate()
            meter.close()


def _number(path: Path) -> int:
    return int(path.read_text())
