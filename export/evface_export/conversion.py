"""From a float network to the ONNX model of each precision; targets share what they can."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from evface_edge.card import ModelCard
from evface_edge.errors import ConfigError
from evface_export.calibration import CalibrationSet
from evface_export.graph import expected_warnings, half_backbone, to_onnx
from evface_export.parity import Reference
from evface_export.targets import Target

SEED = 0
#: Clips for NNCF's accuracy control, which evaluates once for each layer.
_CONTROL_CLIPS = 256

Quantizer = Literal["pt2e", "nncf", "nncf-accuracy"]
QUANTIZERS: tuple[Quantizer, ...] = ("pt2e", "nncf", "nncf-accuracy")


class Checkpoint(Protocol):
    """A trained network with its card.

    `network` maps (N, C, H, W) to the outputs of the card, in their order. It has a submodule
    `backbone`, which targets may compute in fewer bits.
    """

    @property
    def network(self) -> nn.Module: ...

    @property
    def card(self) -> ModelCard: ...


@dataclass(frozen=True)
class Int8:
    """How to quantise to INT8.

    Attributes:
        quantizer: "pt2e" of torch; "nncf"; or "nncf-accuracy", which keeps layers in float until
            the error is within the limit.
        qat_steps: training steps if "pt2e" with calibration alone is beyond a limit; 0 for none.
        train_first: train in any case, which brings landmarks nearer to those of the float network.

    Raises:
        ConfigError: another quantizer, a negative number of steps, or `train_first` without steps.
    """

    quantizer: Quantizer = "pt2e"
    qat_steps: int = 120
    train_first: bool = False

    def __post_init__(self) -> None:
        if self.quantizer not in QUANTIZERS:
            raise ConfigError("--quantizer", self.quantizer, f"one of {', '.join(QUANTIZERS)}")
        if self.qat_steps < 0:
            raise ConfigError("--qat-steps", self.qat_steps, "0 or more")
        if self.train_first and not self.may_train:
            raise ConfigError("--train-first", self.quantizer, "pt2e with --qat-steps above 0")

    @property
    def may_train(self) -> bool:
        return self.quantizer == "pt2e" and self.qat_steps > 0


class _Form(NamedTuple):
    """Targets with equal forms have the same ONNX model."""

    precision: str
    scheme: str = ""
    trained: bool = False


_FLOAT = _Form("fp32")


class Conversion:
    """The ONNX models of one network.

    Args:
        calibration: clips for the ranges of INT8, and for evaluation.

    Raises:
        ConfigError: clips that do not fit the network.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        calibration: CalibrationSet,
        int8: Int8 | None = None,
        *,
        max_nme_loss: float = 0.02,
    ) -> None:
        spec = checkpoint.card.inputs[0]
        if calibration.inputs.shape[1:] != tuple(spec.shape[1:]):
            raise ConfigError(
                f"calibration {calibration.name}: inputs",
                calibration.inputs.shape,
                f"{spec.shape}, the input of {checkpoint.card.name}",
            )
        self.network = checkpoint.network.eval()
        self.card = checkpoint.card
        self.calibration = calibration
        self.int8 = int8 or Int8()
        self.used, self._evaluation = calibration.split(SEED)
        self._max_nme_loss = max_nme_loss
        self._example = torch.zeros(2, *spec.shape[1:])
        self._prepared: dict[_Form, nn.Module] = {}
        self._traced: dict[_Form, bytes] = {}

    @cached_property
    def reference(self) -> Reference:
        """The outputs of the float network on the clips for evaluation."""
        return Reference.of(self.network, self.card, self.calibration, self._evaluation)

    @cached_property
    def mega_macs(self) -> float:
        """Million multiply-adds for one input."""
        counter = FlopCounterMode(display=False)
        with counter, torch.inference_mode():
            self.network(self._example[:1])
        return float(counter.get_total_flops() / 2e6)

    def prepared(self, target: Target, *, trained: bool = False) -> nn.Module:
        """The network in the precision of the target, with INT8 by pt2e.

        Args:
            trained: INT8 with a short training.
        """
        key = self._form(target, trained)
        if key not in self._prepared:
            if key.precision == "fp16":
                self._prepared[key] = half_backbone(self.network)
            elif key.precision == "int8":
                self._prepared[key] = self._quantize(target, trained)
            else:
                self._prepared[key] = self.network
        return self._prepared[key]

    def traced(self, target: Target | None = None, *, trained: bool = False) -> bytes:
        """The ONNX model of `prepared`, or of the float network without a target."""
        key = _FLOAT if target is None else self._form(target, trained)
        if key not in self._traced:
            network = self.network if target is None else self.prepared(target, trained=trained)
            outputs = [output.name for output in self.card.outputs]
            name = self.card.inputs[0].name
            self._traced[key] = to_onnx(network, self._example, name, outputs)
        return self._traced[key]

    def _form(self, target: Target, trained: bool) -> _Form:
        if target.precision == "int8":
            return _Form("int8", target.scheme, trained)
        return _Form(target.precision)

    def nncf(self) -> bytes:
        """The ONNX model quantised by NNCF."""
        from evface_export.nncf_quantize import quantize_nncf, quantize_nncf_controlled

        model = self.traced()
        clips = list(self.calibration.batches(self.used))
        if self.int8.quantizer == "nncf":
            return quantize_nncf(model, clips)
        control = Reference.of(
            self.network, self.card, self.calibration, self.used[:_CONTROL_CLIPS]
        )
        return quantize_nncf_controlled(
            model, clips, control.error, max_loss=self._max_nme_loss / 2
        )

    def _quantize(self, target: Target, trained: bool) -> nn.Module:
        clips = self._clips()
        with expected_warnings():
            if not trained:
                from evface_export.quantize import quantize

                return quantize(self.network, self._example, clips, scheme=target.scheme)
            from evface_export.onnx_network import from_onnx
            from evface_export.qat import quantize_with_training

            # BatchNorm is folded in a network that is rebuilt from ONNX.
            plain = from_onnx(self.traced())
            return quantize_with_training(
                plain, self._example, clips, steps=self.int8.qat_steps, scheme=target.scheme
            )

    def _clips(self) -> list[Tensor]:
        return [torch.from_numpy(batch) for batch in self.calibration.batches(self.used)]
