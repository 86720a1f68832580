"""The runtimes of the table, and the devices that each really offers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evface_edge.doctor.finding import Finding, State, try_import
from evface_edge.errors import EvfaceError, RuntimeUnavailable
from evface_edge.models import find_model
from evface_runtimes.table import RUNTIMES, RuntimeSpec, find_device, load


def all_runtimes(specs: Sequence[RuntimeSpec] = RUNTIMES) -> Iterator[Finding]:
    """One finding for each runtime, and below it one for each of its devices."""
    for spec in specs:
        looked = {package: try_import(package) for package in spec.packages}
        states = {state for state, _ in looked.values()}
        state = next((s for s in (State.BROKEN, State.MISSING) if s in states), State.OK)
        found = ", ".join(f"{package} {text}" for package, (_, text) in looked.items())
        yield Finding(spec.name, state, found, "" if state is State.OK else spec.install)
        if state is State.OK:
            for device in spec.devices:
                yield _device(spec, device)


def _device(spec: RuntimeSpec, device: str) -> Finding:
    name = f"{spec.name}, {device}"
    try:
        found = find_device(spec.name, device)
    except RuntimeUnavailable as error:
        return Finding(name, State.MISSING, str(error))
    # A library may name a device that it cannot use, for want of a driver: try. What "auto" leaves
    # out, and TensorRT, would build for minutes.
    if "onnx" in spec.kinds and device in spec.auto and spec.name != "tensorrt":
        try:
            load(find_model("evface-s"), runtime=spec.name, device=device).close()
        except EvfaceError as error:
            return Finding(name, State.BROKEN, f"{found}; {error}")
    return Finding(name, State.OK, found)
