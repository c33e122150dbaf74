"""`Settings`: every environment variable that the service reads, read once. Nothing else looks at the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from fusegpt.config import Config


class Settings(Config):
    """Where the service keeps things and where it listens."""

    home: Path = Field(description="FUSEGPT_HOME: runs, packed data and the local MLflow database.")
    data: Path | None = Field(default=None, description="FUSEGPT_DATA: recorded driving (KITTI raw layout).")
    address: str = Field(default="", description="FUSEGPT_ADDRESS: the Ray cluster; empty starts one on this machine.")
    tracking_uri: str = Field(description="MLFLOW_TRACKING_URI: empty keeps a SQLite database under home.")
    host: str = Field(default="127.0.0.1", description="FUSEGPT_HOST: the interface that the endpoint listens on.")
    port: int = Field(default=8700, ge=0, le=65535, description="FUSEGPT_PORT: the port of the endpoint; 0 takes a free one.")

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
        port = environment.get("FUSEGPT_PORT") or "8700"
        if not port.isdigit() or int(port) > 65535:
            raise ValueError(f"FUSEGPT_PORT: {port!r} is no port; write a number from 0 to 65535")
        return cls(
            home=home,
            data=Path(data).expanduser().resolve() if data else None,
            address=environment.get("FUSEGPT_ADDRESS", ""),
            tracking_uri=environment.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}",
            host=environment.get("FUSEGPT_HOST") or "127.0.0.1",
            port=int(port),
        )
