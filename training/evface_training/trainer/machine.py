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

_DEVICES = ("auto", "cpu", "gpu")


@dataclass(frozen=True)
class Machine:
    """The part of this machine that a training uses.

    Attributes:
        device: "cpu", "gpu", or "auto": a GPU if there is one. A named device that is missing is
            an error.
        threads: of the network on the CPU, for each process; 0: one for each usable core.
        workers: processes that simulate clips, for each process; 0: simulate in the same process.
        simulate_on: "cpu", "gpu" (that of the training), or "auto": a GPU if it trains on one.
    """

    device: Literal["auto", "cpu", "gpu"] = "auto"
    threads: int = 0
    workers: int = 1
    simulate_on: Literal["auto", "cpu", "gpu"] = "auto"

    def __post_init__(self) -> None:
        for name, value in (("--device", self.device), ("--simulate-on", self.simulate_on)):
            if value not in _DEVICES:
                raise ConfigError(name, value, ", ".join(_DEVICES))
        if self.threads < 0:
            raise ConfigError("--threads", self.threads, "1 or more, or 0 for all cores")
        if self.workers < 0:
            raise ConfigError("--workers", self.workers, "0 or more")


def launch(machine: Machine, precision: str) -> Fabric:
    """Fabric for this process: alone, or one of those that `torchrun` started.

    Raises:
        RuntimeUnavailable: a GPU is wanted, and there is none.
    """
    # At INFO it advertises itself.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if machine.device == "gpu" and not gpus:
        raise RuntimeUnavailable(
            "--device gpu: PyTorch has no GPU (torch.cuda.is_available() is False)",
            field="--device",
            value="gpu",
            fix="install the build of PyTorch for your GPU, or use --device cpu",
        )
    on_gpu = machine.device != "cpu" and gpus > 0
    if machine.simulate_on == "gpu" and not on_gpu:
        raise RuntimeUnavailable(
            "--simulate-on gpu: the training does not run on a GPU",
            field="--simulate-on",
            value="gpu",
            fix="use --simulate-on cpu or auto",
        )
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
    """Let glibc reuse large blocks instead of returning them to the system after each step.

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
    """The device on which clips are simulated, as PyTorch names it."""
    if fabric.device.type == "cuda" and machine.simulate_on != "cpu":
        return str(fabric.device)
    return "cpu"
