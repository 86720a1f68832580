"""Recipes: strict, and every bundled one sound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pytest

from evface_edge.cli import main
from evface_edge.errors import ConfigError
from evface_training.config import build, differences, load_yaml
from evface_training.recipe import TrainRecipe, bundled_recipes, load_recipe
from evface_training.tasks.table import build_task
from evface_training.teacher.config import SIZES


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"name": "x", "stepz": 3},
            r"recipe.stepz = 3: expected a known setting; did you mean 'steps'",
        ),
        ({"name": "x", "student": {"chanels": []}}, "did you mean 'channels'"),
        ({"name": "x", "optimiser": {"learning-rate": 1}}, "did you mean 'learning_rate'"),
        ({"name": "x", "learing_rate": 1}, "did you mean 'optimiser.learning_rate'"),
        ({"name": "x", "hiden": 1}, "did you mean 'student.hidden'"),
        ({"name": "x", "feed_foward": 1}, "did you mean 'teacher.feed_forward'"),
        ({"name": "x", "side": 1}, r"did you mean 'student.side or .*ssmer.side"),
        ({"name": "x", "zzz": 1}, "one of name, task"),
        ({"name": "x", "steps": "many"}, "type int"),
        ({"name": "x", "steps": False}, "type int"),
        ({"name": "x", "reuse": "often"}, "type float"),
        ({"name": "x", "steps": 0}, "TrainRecipe.steps = 0"),
        ({"name": "x", "student": {"channels": [16, 16]}}, "4 multiples of 16"),
        ({"name": "x", "student": {"blocks": [1, 1]}}, "a list of 3"),
        ({"name": "x", "student": {"stem": "patch"}}, "3 multiples of 16"),
        ({"name": "x", "precision": "fp61"}, "expected bf16, fp32"),
        ({"name": "x", "optimiser": {"ema": 1.5}}, "optimiser.ema = 1.5"),
        ({"name": "x", "representation": {"name": "event_frame"}}, "in_channels = 10: expected 2"),
        ({"name": "x", "representation": {"name": "voxels_grid"}}, "did you mean 'voxel_grid'"),
        ({"name": "x", "representation": "voxel_grid"}, "name, and its parameters"),
        ({"name": "x", "pool": 100}, r"pool = 100: expected 2 × batch \(192\)"),
        ({}, "name as well"),
        ([], "a mapping"),
    ],
)
def test_a_wrong_recipe_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(TrainRecipe, values, "recipe")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nsteps: 1\nsteps: 2\n", r"bad\.yaml\.steps = 'set twice'"),
        ("name: [a\n", "YAML"),
        ("\xff", "YAML"),
        ("", "a mapping"),
        ("- 1\n", "a mapping"),
    ],
)
def test_a_file_that_is_no_recipe_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=message):
        load_yaml(TrainRecipe, path)


def test_numbers_without_a_point_are_numbers(tmp_path: Path) -> None:
    """YAML 1.1 reads 1e-3 as a text."""
    path = tmp_path / "r.yaml"
    path.write_text("name: r\noptimiser: {learning_rate: 1e-3, clip_norm: 2}\n")
    optimiser = load_yaml(TrainRecipe, path).optimiser
    assert (optimiser.learning_rate, optimiser.clip_norm) == (1e-3, 2.0)


def test_choices_and_optional_parts() -> None:
    @dataclass(frozen=True)
    class Inner:
        x: int = 1

    @dataclass(frozen=True)
    class Outer:
        kind: Literal["a", "b"]
        inner: Inner | None = None
        many: tuple[float, ...] = ()

    # Types defined in a function are unknown to `get_type_hints`.
    globals().update(Inner=Inner)
    built = build(Outer, {"kind": "b", "inner": {"x": 2}, "many": [1, 2.5]}, "here")
    assert built == Outer("b", Inner(2), (1.0, 2.5))
    assert build(Outer, {"kind": "a", "inner": None}, "here").inner is None
    with pytest.raises(ConfigError, match=r"here\.kind = 'c': expected a, b"):
        build(Outer, {"kind": "c"}, "here")


def test_differences_name_the_place() -> None:
    old = {"a": 1, "b": {"c": [1, 2], "d": 3}}
    new = {"a": 1, "b": {"c": [1, 3], "d": 3, "e": 4}}
    assert list(differences(old, new)) == [("b.c", [1, 2], [1, 3]), ("b.e", None, 4)]


@pytest.mark.parametrize("name", bundled_recipes())
def test_every_bundled_recipe_is_sound(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    if recipe.task in ("landmarks", "ssmer") and "paper" not in name:  # the others need a start
        build_task(recipe)
    size = name.rpartition("-")[2]
    if name.startswith("teacher-"):
        sized = replace(SIZES[size], fusion=recipe.teacher.fusion)
        assert replace(recipe.teacher, rgb_dropout=sized.rgb_dropout) == sized
    if name.startswith("ssmer-teacher-"):
        assert recipe.teacher.backbone == SIZES[size].backbone


@pytest.mark.parametrize(("name", "at_most"), [("evface-s", 1.5e6), ("evface-n", 0.4e6)])
def test_students_are_as_small_as_promised(name: str, at_most: float) -> None:
    network = build_task(load_recipe(name)).network
    assert sum(p.numel() for p in network.parameters()) <= at_most


def test_training_says_what_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["train", "evface-x", "--faces", str(tmp_path), "-o", str(tmp_path)]) == 1
    assert "one of evface-n, evface-n-distill, evface-s," in capsys.readouterr().err.replace(
        "\n", " "
    )
    assert main(["train", "evface-s", "-o", str(tmp_path)]) == 1
    assert "folders of faces" in capsys.readouterr().err
    assert main(["train", "-o", str(tmp_path)]) == 1
    assert "one recipe" in capsys.readouterr().err
