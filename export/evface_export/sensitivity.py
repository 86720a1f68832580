"""The loss of each layer in INT8, with all others in float."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from evface_edge.errors import ExportError, RuntimeUnavailable
from evface_export.conversion import Conversion
from evface_export.graph import expected_warnings
from evface_export.parity import Parity, torch_run
from evface_export.quantize import Scheme, layer_names, quantize
from evface_export.text_table import text_table

ALL = "all together"
#: Number of clips for calibration and for evaluation; enough for the order of layers.
_CALIBRATION_CLIPS, _EVALUATION_CLIPS = 128, 256


@dataclass(frozen=True)
class Layer:
    """A layer, and the network with only this layer in INT8."""

    name: str
    parity: Parity


def sensitivity(
    conversion: Conversion,
    *,
    scheme: Scheme = "u8",
    advance: Callable[[str], None] = lambda name: None,
) -> list[Layer]:
    """Each layer of the backbone alone, in order, then all of them together.

    Args:
        advance: gets the name of each layer when it is finished.

    Raises:
        ExportError: the network has nothing to quantise.
    """
    network, card = conversion.network, conversion.card
    reference = conversion.reference.first(_EVALUATION_CLIPS)
    used = conversion.used[:_CALIBRATION_CLIPS]
    clips = [torch.from_numpy(batch) for batch in conversion.calibration.batches(used)]
    example = torch.zeros(2, *card.inputs[0].shape[1:])
    layers = []
    with expected_warnings():
        for name in (*layer_names(network, example), None):
            quantized = quantize(network, example, clips, scheme=scheme, only=name)
            layers.append(Layer(name or ALL, reference.compare(torch_run(quantized, card))))
            advance(name or ALL)
    return layers


def sensitivity_table(layers: Sequence[Layer]) -> str:
    """One row for each layer."""
    heading = ["layer in INT8", "mean px", "p99 px", "NME", "NME loss", "log σ", "presence"]
    rows = [
        [
            layer.name,
            f"{layer.parity.mean_px:.3f}",
            f"{layer.parity.p99_px:.3f}",
            f"{layer.parity.nme_artefact:.3%}",
            f"{layer.parity.nme_loss:+.2%}",
            f"{layer.parity.difference['log_sigma'][1]:.3f}",
            f"{layer.parity.difference['presence'][1]:.3f}",
        ]
        for layer in layers
    ]
    return text_table(heading, rows)


def write_sensitivity(layers: Sequence[Layer], folder: Path, name: str) -> list[Path]:
    """Write `<name>-sensitivity.json` and `.png` to an existing folder, and return their paths.

    Raises:
        RuntimeUnavailable: matplotlib is not installed.
        ExportError: they cannot be written.
    """
    require_matplotlib()
    metrics = [
        {
            "layer": layer.name,
            "mean_px": layer.parity.mean_px,
            "p99_px": layer.parity.p99_px,
            "nme_fp32": layer.parity.nme_checkpoint,
            "nme_int8": layer.parity.nme_artefact,
            "nme_loss": layer.parity.nme_loss,
            "difference": layer.parity.difference,
            "faces": layer.parity.faces,
        }
        for layer in layers
    ]
    table, plot = (folder / f"{name}-sensitivity{suffix}" for suffix in (".json", ".png"))
    try:
        table.write_text(json.dumps(metrics, indent=2) + "\n")
        _plot(layers, plot, name)
    except OSError as error:
        raise ExportError(f"cannot be written ({error.strerror})", path=folder) from error
    return [table, plot]


def require_matplotlib() -> None:
    """Raises RuntimeUnavailable where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise RuntimeUnavailable(
            "--report needs matplotlib", fix="pip install 'evface-edge[report]'"
        )


def _plot(layers: Sequence[Layer], path: Path, name: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [layer.name for layer in layers]
    figure = Figure(figsize=(9, 1 + 0.28 * len(layers)), layout="constrained")
    FigureCanvasAgg(figure)
    moved, lost = figure.subplots(1, 2, sharey=True)
    moved.barh(names, [layer.parity.mean_px for layer in layers])
    moved.set_xlabel("mean displacement of a landmark, px of the crop")
    lost.barh(names, [100 * layer.parity.nme_loss for layer in layers])
    lost.set_xlabel("relative NME loss, %")
    moved.invert_yaxis()
    figure.suptitle(f"{name}: one layer at a time in INT8")
    figure.savefig(path, dpi=120)
