"""Accuracy and latency of several models on the same recordings.

    recordings = load_set(path)
    instants, results = run_all([Entry.parse("evface-s-int8")], recordings)
    errors = face_errors(instants, results[0])

recordings ─▶ `accuracy` (landmarks) ─▶ `metrics` (numbers) ─▶ `plots`, `page`, `baseline`
"""

from typing import TYPE_CHECKING

from evface_edge._lazy import lazy_names

if TYPE_CHECKING:
    from evface_edge.bench.latency import Latency
    from evface_edge.compare.accuracy import Entry, Instants, ModelResult, run_all
    from evface_edge.compare.labelled import LabelledRecording, load_set
    from evface_edge.compare.metrics import face_errors

__all__ = [
    "Entry",
    "Instants",
    "LabelledRecording",
    "Latency",
    "ModelResult",
    "face_errors",
    "load_set",
    "run_all",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "bench.latency": "Latency",
        "compare.accuracy": "Entry Instants ModelResult run_all",
        "compare.labelled": "LabelledRecording load_set",
        "compare.metrics": "face_errors",
    },
)
