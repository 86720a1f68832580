"""Energy meters on recorded input: sysfs trees."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from evface_edge.bench.energy import (
    PowerMeter,
    RaplMeter,
    energy_meter,
    ina_rail,
    rapl_zones,
    read_ina_w,
)


def zone(root: Path, number: str, name: str, energy_uj: int) -> Path:
    folder = root / "sys/class/powercap" / f"intel-rapl:{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text("1000000\n")
    return folder


def test_packages_are_summed_and_wrap(tmp_path: Path) -> None:
    first = zone(tmp_path, "0", "package-0", 900_000)
    second = zone(tmp_path, "1", "package-1", 100_000)
    zone(tmp_path, "0:0", "core", 5)
    assert rapl_zones(tmp_path) == (first, second)
    with energy_meter(tmp_path) as meter:
        assert isinstance(meter, RaplMeter)
        (first / "energy_uj").write_text("100000")  # once around
        (second / "energy_uj").write_text("400000")
        assert meter.read_j() == pytest.approx(0.2 + 0.3)
        assert meter.read_j() == pytest.approx(0.5)


def test_the_rail_of_the_board(tmp_path: Path) -> None:
    folder = tmp_path / "sys/class/hwmon/hwmon3"
    folder.mkdir(parents=True)
    for number, rail in (("1", "VDD_IN"), ("2", "VDD_CPU_GPU_CV")):
        (folder / f"in{number}_label").write_text(f"{rail}\n")
        (folder / f"in{number}_input").write_text("5000\n")
        (folder / f"curr{number}_input").write_text("1200\n")
    found = ina_rail(tmp_path)
    assert found == (folder / "in1_input", folder / "curr1_input")
    assert read_ina_w(*found) == pytest.approx(6.0)
    with energy_meter(tmp_path) as meter:
        assert meter is not None
        assert "INA3221" in meter.name


def test_power_is_integrated_over_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.5, 11.5])
    read = threading.Event()
    powers = iter([4.0, 2.0])

    def read_w() -> float:
        try:
            return next(powers)
        except StopIteration:
            read.set()
            raise OSError from None

    monkeypatch.setattr("evface_edge.bench.energy.time.monotonic", lambda: next(clock))
    meter = PowerMeter(read_w, 1e-4)
    assert read.wait(10)
    meter.close()
    assert meter.read_j() == pytest.approx(4.0 * 0.5 + 2.0 * 1.0)


def test_a_machine_without_a_meter(tmp_path: Path) -> None:
    with energy_meter(tmp_path) as meter:
        assert meter is None
