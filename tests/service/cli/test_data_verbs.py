"""`fusegpt data check` and `pack` of what is not driving."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fusegpt.data.sample import DataError
from service.cli import app


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSEGPT_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize(
    ("experiment", "assignments"),
    [
        ("row_classifier", []),
        ("translation", ["data.train_samples=30", "data.val_samples=3", "data.test_samples=2"]),
        ("text_to_image", ["data.train_samples=30", "data.val_samples=3", "data.test_samples=2"]),
        ("sequence_models", []),
    ],
)
@pytest.mark.parametrize("verb", ["check", "pack"])
def test_every_sort_of_data_can_be_checked_and_made_ready(verb: str, experiment: str, assignments: list[str]) -> None:
    options = [part for assignment in assignments for part in ("--set", assignment)]
    told = CliRunner().invoke(app, ["data", verb, experiment, *options, "--json"])
    sizes = json.loads(told.stdout)
    assert min(sizes[part] for part in ("train", "val", "test")) > 0
    assert sizes["fingerprint"]


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_bytes(b"\xff\xfe")
    told = CliRunner().invoke(app, ["data", "check", "language_model", "--set", f"data.path={tmp_path}/book.txt"])
    assert isinstance(told.exception, DataError)
    assert "book.txt is no text in UTF-8" in str(told.exception)
