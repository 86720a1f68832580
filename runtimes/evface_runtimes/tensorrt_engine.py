"""What an engine was built for: kept in a file beside it, `<engine>.json`.

An engine runs on the GPU model and with the TensorRT that built it. Its own bytes stay as TensorRT
wrote them, since other tools refuse an engine that begins with anything else.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evface_runtimes.errors import DeviceMismatch, ModelError

#: The entry of the sidecar that is ours; other packages add their own beside it.
ENTRY = "engine"


@dataclass(frozen=True)
class EngineFacts:
    """Of one build.

    Attributes:
        gpu, compute_capability: such as "Orin" and "8.7".
        tensorrt: its version, such as "10.3.0".
        flags: how the builder was set, as text.
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
        """Equal for builds that could stand for each other."""
        parts = (self.onnx_sha256, self.gpu, self.compute_capability, self.tensorrt, self.flags)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]

    def to_entry(self) -> dict[str, Any]:
        return {ENTRY: dataclasses.asdict(self)}


def sidecar_path(engine: Path) -> Path:
    return engine.with_name(f"{engine.name}.json")


def read_facts(engine: Path) -> EngineFacts | None:
    """The facts beside an engine, or None where there is no such file.

    Raises:
        ModelError: the file is damaged, or the engine is not the one that it speaks of.
    """
    sidecar = sidecar_path(engine)
    try:
        values = json.loads(sidecar.read_text())
        facts = EngineFacts(**values[ENTRY])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{sidecar}: cannot be read as what an engine was built for ({error}); build the "
            "engine again with `evface-edge build-engine`"
        ) from None
    found = hashlib.sha256(engine.read_bytes()).hexdigest()
    if found != facts.engine_sha256:
        raise ModelError(
            f"{engine}: truncated, or changed after it was built (its SHA-256 is {found[:12]}…, "
            f"{sidecar.name} says {facts.engine_sha256[:12]}…); {_rebuild(engine, facts)}"
        )
    return facts


def check_machine(
    engine: Path, facts: EngineFacts, *, gpu: str, compute_capability: str, tensorrt: str
) -> None:
    """Hold what an engine was built for against what is here.

    Raises:
        DeviceMismatch: another GPU or another TensorRT; the message has the command to rebuild.
    """
    built = (facts.gpu, facts.compute_capability, facts.tensorrt)
    if built != (gpu, compute_capability, tensorrt):
        raise DeviceMismatch(
            f"{engine}: built for {facts.gpu} (compute capability {facts.compute_capability}) "
            f"with TensorRT {facts.tensorrt}, but this is {gpu} ({compute_capability}) with "
            f"TensorRT {tensorrt}, and engines do not move; {_rebuild(engine, facts)}"
        )


def _rebuild(engine: Path, facts: EngineFacts) -> str:
    return f"build it here: evface-edge build-engine {facts.source} -o {engine.name}"
