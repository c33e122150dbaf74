"""What is marked and what the lanes read from the files must be the same, or two Rays would meet."""

from __future__ import annotations

import pytest
from lanes import lane_of


def test_all_that_starts_a_ray_runs_one_after_another(request: pytest.FixtureRequest) -> None:
    lanes = {item.path: lane_of(item.path) for item in request.session.items if item.get_closest_marker("ray")}
    assert [file for file, lane in lanes.items() if lane != "ray"] == []
