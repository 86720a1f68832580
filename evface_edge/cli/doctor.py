"""`evface-edge doctor`."""

from __future__ import annotations

import dataclasses
import json

import typer

from evface_edge.cli.options import JsonOption

_MARKS = {"ok": "✓", "missing": "–", "broken": "✗"}


def doctor(
    as_json: JsonOption = False,
) -> None:
    """Check the installation and print the command that fixes each problem.

    Checks Python and packages, the bundled models, runtimes and their devices, camera drivers, USB
    and udev rules, video output and the synthetic avatar. Changes nothing. The exit code is 1 if
    something is broken; a missing optional part is no error.

    \b
    Examples:
      evface-edge doctor
      evface-edge doctor --json
    """
    from evface_edge.doctor import Status, run_checks

    results = run_checks()
    broken = [r.name for group in results.values() for r in group if r.status is Status.BROKEN]
    if as_json:
        checks = [
            {"group": heading, **dataclasses.asdict(result), "status": result.status.value}
            for heading, group in results.items()
            for result in group
        ]
        typer.echo(json.dumps({"ok": not broken, "checks": checks}))
    else:
        for heading, group in results.items():
            typer.echo(heading)
            width = max((len(result.name) for result in group), default=0)
            for result in group:
                mark = _MARKS[result.status.value]
                typer.echo(f"  {mark} {result.name:<{width}}  {result.detail}")
                if result.fix:
                    typer.echo(f"    {'':<{width}}  → {result.fix}")
            typer.echo()
        typer.echo("✓ works   – missing, optional   ✗ broken   → how to fix it")
        if broken:
            typer.echo(f"broken: {', '.join(broken)}")
    if broken:
        raise typer.Exit(1)
