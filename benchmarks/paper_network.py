"""Latency of our model end to end, beside the network of the paper (CMFA, events and RGB).

    python -m benchmarks paper_network --rounds 20 > paper.json

Needs PyTorch (pip install 'evface-edge[train]'). Both run on the same core with one thread,
alternating. The paper's network runs alone, in PyTorch, with random weights (none are published)
and inputs in memory; ours runs completely, from a packet of events to landmarks in sensor pixels.
CPU times depend less on other programs than elapsed times. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from evface_edge.bench.latency import pinned
from evface_edge.bench.machine import describe_machine
from evface_edge.bench.stages import RATES_MEV_PER_S, SIZES, measure_stages
from evface_edge.models import find_model
from evface_training.recipe import load_recipe
from evface_training.teacher.network import Teacher


class PaperNetwork:
    """The network of the paper and the times of its inferences."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        config = load_recipe("teacher-paper").teacher
        self._network = Teacher(config).eval()
        self._events = torch.rand(1, config.event_channels, config.side, config.side)
        self._rgb = torch.rand(1, 3, config.side, config.side)
        self.parameters = sum(value.numel() for value in self._network.parameters())
        with FlopCounterMode(display=False) as counter:
            self._network(self._events, self._rgb)
        self.flops = counter.get_total_flops()
        self.times_ms: dict[str, list[float]] = {"wall": [], "cpu": []}

    def run(self) -> None:
        """Measure one inference."""
        began, began_cpu = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            self._network(self._events, self._rgb)
        self.times_ms["cpu"].append(1e3 * (time.process_time() - began_cpu))
        self.times_ms["wall"].append(1e3 * (time.perf_counter() - began))


def compare(model: str, rounds: int) -> dict[str, Any]:
    """Return the paper's network, and a row of ours for each sensor and event rate."""
    paper, path = PaperNetwork(), find_model(model)
    settings = [(size, rate) for size in SIZES for rate in RATES_MEV_PER_S]
    ours: list[dict[str, list[float]]] = [{"wall": [], "cpu": []} for _ in settings]
    for _ in range(rounds):
        for (size, rate), times_ms in zip(settings, ours, strict=True):
            paper.run()
            result = measure_stages(path, size, rate, runtime="onnxruntime", device="cpu")
            times_ms["wall"] += result["total_ms"]
            times_ms["cpu"] += result["total_cpu_ms"]
    reference = percentiles(paper.times_ms)
    rows = []
    for (size, rate), times_ms in zip(settings, ours, strict=True):
        row = percentiles(times_ms)
        ratios = {
            f"ratio_{key.removesuffix('_ms')}": reference[key] / value for key, value in row.items()
        }
        rows.append({"sensor": str(size), "mev_per_s": rate, **row, **ratios})
    return {
        "machine": describe_machine(),
        "paper": {"parameters": paper.parameters, "flops": paper.flops, **reference},
        "model": model,
        "ours": rows,
    }


def percentiles(times_ms: dict[str, list[float]]) -> dict[str, float]:
    """Return p10 and p50 of elapsed and CPU time in ms."""
    return {
        f"{clock}_p{percent}_ms": float(np.percentile(values, percent))
        for clock, values in times_ms.items()
        for percent in (10, 50)
    }


def main() -> None:
    """Print the comparison as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks paper_network", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--model", default="evface-s")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with pinned():
        result = compare(arguments.model, arguments.rounds)
    sys.stdout.write(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
