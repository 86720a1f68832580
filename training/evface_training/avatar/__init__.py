"""A parametric head of our own: rendered faces with exact landmarks, free to use."""

from evface_training.avatar.animation import AvatarAnimation
from evface_training.avatar.identity import AvatarIdentity
from evface_training.avatar.renderer import AvatarRenderer, RenderedAvatar
from evface_training.avatar.scene import Expression, Light, PinholeCamera, Pose

__all__ = [
    "AvatarAnimation",
    "AvatarIdentity",
    "AvatarRenderer",
    "Expression",
    "Light",
    "PinholeCamera",
    "Pose",
    "RenderedAvatar",
]
