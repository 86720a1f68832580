"""Where a training runs: device, processes, threads."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from dataclasses import dataclass
from typing import Literal

import torch
from lightning_fabric import Fabric

from evface_edge.errors import ConfigError, RuntimeUnavailable


@dataclass(frozen=True)
class Machine:
    """What of this machine is used.

    Attributes:
        device: "cpu", "gpu", or "auto": a GPU where there is one. A device that is named is used
            or refused.
        threads: of the network on the CPU, for each process of a run; 0 is one for each core that
            they may use.
        workers: processes that simulate clips, for each process of a run; 0 is this one itself.
        simulate_on: "cpu", "gpu" (of the training), or "auto": a GPU where it trains on one.
    """

    device: Literal["auto", "cpu", "gpu"] = "auto"
    threads: int = 0
    workers: int = 1
    simulate_on: Literal["auto", "cpu", "gpu"] = "auto"

    def __post_init__(self) -> None:
        for field, names in (("device", "auto, cpu, gpu"), ("simulate_on", "auto, cpu, gpu")):
            if getattr(self, field) not in names.split(", "):
                raise ConfigError(f"--{field.replace('_', '-')}", getattr(self, field), names)
        if self.threads < 0:
            raise ConfigError("--threads", self.threads, "1 or more, or 0 for all cores")
        if self.workers < 0:
            raise ConfigError("--workers", self.workers, "0 or more")


def launch(machine: Machine, precision: str) -> Fabric:
    """Fabric for this process: alone, or one of those that `torchrun` started.

    Raises:
        RuntimeUnavailable: a GPU was asked for, and there is none.
    """
    # Its notices are about itself.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if machine.device == "gpu" and not gpus:
        raise RuntimeUnavailable(
            "no GPU that PyTorch can use (torch.cuda.is_available() is False); install the build "
            "of PyTorch for your GPU, or take --device cpu"
        )
    on_gpu = machine.device != "cpu" and gpus > 0
    if machine.simulate_on == "gpu" and not on_gpu:
        raise RuntimeUnavailable("--simulate-on gpu needs a training on the GPU; leave it out")
    world, local = (int(os.environ.get(k, 1)) for k in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    fabric = Fabric(
        accelerator="cuda" if on_gpu else "cpu",
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision="bf16-mixed" if precision == "bf16" else "32-true",
    )
    fabric.launch()
    torch.set_num_threads(machine.threads or max(1, _usable_cores() // local))
    _keep_freed_memory()
    return fabric


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _keep_freed_memory() -> None:
    """Let glibc reuse large blocks rather than give them back and clear new ones at every step.

    A step of a student on the CPU takes a seventh less time.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent in other C libraries
    if mallopt is not None:
        no_mmap, trim, top_pad = (-4, 0), (-1, 2**31 - 1), (-2, 64 << 20)
        for parameter, value in (no_mmap, trim, top_pad):
            mallopt(parameter, value)


def simulation_device(machine: Machine, fabric: Fabric) -> str:
    """Where clips are simulated."""
    if fabric.device.type == "cuda" and machine.simulate_on != "cpu":
        return str(fabric.device)
    return "cpu"
