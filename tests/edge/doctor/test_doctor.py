from __future__ import annotations

import json
import os
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

from evface_edge import cli, doctor
from evface_edge.doctor import (
    CheckResult,
    Status,
    cameras,
    graphics,
    models,
    packages,
    run_checks,
    runtimes,
)
from evface_edge.doctor.check_result import try_import
from evface_edge.errors import RuntimeUnavailable
from evface_edge.models import find_model
from evface_runtimes.table import RuntimeSpec

REQUIREMENTS = (
    "numpy>=1.26",
    "typer>=0.15",
    "lz4>=4.3; extra == 'aedat'",
    "zstandard>=0.22; extra == 'aedat'",
    'av>=14; extra == "view"',
    "tensorrt-rtx>=1.2; (sys_platform == 'nowhere') and extra == 'check-trt'",
    "evface-edge[aedat,view]; extra == 'all'",
    "pytest>=9; extra == 'dev'",
)


def versions(**installed: str):  # type: ignore[no-untyped-def]
    def version_of(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    return version_of


def test_required_packages_missing_old_and_installed() -> None:
    numpy, typer = packages.base(REQUIREMENTS, versions(numpy="1.20"))
    assert (numpy.status, numpy.fix) == (Status.BROKEN, "pip install 'numpy>=1.26'")
    assert "1.20" in numpy.detail
    assert typer.status is Status.BROKEN
    both = list(packages.base(REQUIREMENTS, versions(numpy="2.4.6", typer="0.15")))
    assert [finding.status for finding in both] == [Status.OK, Status.OK]


def test_extras_complete_incomplete_and_too_old() -> None:
    found = {
        finding.name: finding
        for finding in packages.extras(REQUIREMENTS, versions(lz4="4.4.5", av="9.0"))
    }
    assert set(found) == {"[aedat]", "[view]", "[check-trt]"}
    aedat, view = found["[aedat]"], found["[view]"]
    assert (aedat.status, aedat.fix) == (Status.MISSING, "pip install 'evface-edge[aedat]'")
    assert "lz4 4.4.5" in aedat.detail
    assert "zstandard" in aedat.detail
    assert view.status is Status.BROKEN
    assert "9.0" in view.detail
    assert ">=14" in view.detail
    assert (found["[check-trt]"].status, found["[check-trt]"].fix) == (Status.MISSING, "")
    whole = packages.extras(REQUIREMENTS[:4], versions(lz4="4.4.5", zstandard="0.25"))
    assert [(f.status, f.fix) for f in whole] == [(Status.OK, "")]


def test_an_old_python_is_broken_and_a_jetson_is_named(tmp_path: Path) -> None:
    release = tmp_path / "nv_tegra_release"
    release.write_text("# R36 (release), REVISION: 4.0, GCID: 123, BOARD: generic\n")
    python, machine, _ = packages.system((3, 9), release)
    assert python.status is Status.BROKEN
    assert "R36 (release), REVISION: 4.0" in machine.detail
    python, machine, ours = packages.system((3, 12), tmp_path / "none")
    assert {python.status, machine.status, ours.status} == {Status.OK}
    assert "Jetson" not in machine.detail


def test_imports_ok_missing_and_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "halfway.py").write_text("import not_there_at_all\n")
    (tmp_path / "crooked.py").write_text("raise OSError('libfoo.so.1: cannot open')\n")
    (tmp_path / "sound.py").write_text("__version__ = '7'\n")
    assert try_import("sound") == (Status.OK, "7")
    assert try_import("absent_module.part")[0] is Status.MISSING
    for module, named in (("halfway", "not_there_at_all"), ("crooked", "libfoo.so.1")):
        status, detail = try_import(module)
        assert status is Status.BROKEN
        assert named in detail


def spec(name: str, package: str, devices: tuple[str, ...]) -> RuntimeSpec:
    return RuntimeSpec(name, f"runtime_{name}", (package,), f"install {name}", (), devices, devices)


def test_a_device_that_is_not_offered_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_device(runtime: str, device: str) -> str:
        if device == "gpu":
            raise RuntimeUnavailable("no driver: install one")
        return f"{device} of {runtime}"

    monkeypatch.setattr(runtimes, "find_device", find_device)
    found = list(
        runtimes.all_runtimes([spec("good", "json", ("cpu", "gpu")), spec("gone", "nix", ("cpu",))])
    )
    assert [(f.name, f.status) for f in found] == [
        ("good", Status.OK),
        ("good, cpu", Status.OK),
        ("good, gpu", Status.MISSING),
        ("gone", Status.MISSING),
    ]
    assert found[1].detail == "cpu of good"
    assert found[2].detail == "no driver: install one"
    assert found[3].fix == "install gone"


