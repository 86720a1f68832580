from __future__ import annotations

import json
import os
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

from evface_edge import cli, doctor
from evface_edge.doctor import Finding, State, cameras, drawing, examine, models, packages, runtimes
from evface_edge.doctor.finding import try_import
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


def test_base_packages_missing_old_and_fitting() -> None:
    numpy, typer = packages.base(REQUIREMENTS, versions(numpy="1.20"))
    assert (numpy.state, numpy.mend) == (State.BROKEN, "pip install 'numpy>=1.26'")
    assert "1.20" in numpy.found
    assert typer.state is State.BROKEN
    both = list(packages.base(REQUIREMENTS, versions(numpy="2.4.6", typer="0.15")))
    assert [finding.state for finding in both] == [State.OK, State.OK]


def test_extras_whole_in_part_and_too_old() -> None:
    found = {
        finding.name: finding
        for finding in packages.extras(REQUIREMENTS, versions(lz4="4.4.5", av="9.0"))
    }
    assert set(found) == {"[aedat]", "[view]", "[check-trt]"}
    aedat, view = found["[aedat]"], found["[view]"]
    assert (aedat.state, aedat.mend) == (State.MISSING, "pip install 'evface-edge[aedat]'")
    assert aedat.found == "lz4 4.4.5, zstandard missing"
    assert view.state is State.BROKEN
    assert "expected >=14" in view.found
    assert "kind of machine" in found["[check-trt]"].found
    whole = packages.extras(REQUIREMENTS[:4], versions(lz4="4.4.5", zstandard="0.25"))
    assert [(f.state, f.mend) for f in whole] == [(State.OK, "")]


def test_an_old_python_is_broken_and_a_jetson_is_named(tmp_path: Path) -> None:
    release = tmp_path / "nv_tegra_release"
    release.write_text("# R36 (release), REVISION: 4.0, GCID: 123, BOARD: generic\n")
    python, machine, _ = packages.system((3, 9), release)
    assert python.state is State.BROKEN
    assert "R36 (release), REVISION: 4.0" in machine.found
    python, machine, ours = packages.system((3, 12), tmp_path / "none")
    assert {python.state, machine.state, ours.state} == {State.OK}
    assert "Jetson" not in machine.found


def test_imports_ok_missing_and_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "halfway.py").write_text("import not_there_at_all\n")
    (tmp_path / "crooked.py").write_text("raise OSError('libfoo.so.1: cannot open')\n")
    (tmp_path / "sound.py").write_text("__version__ = '7'\n")
    assert try_import("sound") == (State.OK, "7")
    assert try_import("absent_module.part") == (State.MISSING, "not installed")
    assert try_import("halfway") == (State.BROKEN, "cannot be imported: it misses not_there_at_all")
    state, text = try_import("crooked")
    assert state is State.BROKEN
    assert "libfoo.so.1" in text


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
    assert [(f.name, f.state) for f in found] == [
        ("good", State.OK),
        ("good, cpu", State.OK),
        ("good, gpu", State.MISSING),
        ("gone", State.MISSING),
    ]
    assert found[1].found == "cpu of good"
    assert found[2].found == "no driver: install one"
    assert found[3].mend == "install gone"


def test_a_device_that_is_named_and_cannot_be_used_is_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(*_: object, **__: object) -> None:
        raise RuntimeUnavailable("obtained only CPU")

    monkeypatch.setattr(runtimes, "find_device", lambda *_: "CUDAExecutionProvider")
    monkeypatch.setattr(runtimes, "load", load)
    row = RuntimeSpec("x", "m", ("json",), "", ("onnx",), ("cuda",), ("cuda",))
    _, cuda = runtimes.all_runtimes([row])
    assert cuda.state is State.BROKEN
    assert "obtained only CPU" in cuda.found


def test_onnxruntime_itself_runs_here() -> None:
    row = next(row for row in runtimes.RUNTIMES if row.name == "onnxruntime")
    found = {finding.name: finding for finding in runtimes.all_runtimes([row])}
    assert found["onnxruntime, cpu"] == Finding(
        "onnxruntime, cpu", State.OK, "CPUExecutionProvider"
    )
    assert set(found) == {"onnxruntime", *(f"onnxruntime, {name}" for name in row.devices)}


@pytest.fixture
def usb(tmp_path: Path) -> tuple[Path, Path]:
    """A bus with an EVK4, a keyboard, and an interface that is no device."""
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


def test_a_camera_that_may_be_opened(usb: tuple[Path, Path]) -> None:
    (found,) = cameras.plugged_in(*usb)
    assert (found.name, found.state) == ("Prophesee (04b4:00f5)", State.OK)
    assert found.found.startswith(str(usb[1] / "001" / "005"))


