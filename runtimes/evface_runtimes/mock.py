"""A runtime without a network, for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_runtimes.base import BaseRuntime, FloatArrays


class MockRuntime(BaseRuntime):
    """Runs a function in place of a network; checks inputs and closing like every runtime.

        runtime = MockRuntime(
            inputs={"events": (-1, 10, 128, 128)},
            outputs={"landmarks": (-1, 98, 2), "log_sigma": (-1, 98), "presence": (-1, 1)},
        )

        with Predictor(card, runtime=runtime) as predictor:
            predictor.run(events, size=(346, 260), box=(100, 60, 90, 110))

    Args:
        inputs, outputs: name → shape (-1: the batch).
        function: name → array, to name → array; by default zeros of the shapes of the outputs.
        device: any name.
        parallel: number of calls at once.

    Attributes:
        calls: the inputs of each `run`, in order.
    """

    def __init__(
        self,
        inputs: dict[str, tuple[int, ...]],
        outputs: dict[str, tuple[int, ...]],
        function: Callable[[FloatArrays], FloatArrays] | None = None,
        *,
        device: str = "cpu",
        parallel: int = 1,
    ) -> None:
        super().__init__("mock", device, inputs, outputs, details={}, parallel=parallel)
        self.calls: list[FloatArrays] = []
        self._function = function or self._zeros

    def _infer(self, tensors: FloatArrays, slot: int) -> FloatArrays:
        self.calls.append(tensors)
        return self._function(tensors)

    def _release(self) -> None:
        pass

    def _zeros(self, tensors: FloatArrays) -> FloatArrays:
        batch = next(iter(tensors.values())).shape[0]
        return {name: _zeros(shape, batch) for name, shape in self.outputs.items()}


def _zeros(shape: tuple[int, ...], batch: int) -> NDArray[Any]:
    return np.zeros([batch if size < 0 else size for size in shape], np.float32)
