"""A parametric head of our own: rendered faces with exact landmarks, free to use."""

from evface_training.head.animation import HeadAnimation
from evface_training.head.identity import HeadIdentity
from evface_training.head.renderer import HeadRenderer, RenderedHead
from evface_training.head.scene import Expression, Light, PinholeCamera, Pose

__all__ = [
    "Expression",
    "HeadAnimation",
    "HeadIdentity",
    "HeadRenderer",
    "Light",
    "PinholeCamera",
    "Pose",
    "RenderedHead",
]
