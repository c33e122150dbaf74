"""What every test stands on: a clean environment, no telemetry, one thread, the reference results where they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from lanes import Lanes
from xdist.remote import Producer

# No test is timed: what takes long on a busy machine is no failure. pytest-timeout ends what hangs.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# Read by Ray and MLflow when they are imported, so set before any test module is.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Tiny tensors are slower on several threads than on one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = os.environ.get("FUSEGPT_SHARED", "")
KITTI = os.environ.get("FUSEGPT_DATA", "")
OURS = ("FUSEGPT_", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "RAY_ADDRESS", "RAY_AUTH_")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    return Lanes(config, log)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the person who runs the tests reaches them, and nothing is written to their home."""
    for name in list(os.environ):
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FUSEGPT_HOME", str(tmp_path / "fusegpt home"))


@pytest.fixture(scope="session")
def reference_results() -> Path:
    """The folder with results of the original code. Skips where FUSEGPT_SHARED does not say where it is."""
    if not SHARED:
        pytest.skip("FUSEGPT_SHARED is not set: the reference results of the original code are not at hand")
    return Path(SHARED) / "fixtures"


@pytest.fixture(scope="session")
def kitti_root() -> Path:
    """Real KITTI drives in the original layout. Skips where FUSEGPT_DATA does not say where they are."""
    if not KITTI:
        pytest.skip("FUSEGPT_DATA is not set: no recorded drives are at hand")
    return Path(KITTI)


@pytest.fixture(scope="session")
def kitti_reference_poses() -> Path:
    """The folder of drives that holds poses_velo*.txt. Skips where FUSEGPT_SHARED does not say where it is."""
    if not SHARED:
        pytest.skip("FUSEGPT_SHARED is not set: the reference poses are not at hand")
    return Path(SHARED) / "data" / "kitti" / "2011_09_26"
