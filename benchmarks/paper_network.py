"""A peer: the published network (CMFA, events and RGB) in PyTorch; against ours from end to end.

Needs PyTorch (pip install 'evface-edge[train]'):

    python -m benchmarks paper_network
    python -m benchmarks paper_network --rounds 20 --json results/paper.json

Both on one and the same core with one thread, in turns. The peer is the network alone, with random
weights (the authors publish none) and its inputs ready; ours is all of it, from a packet of events
to landmarks in sensor pixels. The processor's time is told beside that of the clock on the wall,
because other work on the machine hardly changes it. `--json` prints the numbers as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from evface_edge.bench.latency import pinned
from evface_edge.bench.output import text_table
from evface_edge.bench.stages import RATES_MEV_PER_S, SIZES, measure_stages
from evface_edge.models import find_model
from evface_training.teacher.config import SIZES as TEACHERS
from evface_training.teacher.network import Teacher


class Peer:
    """The network of the paper's size, and how long each inference took."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        config = TEACHERS["paper"]
        self._network = Teacher(config).eval()
        self._events = torch.rand(1, config.event_channels, config.side, config.side)
        self._rgb = torch.rand(1, 3, config.side, config.side)
        self.parameters = sum(value.numel() for value in self._network.parameters())
        with FlopCounterMode(display=False) as counter:
            self._network(self._events, self._rgb)
        self.operations = counter.get_total_flops()
        self.wall_ms: list[float] = []
        self.cpu_ms: list[float] = []
        self.run(counted=False)

    def run(self, *, counted: bool = True) -> None:
        began, began_cpu = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            self._network(self._events, self._rgb)
        if counted:
            self.cpu_ms.append(1e3 * (time.process_time() - began_cpu))
            self.wall_ms.append(1e3 * (time.perf_counter() - began))


def compare(model: str, rounds: int) -> list[dict[str, Any]]:
    """A row for each sensor and rate."""
    peer, path = Peer(), find_model(model)
    sys.stderr.write(
        f"peer: {peer.parameters / 1e6:.2f} M parameters, {peer.operations / 1e9:.2f} GFLOP\n"
    )
    settings = [(size, rate) for size in SIZES for rate in RATES_MEV_PER_S]
    ours: list[dict[str, list[float]]] = [{"wall": [], "cpu": []} for _ in settings]
    for _ in range(rounds):
        for (size, rate), taken in zip(settings, ours, strict=True):
            peer.run()
            found = measure_stages(path, size, rate, runtime="onnxruntime", device="cpu")
            taken["wall"] += found["total_ms"]
            taken["cpu"] += found["total_cpu_ms"]
    return [
        _row(model, f"{size}", rate, taken, peer)
        for (size, rate), taken in zip(settings, ours, strict=True)
    ]


def _row(
    model: str, size: str, rate: float, ours: dict[str, list[float]], peer: Peer
) -> dict[str, Any]:
    row: dict[str, Any] = {"model": model, "sensor": size, "Mev/s": f"{rate:g}"}
    for name, mine, theirs in (
        ("p50", ours["wall"], peer.wall_ms),
        ("p10", ours["wall"], peer.wall_ms),
        ("CPU p50", ours["cpu"], peer.cpu_ms),
        ("CPU p10", ours["cpu"], peer.cpu_ms),
    ):
        fraction = 10 if name.endswith("10") else 50
        us, them = float(np.percentile(mine, fraction)), float(np.percentile(theirs, fraction))
        row |= {f"ours, {name} ms": f"{us:.2f}", f"peer, {name} ms": f"{them:.0f}"}
        row[f"× by {name}"] = f"{them / us:.0f}"
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="evface-s")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="Write the rows there too.")
    arguments = parser.parse_args()
    with pinned():
        rows = compare(arguments.model, arguments.rounds)
    sys.stdout.write(text_table(list(rows[0]), [list(row.values()) for row in rows]) + "\n")
    if arguments.json is not None:
        text = json.dumps(rows, indent=1, ensure_ascii=False)
        arguments.json.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
