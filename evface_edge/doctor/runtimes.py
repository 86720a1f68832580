"""Checks of the inference runtimes and their devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evface_edge.doctor.check_result import CheckResult, Status, try_import, worst
from evface_edge.errors import EvfaceError, RuntimeUnavailable
from evface_edge.models import find_model
from evface_edge.models.choice import choose
from evface_runtimes.table import RUNTIMES, RuntimeSpec, find_device, load

_MODEL = "evface-s"
_BUNDLED_KINDS = frozenset({"onnx", "litert"})


def all_runtimes(specs: Sequence[RuntimeSpec] = RUNTIMES) -> Iterator[CheckResult]:
    """Check each runtime and, if it is installed, each of its devices."""
    for spec in specs:
        imports = {package: try_import(package) for package in spec.packages}
        status = worst({status for status, _ in imports.values()})
        detail = ", ".join(f"{package} {text}" for package, (_, text) in imports.items())
        yield CheckResult(spec.name, status, detail, "" if status is Status.OK else spec.install)
        if status is Status.OK:
            for device in spec.devices:
                yield _device(spec, device)


def chosen() -> Iterator[CheckResult]:
    """Report the runtime of the bundled INT8 models where the user names none."""
    choice = choose(_MODEL)
    runtime = choice.runtime or RUNTIMES[0].name
    detail = f"{runtime}; {choice.reason}" if choice.reason else runtime
    yield CheckResult("chosen for INT8", Status.OK, detail)


def _device(spec: RuntimeSpec, device: str) -> CheckResult:
    name = f"{spec.name}, {device}"
    try:
        description = find_device(spec.name, device)
    except RuntimeUnavailable as error:
        return CheckResult(name, Status.MISSING, str(error))
    # A library may list a device that it cannot use because a driver is missing: load a model.
    # TensorRT and devices that "auto" skips are left out, since building takes minutes there.
    bundled = _BUNDLED_KINDS.intersection(spec.kinds)
    if bundled and device in spec.auto and spec.name != "tensorrt":
        try:
            model = find_model(_MODEL, runtime=spec.name)
            load(model, runtime=spec.name, device=device).close()
        except EvfaceError as error:
            return CheckResult(name, Status.BROKEN, f"{description}; {error}")
    return CheckResult(name, Status.OK, description)
