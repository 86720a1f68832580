"""`evface-edge build-engine`: build a TensorRT engine of an ONNX model on the device.

It needs neither PyTorch nor the package onnx.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from evface_edge.card import ModelCard
from evface_edge.errors import ConfigError, ExportError, RuntimeUnavailable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evface_runtimes.tensorrt_build import BuildSettings
    from evface_runtimes.tensorrt_engine import EngineFacts

#: Largest mean displacement of landmarks from the ONNX model; two roundings of the same INT8
#: network are 0.1 to 0.3 px away from each other.
MAX_DISPLACEMENT_PX = 1.0
_TIMED = 200


def build_engine_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX model of a trt target.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write this engine (default: MODEL with the suffix .engine).",
        ),
    ] = None,
    max_batch: Annotated[
        int,
        typer.Option(
            metavar="N", help="Run batches of at most N at once; larger batches are split."
        ),
    ] = 16,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only parse and build with tensorrt-rtx, which needs no GPU."),
    ] = False,
) -> None:
    """Build a TensorRT engine for the GPU of this machine.

    An engine runs only on the GPU model and the TensorRT version that built it, so build it on the
    device. The engine is compared with the ONNX model on events of the demo, and timed. A second
    build uses the cache.

    \b
    Examples:
      evface-edge build-engine evface-s-trt-int8.onnx
      evface-edge build-engine evface-s-trt-int8.onnx --check
    """
    from evface_edge.card_file import read_card
    from evface_runtimes.tensorrt_build import BuildSettings

    if model.suffix.lower() != ".onnx":
        raise ConfigError("MODEL", str(model), "an .onnx file of a trt target")
    card = read_card(model)
    if card.precision == "int8" and not card.target.startswith("trt-"):
        raise ConfigError(
            "MODEL",
            str(model),
            f"a model for TensorRT, not {card.target}, whose zero points TensorRT does not take",
            fix="export the checkpoint with --target trt-int8",
        )
    settings = BuildSettings(max_batch=max_batch)
    if check:
        from evface_export.check_trt import check_trt

        typer.echo(f"{model.name}: {check_trt(model)}")
        return
    engine = output or model.with_suffix(".engine")
    if engine.suffix not in (".engine", ".plan") or not engine.parent.is_dir():
        raise ConfigError("output", str(engine), "a file name ending in .engine, in a folder")
    typer.echo(build_here(model, engine, settings, report=typer.echo))
    typer.echo(f"Next: evface-edge predict RECORDING -m {engine}")


def can_build() -> bool:
    """Whether TensorRT and a GPU are available."""
    from evface_runtimes.cuda import load_cuda
    from evface_runtimes.table import require

    try:
        require("tensorrt")
        load_cuda().gpu()
    except RuntimeUnavailable:
        return False
    return True


def build_here(
    model: Path,
    engine: Path,
    settings: BuildSettings | None = None,
    *,
    report: Callable[[str], None] = lambda line: None,
) -> str:
    """Build the engine of a model for this machine, compare it, and write it with its card.

    Args:
        report: gets a line for each phase of the build.

    Returns:
        one line with size, displacement of landmarks, and latency.

    Raises:
        RuntimeUnavailable: TensorRT or a GPU is missing.
        ModelError: a model without a card, or one that TensorRT does not accept.
        ExportError: the engine differs too much from the model, or cannot be written.
    """
    from evface_edge.card_file import read_card
    from evface_runtimes.cuda import load_cuda
    from evface_runtimes.table import require
    from evface_runtimes.tensorrt_build import cached_engine
    from evface_runtimes.tensorrt_engine import read_facts

    card = read_card(model)
    require("tensorrt")
    import tensorrt as trt

    gpu = load_cuda().gpu()
    report(f"{model.name}: for {gpu.name} ({gpu.compute_capability}), TensorRT {trt.__version__}")
    cached = cached_engine(trt, gpu, model, settings, progress=lambda phase: report(f"  {phase}"))
    facts = read_facts(cached)
    if facts is None:
        raise ExportError(
            "the engine in the cache has no sidecar", path=cached, fix="delete it and build again"
        )
    metrics = compare_engine(cached, model, card)
    write_with_card(engine, cached.read_bytes(), facts, card, metrics)
    return (
        f"{engine}: {engine.stat().st_size / 1e6:.2f} MB, landmarks "
        f"{metrics['engine_displacement_mean_px']:.3f} px from the ONNX model, "
        f"{metrics['engine_p50_ms']:.3f} ms (p50)"
    )


def compare_engine(engine: Path, model: Path, card: ModelCard) -> dict[str, float]:
    """Compare an engine with its ONNX model on the same events, and time it.

    Raises:
        ExportError: the mean distance of landmarks is more than `MAX_DISPLACEMENT_PX`.
    """
    import evface_runtimes

    tensors = {card.inputs[0].name: demo_inputs(card)}
    with (
        evface_runtimes.load(engine, runtime="tensorrt") as fast,
        evface_runtimes.load(model, runtime="onnxruntime", device="cpu") as reference,
    ):
        differences = evface_runtimes.differences(reference, {"engine": fast}, [tensors])["engine"]
        one = {name: array[:1] for name, array in tensors.items()}
        times_ms = np.array([_timed_ms(fast, one) for _ in range(_TIMED)])
    width = card.inputs[0].shape[-1]
    displacement_px = differences["landmarks"].distance_mean * width
    if not displacement_px <= MAX_DISPLACEMENT_PX:  # so that NaN is refused
        raise ExportError(
            f"the engine was not written, because its landmarks are {displacement_px:.2f} px from "
            f"those of the ONNX model (at most {MAX_DISPLACEMENT_PX:g} px are allowed)",
            path=model.name,
            field="displacement_px",
            value=displacement_px,
            expected=f"at most {MAX_DISPLACEMENT_PX:g}",
            fix="export with --target trt-fp16, and report this with the version of TensorRT",
        )
    return {
        "engine_displacement_mean_px": displacement_px,
        "engine_displacement_p99_px": differences["landmarks"].distance_p99 * width,
        "engine_p50_ms": float(np.median(times_ms)),
        "engine_p99_ms": float(np.percentile(times_ms, 99)),
    }


def demo_inputs(card: ModelCard, count: int = 16) -> NDArray[np.float32]:
    """(count, C, H, W): crops of the demo recording at several times, in the representation."""
    from evface_edge import DEMO_RECORDING
    from evface_edge.events import open_events
    from evface_edge.geometry import Box
    from evface_edge.representation import from_config

    representation, side = from_config(card.representation)
    with open_events(DEMO_RECORDING) as source:
        events = np.concatenate(list(source))
        width, height = source.size.width, source.size.height
    # The head is in the middle.
    edge = min(width, height)
    box = Box((width - edge) / 2, (height - edge) / 2, edge, edge)
    length = min(len(events) // count, card.window.target_events(edge * edge))
    starts = np.linspace(0, len(events) - length, count).astype(int)
    return np.stack(
        [representation.crop(events[start : start + length], box, side) for start in starts]
    )


def write_with_card(
    engine: Path, plan: bytes, facts: EngineFacts, card: ModelCard, metrics: dict[str, float]
) -> None:
    """Write an engine, and its sidecar with the card.

    Raises:
        ExportError: they cannot be written.
    """
    from evface_edge.card_file import read_card, sidecar_text
    from evface_runtimes.tensorrt_build import replace_file
    from evface_runtimes.tensorrt_engine import sidecar_path

    built = dataclasses.replace(
        card,
        built_with={
            **card.built_with,
            "tensorrt": facts.tensorrt,
            "gpu": facts.gpu,
            "compute_capability": facts.compute_capability,
        },
        metrics={**card.metrics, **metrics},
    )
    try:
        replace_file(engine, plan)
        text = sidecar_text(dataclasses.asdict(facts), built)
        replace_file(sidecar_path(engine), text.encode())
    except OSError as error:
        raise ExportError(f"cannot be written ({error.strerror})", path=engine) from error
    if read_card(engine) != built:
        raise ExportError("the model card in the sidecar is damaged", path=engine)


def _timed_ms(runtime: Any, tensors: dict[str, NDArray[np.float32]]) -> float:
    start = time.perf_counter()
    runtime.run(tensors)
    return 1e3 * (time.perf_counter() - start)
