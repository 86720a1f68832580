"""Events, faces and curves over time in rerun (https://rerun.io; extra `web`): a window of its
viewer, a page for browsers, or a .rrd file.

Entities, on the timeline "time" in seconds of the recording:

    camera/events              the image of events
    camera/face/ID/…           box, curves, landmarks, σ, axes of the head
    aspect_ratio/ID/…          curves: EAR of the eyes, MAR
    pose/ID/…                  curves: yaw, pitch and roll
    presence/ID, sigma_px/ID   curves; σ is the mean over the landmarks
    state/ID                   a log: found, following, held, lost
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evface_edge import landmarks as wflw
from evface_edge.errors import RuntimeUnavailable, first_line
from evface_edge.geometry import SensorSize
from evface_edge.results.drawing import (
    BACKGROUND,
    EVENT_COLOURS,
    POINT_COLOURS,
    STATE_COLOURS,
    event_indices,
)
from evface_edge.results.face import FaceLandmarks, FaceState
from evface_edge.results.output_file import check_output, whole_file
from evface_edge.results.rerun_server import LOOPBACK, WebPage, serve_page, viewer_program
from evface_edge.results.view_frames import ViewFrame
from evface_runtimes.telemetry import rerun_variables

#: Length of the drawn axes of the head.
_AXIS_MM = 60.0
#: Head coordinates: x to the subject's left, y up, z forward.
_AXES = (("left", (232, 74, 74)), ("up", (92, 236, 150)), ("forward", (66, 160, 255)))
_TURN = np.linspace(0, 2 * np.pi, 17)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)
#: Halfway to the background.
_FAINT = (np.array(POINT_COLOURS) + BACKGROUND) // 2

_BLUE, _ORANGE, _GREEN = (0, 114, 178), (230, 159, 0), (0, 158, 115)
#: Entity → colour, of the palette of Okabe and Ito for colour-blind people, and legend.
_CURVES = {
    "aspect_ratio/{}/ear_right": (_BLUE, "right eye"),
    "aspect_ratio/{}/ear_left": (_ORANGE, "left eye"),
    "aspect_ratio/{}/mar": (_GREEN, "mouth"),
    "pose/{}/yaw_deg": (_BLUE, "yaw"),
    "pose/{}/pitch_deg": (_ORANGE, "pitch"),
    "pose/{}/roll_deg": (_GREEN, "roll"),
}
#: Curves with one line for each face, and the colours of the faces.
_FACE_CURVES = ("presence/{}", "sigma_px/{}")
_FACE_COLOURS = (_BLUE, _ORANGE, _GREEN, (204, 121, 167), (213, 94, 0), (86, 180, 233))


class RerunViewer:
    """Logs results and frames to a recording of rerun.

    Args:
        recording: a `rerun.RecordingStream` with a destination.
    """

    def __init__(self, recording: Any) -> None:
        self._rr = import_rerun()
        self._recording = recording
        self._states: dict[int, FaceState] = {}
        self._styled: set[int] = set()
        self._drawn: set[int] = set()

    def add_result(self, t_us: int, faces: Sequence[FaceLandmarks]) -> None:
        """Log a point of each curve, and the states that changed."""
        self._recording.set_time("time", duration=t_us / 1e6)
        for face in faces:
            number = face.face_id
            self._style(number)
            right, left = face.eye_aspect_ratio
            for name, value in (
                (f"aspect_ratio/{number}/ear_right", right),
                (f"aspect_ratio/{number}/ear_left", left),
                (f"aspect_ratio/{number}/mar", face.mouth_aspect_ratio),
                (f"presence/{number}", face.presence),
                (f"sigma_px/{number}", float(face.sigma.mean())),
            ):
                self._recording.log(name, self._rr.Scalars(value))
        states = {face.face_id: face.state for face in faces}
        for face_id in self._states.keys() | states.keys():
            state = states.get(face_id)
            if state is not self._states.get(face_id):
                text = f"face {face_id}: {'lost' if state is None else state.value}"
                self._recording.log(f"state/{face_id}", self._rr.TextLog(text))
        self._states = states

    def _style(self, face_id: int) -> None:
        """Log names and colours of the curves of a face, once."""
        if face_id in self._styled:
            return
        self._styled.add(face_id)
        own = _FACE_COLOURS[face_id % len(_FACE_COLOURS)], f"face {face_id}"
        for path, (colour, name) in (_CURVES | dict.fromkeys(_FACE_CURVES, own)).items():
            line = self._rr.SeriesLines(colors=[colour], names=[name])
            self._recording.log(path.format(face_id), line, static=True)

    def add_frame(self, frame: ViewFrame, size: SensorSize) -> None:
        """Log the image of events and the faces on it."""
        rr, recording = self._rr, self._recording
        recording.set_time("time", duration=frame.t_us / 1e6)
        image = Image.fromarray(event_indices(frame.events, size)).convert("P")
        image.putpalette(EVENT_COLOURS.tobytes())
        png = io.BytesIO()
        image.save(png, "png", compress_level=1)
        recording.log(
            "camera/events",
            rr.EncodedImage(contents=png.getvalue(), media_type="image/png", opacity=1.0),
        )
        faces = frame.faces or ()
        for face_id in self._drawn - {face.face_id for face in faces}:
            recording.log(f"camera/face/{face_id}", rr.Clear(recursive=True))
        self._drawn = {face.face_id for face in faces}
        for face in faces:
            self._draw(face)

    def _draw(self, face: FaceLandmarks) -> None:
        rr, path = self._rr, f"camera/face/{face.face_id}"
        log = self._recording.log
        points = face.landmarks + 0.5  # pixel edges, not centres
        low = np.array([face.box.x, face.box.y]) + 0.5
        label = f"face {face.face_id} · {face.state.value} · {face.presence:.0%}"
        colour = STATE_COLOURS[face.state]
        log(
            f"{path}/box",
            rr.Boxes2D(
                mins=[low],
                sizes=[[face.box.width, face.box.height]],
                colors=[colour],
                labels=[label],
                show_labels=True,
            ),
        )
        strips, strip_colours = [], []
        for first, last, closed in wflw.CURVES:
            curve = points[first : last + 1]
            strips.append(np.concatenate([curve, curve[:1]]) if closed else curve)
            strip_colours.append((*POINT_COLOURS[first], 150))
        log(f"{path}/curves", rr.LineStrips2D(strips, colors=strip_colours))
        log(f"{path}/landmarks", rr.Points2D(points, colors=POINT_COLOURS, radii=-2.0))
        # Outlines: the viewer draws filled points without transparency.
        circles = points[:, None] + face.sigma[:, None, None] * _CIRCLE
        log(f"{path}/sigma", rr.LineStrips2D(circles, colors=_FAINT, radii=-0.3))
        head = face.head_pose()
        # The columns of the rotation are the axes of the head in the camera's coordinates.
        axes = head.rotation[:2].T * head.scale_px_per_mm * _AXIS_MM
        log(
            f"{path}/head",
            rr.Arrows2D(
                origins=[head.center_px + 0.5] * 3,
                vectors=axes,
                colors=[colour for _, colour in _AXES],
                labels=[name for name, _ in _AXES],
                show_labels=False,
            ),
        )
        for name in ("yaw_deg", "pitch_deg", "roll_deg"):
            log(f"pose/{face.face_id}/{name}", rr.Scalars(getattr(head, name)))


def import_rerun() -> Any:
    """The `rerun` package.

    Raises:
        RuntimeUnavailable: rerun-sdk is not installed.
    """
    try:
        import rerun
    except ModuleNotFoundError:
        raise RuntimeUnavailable(
            ".rrd, window and web need rerun: pip install 'evface-edge[web]'"
        ) from None
    return rerun


@contextmanager
def open_rrd(path: str | Path) -> Iterator[RerunViewer]:
    """A recording for rerun's viewer; the file appears when the block ends without an error.

    Raises:
        ConfigError: another suffix than .rrd, or a folder that does not exist.
        RuntimeUnavailable: rerun-sdk is not installed.
    """
    path = check_output(path, {".rrd"})
    layout = _layout(live=False)
    with whole_file(path) as part, _viewer(lambda to: to.save(part, layout), path) as viewer:
        yield viewer


@contextmanager
def open_window(*, live: bool = False, speed: float = 1) -> Iterator[RerunViewer]:
    """A window of rerun's viewer, which stays open when the block ends.

    Raises:
        RuntimeUnavailable: no display, or rerun-sdk is not installed.
    """
    rerun = import_rerun()
    displays = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in displays):
        raise RuntimeUnavailable(
            "window: there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set); write a "
            "video or a .rrd file, or use web and a browser on another machine"
        )
    program, layout = str(viewer_program()), _layout(live=live, speed=speed)

    def connect(recording: Any) -> None:
        variables = rerun_variables()
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            rerun.spawn(executable_path=program, recording=recording, default_blueprint=layout)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    with _viewer(connect) as viewer:
        yield viewer


@contextmanager
def open_web_page(
    *, address: str = LOOPBACK, port: int = 9090, live: bool = False, speed: float = 1
) -> Iterator[tuple[RerunViewer, WebPage]]:
    """A page for browsers, served until the block ends.

    Args:
        address: of this machine; with 0.0.0.0 every machine that reaches this one can see the page.
        port: of the page; 0 selects a free one.
        live: show the newest data; otherwise play the recording.
        speed: seconds of the recording ÷ seconds of playing.

    Raises:
        ConfigError: an address that is not of this machine, or a port that is taken.
        RuntimeUnavailable: rerun-sdk is not installed, or its server does not start.
    """
    layout = _layout(live=live, speed=speed)
    with (
        serve_page(address=address, port=port) as served,
        _viewer(lambda to: to.connect_grpc(served.log_url, default_blueprint=layout)) as viewer,
    ):
        yield viewer, served


@contextmanager
def _viewer(connect: Callable[[Any], None], path: Path | None = None) -> Iterator[RerunViewer]:
    """A viewer of a new recording, which `connect` sends somewhere; flushed at the end."""
    recording = import_rerun().RecordingStream("evface-edge")
    connect(recording)
    try:
        yield RerunViewer(recording)
    finally:
        try:
            recording.flush()
        except RuntimeError as error:  # such as a full disk
            message = f"rerun cannot write: {first_line(error)}"
            raise RuntimeUnavailable(message, path=path) from error
        finally:
            recording.disconnect()


def _layout(*, live: bool, speed: float = 1) -> Any:
    """Events on the left, curves on the right; live, it shows the newest data, else it plays."""
    import_rerun()
    import rerun.blueprint as rrb

    curves = [
        rrb.TimeSeriesView(name="eye and mouth aspect ratio", origin="/aspect_ratio"),
        rrb.TimeSeriesView(name="head pose, °", origin="/pose"),
        rrb.TimeSeriesView(
            name="presence", origin="/presence", axis_y=rrb.ScalarAxis(range=(0.0, 1.05))
        ),
        rrb.TimeSeriesView(name="σ, pixels", origin="/sigma_px"),
    ]
    states = rrb.TextLogView(name="states", origin="/state")
    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Spatial2DView(name="events", origin="/camera", background=[*BACKGROUND, 255]),
            rrb.Vertical(*curves, states),
            column_shares=[3, 2],
        ),
        rrb.BlueprintPanel(state="collapsed"),
        rrb.SelectionPanel(state="collapsed"),
        rrb.TimePanel(
            state="collapsed",
            timeline="time",
            playback_speed=speed,
            play_state="following" if live else "playing",
        ),
    )
