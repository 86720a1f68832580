"""INT8: which tensors are quantised, and their ranges from calibration.

Quantised are the backbone, and the larger layers of the head before its softmax. The rest of the
head stays in float32: an 8-bit step of a coordinate that spans the crop is half a pixel; and
`to_points` and `mix`, with few multiply-adds, would cause half of the whole INT8 error.

Activations are asymmetric u8 with one scale a tensor; weights symmetric s8 with one scale an
output channel. ONNX Runtime and OpenVINO have fast kernels for these. TensorRT takes no zero
points, so its activations are symmetric s8 (`Scheme`). The *inputs* of convolutions and additions
are quantised, and the output of the backbone, so that ReLU6 is part of the rounding (Jacob et al.,
CVPR 2018, section 2; placement after NVIDIA's guide to explicit quantisation).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torchao.quantization.pt2e import HistogramObserver, PerChannelMinMaxObserver
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import (
    FixedQParamsQuantizationSpec,
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
)

from evface_edge.errors import ExportError
from evface_export.rounding import calibrate_and_round

#: Layers of the students' heads that are quantised, beside the backbone.
HEAD_LAYERS = frozenset(
    f"head.{name}"
    for name in (
        "to_bins",  # SimCC
        *("enlarge.0", "enlarge.4", "to_cells"),  # heatmap
        "reduce",  # regression
    )
)
#: All layers below these are quantised, too.
HEAD_PARTS = ("head.relations.",)

#: How activations are quantised: u8 with a zero point, or s8 around zero.
Scheme = Literal["u8", "s8"]

ACTIVATIONS: dict[Scheme, QuantizationSpec] = {
    "u8": QuantizationSpec(
        dtype=torch.uint8,
        observer_or_fake_quant_ctr=HistogramObserver,
        quant_min=0,
        quant_max=255,
        qscheme=torch.per_tensor_affine,
    ),
    "s8": QuantizationSpec(
        dtype=torch.int8,
        observer_or_fake_quant_ctr=HistogramObserver,
        quant_min=-128,
        quant_max=127,
        qscheme=torch.per_tensor_symmetric,
    ),
}


def _weights(largest: int) -> QuantizationSpec:
    return QuantizationSpec(
        dtype=torch.int8,
        observer_or_fake_quant_ctr=PerChannelMinMaxObserver,
        quant_min=-largest,
        quant_max=largest,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
    )


#: With u8 activations, weights have 7 bits: with 8, x86 without VNNI saturates (`saturation`).
WEIGHTS: dict[Scheme, QuantizationSpec] = {"u8": _weights(64), "s8": _weights(127)}


def quantize(
    network: nn.Module,
    example: Tensor,
    calibration: Iterable[Tensor],
    *,
    part: str = "backbone",
    scheme: Scheme = "u8",
    only: str | None = None,
) -> nn.Module:
    """A copy of `network` that computes `part` and HEAD_LAYERS in INT8 (emulated, in torch).

    Args:
        network: in eval mode; BatchNorm is folded into the convolutions.
        example: (2, C, H, W), for tracing; the batch size stays free.
        calibration: batches (N, C, H, W) that give the ranges of activations.
        scheme: "s8" for TensorRT, "u8" for all others.
        only: quantise this one of `layer_names` alone; by default all.

    Raises:
        ExportError: `part` has nothing to quantise.
    """
    quantizer = PartQuantizer(part, ACTIVATIONS[scheme], WEIGHTS[scheme], only=only)
    prepared = prepare_pt2e(trace(network, example), quantizer)
    quantizer.check()
    calibrate_and_round(prepared, calibration)
    quantized: nn.Module = convert_pt2e(prepared)
    quantized.training = False  # traced in eval mode; the ONNX exporter reads this flag
    return quantized


def layer_names(network: nn.Module, example: Tensor, *, part: str = "backbone") -> list[str]:
    """What `quantize` quantises, in order: layers and additions of the part, its output, then
    HEAD_LAYERS.
    """
    quantizer = PartQuantizer(part, ACTIVATIONS["u8"], WEIGHTS["u8"])
    quantizer.annotate(trace(network, example))
    quantizer.check()
    return quantizer.marked


def trace(network: nn.Module, example: Tensor) -> fx.GraphModule:
    """The graph of `network` for any batch size."""
    batch = torch.export.Dim.DYNAMIC
    program = torch.export.export(network, (example,), dynamic_shapes=({0: batch},))
    traced: fx.GraphModule = program.module()
    return traced


class PartQuantizer(Quantizer):  # type: ignore[misc]  # torchao carries no types
    """Marks the convolutions and additions of one submodule, its output, and HEAD_LAYERS.

    Attributes:
        marked: their names.
    """

    def __init__(
        self,
        part: str,
        activation: QuantizationSpec,
        weight: QuantizationSpec,
        *,
        only: str | None = None,
    ) -> None:
        super().__init__()
        self._part, self._only = part, only
        self._activation, self._weight = activation, weight
        self.marked: list[str] = []

    def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
        aten = torch.ops.aten
        for node in model.graph.nodes:
            if node.op != "call_function":
                continue
            inputs: dict[Any, Any] = {}
            weighted = node.target in (aten.conv2d.default, aten.linear.default)
            if not self._inside(node) and not (weighted and of_head(_weight_path(node))):
                continue
            if weighted and self._mark(_weight_path(node)):
                inputs = {node.args[0]: self._activation, node.args[1]: self._weight}
            elif node.target in (aten.add.Tensor, aten.add_.Tensor) and self._mark(node.name):
                inputs = {summand: self._of_summand(node, summand) for summand in node.args}
            leaves = self._inside(node) and any(not self._inside(user) for user in node.users)
            leaves = leaves and self._mark(f"output of {self._part}")
            if inputs or leaves:
                node.meta["quantization_annotation"] = QuantizationAnnotation(
                    input_qspec_map=inputs,
                    output_qspec=self._activation if leaves else None,
                    _annotated=True,
                )
        return model

    def _of_summand(self, addition: fx.Node, summand: Any) -> Any:
        """The range of one input of an addition.

        In clip(a + b, 0, top) with 0 ≤ a ≤ top, no value of b beyond ±top changes the result. A
        range of ±top is then exact, and several times finer than the range of all values of b.
        """
        tops = {_clipped_at(user) for user in addition.users}
        tops |= {_clipped_at(other) for other in addition.args if other is not summand}
        top = tops.pop()
        if tops or top is None or _clipped_at(summand) is not None:
            return self._activation
        activation = self._activation
        low, high = int(activation.quant_min or 0), int(activation.quant_max or 0)
        middle = (low + high + 1) // 2
        return FixedQParamsQuantizationSpec(
            activation.dtype, top / (high - middle), middle, low, high, activation.qscheme
        )

    def check(self) -> None:
        """Raises ExportError when nothing was marked."""
        if not self.marked:
            layer = self._only or f"convolution or addition in {self._part!r}"
            raise ExportError(f"nothing to quantise: the network has no {layer}", field=self._part)

    def validate(self, model: fx.GraphModule) -> None:
        """Everything is allowed: unmarked layers stay in float."""

    def _mark(self, name: str) -> bool:
        if self._only not in (None, name):
            return False
        self.marked.append(name)
        return True

    def _inside(self, node: fx.Node) -> bool:
        modules = (node.meta.get("nn_module_stack") or {}).values()
        return any(path == self._part or path.startswith(f"{self._part}.") for path, _ in modules)


def _clipped_at(node: Any) -> float | None:
    """The top of a clip from 0; None for other nodes."""
    aten = torch.ops.aten
    clips = (aten.clamp.default, aten.hardtanh.default, aten.hardtanh_.default)
    if not isinstance(node, fx.Node) or node.target not in clips or node.args[1:2] != (0.0,):
        return None
    return float(node.args[2])  # type: ignore[arg-type]


def of_head(path: str) -> bool:
    return path in HEAD_LAYERS or path.startswith(HEAD_PARTS)


def plain_path(path: str) -> str:
    """Without the wrappers of a network that was rebuilt from ONNX, once or more often."""
    return path.replace(".rebuilt", "")


def _weight_path(node: fx.Node) -> str:
    """Such as "backbone.3.0" of a convolution."""
    weight = node.args[1]
    path = str(weight.target) if isinstance(weight, fx.Node) else node.name
    return plain_path(path.removesuffix(".weight"))
