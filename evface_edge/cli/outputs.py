"""The outputs of `predict`, `view` and `demo`: tables, plots, videos, viewers."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from evface_edge.errors import ConfigError
from evface_edge.events import uri
from evface_edge.results import Predictions
from evface_edge.results.output_file import check_output

if TYPE_CHECKING:
    from evface_edge.results import Viewer

#: What is written when all results are known: suffix → method.
WRITERS: dict[str, Callable[[Predictions, Path], Any]] = {
    ".csv": Predictions.to_csv,
    ".json": Predictions.to_json,
    ".parquet": Predictions.to_parquet,
    ".png": Predictions.plot,
}
VIDEO_SUFFIXES = {".gif", ".mp4"}  # of results.video.VIDEO_WRITERS, without importing Pillow
RERUN_SUFFIX = ".rrd"
#: Outputs that are not files.
WINDOW, WEB = Path("window"), Path("web")
VIEW_SUFFIXES = {*VIDEO_SUFFIXES, RERUN_SUFFIX}
PREDICT_SUFFIXES = {*WRITERS, *VIEW_SUFFIXES}


def check_outputs(outputs: Sequence[Path], source: str, suffixes: Collection[str]) -> None:
    """Check that all outputs can be written, before any work is done.

    Raises:
        ConfigError: an unknown suffix, a missing folder, one file named twice, or the recording.
    """
    taken = {uri.parse(source).path.resolve(): "is the recording itself"}
    for path in outputs:
        if path not in (WINDOW, WEB):
            check_output(path, suffixes)
        resolved = path.resolve()
        if resolved in taken:
            raise ConfigError(
                "output", str(path), "another name", reason=f"{path} {taken[resolved]}"
            )
        taken[resolved] = "is given twice"


def files(outputs: Sequence[Path]) -> list[Path]:
    """The outputs that are files."""
    return [path for path in outputs if path not in (WINDOW, WEB)]


@dataclass
class LiveViews:
    """The window and the web page of a command. They stay open after the source has ended.

    Attributes:
        viewers: to show results on.
        url: of the web page; empty if there is none.
    """

    viewers: list[Viewer] = field(default_factory=list)
    url: str = ""

    def wait(self) -> None:
        """Wait for Ctrl-C if there is a web page, which would close at once otherwise."""
        if not self.url:
            return
        with suppress(KeyboardInterrupt):
            typer.echo(f"open {self.url}; press Ctrl-C to stop", err=True)
            # A system may give the signal to a thread of rerun, and then wakes no waiting lock.
            while True:
                time.sleep(0.5)


@contextmanager
def open_live_views(
    outputs: Sequence[Path], *, live: bool, speed: float, address: str, port: int
) -> Iterator[LiveViews]:
    """The viewers for `window` and `web` among the outputs.

    Raises:
        RuntimeUnavailable: rerun-sdk is not installed, or there is no display.
        ConfigError: the port is taken.
    """
    views = LiveViews()
    with ExitStack() as stack:
        if WINDOW in outputs:
            from evface_edge.results import open_window

            views.viewers.append(stack.enter_context(open_window(live=live, speed=speed)))
        if WEB in outputs:
            from evface_edge.results import open_web_page

            viewer, page = stack.enter_context(
                open_web_page(address=address, port=port, live=live, speed=speed)
            )
            views.viewers.append(viewer)
            views.url = page.url
            typer.echo(f"web: {page.url}", err=True)
        yield views


@contextmanager
def open_files(outputs: Sequence[Path], *, fps: float, text: str) -> Iterator[list[Viewer]]:
    """The videos and .rrd files among the outputs; they appear if the block does not fail."""
    videos = [path for path in outputs if path.suffix.lower() in VIDEO_SUFFIXES]
    viewers: list[Viewer] = []
    with ExitStack() as stack:
        if videos:
            from evface_edge.results import VideoViewer, open_video

            writers = [stack.enter_context(open_video(path, fps=fps)) for path in videos]
            viewers.append(VideoViewer(writers, text=text))
        for path in outputs:
            if path.suffix.lower() == RERUN_SUFFIX:
                from evface_edge.results import open_rrd

                viewers.append(stack.enter_context(open_rrd(path)))
        yield viewers
