"""`Settings`: every environment variable that the service reads, read once. Nothing else looks at the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from fusegpt.config import Config


class Settings(Config):
    """Where the service keeps things and where it listens."""

    home: Path = Field(description="FUSEGPT_HOME: runs, packed data and the local MLflow database.")
    data: Path | None = Field(default=None, description="FUSEGPT_DATA: recorded driving (KITTI raw layout).")
    ray_address: str = Field(default="", description="RAY_ADDRESS: the Ray head; empty starts a Ray on this machine.")
    ray_dashboard: str = Field(
        default="", description="RAY_API_SERVER_ADDRESS: URL of the head's dashboard; empty is port 8265 of the head."
    )
    ray_auth_token: str = Field(
        default="", description="RAY_AUTH_TOKEN, or what is in the file RAY_AUTH_TOKEN_PATH.", repr=False
    )
    tracking_uri: str = Field(description="MLFLOW_TRACKING_URI: empty keeps a SQLite database under home.")
    host: str = Field(default="127.0.0.1", description="FUSEGPT_HOST: the interface that the endpoint listens on.")
    port: int = Field(
        default=8700, ge=0, le=65535, description="FUSEGPT_PORT: the port of the endpoint; 0 takes a free one."
    )
    grpc_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="FUSEGPT_GRPC_PORT: the port of the endpoint for gRPC, which needs tokens; 0 is a free one.",
    )

    store: str = Field(
        default="", description="FUSEGPT_STORE: URL of the job store; empty is SQLite under home.", repr=False
    )
    tokens: Path | None = Field(default=None, description="FUSEGPT_TOKENS: file of who may call the API.")
    data_roots: tuple[Path, ...] = Field(
        default=(),
        description="FUSEGPT_DATA_ROOTS: folders (with : between) that jobs of the API may read; else FUSEGPT_DATA.",
    )
    api_host: str = Field(default="127.0.0.1", description="FUSEGPT_API_HOST: the interface that the API listens on.")
    api_port: int = Field(
        default=8701, ge=0, le=65535, description="FUSEGPT_API_PORT: the port of the API; 0 takes a free one."
    )

    address: str = Field(
        default="", description="FUSEGPT_ADDRESS: URL of the job API that the command asks; empty runs jobs in-process."
    )
    token: str = Field(default="", description="FUSEGPT_TOKEN: the caller's token for that API.", repr=False)

    commit: str = Field(default="", description="FUSEGPT_COMMIT: the commit of the code, for an image without git.")
    jobs: int = Field(default=0, ge=0, description="FUSEGPT_JOBS: jobs at once at most; 0 runs as many as fit.")
    placement_patience_minutes: int = Field(
        default=1440,
        ge=0,
        description="FUSEGPT_PLACEMENT_PATIENCE_MINUTES: how long a job waits for a place that no host which is up "
        "has; 0 waits for ever.",
    )

    @property
    def store_url(self) -> str:
        """Where jobs are kept."""
        return self.store or f"sqlite:///{self.home / 'jobs.db'}"

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders that hold data a job may name."""
        return self.data_roots or ((self.data,) if self.data else ())

    @property
    def cache(self) -> Path:
        """Packed data sets."""
        return self.home / "cache"

    @property
    def runs(self) -> Path:
        """One folder a search, one folder a trial in it."""
        return self.home / "runs"

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """The settings of this process. Raises ValueError naming the variable."""
        default_home = Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "fusegpt"
        home = Path(environment.get("FUSEGPT_HOME") or default_home).expanduser().resolve()
        data = environment.get("FUSEGPT_DATA", "")
        tokens = environment.get("FUSEGPT_TOKENS", "")
        roots = [part for part in environment.get("FUSEGPT_DATA_ROOTS", "").split(os.pathsep) if part]
        return cls(
            home=home,
            data=_path(data) if data else None,
            ray_address="" if environment.get("RAY_ADDRESS") == "local" else environment.get("RAY_ADDRESS", ""),
            ray_dashboard=_url(environment, "RAY_API_SERVER_ADDRESS", "http://head:8265"),
            ray_auth_token=_ray_auth_token(environment),
            tracking_uri=environment.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}",
            host=environment.get("FUSEGPT_HOST") or "127.0.0.1",
            port=_port(environment, "FUSEGPT_PORT", "8700"),
            grpc_port=_port(environment, "FUSEGPT_GRPC_PORT", "") if environment.get("FUSEGPT_GRPC_PORT") else None,
            store=environment.get("FUSEGPT_STORE", ""),
            tokens=_path(tokens) if tokens else None,
            data_roots=tuple(_path(root) for root in roots),
            api_host=environment.get("FUSEGPT_API_HOST") or "127.0.0.1",
            api_port=_port(environment, "FUSEGPT_API_PORT", "8701"),
            address=_url(environment, "FUSEGPT_ADDRESS", "http://127.0.0.1:8701"),
            token=environment.get("FUSEGPT_TOKEN", ""),
            commit=environment.get("FUSEGPT_COMMIT", ""),
            jobs=_count(environment, "FUSEGPT_JOBS"),
            placement_patience_minutes=_count(environment, "FUSEGPT_PLACEMENT_PATIENCE_MINUTES", "1440"),
        )

    def environment(self) -> dict[str, str]:
        """The variables from which a job's process reads the same settings. It asks no API, and gets nobody's token;
        Ray's it has from the host that it runs on.
        """
        return {
            "FUSEGPT_HOME": str(self.home),
            "FUSEGPT_DATA": str(self.data or ""),
            "RAY_ADDRESS": self.ray_address,
            "RAY_API_SERVER_ADDRESS": self.ray_dashboard,
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "FUSEGPT_HOST": self.host,
            "FUSEGPT_PORT": str(self.port),
            "FUSEGPT_GRPC_PORT": "" if self.grpc_port is None else str(self.grpc_port),
            "FUSEGPT_STORE": self.store,
            "FUSEGPT_TOKENS": str(self.tokens or ""),
            "FUSEGPT_DATA_ROOTS": os.pathsep.join(str(root) for root in self.data_roots),
            "FUSEGPT_API_HOST": self.api_host,
            "FUSEGPT_API_PORT": str(self.api_port),
            "FUSEGPT_COMMIT": self.commit,
            "FUSEGPT_JOBS": str(self.jobs),
            "FUSEGPT_PLACEMENT_PATIENCE_MINUTES": str(self.placement_patience_minutes),
        }


def _path(written: str) -> Path:
    return Path(written).expanduser().resolve()


def _url(environment: Mapping[str, str], name: str, example: str) -> str:
    written = environment.get(name, "")
    if written and not re.match(r"https?://[^/?#\s]+", written):
        raise ValueError(f"{name}: {written!r} is no URL; write e.g. {example}")
    return written.rstrip("/")


def _ray_auth_token(environment: Mapping[str, str]) -> str:
    path = environment.get("RAY_AUTH_TOKEN_PATH", "")
    if environment.get("RAY_AUTH_TOKEN") or not path:
        return environment.get("RAY_AUTH_TOKEN", "")
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise ValueError(f"RAY_AUTH_TOKEN_PATH: {path} cannot be read ({error.strerror})") from None


def _count(environment: Mapping[str, str], name: str, default: str = "0") -> int:
    count = environment.get(name) or default
    if not count.isdigit():
        raise ValueError(f"{name}: {count!r} is no count; write 0 (no limit), 1, 2 ...")
    return int(count)


def _port(environment: Mapping[str, str], name: str, default: str) -> int:
    port = environment.get(name) or default
    if not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{name}: {port!r} is no port; write a number from 0 to 65535")
    return int(port)
