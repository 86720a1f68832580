"""Rounding weights so that a layer's output changes least, not each weight by itself.

The inputs of a layer are correlated, so weights that have not been rounded yet can correct the
error of those that have been: GPTQ (Frantar et al., ICLR 2023, algorithm 1). It needs the products
of inputs that calibration gives, and no training. With 7 bits, rounding each weight to the nearest
step instead moves landmarks by a third of a pixel.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

#: Added to the diagonal of the input products, relative to its mean.
DAMPING = 0.001
#: Places of a feature map that are used of each clip: neighbours have much the same products.
_PLACES = 64


def calibrate_and_round(prepared: fx.GraphModule, calibration: Iterable[Tensor]) -> None:
    """Run a prepared graph on calibration clips, then round the weights of its layers.

    The rounded weights are values that the observed scales represent exactly.

    Args:
        prepared: of `prepare_pt2e` or `prepare_qat_pt2e`; its observers collect their ranges.
        calibration: batches (N, C, H, W).
    """
    inputs_of_layers = InputProducts(prepared)
    with torch.no_grad():
        for inputs in calibration:
            inputs_of_layers.run(inputs)
    _round_weights(prepared, inputs_of_layers.products)


class InputProducts(fx.Interpreter):
    """Runs a prepared graph, and sums X·Xᵀ over the inputs X of each layer with weights.

    Attributes:
        products: layer → (K, K), for K inputs of one output value.
    """

    def __init__(self, prepared: fx.GraphModule) -> None:
        super().__init__(prepared)
        self._generator = torch.Generator().manual_seed(0)
        self.products: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        if _is_rounded(n):
            arguments, _ = self.fetch_args_kwargs_from_env(n)
            rows = self._rows(n, arguments)
            self.products[n] = self.products.get(n, 0) + (rows.T @ rows).double()
        return super().run_node(n)

    def _rows(self, node: fx.Node, arguments: tuple[Any, ...]) -> Tensor:
        """(places, K): the inputs of some of the layer's output values."""
        x: Tensor = arguments[0]
        if node.target == torch.ops.aten.linear.default:
            return x.reshape(-1, x.shape[-1])
        defaults = (None, None, None, [1, 1], [0, 0], [1, 1])  # of conv2d
        strides, padding, dilation = (*arguments, *defaults[len(arguments) :])[3:6]
        columns = F.unfold(x, arguments[1].shape[2:], dilation, padding, strides)
        places = columns.shape[-1]
        chosen = torch.randperm(places, generator=self._generator)[:_PLACES]
        return columns[..., chosen].transpose(1, 2).reshape(-1, columns.shape[1])


def _round_weights(prepared: fx.GraphModule, products: dict[fx.Node, Tensor]) -> None:
    """The largest weight of each channel stays the largest, so its scale stays the same."""
    for node, product in products.items():
        observed: Any = node.args[1]
        observer: Any = prepared.get_submodule(str(observed.target))
        folder, _, name = str(observed.args[0].target).rpartition(".")
        owner = prepared.get_submodule(folder)
        weight = getattr(owner, name).detach()
        scale, _ = observer.calculate_qparams()
        rounded = nearest_outputs(
            weight.reshape(len(weight), -1), product, scale, observer.quant_max
        )
        setattr(owner, name, nn.Parameter(rounded.reshape(weight.shape), requires_grad=False))


def nearest_outputs(weight: Tensor, product: Tensor, scale: Tensor, largest: int) -> Tensor:
    """Weights (O, K) as whole multiples of `scale` (O,), up to `largest`, with W·X changed least.

    Args:
        product: (K, K), the sum of X·Xᵀ.
    """
    values = weight.double()
    steps = scale.double()[:, None]
    extreme = values.abs() == values.abs().amax(1, keepdim=True)
    ends = largest * steps * values.sign()
    damped = product.double() + DAMPING * product.diagonal().mean() * torch.eye(len(product))
    order = damped.diagonal().argsort(descending=True)  # the most important first
    factor = torch.linalg.cholesky(
        torch.cholesky_inverse(torch.linalg.cholesky(damped[order][:, order])), upper=True
    )
    values, extreme, ends = values[:, order], extreme[:, order], ends[:, order]
    rounded = torch.empty_like(values)
    for index in range(values.shape[1]):
        column = values[:, index : index + 1]
        nearest = (column / steps).round().clamp(-largest, largest) * steps
        nearest = torch.where(extreme[:, index : index + 1], ends[:, index : index + 1], nearest)
        rounded[:, index : index + 1] = nearest
        error = (column - nearest) / factor[index, index]
        values[:, index + 1 :] -= error * factor[index, index + 1 :]
    return rounded[:, order.argsort()].to(weight.dtype)


def _is_rounded(node: fx.Node) -> bool:
    aten = torch.ops.aten
    if node.target == aten.conv2d.default:
        groups = node.args[6] if len(node.args) > 6 else 1
        layer = groups == 1
    else:
        layer = node.target == aten.linear.default
    weight = node.args[1] if layer else None
    return isinstance(weight, fx.Node) and weight.op == "call_module"
