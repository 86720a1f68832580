"""The log of a training: a progress bar on the terminal, and TensorBoard files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch.utils.tensorboard import SummaryWriter


class NoLog:
    """Discards everything; for all processes but the first.

    `step` is the number of steps done, 1 after the first.
    """

    def losses(self, step: int, values: Mapping[str, float]) -> None:
        """Losses of the last step, by name."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Metrics of a validation, by name."""

    def advance(self, step: int) -> None:
        """A step is done."""


class ProgressLog(NoLog):
    """A progress bar with the time left, and TensorBoard files in the run's folder.

    Args:
        first: steps that an earlier run has done.
        steps: in all.
    """

    def __init__(self, folder: Path, name: str, first: int, steps: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(
            *columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()
        )
        self._name = name
        self._task = self._progress.add_task(name, total=steps, completed=first)
        # Hides what an interrupted run wrote after its last checkpoint.
        self._writer = SummaryWriter(str(folder), purge_step=first + 1)

    def losses(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"loss/{name}", value, step)
        if "total" in values:
            text = f"{self._name}: loss {values['total']:.3f}"
            self._progress.update(self._task, description=text)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"validation/{name}", value, step)
        text = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        self._progress.console.print(f"step {step}: {text}")

    def advance(self, step: int) -> None:
        self._progress.update(self._task, completed=step)

    def __enter__(self) -> ProgressLog:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        self._writer.close()
