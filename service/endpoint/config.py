"""`EndpointConfig`: the limits of the endpoint and how it batches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fusegpt.config import Config
from service.endpoint.guard import GuardConfig

MEBIBYTE = 1024 * 1024


class EndpointConfig(Config):
    """Limits, batching and polling of one served experiment."""

    num_replicas: int = Field(default=1, ge=1, description="Processes that each hold the model and answer requests.")
    cpus_per_replica: float = Field(default=1.0, gt=0, description="CPUs that each replica reserves and computes with.")
    gpus_per_replica: float = Field(default=0.0, ge=0, description="GPUs that each replica reserves.")
    engine: Literal["auto", "torch", "openvino"] = Field(
        default="auto", description="What runs the model; auto is OpenVINO on CPUs where it is installed, else PyTorch."
    )
    max_batch_size: int = Field(default=8, ge=1, description="Requests predicted together at most.")
    batch_wait_ms: float = Field(
        default=2.0, ge=0, description="Longest wait for requests that are being decoded right now; alone none waits."
    )
    max_queue: int = Field(default=64, ge=1, description="Requests in a replica at once; beyond it the answer is 503.")
    timeout_s: float = Field(default=10.0, gt=0, description="Time for an answer once the request was read, else 504.")
    read_timeout_s: float = Field(default=30.0, gt=0, description="Time for a client to send its request, else 408.")
    max_body_mb: float = Field(default=32.0, gt=0, description="Largest request body in MiB, else 413.")
    max_image_mpx: float = Field(default=16.0, gt=0, description="Largest image in megapixels, else 413.")
    max_points: int = Field(default=200_000, ge=1, description="Largest sweep in points, else 413.")
    max_parts: int = Field(default=32, ge=1, description="Largest number of fields in one request.")
    keep_mb: float = Field(
        default=4.0,
        ge=0,
        description="Requests of so many MiB are kept, to be asked again where a replica dies; 0 is faster by a copy.",
    )
    poll_s: float = Field(default=2.0, gt=0, description="How often the registry is asked for the champion.")
    retry_refused_s: float = Field(
        default=30.0, gt=0, description="First pause before a refused version is tried again; it doubles each time."
    )
    withdraw_after: int = Field(
        default=3, ge=1, description="A champion or challenger that was refused so often is rolled back."
    )
    shadow_queue: int = Field(
        default=16, ge=1, description="Copies that wait for a shadow at most; others are dropped."
    )
    guard: GuardConfig = Field(default=GuardConfig(), description="When a new version is withdrawn by itself.")

    @model_validator(mode="after")
    def _engine_has_its_device(self) -> EndpointConfig:
        if self.engine == "openvino" and self.gpus_per_replica:
            raise ValueError(
                f"endpoint.engine: openvino runs on CPUs, and endpoint.gpus_per_replica is {self.gpus_per_replica:g}; "
                "set one of them to auto or 0"
            )
        return self

    @property
    def keep_bytes(self) -> int:
        """`keep_mb` in bytes."""
        return int(self.keep_mb * MEBIBYTE)

    @property
    def max_body_bytes(self) -> int:
        """`max_body_mb` in bytes."""
        return int(self.max_body_mb * MEBIBYTE)
