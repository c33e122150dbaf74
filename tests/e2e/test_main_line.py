"""The main line through the command, as a person at a terminal: tune, look, serve, ask, promote, roll back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import START_S

pytestmark = [pytest.mark.e2e, pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1800)]

# Small enough for two cores and a minute; every part is the real one.
TINY = {
    "data.n_drives": 8,
    "data.seconds_per_drive": 8,
    "data.image_height_px": 64,
    "data.image_width_px": 128,
    "model.stages": "[4]",
    "model.n_embd": 32,
    "model.n_layer": 1,
    "training.epochs": 2,
}
SPACE = {"model.n_head": [1, 2], "model.attn_pdrop": {"low": 0.0, "high": 0.3}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of its own, with a space in its path."""
    return tmp_path_factory.mktemp("a home")


def fusegpt(home: Path, *arguments: object, code: int = 0) -> Any:
    """What the command answers with --json."""
    command = [sys.executable, "-m", "service", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(home), cwd=home)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if done.stdout else None


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "FUSEGPT_HOME": str(home / "home"), "FUSEGPT_PORT": "0"}


@pytest.fixture(scope="module")
def tuned(home: Path) -> dict[str, Any]:
    """A finished search of three trials, started from a spec file."""
    spec = {"experiment": "fusion_waypoints", "set": TINY, "search": {"space": SPACE, "trials": 3}}
    spec["set"] = {key: json.loads(value) if isinstance(value, str) else value for key, value in TINY.items()}
    (home / "search.json").write_text(json.dumps(spec))
    outcome: dict[str, Any] = fusegpt(home, "tune", "search.json", "--name", "first")
    return outcome


@pytest.fixture(scope="module")
def url(home: Path, tuned: dict[str, Any]) -> Iterator[str]:
    """The champion, served."""
    assert tuned
    command = [sys.executable, "-m", "service", "serve", "fusion_waypoints", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(home)) as process:
        assert process.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline()
            assert line, "serve ended before it said where it is"
            text += line
        yield json.loads(text)["url"]
        process.send_signal(signal.SIGINT)
        assert process.wait(START_S) == 0


def test_a_search_tries_the_default_settings_first_and_promotes_its_best(home: Path, tuned: dict[str, Any]) -> None:
    assert tuned["decision"]["accepted"]
    listed = fusegpt(home, "ls")
    assert [row["name"] for row in listed["searches"]] == ["first"]
    assert listed["champions"] == {"fusion_waypoints": 1}
    best = fusegpt(home, "best", "first")
    assert best["trial"]["best"] == best["search"]["best"]
    assert set(best["trial"]["drawn"]) == set(SPACE)


def test_the_champion_answers_over_http(home: Path, url: str, tmp_path: Path) -> None:
    image, sweep = request_files(tmp_path)
    asked = ("--image", image, "--sweep", sweep, "--speed", "8.0", "--target", "20,0.5", "--url", url)
    answer = fusegpt(home, "predict", *asked)
    assert answer["model"] == {"name": "fusion_waypoints", "version": 1}
    assert len(answer["waypoints"]) == 4


def test_a_version_that_is_not_better_is_refused_and_the_champion_stays(home: Path, tuned: dict[str, Any]) -> None:
    assert tuned
    changes = [f"--set={key}={value}" for key, value in {**TINY, "training.epochs": 1, "training.lr": 1e-7}.items()]
    fusegpt(home, "train", "fusion_waypoints", "--name", "worse", *changes)
    fusegpt(home, "promote", "fusion_waypoints", code=4)
    assert fusegpt(home, "ls")["champions"] == {"fusion_waypoints": 1}


def test_a_forced_version_can_be_rolled_back(home: Path) -> None:
    fusegpt(home, "promote", "fusion_waypoints", "2", "--force")
    assert fusegpt(home, "ls")["champions"] == {"fusion_waypoints": 2}
    assert fusegpt(home, "rollback", "fusion_waypoints")["champion"] == 1


def test_what_is_not_there_is_exit_code_3(home: Path, tuned: dict[str, Any]) -> None:
    assert tuned
    fusegpt(home, "best", "nothing", code=3)


def request_files(folder: Path) -> tuple[Path, Path]:
    """One sample of the world as a client has it: a PNG and KITTI's .bin."""
    from PIL import Image

    from fusegpt.data.world.config import WorldData

    reader = WorldData(n_drives=3, seconds_per_drive=5).reader()
    sample = next(reader.samples(reader.drives()[0]))
    Image.fromarray(sample.image).save(folder / "front.png")
    sample.sweep.tofile(folder / "sweep.bin")
    return folder / "front.png", folder / "sweep.bin"
