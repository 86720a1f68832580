"""What scripts read of an ablation that has been run: its folder, its faces, its trainings."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evface_edge.errors import ConfigError
from evface_training.ablation.people import to_train_and_to_judge
from evface_training.ablation.plan import AblationSize, Training, trainings
from evface_training.ablation.run import has_ended, slug
from evface_training.clip_maker import fingerprint
from evface_training.data.faces import FaceSet


@dataclass(frozen=True)
class Finished:
    """A folder of `evface-edge ablate`, and the faces that it was run with.

    Attributes:
        settings: `size`, `steps`, `pretraining_steps` and what else it was asked for.
        rows: name → seed → figures.
        training: faces that were trained with; judging: labelled by hand, of other people.
    """

    folder: Path
    settings: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, Mapping[str, float]]]
    training: FaceSet
    judging: FaceSet

    @property
    def plan(self) -> dict[str, Training]:
        """Of its first seed."""
        size: AblationSize = self.settings["size"]
        return trainings(size, self.settings["steps"], self.settings["pretraining_steps"], seed=1)

    def checkpoint(self, name: str) -> Path | None:
        """Of that training, first seed; None where it has not ended or is no longer there."""
        path = self.folder / "0" / slug(name) / "last.pt"
        return path if has_ended(path, self.plan[name].recipe) else None


def options_of(description: str) -> argparse.ArgumentParser:
    """What each of the scripts asks for."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of `evface-edge ablate`")
    parser.add_argument("--faces", type=Path, action="append", help="without: avatars")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--clips", type=int, default=1024, help="of each moment")
    parser.add_argument("-o", "--output", type=Path)
    return parser


def finished(options: argparse.Namespace) -> Finished:
    """What `options_of` asked for.

    Raises:
        ConfigError: the folder holds no ablation, or one of other faces.
    """
    results = options.folder / "results.json"
    if not results.is_file():
        raise ConfigError("folder", str(options.folder), "a folder of `evface-edge ablate`")
    stored = json.loads(results.read_text(encoding="utf-8"))
    training, judging = to_train_and_to_judge(options.faces or [], options.cache, options.folder)
    found, wanted = fingerprint(training)["sha256"], stored["settings"]["faces"]
    if found != wanted:
        raise ConfigError(
            "--faces",
            [str(folder) for folder in options.faces or []] or "none: avatars",
            f"those of the ablation ({wanted[:12]}…, these are {found[:12]}…); name the same "
            "folders, or another --cache",
        )
    return Finished(options.folder, stored["settings"], stored["rows"], training, judging)


def put(text: str, options: argparse.Namespace) -> None:
    """On the screen, and where it was asked for."""
    print(text)  # noqa: T201
    if options.output:
        options.output.write_text(text, encoding="utf-8")
