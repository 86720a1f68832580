"""Results of a prediction and what is made of them: tables, plots, images, videos, live viewers.

Faces       FaceLandmarks, FaceState, Predictions
Eyes        eye_aspect_ratio, mouth_aspect_ratio, find_blinks, Blink, BlinkRule
Images      event_image, face_image, draw_face, view_frame_image
Video       open_video, VideoWriter
Live views  ViewFrames, ViewFrame, show_results, show_events, Viewer, VideoViewer, RerunViewer,
            open_window, open_web_page, open_rrd, WebPage

Drawing needs Pillow, which is imported on first use. The rerun viewers need the extra `web`.
"""

from typing import TYPE_CHECKING

from evface_edge._lazy import lazy_names
from evface_edge.results.aspect_ratios import eye_aspect_ratio, mouth_aspect_ratio
from evface_edge.results.blinks import Blink, BlinkRule, find_blinks
from evface_edge.results.face import FaceLandmarks, FaceState
from evface_edge.results.predictions import Predictions

if TYPE_CHECKING:
    from evface_edge.results.drawing import draw_face, event_image, face_image, view_frame_image
    from evface_edge.results.rerun_server import WebPage
    from evface_edge.results.rerun_viewer import (
        RerunViewer,
        open_rrd,
        open_web_page,
        open_window,
    )
    from evface_edge.results.video import VideoWriter, open_video
    from evface_edge.results.view_frames import ViewFrame, ViewFrames
    from evface_edge.results.viewers import VideoViewer, Viewer, show_events, show_results

__all__ = [
    "Blink",
    "BlinkRule",
    "FaceLandmarks",
    "FaceState",
    "Predictions",
    "RerunViewer",
    "VideoViewer",
    "VideoWriter",
    "ViewFrame",
    "ViewFrames",
    "Viewer",
    "WebPage",
    "draw_face",
    "event_image",
    "eye_aspect_ratio",
    "face_image",
    "find_blinks",
    "mouth_aspect_ratio",
    "open_rrd",
    "open_video",
    "open_web_page",
    "open_window",
    "show_events",
    "show_results",
    "view_frame_image",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "results.drawing": "draw_face event_image face_image view_frame_image",
        "results.rerun_server": "WebPage",
        "results.rerun_viewer": "RerunViewer open_rrd open_web_page open_window",
        "results.video": "VideoWriter open_video",
        "results.view_frames": "ViewFrame ViewFrames",
        "results.viewers": "VideoViewer Viewer show_events show_results",
    },
)
