"""Detection and tracking of a model on simulated sequences, and on recordings without a face."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from evface_edge.errors import ConfigError
from evface_edge.events import read_events
from evface_edge.geometry import SensorSize
from evface_edge.predictor import Predictor
from evface_training.data.faces import FaceSet
from evface_training.tracking.metrics import (
    SequenceMetrics,
    measure,
    negatives_summary,
    summary,
)
from evface_training.tracking.sequences import FullSequence, SequenceMaker

#: Faces that the predictor follows at once: sequences have up to two.
FACES = 2
NEGATIVE_S = 20.0
#: Sequences with faces for each sequence without.
_FACES_PER_NEGATIVE = 8


def negative_count(count: int) -> int:
    """Number of sequences without a face for `count` sequences with faces."""
    return -(-count // _FACES_PER_NEGATIVE)


def evaluate_tracking(
    predictor: Predictor,
    faces: FaceSet,
    size: SensorSize,
    count: int,
    *,
    seed: int = 0,
    on_sequence: Callable[[], None] = lambda: None,
) -> dict[str, dict[str, float]]:
    """Track faces that appear, move, are hidden for 0.5 s, pause for 5 s, leave and come back.

    Args:
        predictor: of `FACES` faces.
        faces: photos of the heads.
        size: of the sensor.
        count: number of sequences with faces.
        seed: random seed of the sequences.
        on_sequence: called after each sequence.

    Returns:
        metrics by name of the sequences "with faces", and of those "without faces".

    Raises:
        ConfigError: no sequence.
    """
    if count < 1:
        raise ConfigError("--count", count, "1 or more")
    maker = SequenceMaker(faces, size, seed)

    def track(sequence: FullSequence) -> SequenceMetrics:
        metrics = measure(sequence, predictor.stream(sequence.events, size=sequence.size))
        on_sequence()
        return metrics

    return {
        "with faces": summary([track(maker.sequence(number)) for number in range(count)]),
        "without faces": negatives_summary(
            [track(maker.negative(number, NEGATIVE_S)) for number in range(negative_count(count))]
        ),
    }


def evaluate_negatives(predictor: Predictor, paths: Iterable[Path]) -> dict[str, float]:
    """Count false faces in recordings without a face; → metrics by name.

    Raises:
        EventFormatError: a recording cannot be read.
    """
    metrics = []
    for path in paths:
        events, size = read_events(path)
        results = list(predictor.stream(events, size=size))
        times_us = np.array([t_us for t_us, _ in results], np.int64)
        times_us = times_us - times_us[:1]
        if len(times_us) > 1:
            metrics.append(measure(FullSequence(path.name, size, events, times_us, ()), results))
    return negatives_summary(metrics)
