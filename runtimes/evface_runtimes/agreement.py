"""Differences between the results of several runtimes for the same inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_runtimes.errors import ConfigError
from evface_runtimes.protocol import Runtime

Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Difference:
    """Difference of one output from that of the reference, in the unit of the output.

    Attributes:
        largest, mean: of the absolute difference.
        distance_mean, distance_p99: of the length of the difference along the last axis, which is
            the distance for landmarks.
    """

    largest: float
    mean: float
    distance_mean: float
    distance_p99: float


def differences(
    reference: Runtime, others: Mapping[str, Runtime], batches: Iterable[Arrays]
) -> dict[str, dict[str, Difference]]:
    """Run all on the same inputs: name of a runtime → name of an output → difference.

    Args:
        reference: the runtime to compare with.
        others: name → runtime.
        batches: inputs, as for `run`.

    Raises:
        ConfigError: no batch, or a runtime with other outputs than the reference.
    """
    for name, runtime in others.items():
        if runtime.outputs.keys() != reference.outputs.keys():
            raise ConfigError(
                f"outputs of {name}", sorted(runtime.outputs), f"{sorted(reference.outputs)}"
            )
    expected: list[Arrays] = []
    found: dict[str, list[Arrays]] = {name: [] for name in others}
    for tensors in batches:
        expected.append(reference.run(tensors))
        for name, runtime in others.items():
            found[name].append(runtime.run(tensors))
    if not expected:
        raise ConfigError("batches", 0, "at least one")
    return {
        name: {
            output: _difference(
                np.concatenate([arrays[output] for arrays in expected]),
                np.concatenate([arrays[output] for arrays in results]),
            )
            for output in reference.outputs
        }
        for name, results in found.items()
    }


def _difference(expected: NDArray[np.float32], found: NDArray[np.float32]) -> Difference:
    difference = found.astype(np.float64) - expected
    distance = np.linalg.norm(difference.reshape(-1, difference.shape[-1]), axis=1)
    return Difference(
        largest=float(np.abs(difference).max()),
        mean=float(np.abs(difference).mean()),
        distance_mean=float(distance.mean()),
        distance_p99=float(np.percentile(distance, 99)),
    )
