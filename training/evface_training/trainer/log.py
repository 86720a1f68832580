"""What a person sees of a run: a bar with an estimate, and TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch.utils.tensorboard import SummaryWriter


class Watch(Protocol):
    """Hears of a run. Steps are counted from 1: the number of steps that are done."""

    def losses(self, step: int, values: Mapping[str, float]) -> None: ...

    def figures(self, step: int, values: Mapping[str, float]) -> None: ...

    def advance(self, step: int) -> None: ...


class Silent:
    """Hears nothing; for the processes that are not the first."""

    def losses(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def advance(self, step: int) -> None:
        """Nothing."""


class Dashboard:
    """A progress bar on the terminal and TensorBoard files in the run's folder."""

    def __init__(self, folder: Path, name: str, begun: int, steps: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(
            *columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()
        )
        self._name = name
        self._task = self._progress.add_task(name, total=steps, completed=begun)
        # What an earlier, interrupted run wrote beyond its last checkpoint is hidden.
        self._board = SummaryWriter(str(folder), purge_step=begun + 1)

    def losses(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._board.add_scalar(f"loss/{name}", value, step)
        if "total" in values:
            text = f"{self._name}: loss {values['total']:.3f}"
            self._progress.update(self._task, description=text)

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._board.add_scalar(f"validation/{name}", value, step)
        text = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        self._progress.console.print(f"step {step}: {text}")

    def advance(self, step: int) -> None:
        self._progress.update(self._task, completed=step)

    def __enter__(self) -> Dashboard:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        self._board.close()
