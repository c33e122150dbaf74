"""Where a run comes from, also where there is no git to ask."""

from __future__ import annotations

import pytest

from service.tracking import provenance as module
from service.tracking.provenance import provenance


def test_git_is_asked_for_the_commit_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_git", lambda *_: "a" * 40 + "\n")
    assert provenance("b" * 40)["mlflow.source.git.commit"] == "a" * 40


def test_an_image_without_git_tells_the_commit_that_it_was_built_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_git", lambda *_: "")
    assert provenance("b" * 40)["mlflow.source.git.commit"] == "b" * 40
    assert "mlflow.source.git.commit" not in provenance()