def test_a_camera_that_may_not_be_opened(
    usb: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may open anything
    (found,) = cameras.plugged_in(*usb)
    assert found.state is State.BROKEN
    assert "udevadm trigger" in found.mend
    (usb[1] / "001" / "005").unlink()
    (found,) = cameras.plugged_in(*usb)
    assert "hand the bus through" in found.found


def test_no_camera_and_no_bus(tmp_path: Path) -> None:
    (tmp_path / "devices").mkdir()
    (found,) = cameras.plugged_in(tmp_path / "devices", tmp_path)
    assert (found.state, found.found) == (State.MISSING, "none is plugged in")
    (found,) = cameras.plugged_in(tmp_path / "none", tmp_path)
    assert "no USB bus" in found.found


def test_udev_rules_of_ours_of_others_and_none(tmp_path: Path) -> None:
    prophesee, inivation = cameras.udev_rules([tmp_path / "none"])
    assert {prophesee.state, inivation.state} == {State.MISSING}
    # What a user gets who types the command: the rules between the quotes.
    lines = [part for part in prophesee.mend.split("'")[3::2] if part.startswith("SUBSYSTEM")]
    assert len(lines) == 3
    (tmp_path / "65-event-cameras.rules").write_text("\n".join(lines))
    prophesee, inivation = cameras.udev_rules([tmp_path])
    assert (prophesee.state, inivation.state) == (State.OK, State.MISSING)
    # As iniVation writes it: another pattern, other spaces, a group.
    theirs = 'SUBSYSTEMS=="usb", ATTRS{idVendor} == "152a", ATTRS{idProduct} == "84*", \\\n'
    (tmp_path / "99-inivation.rules").write_text(theirs + '  GROUP="plugdev", MODE="0664"\n')
    assert next(iter(cameras.udev_rules([tmp_path]))).state is State.OK
    assert [f.state for f in cameras.udev_rules([tmp_path])] == [State.OK, State.OK]


@pytest.mark.parametrize(
    "rule",
    [
        '# SUBSYSTEM=="usb", ATTRS{idVendor}=="152a", MODE="0666"',
        'SUBSYSTEM=="usb", ATTRS{idVendor}=="152a", ENV{ID_MM_DEVICE_IGNORE}="1"',
        'SUBSYSTEM=="usb", ATTRS{idVendor}=="152a", ATTRS{idProduct}=="8400", MODE="0666"',
    ],
)
def test_rules_that_do_not_suffice(tmp_path: Path, rule: str) -> None:
    (tmp_path / "a.rules").write_text(rule)
    _, inivation = cameras.udev_rules([tmp_path])
    assert inivation.state is State.MISSING


def test_drivers_there_missing_and_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neuromorphic_drivers", ModuleType("neuromorphic_drivers"))
    monkeypatch.setitem(sys.modules, "dv_processing", None)
    found = {finding.name: finding for finding in cameras.drivers()}
    assert found["neuromorphic-drivers"].state is State.OK
    assert "camera:evk4" in found["neuromorphic-drivers"].found
    dv = found["dv-processing"]
    assert (dv.state, dv.mend) == (State.MISSING, "pip install 'evface-edge[inivation]'")


def test_every_driver_of_the_table_is_known() -> None:
    assert all(row.library.module for row in cameras.CAMERAS if row.library.name)
    assert all(row.maker.name for row in cameras.CAMERAS if row.maker.udev)


def test_models_that_open_and_that_do_not(tmp_path: Path) -> None:
    (good,) = models.bundled([find_model("evface-s")])
    assert good.state is State.OK
    assert "onnxruntime, cpu" in good.found
    torn = tmp_path / "torn.onnx"
    torn.write_bytes(find_model("evface-s").read_bytes()[:1000])
    (bad,) = models.bundled([torn])
    assert (bad.name, bad.state) == ("torn", State.BROKEN)
    (none,) = models.bundled([])
    assert none.state is State.BROKEN


def test_numba_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = models.compiled_loops(lambda: tmp_path / "not" / "yet")
    assert found.state is State.OK
    monkeypatch.setattr(os, "access", lambda *_: False)
    (found,) = models.compiled_loops(lambda: tmp_path)
    assert found.state is State.BROKEN
    assert "NUMBA_CACHE_DIR" in found.mend

    def nowhere() -> Path:
        raise RuntimeError("cannot cache function 'f': no locator available")

    (found,) = models.compiled_loops(nowhere)
    assert found.state is State.BROKEN
    assert "no locator" in found.found


def test_drawing_without_its_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("av", "moderngl"):
        monkeypatch.setitem(sys.modules, name, None)
    (video,), (head,) = drawing.videos(), drawing.synthetic_avatar()
    assert (video.state, video.mend) == (State.MISSING, "pip install 'evface-edge[view]'")
    assert (head.state, head.mend) == (State.MISSING, "pip install 'evface-edge[train]'")


def test_drawing_without_egl(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moderngl")
    monkeypatch.setattr(drawing, "find_library", lambda _: None)
    (head,) = drawing.synthetic_avatar()
    assert head.state is State.MISSING
    assert "libegl1" in head.mend


def test_a_check_that_fails_is_a_finding() -> None:
    def bus_error():  # type: ignore[no-untyped-def]
        raise ValueError("odd")

    (found,) = examine({"a": (bus_error,)})["a"]
    assert (found.name, found.state) == ("bus error", State.BROKEN)
    assert "ValueError: odd" in found.found


OK = Finding("thing", State.OK, "fine")
GONE = Finding("gone", State.MISSING, "not installed", "pip install gone")
BAD = Finding("bad", State.BROKEN, "torn", "pip install bad")


@pytest.mark.parametrize(("findings", "code"), [([OK, GONE], 0), ([OK, BAD, GONE], 1)])
def test_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    findings: list[Finding],
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
        "state": "missing",
        "found": "not installed",
        "mend": "pip install gone",
    }
