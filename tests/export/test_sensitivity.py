"""The loss of each layer in INT8: a layer that was damaged on purpose has the largest."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
import torch

from evface_export.calibration import CalibrationSet
from evface_export.conversion import Conversion
from evface_export.sensitivity import ALL, sensitivity, sensitivity_table


def test_the_damaged_layer_is_the_worst(checkpoint: Any, clips: CalibrationSet) -> None:
    network = copy.deepcopy(checkpoint.network)
    with torch.no_grad():  # channel 0 is always 0; its weights make the steps of the others longer
        network.backbone[1].weight[0] = 0
        network.backbone[1].bias[0] = -1
        network.backbone[3].weight[:, 0] = 8
    damaged = dataclasses.replace(checkpoint, network=network)
    done: list[str] = []
    conversion = Conversion(damaged, clips)
    layers = sensitivity(conversion, advance=done.append)
    assert [layer.name for layer in layers] == done
    *single, together = layers
    assert together.name == ALL
    worst = max(single, key=lambda layer: layer.parity.mean_px)
    assert worst.name == "backbone.3"
    others = [layer.parity.mean_px for layer in single if layer is not worst]
    assert worst.parity.mean_px > 3 * max(others)
    assert together.parity.mean_px > 0.7 * worst.parity.mean_px
    lines = sensitivity_table(layers).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert f"{worst.parity.mean_px:.3f}" in next(line for line in lines if "backbone.3" in line)


@pytest.mark.parametrize("scheme", ["u8", "s8"])
def test_one_layer_alone_costs_less_than_all(
    toy: Conversion, scheme: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["backbone.3", "head.to_bins"]
    monkeypatch.setattr("evface_export.sensitivity.layer_names", lambda *_: names)
    *single, together = sensitivity(toy, scheme=scheme)
    assert [layer.name for layer in single] == names
    assert all(0 < layer.parity.mean_px < together.parity.mean_px for layer in single)
