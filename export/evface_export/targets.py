"""The table of export targets; a new target is a new row."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from evface_edge.errors import ConfigError

#: Runtimes that do not run the ONNX model itself.
_CONVERTED = {"openvino": "OpenVINO", "litert": "LiteRT"}


@dataclass(frozen=True)
class Target:
    """A runtime and a precision that a checkpoint can be exported to.

    Attributes:
        name: for users, and in the model card.
        runtime: runs the artefact, and compares it at export (a row of `evface_runtimes`).
        precision: of the backbone: "fp32", "fp16" or "int8".
        suffix: of the artefact.
        description: one line for the plan.
        for_tensorrt: TensorRT builds an engine of the artefact on the device. INT8 is symmetric,
            with float16 between. At export, it is compared on `runtime`.
    """

    name: str
    runtime: str
    precision: str
    suffix: str
    description: str
    for_tensorrt: bool = False

    @property
    def scheme(self) -> Literal["u8", "s8"]:
        """The type of INT8 activations; TensorRT takes no zero points."""
        return "s8" if self.for_tensorrt else "u8"

    @property
    def label(self) -> str:
        """The end of the file name of the artefact; no two targets write the same file."""
        return f"trt-{self.precision}" if self.for_tensorrt else self.precision

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages of an export to this target, in order."""
        prepare = {"int8": ("quantise",), "fp16": ("halve",), "fp32": ()}[self.precision]
        convert: tuple[str, ...] = ()
        if self.runtime in _CONVERTED:
            convert = (f"convert to {_CONVERTED[self.runtime]}",)
        elif self.for_tensorrt and self.precision == "int8":
            convert = ("float16 around INT8",)
        return (*prepare, "trace to ONNX", *convert, "compare with the checkpoint", "write")


TARGETS: tuple[Target, ...] = (
    Target("onnx-fp32", "onnxruntime", "fp32", ".onnx", "ONNX, float32"),
    Target("onnx-fp16", "onnxruntime", "fp16", ".onnx", "ONNX, backbone in float16: for GPUs"),
    Target("onnx-int8", "onnxruntime", "int8", ".onnx", "ONNX, u8/s8 up to the softmax: for CPUs"),
    Target("openvino-fp32", "openvino", "fp32", ".xml", "OpenVINO, float32"),
    Target("openvino-fp16", "openvino", "fp16", ".xml", "OpenVINO, backbone in float16"),
    Target("openvino-int8", "openvino", "int8", ".xml", "OpenVINO, u8/s8 up to the softmax"),
    Target("litert-fp32", "litert", "fp32", ".tflite", "LiteRT, float32"),
    Target("litert-int8", "litert", "int8", ".tflite", "LiteRT, INT8 up to the softmax"),
    Target("trt-fp32", "onnxruntime", "fp32", ".onnx", "ONNX for TensorRT, float32", True),
    Target("trt-fp16", "onnxruntime", "fp16", ".onnx", "ONNX for TensorRT, in float16", True),
    Target("trt-int8", "onnxruntime", "int8", ".onnx", "ONNX for TensorRT, in s8 QDQ", True),
)
ALL = "all"


def find_targets(*names: str) -> tuple[Target, ...]:
    """The targets with these names, each once; every one for "all".

    Raises:
        ConfigError: an unknown name; `fix` suggests the nearest one.
    """
    known = {target.name: target for target in TARGETS}
    for name in names:
        if name != ALL and name not in known:
            choice = [*known, ALL]
            near = difflib.get_close_matches(name, choice, n=1)
            fix = f"did you mean {near[0]!r}?" if near else None
            raise ConfigError("target", name, f"one of {', '.join(choice)}", fix=fix)
    return TARGETS if ALL in names else tuple(known[name] for name in dict.fromkeys(names))
