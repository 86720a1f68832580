"""The training data: each batch is a function of (seed, rank, step) and nothing else.

So a resumed run sees the same clips as an uninterrupted one, and each process of a run on several
machines sees its own clips.

    groups[index]   clips, simulated from a generator seeded by (seed, rank, index)
        │  by worker processes, or on the GPU
        ▼
    a pool of the newest groups; step s adds group s and draws its batch from the pool
        ▼
    batch: names → tensors
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from evface_edge.errors import ConfigError

Clips = dict[str, Tensor]
#: Index of a group → its clips: names → tensors (clips, …); the same index gives the same clips.
MakeClips = Callable[[int], Clips]
_DRAW = 2


def mixed_seed(*parts: int) -> int:
    """One 63-bit seed from several numbers, each 0 or more; close numbers give unrelated seeds."""
    words = np.random.SeedSequence(parts).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


@dataclass(frozen=True)
class Replay:
    """How often a simulated clip is used: simulating costs more than a step of the network.

    Attributes:
        batch: clips of a step, on this process.
        reuse: how often each clip is drawn on average.
        pool: clips kept to draw from; with `reuse` 1 every batch is new and nothing is kept.
    """

    batch: int
    reuse: float = 1.0
    pool: int = 3072

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ConfigError("batch", self.batch, "1 or more")
        if self.reuse < 1:
            raise ConfigError("reuse", self.reuse, "1 or more")
        if self.reuse > 1 and self.pool < 2 * self.batch:
            raise ConfigError("pool", self.pool, f"2 × batch ({2 * self.batch}) or more")

    @property
    def group(self) -> int:
        """New clips of each step."""
        return max(1, round(self.batch / self.reuse))

    @property
    def groups_kept(self) -> int:
        return 1 if self.reuse == 1 else self.pool // self.group

    @property
    def lead(self) -> int:
        """Groups made before the first step, so that its batch is full."""
        return math.ceil(self.batch / self.group) - 1

    def first_group(self, step: int) -> int:
        """The oldest group that the batch of a step may draw from."""
        return max(0, step + self.lead + 1 - self.groups_kept)


class _Groups(Dataset[Clips]):
    def __init__(self, make: MakeClips) -> None:
        self._make = make

    def __getitem__(self, index: int) -> Clips:
        return self._make(index)


def _groups(make: MakeClips, first: int, end: int, workers: int) -> Iterator[Clips]:
    """Groups `first` to `end` in order; made here, or by `workers` processes ahead of time."""
    if workers == 0:
        return map(make, range(first, end))
    loader = DataLoader(
        _Groups(make),
        batch_size=None,
        sampler=range(first, end),
        num_workers=workers,
        prefetch_factor=6,
        worker_init_fn=_start_worker,
    )
    return iter(loader)


def _start_worker(_: int) -> None:
    # Ctrl-C reaches every process of a terminal, SIGTERM of systemd every process of a unit. The
    # parent decides when to stop.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    torch.set_num_threads(1)
    if hasattr(os, "nice"):  # not on Windows
        os.nice(5)  # the network comes first: it waits only while the pool is not full


def batches(
    make: MakeClips, replay: Replay, steps: range, *, seed: int, rank: int, workers: int = 0
) -> Iterator[Clips]:
    """The batch of each step.

    A late first step makes the groups again that are in the pool by then.

    Args:
        make: index → `replay.group` clips; the same index gives the same clips.
        steps: such as range(1000, 7000).
        seed: of the draws from the pool; `make` has its own seed.
        rank: number of this process.
    """
    first = replay.first_group(steps.start)
    new = _groups(make, first, steps.stop + replay.lead, workers)
    pool: _Pool | None = None
    made = first
    for step in steps:
        while made <= step + replay.lead:
            clips = next(new)
            if replay.reuse > 1:
                pool = pool or _Pool(clips, replay)
                pool.put(made, clips)
            made += 1
        if pool is None:
            yield clips
        else:
            generator = torch.Generator().manual_seed(mixed_seed(seed, rank, step, _DRAW))
            yield pool.draw(made, generator)


class _Pool:
    """A ring buffer of groups, on the device where they are made."""

    def __init__(self, like: Clips, replay: Replay) -> None:
        self._replay = replay
        kept = replay.groups_kept * replay.group
        for name, tensor in like.items():
            if len(tensor) != replay.group:
                raise ConfigError(
                    "reuse", replay.reuse, f"1: {name!r} does not have one row for each clip"
                )
        self._tensors = {
            name: torch.empty((kept, *tensor.shape[1:]), dtype=tensor.dtype, device=tensor.device)
            for name, tensor in like.items()
        }

    def put(self, index: int, clips: Clips) -> None:
        start = index % self._replay.groups_kept * self._replay.group
        for name, tensor in clips.items():
            self._tensors[name][start : start + len(tensor)] = tensor

    def draw(self, made: int, generator: torch.Generator) -> Clips:
        """A batch without repetition, after groups 0 to `made` - 1."""
        filled = min(made, self._replay.groups_kept) * self._replay.group
        chosen = torch.randperm(filled, generator=generator)[: self._replay.batch]
        return {name: tensor[chosen.to(tensor.device)] for name, tensor in self._tensors.items()}
