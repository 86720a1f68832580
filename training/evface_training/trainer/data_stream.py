"""The data of a training: batch = function of (seed, rank, step), and of nothing else.

So a run that was interrupted goes on with the very clips that it would have seen, and every process
of a run over several machines sees clips of its own.

    groups[index]   some clips, simulated from a generator seeded by (seed, rank, index)
        │  by worker processes, or on the GPU
        ▼
    a pool of the newest groups; step s adds group s and draws its batch from all of them
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
#: A group's index → its clips: names → tensors (clips, …); the same ones for the same index.
MakeClips = Callable[[int], Clips]
_DRAW = 2


def mixed_seed(*parts: int) -> int:
    """One 63-bit seed from several numbers, 0 or more each; close ones give unrelated seeds."""
    words = np.random.SeedSequence(parts).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


@dataclass(frozen=True)
class Replay:
    """How often a simulated clip is seen: simulation costs more than a step of the network.

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
            raise ConfigError("pool", self.pool, f"twice the batch ({2 * self.batch}) or more")

    @property
    def group(self) -> int:
        """New clips of each step."""
        return max(1, round(self.batch / self.reuse))

    @property
    def groups_kept(self) -> int:
        return 1 if self.reuse == 1 else self.pool // self.group

    @property
    def lead(self) -> int:
        """Groups that there are before the first step, so that its batch is a whole one."""
        return math.ceil(self.batch / self.group) - 1

    def first_group(self, step: int) -> int:
        """The oldest group that the batch of a step may draw from."""
        return max(0, step + self.lead + 1 - self.groups_kept)


class _Groups(Dataset[Clips]):
    def __init__(self, make: MakeClips) -> None:
        self._make = make

    def __getitem__(self, index: int) -> Clips:
        return self._make(index)


def groups(make: MakeClips, first: int, end: int, workers: int) -> Iterator[Clips]:
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
    # Ctrl-C reaches every process of a terminal, systemd's SIGTERM every one of a unit; when to
    # stop is the parent's decision.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    torch.set_num_threads(1)
    if hasattr(os, "nice"):  # not on Windows
        os.nice(5)  # the network waits for nobody as long as the pool is full


def batches(
    make: MakeClips, replay: Replay, steps: range, *, seed: int, rank: int, workers: int = 0
) -> Iterator[Clips]:
    """The batch of each step.

    To begin late, the groups that are in the pool by then are made again.

    Args:
        make: group index → clips; `replay.group` of them, the same ones for the same index.
        steps: such as range(1000, 7000).
        seed, rank: of what is drawn from the pool; `make` has its own.
    """
    first = replay.first_group(steps.start)
    new = groups(make, first, steps.stop + replay.lead, workers)
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
    """A ring of groups, on the device where they are made."""

    def __init__(self, like: Clips, replay: Replay) -> None:
        self._replay = replay
        kept = replay.groups_kept * replay.group
        for name, tensor in like.items():
            if len(tensor) != replay.group:
                raise ConfigError(
                    "reuse", replay.reuse, f"1: {name!r} is not one row a clip, so it cannot wait"
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
        """A batch without repetition, once groups 0 to `made` - 1 have come."""
        filled = min(made, self._replay.groups_kept) * self._replay.group
        chosen = torch.randperm(filled, generator=generator)[: self._replay.batch]
        return {name: tensor[chosen.to(tensor.device)] for name, tensor in self._tensors.items()}
