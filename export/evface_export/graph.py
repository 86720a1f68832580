"""From a network in torch to the bytes of an ONNX or OpenVINO model."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

OPSET = 20


def half_backbone(network: nn.Module) -> nn.Module:
    """A copy of `network` whose backbone computes in float16; input, head and outputs do not."""
    halved = copy.deepcopy(network)
    backbone = halved.get_submodule("backbone").half()
    halved.backbone = nn.Sequential(_Cast(torch.float16), backbone, _Cast(torch.float32))
    return halved.eval()


class _Cast(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.dtype)


def to_onnx(network: nn.Module, example: Tensor, input_name: str, outputs: Sequence[str]) -> bytes:
    """A serialized ONNX model with a free batch size.

    Args:
        example: (2, C, H, W), to trace with.
    """
    with expected_warnings():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            input_names=[input_name],
            output_names=list(outputs),
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    model = program.model_proto
    # The exporter adds notes to every node that contain paths of this machine.
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.metadata_props[:], model.graph.value_info[:], model.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return bytes(model.SerializeToString())


def to_openvino(onnx_model: bytes, folder: Path) -> tuple[bytes, bytes]:
    """An ONNX model as OpenVINO's `.xml` and `.bin`; weights keep their precision."""
    import openvino as ov

    source, saved = folder / "source.onnx", folder / "saved.xml"
    source.write_bytes(onnx_model)
    ov.save_model(ov.convert_model(source), saved, compress_to_fp16=False)
    return saved.read_bytes(), saved.with_suffix(".bin").read_bytes()


@contextmanager
def expected_warnings() -> Iterator[None]:
    """Suppress the warnings that torch and torchao give at every export, and no others."""
    loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # torch 2.13 copies its tree specs in a way that it has deprecated.
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


_NOISY_LOGGERS = (
    "torch.onnx._internal.exporter._registration",  # torchvision is not installed
    "torch.utils._pytree",  # torchao registers an enum in a deprecated way
    "torchao",  # kernels for GPUs
)
