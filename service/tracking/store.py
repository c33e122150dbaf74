"""`connect`: the one way to MLflow, quiet, with pickles refused and with time limits that suit a background writer."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from service.errors import ClusterUnreachable, NotFound
from service.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Set before MLflow is imported, and only where the user has not: MLflow reads its own variables.
_DEFAULTS: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}


def connect(settings: Settings) -> MlflowClient:
    """A client of the tracking store and of the registry in it. Importing MLflow takes about two seconds."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    # urllib3 tells each attempt at a server that is away; whoever asks says so once.
    for noisy in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    file = database(settings)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=settings.tracking_uri, registry_uri=settings.tracking_uri)


def database(settings: Settings) -> Path | None:
    """The SQLite file behind the tracking URI; None where it is a server."""
    uri = settings.tracking_uri
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def experiment_id(client: MlflowClient, settings: Settings, name: str) -> str:
    """The id of the MLflow experiment of this name, created where there is none."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    # A server knows best where its artifacts lie; our own database keeps them beside it.
    local = database(settings) is not None
    try:
        return str(
            client.create_experiment(
                name, artifact_location=(settings.home / "mlartifacts").as_uri() if local else None
            )
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_experiment_by_name(name).experiment_id)


def quoted(value: str) -> str:
    """A value within an MLflow filter. Filters know no escapes, so a value with both quotes cannot be asked for."""
    return f'"{value}"' if "'" in value else f"'{value}'"


@contextmanager
def reaching(settings: Settings, missing: str = "") -> Iterator[None]:
    """MLflow's errors as ours: ClusterUnreachable naming the setting, or NotFound saying `missing`."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        if missing and getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
            raise NotFound(missing) from error
        cause = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise ClusterUnreachable(f"MLFLOW_TRACKING_URI: {settings.tracking_uri} does not answer ({cause})") from error
