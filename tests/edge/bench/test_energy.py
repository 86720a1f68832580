"""Energy meters on recorded input: sysfs trees and lines of tegrastats."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from evface_edge.bench.energy import (
    PowerMeter,
    RaplMeter,
    energy_meter,
    ina_rail,
    parse_tegrastats,
    rapl_zones,
    read_ina_w,
    total_w,
)

#: As a Jetson Orin Nano with JetPack 6 and a Xavier with JetPack 4 print them.
ORIN = (
    "08-14-2024 10:12:01 RAM 2456/7620MB (lfb 10x4MB) SWAP 0/3810MB (cached 0MB) CPU [12%@1510,"
    "5%@1510,off,off] EMC_FREQ 2%@2133 GR3D_FREQ 43%@[624] cpu@48.2C soc2@47.1C tj@49.5C "
    "VDD_IN 5271mW/5190mW VDD_CPU_GPU_CV 1240mW/1100mW VDD_SOC 1480mW/1475mW"
)
XAVIER = (
    "RAM 3092/7771MB (lfb 803x4MB) CPU [3%@1190,0%@1190] EMC_FREQ 0% GR3D_FREQ 0% PLL@31C "
    "thermal@31.4C POM_5V_IN 2254/2254 POM_5V_GPU 40/40 POM_5V_CPU 164/164"
)


def test_rails_of_tegrastats() -> None:
    orin = parse_tegrastats(ORIN)
    assert orin == pytest.approx({"VDD_IN": 5.271, "VDD_CPU_GPU_CV": 1.24, "VDD_SOC": 1.48})
    assert total_w(orin) == pytest.approx(5.271)
    assert total_w(parse_tegrastats(XAVIER)) == pytest.approx(2.254)
    with pytest.raises(ValueError, match="VDD_IN"):
        total_w(parse_tegrastats("no rails here"))


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
    meter = PowerMeter("it", read_w, 1e-4)
    assert read.wait(10)
    meter.close()
    assert meter.read_j() == pytest.approx(4.0 * 0.5 + 2.0 * 1.0)


def test_a_machine_without_a_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with energy_meter(tmp_path) as meter:
        assert meter is None


def test_tegrastats_as_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake program prints the output of a board."""
    program = tmp_path / "tegrastats"
    program.write_text(
        f"#!/bin/sh\nwhile true; do echo '{ORIN}'; /bin/sleep 0.01; done\n", encoding="utf-8"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with energy_meter(tmp_path) as meter:
        assert meter is not None
        assert meter.name == "tegrastats, whole board"
        until = threading.Event()
        for _ in range(500):
            if meter.read_j() > 0.05:
                break
            until.wait(0.01)
        assert meter.read_j() > 0.05
