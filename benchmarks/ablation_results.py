"""A finished ablation study as benchmarks read it: its folder, its faces, its checkpoints."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evface_edge.errors import ConfigError
from evface_training.ablation.plan import AblationSize, Training, trainings
from evface_training.ablation.run import ablation_faces, is_finished, slug
from evface_training.clip_maker import fingerprint
from evface_training.data.faces import FaceSet


@dataclass(frozen=True)
class AblationResults:
    """A folder of `evface-edge ablate` and the faces that it was run with.

    Attributes:
        settings: `size`, `steps`, `pretraining_steps`, `clips`, `faces`.
        rows: name → seed → NME-98 in percent by set of clips.
        training: faces that it was trained on.
        validation: faces that it was evaluated on.
    """

    folder: Path
    settings: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, Mapping[str, float]]]
    training: FaceSet
    validation: FaceSet

    @property
    def plan(self) -> dict[str, Training]:
        """The trainings of the first seed."""
        size: AblationSize = self.settings["size"]
        return trainings(size, self.settings["steps"], self.settings["pretraining_steps"], seed=1)

    def checkpoint(self, name: str) -> Path | None:
        """The checkpoint of a training of the first seed; None if it is missing or unfinished."""
        path = self.folder / "0" / slug(name) / "last.pt"
        return path if is_finished(path, self.plan[name].recipe) else None


def parser_for(description: str) -> argparse.ArgumentParser:
    """The options of every benchmark that reads an ablation study."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of `evface-edge ablate`")
    parser.add_argument("--faces", type=Path, action="append", help="as for ablate")
    parser.add_argument("--cache", type=Path, help="as for ablate")
    parser.add_argument("--clips", type=int, default=1024, help="clips of each set")
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")
    return parser


def load_results(options: argparse.Namespace) -> AblationResults:
    """The ablation study that the options name.

    Raises:
        ConfigError: the folder holds no ablation study, or one with other faces.
    """
    path = options.folder / "results.json"
    if not path.is_file():
        raise ConfigError("folder", str(options.folder), "a folder of `evface-edge ablate`")
    stored = json.loads(path.read_text(encoding="utf-8"))
    training, validation = ablation_faces(options.faces or [], options.cache, options.folder)
    sha256, expected = fingerprint(training)["sha256"], stored["settings"]["faces"]
    if sha256 != expected:
        raise ConfigError(
            "--faces",
            [str(folder) for folder in options.faces or []] or "avatars",
            f"the faces of the ablation ({expected[:12]}…, these are {sha256[:12]}…); give the "
            "same folders, or another --cache",
        )
    return AblationResults(options.folder, stored["settings"], stored["rows"], training, validation)


def write_json(report: object, options: argparse.Namespace) -> None:
    """Print the report, or write it to `--output`."""
    text = json.dumps(report, indent=1)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)  # noqa: T201
