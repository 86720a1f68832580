"""INT8 by NNCF, for users who work with it, and for comparison.

It quantises the float ONNX model. Its bias correction is off, because the many zeros of event
tensors mislead it and landmarks move by pixels. Everything after the backbone stays in float.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from evface_edge.errors import ExportError, RuntimeUnavailable
from evface_export.onnx_network import ancestors, last_common_tensor

#: The error of a function from inputs to outputs, which accuracy control limits.
Error = Callable[[Callable[[NDArray[np.float32]], dict[str, NDArray[np.float32]]]], float]


def require_nncf() -> None:
    """Raises RuntimeUnavailable where NNCF is not installed."""
    if sys.modules.get("nncf", ...) is None or importlib.util.find_spec("nncf") is None:
        raise RuntimeUnavailable(
            "--quantizer nncf needs nncf", fix="pip install 'evface-edge[nncf]'"
        )


def quantize_nncf(model: bytes, calibration: Sequence[NDArray[np.float32]]) -> bytes:
    """A float ONNX model with a backbone in INT8, u8 activations and s8 weights, as QDQ.

    Args:
        calibration: batches (N, C, H, W).

    Raises:
        RuntimeUnavailable: NNCF is not installed.
        ExportError: NNCF found nothing to quantise, or failed.
    """
    require_nncf()
    import nncf

    loaded = onnx.load_from_string(model)
    with _quiet(), _errors_of_ours():
        quantized = nncf.quantize(
            loaded,
            _dataset(loaded, calibration),
            subset_size=sum(map(len, calibration)),
            advanced_parameters=_advanced(),
            **_settings(loaded),
        )
    return _checked(quantized)


def quantize_nncf_controlled(
    model: bytes,
    calibration: Sequence[NDArray[np.float32]],
    error: Error,
    *,
    max_loss: float,
) -> bytes:
    """As `quantize_nncf`, with layers in float until `error` increases by `max_loss` at most.

    Args:
        error: of a function from inputs to outputs.
        max_loss: relative.

    Raises:
        RuntimeUnavailable: NNCF is not installed.
        ExportError: NNCF found nothing to quantise, or failed.
    """
    require_nncf()
    import nncf
    import onnxruntime as ort

    loaded = onnx.load_from_string(model)
    names = [value.name for value in loaded.graph.output]
    entry = loaded.graph.input[0].name

    def score(candidate: Any, _: Any) -> tuple[float, None]:
        """Positive, and larger is better, for a relative drop."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = ort.InferenceSession(
            candidate.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        value = error(lambda x: dict(zip(names, session.run(names, {entry: x}), strict=True)))
        return 1 / value, None

    with _quiet(), _errors_of_ours():
        quantized = nncf.quantize_with_accuracy_control(
            loaded,
            calibration_dataset=_dataset(loaded, calibration),
            validation_dataset=_dataset(loaded, calibration),
            validation_fn=score,
            # 1 / error may fall to 1 / (1 + loss) of its value.
            max_drop=max_loss / (1 + max_loss),
            drop_type=nncf.DropType.RELATIVE,
            subset_size=sum(map(len, calibration)),
            advanced_quantization_parameters=_advanced(),
            **_settings(loaded),
        )
    return _checked(quantized)


def _settings(model: onnx.ModelProto) -> dict[str, Any]:
    import nncf

    backbone = ancestors(model.graph, last_common_tensor(model.graph))
    head = [node.name for node in model.graph.node if not backbone.issuperset(node.output)]
    return {
        "ignored_scope": nncf.IgnoredScope(names=head),
        "preset": nncf.QuantizationPreset.MIXED,
        "target_device": nncf.TargetDevice.CPU,
    }


def _advanced() -> Any:
    """No bias correction, and weights of 7 bits in every layer (`evface_export.saturation`)."""
    import nncf

    return nncf.AdvancedQuantizationParameters(
        disable_bias_correction=True, overflow_fix=nncf.OverflowFix.ENABLE
    )


def _dataset(model: onnx.ModelProto, calibration: Sequence[NDArray[np.float32]]) -> Any:
    import nncf

    name = model.graph.input[0].name
    # NNCF computes its statistics per item, so an item is one clip.
    clips = [clip[None] for batch in calibration for clip in batch]
    return nncf.Dataset(clips, lambda clip: {name: clip})


def _checked(model: onnx.ModelProto) -> bytes:
    kinds = {node.op_type for node in model.graph.node}
    if "QuantizeLinear" not in kinds:
        raise ExportError(
            "NNCF kept every layer in float, since INT8 is beyond the limit",
            field="--quantizer",
            fix="use --quantizer pt2e, more calibration clips, or a float target",
        )
    return bytes(model.SerializeToString())


@contextmanager
def _errors_of_ours() -> Iterator[None]:
    import nncf

    try:
        yield
    except (nncf.ValidationError, nncf.InternalError, nncf.UnsupportedModelError) as error:
        raise ExportError(f"NNCF failed: {error}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """NNCF prints its stages and gives warnings; the pipeline prints its own stages."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
