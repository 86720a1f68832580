"""Where faces come from, and who is kept for validation."""

from evface_training.data.faces import FaceSet, load_face_pack
from evface_training.data.loading import load_faces
from evface_training.data.split import is_validation, split_faces
from evface_training.data.videos import load_video_faces

__all__ = [
    "FaceSet",
    "is_validation",
    "load_face_pack",
    "load_faces",
    "load_video_faces",
    "split_faces",
]