def test_a_device_that_is_listed_but_unusable_is_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(*_: object, **__: object) -> None:
        raise RuntimeUnavailable("obtained only CPU")

    monkeypatch.setattr(runtimes, "find_device", lambda *_: "CUDAExecutionProvider")
    monkeypatch.setattr(runtimes, "load", load)
    row = RuntimeSpec("x", "m", ("json",), "", ("onnx",), ("cuda",), ("cuda",))
    _, cuda = runtimes.all_runtimes([row])
    assert cuda.status is Status.BROKEN
    assert "obtained only CPU" in cuda.detail


def test_onnxruntime_works() -> None:
    row = next(row for row in runtimes.RUNTIMES if row.name == "onnxruntime")
    found = {finding.name: finding for finding in runtimes.all_runtimes([row])}
    assert found["onnxruntime, cpu"] == CheckResult(
        "onnxruntime, cpu", Status.OK, "CPUExecutionProvider"
    )
    assert set(found) == {"onnxruntime", *(f"onnxruntime, {name}" for name in row.devices)}


@pytest.fixture
def usb(tmp_path: Path) -> tuple[Path, Path]:
    """A USB bus with an EVK4, a keyboard and an interface."""
    bus, nodes = tmp_path / "devices", tmp_path / "bus"
    for name, ids in (("1-1", ("04b4", "00f5", "1", "5")), ("1-2", ("046d", "c31c", "1", "6"))):
        folder = bus / name
        folder.mkdir(parents=True)
        for field, value in zip(("idVendor", "idProduct", "busnum", "devnum"), ids, strict=True):
            (folder / field).write_text(f"{value}\n")
    (bus / "1-1:1.0").mkdir()
    (nodes / "001").mkdir(parents=True)
    (nodes / "001" / "005").touch()
    return bus, nodes


def test_a_camera_with_permission(usb: tuple[Path, Path]) -> None:
    (found,) = cameras.connected(*usb)
    assert (found.name, found.status) == ("Prophesee (04b4:00f5)", Status.OK)
    assert found.detail.startswith(str(usb[1] / "001" / "005"))


