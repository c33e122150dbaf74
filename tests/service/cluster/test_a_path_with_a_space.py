"""A checkout, and so its virtual environment, may lie in a folder with a space in its name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import fusegpt

PROGRAM = """
import sys, ray
from service.cluster.local_ray import connect
from service.settings import Settings

assert " " in sys.executable
with connect(Settings.read({"FUSEGPT_HOME": sys.argv[1]})):
    # With variables of its own a worker goes through a shell, as every trial does.
    answer = ray.remote(runtime_env={"env_vars": {"A": "1"}})(lambda: __import__("fusegpt").__version__)
    print(ray.get(answer.remote(), timeout=200))
"""


@pytest.mark.ray
@pytest.mark.slow
def test_workers_start_where_the_interpreter_s_path_has_a_space(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "venv").symlink_to(sys.prefix)
    python = tmp_path / "a b" / "venv" / Path(sys.executable).relative_to(sys.prefix)
    done = subprocess.run([python, "-c", PROGRAM, tmp_path], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == fusegpt.__version__
