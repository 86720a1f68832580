"""What an engine was built for: in a file beside it, `<engine>.json`.

An engine runs only on the GPU model and with the TensorRT version that it was built with. Its bytes
stay as TensorRT wrote them, since other tools refuse an engine with anything added.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evface_runtimes.errors import DeviceMismatch, ModelError

#: The entry of the file; other packages add theirs beside it.
ENTRY = "engine"


@dataclass(frozen=True)
class EngineFacts:
    """Facts of one build.

    Attributes:
        gpu, compute_capability: such as "Orin" and "8.7".
        tensorrt: its version, such as "10.3.0".
        flags: settings of the builder, as text.
        source: file name of the ONNX model.
        onnx_sha256, engine_sha256: of the whole files.
    """

    gpu: str
    compute_capability: str
    tensorrt: str
    flags: str
    source: str
    onnx_sha256: str
    engine_sha256: str

    @property
    def key(self) -> str:
        """Equal for builds that are interchangeable."""
        parts = (self.onnx_sha256, self.gpu, self.compute_capability, self.tensorrt, self.flags)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]

    def to_entry(self) -> dict[str, Any]:
        """The contents of the file beside the engine."""
        return {ENTRY: dataclasses.asdict(self)}


def sidecar_path(engine: Path) -> Path:
    """`<engine>.json`."""
    return engine.with_name(f"{engine.name}.json")


def read_facts(engine: Path) -> EngineFacts | None:
    """The facts beside an engine, or None if there is no such file.

    Raises:
        ModelError: the file is damaged, or the engine was changed after the build.
    """
    sidecar = sidecar_path(engine)
    try:
        values = json.loads(sidecar.read_text())
        facts = EngineFacts(**values[ENTRY])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"does not describe an engine ({error})",
            path=sidecar,
            fix="build the engine again with `evface-edge build-engine`",
        ) from None
    found = hashlib.sha256(engine.read_bytes()).hexdigest()
    if found != facts.engine_sha256:
        raise ModelError(
            f"truncated, or changed after it was built: its SHA-256 is {found[:12]}…, expected "
            f"{facts.engine_sha256[:12]}…",
            path=engine,
            field="sha256",
            value=found,
            expected=facts.engine_sha256,
            fix=_rebuild(engine, facts),
        )
    return facts


def check_machine(
    engine: Path, facts: EngineFacts, *, gpu: str, compute_capability: str, tensorrt: str
) -> None:
    """Compare what an engine was built for with this machine.

    Raises:
        DeviceMismatch: another GPU or another TensorRT; `fix` is the command to rebuild.
    """
    built = _machine(facts.gpu, facts.compute_capability, facts.tensorrt)
    here = _machine(gpu, compute_capability, tensorrt)
    if built != here:
        raise DeviceMismatch(
            f"built for {built}, but this machine has {here}",
            path=engine,
            value=built,
            expected=here,
            fix=_rebuild(engine, facts),
        )


def _machine(gpu: str, compute_capability: str, tensorrt: str) -> str:
    return f"{gpu} (compute capability {compute_capability}) with TensorRT {tensorrt}"


def _rebuild(engine: Path, facts: EngineFacts) -> str:
    return f"build it here: evface-edge build-engine {facts.source} -o {engine.name}"
