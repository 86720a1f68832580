"""Write the bundled LiteRT models from the bundled INT8 ONNX models: the same integers.

    python tools/write_litert_models.py clips.npz

The clips are those of `evface-edge calibration-set`. The result is compared with the float32 model
on those for evaluation, as in `evface-edge export`, and the card has these numbers.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import sys
import tempfile
from pathlib import Path

import evface_runtimes
from evface_edge.card_file import read_card
from evface_edge.models import bundled_names, find_model
from evface_export.calibration import CalibrationSet
from evface_export.conversion import SEED
from evface_export.parity import Limits, Reference, runtime_run
from evface_export.source import load_source
from evface_export.tflite_file import embed_litert_card
from evface_export.to_litert import to_litert


def main(clips: CalibrationSet) -> None:
    """Write one `.tflite` beside each INT8 model.

    Raises:
        ExportError: the result differs too much from the float32 model.
    """
    _, evaluation = clips.split(SEED)
    for name in bundled_names():
        path = find_model(name)
        card = read_card(path)
        if card.target != "onnx-int8":
            continue
        source = load_source(name.removesuffix("-int8"))
        reference = Reference.of(source.network, source.card, clips, evaluation)
        content = to_litert(path.read_bytes())
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / "draft.tflite"
            draft.write_bytes(content)
            with evface_runtimes.load(draft) as runtime:
                parity = reference.compare(runtime_run(runtime, card))
        parity.check(Limits())
        sys.stdout.write(f"{name}: {parity}\n")
        package = "ai-edge-litert"
        built_with = card.built_with | {package: importlib.metadata.version(package)}
        built_with.pop("onnxruntime", None)
        card = dataclasses.replace(
            card,
            target="litert-int8",
            built_with=built_with,
            metrics=card.metrics | parity.metrics,
        )
        path.with_suffix(".tflite").write_bytes(embed_litert_card(content, card))


if __name__ == "__main__":
    main(CalibrationSet.load(sys.argv[1]))