def test_a_camera_without_permission(
    usb: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root has permission always
    (found,) = cameras.connected(*usb)
    assert found.status is Status.BROKEN
    assert "udevadm trigger" in found.fix
    (usb[1] / "001" / "005").unlink()
    (found,) = cameras.connected(*usb)
    assert str(usb[1] / "001" / "005") in found.detail
    assert "--device" in found.detail


def test_no_camera_and_no_bus(tmp_path: Path) -> None:
    (tmp_path / "devices").mkdir()
    (found,) = cameras.connected(tmp_path / "devices", tmp_path)
    assert found.status is Status.MISSING
    (found,) = cameras.connected(tmp_path / "none", tmp_path)
    assert found.status is Status.MISSING
    assert str(tmp_path / "none") in found.detail


def test_udev_rules_of_this_project_of_a_vendor_and_none(tmp_path: Path) -> None:
    prophesee, inivation = cameras.udev_rules([tmp_path / "none"])
    assert {prophesee.status, inivation.status} == {Status.MISSING}
    # The rules are between the quotes of the command.
    lines = [part for part in prophesee.fix.split("'")[3::2] if part.startswith("SUBSYSTEM")]
    assert len(lines) == 3
    (tmp_path / "65-event-cameras.rules").write_text("\n".join(lines))
    prophesee, inivation = cameras.udev_rules([tmp_path])
    assert (prophesee.status, inivation.status) == (Status.OK, Status.MISSING)
    # As iniVation writes it: another pattern, other spaces, a group.
    theirs = 'SUBSYSTEMS=="usb", ATTRS{idVendor} == "152a", ATTRS{idProduct} == "84*", \\\n'
    (tmp_path / "99-inivation.rules").write_text(theirs + '  GROUP="plugdev", MODE="0664"\n')
    assert next(iter(cameras.udev_rules([tmp_path]))).status is Status.OK
    assert [f.status for f in cameras.udev_rules([tmp_path])] == [Status.OK, Status.OK]


@pytest.mark.parametrize(
    "rule",
    [
        '# SUBSYSTEM=="usb", ATTRS{idVendor}=="152a", MODE="0666"',
        'SUBSYSTEM=="usb", ATTRS{idVendor}=="152a", ENV{ID_MM_DEVICE_IGNORE}="1"',
        'SUBSYSTEM=="usb", ATTRS{idVendor}=="152a", ATTRS{idProduct}=="8400", MODE="0666"',
    ],
)
def test_insufficient_rules(tmp_path: Path, rule: str) -> None:
    (tmp_path / "a.rules").write_text(rule)
    _, inivation = cameras.udev_rules([tmp_path])
    assert inivation.status is Status.MISSING


def test_drivers_installed_and_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neuromorphic_drivers", ModuleType("neuromorphic_drivers"))
    monkeypatch.setitem(sys.modules, "dv_processing", None)
    found = {finding.name: finding for finding in cameras.drivers()}
    assert found["neuromorphic-drivers"].status is Status.OK
    assert "camera:evk4" in found["neuromorphic-drivers"].detail
    dv = found["dv-processing"]
    assert (dv.status, dv.fix) == (Status.MISSING, "pip install 'evface-edge[inivation]'")


def test_every_driver_of_the_table_is_known() -> None:
    assert all(row.library.module for row in cameras.CAMERAS if row.library.name)
    assert all(row.maker.name for row in cameras.CAMERAS if row.maker.udev)


def test_a_valid_and_a_damaged_model(tmp_path: Path) -> None:
    (good,) = models.bundled([find_model("evface-s")])
    assert good.status is Status.OK
    assert "onnxruntime, cpu" in good.detail
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(find_model("evface-s").read_bytes()[:1000])
    (bad,) = models.bundled([damaged])
    assert (bad.name, bad.status) == ("damaged", Status.BROKEN)
    (none,) = models.bundled([])
    assert none.status is Status.BROKEN


def test_a_model_for_a_runtime_that_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    (found,) = models.bundled([find_model("evface-n", runtime="litert")])
    assert (found.name, found.status) == ("evface-n-int8.tflite", Status.MISSING)
    assert found.fix == "pip install 'evface-edge[litert]'"


def test_the_runtime_that_is_chosen_and_why() -> None:
    from evface_edge.models.choice import choose

    (found,) = runtimes.chosen()
    choice = choose("evface-s")
    assert found.status is Status.OK
    assert str(choice.runtime) in found.detail
    assert choice.reason in found.detail


def test_numba_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = models.compiled_loops(lambda: tmp_path / "not" / "yet")
    assert found.status is Status.OK
    monkeypatch.setattr(os, "access", lambda *_: False)
    (found,) = models.compiled_loops(lambda: tmp_path)
    assert found.status is Status.BROKEN
    assert "NUMBA_CACHE_DIR" in found.fix

    def nowhere() -> Path:
        raise RuntimeError("cannot cache function 'f': no locator available")

    (found,) = models.compiled_loops(nowhere)
    assert found.status is Status.BROKEN
    assert "no locator" in found.detail


def test_graphics_without_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("av", "moderngl"):
        monkeypatch.setitem(sys.modules, name, None)
    (video,), (avatar,) = graphics.videos(), graphics.synthetic_avatar()
    assert (video.status, video.fix) == (Status.MISSING, "pip install 'evface-edge[view]'")
    assert (avatar.status, avatar.fix) == (Status.MISSING, "pip install 'evface-edge[train]'")


def test_graphics_without_egl(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moderngl")
    monkeypatch.setattr(graphics, "find_library", lambda _: None)
    (avatar,) = graphics.synthetic_avatar()
    assert avatar.status is Status.MISSING
    assert "libegl1" in avatar.fix


def test_a_check_that_raises_is_broken() -> None:
    def bus_error():  # type: ignore[no-untyped-def]
        raise ValueError("odd")

    (found,) = run_checks({"a": (bus_error,)})["a"]
    assert (found.name, found.status) == ("bus error", Status.BROKEN)
    assert "ValueError: odd" in found.detail


OK = CheckResult("thing", Status.OK, "fine")
GONE = CheckResult("gone", Status.MISSING, "not installed", "pip install gone")
BAD = CheckResult("bad", Status.BROKEN, "damaged", "pip install bad")


@pytest.mark.parametrize(("findings", "code"), [([OK, GONE], 0), ([OK, BAD, GONE], 1)])
def test_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    findings: list[CheckResult],
    code: int,
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", {"group": (lambda: findings,)})
    assert cli.main(["doctor"]) == code
    text = capsys.readouterr().out
    assert "✓ thing  fine" in text
    assert "→ pip install gone" in text
    assert ("broken: bad" in text) == bool(code)
    assert cli.main(["doctor", "--json"]) == code
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] == (not code)
    gone = answer["checks"][-1]
    assert gone == {
        "group": "group",
        "name": "gone",
        "status": "missing",
        "detail": "not installed",
        "fix": "pip install gone",
    }
