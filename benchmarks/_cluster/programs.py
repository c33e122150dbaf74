"""The programs of this machine's Python environment, as a host of the network has them.

By paths without a space, which Ray needs (it puts them into a shell's line as they are); and visible where the
environment lies below /tmp, of which every host has its own.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python_programs(folder: Path) -> list[Path]:
    """Folders for PATH: `python`, and each command of the environment run by it. Made in `folder` the first time."""
    environment, commands = folder / "venv", folder / "bin"
    if not commands.exists():
        environment.symlink_to(sys.prefix)
        commands.mkdir()
        for script in Path(sys.prefix, "bin").iterdir():
            if script.is_file() and _is_pythons(script):
                run = f'exec {environment}/bin/python {shlex.quote(str(script))} "$@"'
                (commands / script.name).write_text(f"#!/bin/sh\n{run}\n")
                (commands / script.name).chmod(0o755)
    return [commands, environment / "bin"]


def mounts_below_tmp(folder: Path, own_tmp: Path) -> list[tuple[Path, Path]]:
    """What is mounted where, in order, so that the code and its Python are still there under a /tmp of one's own."""
    hidden = [path for path in dict.fromkeys((ROOT, Path(sys.prefix))) if path.is_relative_to("/tmp")]
    kept = [(path, folder / f"kept{number}") for number, path in enumerate(hidden)]
    return [*kept, (own_tmp, Path("/tmp")), *((place, path) for path, place in kept)]


def _is_pythons(script: Path) -> bool:
    with script.open("rb") as file:
        begin = file.read(300)
    return begin.startswith(b"#!") and b"python" in begin and b"activate" not in begin
