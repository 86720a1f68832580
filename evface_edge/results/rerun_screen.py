"""Events, faces and curves over time, through rerun (https://rerun.io): a .rrd file, a window of
its viewer, or a page (extra `web`).

Entities, on the timeline "time" in seconds of the recording:

    camera/events              the image of events
    camera/face/ID/…           box, curves, landmarks, σ, axes of the head
    openness/ID/…, pose/ID/…   curves of eyes and mouth, and of yaw, pitch and roll
    presence/ID, sigma_px/ID   curves; σ is the mean of the landmarks
    state/ID                   a log of found, following, held, lost
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evface_edge import landmarks as wflw
from evface_edge.errors import RuntimeUnavailable
from evface_edge.geometry import SensorSize
from evface_edge.results.drawing import (
    BACKGROUND,
    EVENT_COLOURS,
    POINT_COLOURS,
    STATE_COLOURS,
    event_indices,
)
from evface_edge.results.face import FaceLandmarks, FaceState
from evface_edge.results.moments import Moment
from evface_edge.results.output_file import check_output, whole_file
from evface_edge.results.rerun_page import Page, serve_page, viewer_program

APPLICATION = "evface-edge"
#: The axes of the head are drawn this long.
_AXIS_MM = 60.0
#: Head coordinates: x to the subject's left, y up, z forward.
_AXES = (("left", (232, 74, 74)), ("up", (92, 236, 150)), ("forward", (66, 160, 255)))
_TURN = np.linspace(0, 2 * np.pi, 17)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)
#: Half way to the background.
_FAINT = (np.array(POINT_COLOURS) + BACKGROUND) // 2

_BLUE, _ORANGE, _GREEN = (0, 114, 178), (230, 159, 0), (0, 158, 115)
#: Okabe and Ito's colours, which the colour-blind can tell apart, and the names of the curves.
_CURVES = {
    "openness/{}/right_eye": (_BLUE, "right eye"),
    "openness/{}/left_eye": (_ORANGE, "left eye"),
    "openness/{}/mouth": (_GREEN, "mouth"),
    "pose/{}/yaw_deg": (_BLUE, "yaw"),
    "pose/{}/pitch_deg": (_ORANGE, "pitch"),
    "pose/{}/roll_deg": (_GREEN, "roll"),
}
#: The curves of which each face has one, and the colours of the faces.
_FACE_CURVES = ("presence/{}", "sigma_px/{}")
_FACE_COLOURS = (_BLUE, _ORANGE, _GREEN, (204, 121, 167), (213, 94, 0), (86, 180, 233))


class RerunScreen:
    """Logs results and moments to a recording of rerun.

    Args:
        recording: a `rerun.RecordingStream` that goes somewhere.
    """

    def __init__(self, recording: Any) -> None:
        self._rr = import_rerun()
        self._recording = recording
        self._states: dict[int, FaceState] = {}
        self._styled: set[int] = set()
        self._drawn: set[int] = set()

    def add_result(self, t_us: int, faces: Sequence[FaceLandmarks]) -> None:
        """One point of each curve, and what changed in the states."""
        self._recording.set_time("time", duration=t_us / 1e6)
        for face in faces:
            number = face.face_id
            self._style(number)
            right, left = face.eye_aspect_ratio
            for name, value in (
                (f"openness/{number}/right_eye", right),
                (f"openness/{number}/left_eye", left),
                (f"openness/{number}/mouth", face.mouth_aspect_ratio),
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
        """Names and colours of the curves of a face, once: the viewer's own tell little."""
        if face_id in self._styled:
            return
        self._styled.add(face_id)
        own = _FACE_COLOURS[face_id % len(_FACE_COLOURS)], f"face {face_id}"
        for path, (colour, name) in (_CURVES | dict.fromkeys(_FACE_CURVES, own)).items():
            line = self._rr.SeriesLines(colors=[colour], names=[name])
            self._recording.log(path.format(face_id), line, static=True)

    def add_moment(self, moment: Moment, size: SensorSize) -> None:
        """The image of events with the faces on it."""
        rr, recording = self._rr, self._recording
        recording.set_time("time", duration=moment.t_us / 1e6)
        image = Image.fromarray(event_indices(moment.events, size)).convert("P")
        image.putpalette(EVENT_COLOURS.tobytes())
        png = io.BytesIO()
        image.save(png, "png", compress_level=1)
        recording.log(
            "camera/events",
            rr.EncodedImage(contents=png.getvalue(), media_type="image/png", opacity=1.0),
        )
        faces = moment.faces or ()
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
        # Circles of lines: the viewer draws points without transparency.
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
    """
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
def rrd_file(path: str | Path) -> Iterator[RerunScreen]:
    """A recording for rerun's viewer; the file is there when the block ends, not when it fails.

    Raises:
        ConfigError: another suffix than .rrd, or a folder that does not exist.
        RuntimeUnavailable: rerun-sdk is not installed.
    """
    path = check_output(path, {".rrd"})
    rerun = import_rerun()
    with whole_file(path) as part:
        recording = rerun.RecordingStream(APPLICATION)
        recording.save(part, default_blueprint=_layout(live=False))
        try:
            yield RerunScreen(recording)
        finally:
            recording.flush()
            recording.disconnect()


@contextmanager
def window(*, live: bool = False, speed: float = 1) -> Iterator[RerunScreen]:
    """A window of rerun's viewer; it stays when the block ends.

    Raises:
        RuntimeUnavailable: no display, or rerun-sdk is not installed.
    """
    rerun = import_rerun()
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in screens):
        raise RuntimeUnavailable(
            "window: this machine shows no display (neither DISPLAY nor WAYLAND_DISPLAY is set); "
            "write a video or a .rrd, or use web and a browser on another machine"
        )
    recording = rerun.RecordingStream(APPLICATION)
    rerun.spawn(
        recording=recording,
        executable_path=str(viewer_program()),
        default_blueprint=_layout(live=live, speed=speed),
    )
    try:
        yield RerunScreen(recording)
    finally:
        recording.flush()
        recording.disconnect()


@contextmanager
def page(
    *, address: str, port: int, live: bool = False, speed: float = 1
) -> Iterator[tuple[RerunScreen, Page]]:
    """A page in the browser, served until the block ends; see `rerun_page.serve_page`."""
    rerun = import_rerun()
    with serve_page(address=address, port=port) as served:
        recording = rerun.RecordingStream(APPLICATION)
        recording.connect_grpc(served.log_url, default_blueprint=_layout(live=live, speed=speed))
        try:
            yield RerunScreen(recording), served
        finally:
            recording.flush()
            recording.disconnect()


def _layout(*, live: bool, speed: float = 1) -> Any:
    """Events on the left, curves on the right; live, the newest is shown, else it plays."""
    import rerun.blueprint as rrb

    curves = [
        rrb.TimeSeriesView(name="openness", origin="/openness"),
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
