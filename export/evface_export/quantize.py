"""INT8: which tensors are quantised, and the ranges that calibration finds for them.

Only the backbone is touched. The head ends in coordinates, and an 8-bit step of a coordinate that
spans the crop is half a pixel wide; the head stays in float32, for a few microseconds.

Activations are asymmetric u8, one scale a tensor; weights symmetric s8, one scale an output
channel: what ONNX Runtime and OpenVINO have fast kernels for. Quantisation stands on the *inputs*
of convolutions and additions and on the output of the backbone, so that ReLU6 vanishes into the
rounding before it (Jacob et al., CVPR 2018, section 2; placement after NVIDIA's guide to explicit
quantisation).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torchao.quantization.pt2e import HistogramObserver, PerChannelMinMaxObserver
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
)

_ACTIVATION = QuantizationSpec(
    dtype=torch.uint8,
    observer_or_fake_quant_ctr=HistogramObserver,
    quant_min=0,
    quant_max=255,
    qscheme=torch.per_tensor_affine,
)
_WEIGHT = QuantizationSpec(
    dtype=torch.int8,
    observer_or_fake_quant_ctr=PerChannelMinMaxObserver,
    quant_min=-127,
    quant_max=127,
    qscheme=torch.per_channel_symmetric,
    ch_axis=0,
)


def quantize(
    network: nn.Module, example: Tensor, calibration: Iterable[Tensor], *, part: str = "backbone"
) -> nn.Module:
    """A copy of `network` whose submodule `part` computes in INT8 (emulated, when torch runs it).

    Args:
        network: in eval mode; BatchNorm is folded into the convolutions.
        example: (2, C, H, W), to trace it with; the batch size stays free.
        calibration: batches (N, C, H, W) that fix the ranges of the activations.
    """
    batch = torch.export.Dim.DYNAMIC
    traced = torch.export.export(network, (example,), dynamic_shapes=({0: batch},)).module()
    prepared = prepare_pt2e(traced, _PartQuantizer(part))
    with torch.no_grad():
        for inputs in calibration:
            prepared(inputs)
    quantized: nn.Module = convert_pt2e(prepared)
    quantized.training = False  # it was traced in eval mode; the ONNX tracer asks this flag
    return quantized


class _PartQuantizer(Quantizer):  # type: ignore[misc]  # torchao carries no types
    """Marks the convolutions and additions of one submodule, and what leaves it."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self._part = part

    def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
        aten = torch.ops.aten
        for node in model.graph.nodes:
            if node.op != "call_function" or not self._inside(node):
                continue
            inputs: dict[fx.Node, Any] = {}
            if node.target is aten.conv2d.default:
                inputs = {node.args[0]: _ACTIVATION, node.args[1]: _WEIGHT}
            elif node.target in (aten.add.Tensor, aten.add_.Tensor):
                inputs = dict.fromkeys(node.args, _ACTIVATION)
            leaves = any(not self._inside(user) for user in node.users)
            if inputs or leaves:
                node.meta["quantization_annotation"] = QuantizationAnnotation(
                    input_qspec_map=inputs,
                    output_qspec=_ACTIVATION if leaves else None,
                    _annotated=True,
                )
        return model

    def validate(self, model: fx.GraphModule) -> None:
        """Nothing to forbid: what is not marked stays in float."""

    def _inside(self, node: fx.Node) -> bool:
        modules = (node.meta.get("nn_module_stack") or {}).values()
        return any(path == self._part or path.startswith(f"{self._part}.") for path, _ in modules)
