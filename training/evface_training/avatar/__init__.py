"""A parametric avatar: rendered human heads with exact landmarks, free to use.

Who and how (plain data, drawn from a seed):
    identity        proportions and appearance
    scene           expression, pose, camera, light
    animation       expression and pose over time

Geometry of one identity (NumPy, millimetres):
    layout          where features lie; skull, relief, hair → mesh: the neutral grid of the skin
    deformation     expression → skin
    landmarks, outline    the 98 points on the skin, the contour along the visible edge
    texture, parts  reflectance of the skin; ears, teeth, neck, clothes, glasses
    model           all of it

Rendering (moderngl):
    renderer        one image with its labels, for any avatar
    parametric, ict    an avatar's buffers: what the renderer draws, and the landmarks on it
    shaders, background

A new avatar is a file like `ict`: a class with the methods of `renderer.LoadedAvatar`, and a
renderer that returns it from `_load`.
"""

from evface_training.avatar.animation import AvatarAnimation
from evface_training.avatar.identity import AvatarIdentity
from evface_training.avatar.parametric import AvatarRenderer
from evface_training.avatar.renderer import RenderedAvatar
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
