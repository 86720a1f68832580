"""Accuracy and latency of several models on the same recordings.

    recordings = load_set(path)
    instants, results = run_all([Entry.parse("evface-s-int8")], recordings)
    errors = face_errors(instants, results[0])

recordings ─▶ `accuracy` (instants) ─▶ `metrics` (numbers) ─▶ `plots`, `page`, `baseline`
"""

from typing import TYPE_CHECKING

from evface_edge._lazy import lazy_names

if TYPE_CHECKING:
    from evface_edge.compare.accuracy import Entry, Found, Instants, run_all
    from evface_edge.compare.labelled import LabelledRecording, load_set
    from evface_edge.compare.metrics import face_errors

__all__ = [
    "Entry",
    "Found",
    "Instants",
    "LabelledRecording",
    "face_errors",
    "load_set",
    "run_all",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Entry": "compare.accuracy",
        "Found": "compare.accuracy",
        "Instants": "compare.accuracy",
        "LabelledRecording": "compare.labelled",
        "face_errors": "compare.metrics",
        "load_set": "compare.labelled",
        "run_all": "compare.accuracy",
    },
)
