"""The commands: to add one, add a file in `cli/` and a row here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A command.

    Attributes:
        name: of the command.
        target: "module:function"; the module is imported when the command runs.
        help: one line for the list of commands.
        extra: the extra of evface-edge with the packages that the command needs.
    """

    name: str
    target: str
    help: str
    extra: str | None = None


ROWS: tuple[Row, ...] = (
    Row("demo", "evface_edge.cli.demo:demo", "Show landmarks on the bundled recording."),
    Row("predict", "evface_edge.cli.predict:predict", "Find landmarks in a recording or camera."),
    Row("view", "evface_edge.cli.view:view", "Show events without landmarks."),
    Row("info", "evface_edge.cli.info:info", "Describe a recording, a camera or a model."),
    Row("convert", "evface_edge.cli.convert:convert", "Write a recording in another format."),
    Row("models", "evface_edge.cli.models:models", "List the bundled models."),
    Row("bench", "evface_edge.cli.bench:bench", "Measure the speed of models on this machine."),
    Row(
        "compare",
        "evface_edge.cli.compare:compare",
        "Compare the accuracy and latency of models.",
        "report",
    ),
    Row("doctor", "evface_edge.cli.doctor:doctor", "Check the installation; show how to fix it."),
)

#: Commands of other packages, found as entry points: name → (help, extra), in this order.
ADDED: dict[str, tuple[str, str]] = {
    "simulate": ("Simulate the events of a face in a video, image or avatar.", "train"),
    "train": ("Train a model.", "train"),
    "evaluate": ("Evaluate a model on labelled faces.", "train"),
    "ablate": ("Run the ablation study.", "train"),
    "finalize": ("Average checkpoints and fit the uncertainty, before export.", "train"),
    "calibration-set": ("Make the calibration set for INT8 export.", "train"),
    "export": ("Export a trained model for a device.", "export"),
    "build-engine": ("Build a TensorRT engine on the device.", "tensorrt"),
}
