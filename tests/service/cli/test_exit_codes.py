"""Which exit code an error becomes, and that a bug stays a traceback."""

from __future__ import annotations

import pytest

from fusegpt.config import SettingError
from fusegpt.data.fetch import FetchError
from fusegpt.data.sample import DataError
from fusegpt.training.report import TrainingError
from service.errors import ClusterUnreachable, JobFailed, NotFound, Refused, exit_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (JobFailed("x"), 1),
        (TrainingError("the loss is not finite"), 1),
        (FetchError("the site does not answer"), 1),
        (SettingError("model.n_head: x"), 2),
        (DataError("calib.txt: x"), 2),
        (NotFound("x"), 3),
        (Refused("x"), 4),
        (ClusterUnreachable("x"), 5),
    ],
)
def test_an_error_of_a_user_has_its_exit_code(error: Exception, code: int) -> None:
    assert exit_code(error) == code


def test_a_bug_has_none() -> None:
    assert exit_code(AssertionError("ours")) is None
