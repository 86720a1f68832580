"""Where faces come from, and who is kept for validation."""

from evface_training.data.annotated import SkipList
from evface_training.data.face_pack import load_face_pack
from evface_training.data.faces import FaceSet
from evface_training.data.labelled_events import LabelledEvents, labelled_events
from evface_training.data.loading import load_faces, load_folder
from evface_training.data.split import is_validation, split_faces
from evface_training.data.videos import load_video_faces

__all__ = [
    "FaceSet",
    "LabelledEvents",
    "SkipList",
    "is_validation",
    "labelled_events",
    "load_face_pack",
    "load_faces",
    "load_folder",
    "load_video_faces",
    "split_faces",
]
