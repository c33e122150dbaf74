"""`Client`: ask an endpoint from Python.

with Client("http://127.0.0.1:8700") as client:
    prediction = client.predict(image=Path("0000.png"), sweep=points, speed_mps=8.3, target_point=(20.0, 0.5))
    prediction.outputs["waypoints"]  # (4, 2) float32, metres
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2
import numpy as np

from service.errors import ClusterUnreachable, ServiceError

Input = Path | bytes | str | int | float | Sequence[Any] | np.ndarray[Any, Any]
Field = tuple[str | None, bytes]


class EndpointError(ServiceError):
    """The endpoint did not answer the question: `status` is HTTP's, `field` the input that was wrong, if one was."""

    def __init__(self, status: int, detail: str, field: str = "") -> None:
        super().__init__(f"{field}: {detail}" if field else detail)
        self.status = status
        self.detail = detail
        self.field = field


@dataclass(frozen=True)
class Prediction:
    """One answer: the outputs by the names of the model's signature, and which version made them."""

    outputs: Mapping[str, Any]
    name: str
    version: int
    timings_ms: Mapping[str, float]


class Client:
    """Talks to one endpoint, over a connection that is kept. A lost connection is tried once again."""

    def __init__(self, url: str, timeout_s: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self._http = httpx2.Client(base_url=self.url, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def predict(self, **inputs: Input) -> Prediction:
        """The prediction for one request; the inputs are those of the model's signature.

        An image is a file (Path or bytes) or (H, W, 3) uint8; a sweep a file or (N, 4) float32; numbers are numbers.
        Raises EndpointError naming the field, ClusterUnreachable, and OSError for a file that cannot be read.
        """
        form = {name: encoded(value) for name, value in inputs.items()}
        body = self._ask("POST", "/v1/predict", files=form)
        made_by, timings = body.pop("model"), body.pop("timings_ms")
        body.pop("batch_size", None)
        outputs = {name: value if isinstance(value, str) else _array(value) for name, value in body.items()}
        return Prediction(outputs, made_by["name"], made_by["version"], timings)

    def model(self) -> dict[str, Any]:
        """What answers: name, version, metrics, signature, and the version that was refused, if one was."""
        return self._ask("GET", "/v1/model")

    def ready(self) -> bool:
        """Whether a model is loaded and warm."""
        try:
            self._ask("GET", "/readyz")
        except (EndpointError, ClusterUnreachable):
            return False
        return True

    def _ask(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **content)
        except httpx2.TimeoutException:
            raise ClusterUnreachable(f"{self.url} did not answer in time") from None
        except httpx2.TransportError:
            answer = self._ask_again(method, path, content)
        if answer.status_code != 200:
            raise _error(answer)
        body: dict[str, Any] = answer.json()
        return body

    def _ask_again(self, method: str, path: str, content: Mapping[str, Any]) -> httpx2.Response:
        try:
            return self._http.request(method, path, **content)
        except httpx2.TransportError as error:
            raise ClusterUnreachable(f"nothing answers at {self.url}: {error}; is `fusegpt serve` running?") from None


def encoded(value: Input) -> Field:
    """One field of a form: its file name, where it is a file, and its bytes."""
    if isinstance(value, Path):
        return value.name, value.read_bytes()
    if isinstance(value, bytes):
        return "upload", value
    if isinstance(value, str):
        return None, value.encode()
    if isinstance(value, np.ndarray) and value.ndim >= 2:
        return _file(value)
    return None, json.dumps(np.asarray(value).tolist()).encode()


def _file(array: np.ndarray[Any, Any]) -> Field:
    file = io.BytesIO()
    if array.dtype == np.uint8:
        from PIL import Image

        # Zlib's fastest: the way is short, and compressing harder costs more than it saves.
        Image.fromarray(array).save(file, "PNG", compress_level=1)
        return "image.png", file.getvalue()
    np.save(file, array, allow_pickle=False)
    return "array.npy", file.getvalue()


def _array(value: object) -> np.ndarray[Any, Any]:
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _error(answer: httpx2.Response) -> EndpointError:
    try:
        problem = answer.json()
        return EndpointError(answer.status_code, str(problem["detail"]), str(problem.get("field", "")))
    except (ValueError, KeyError, TypeError):
        return EndpointError(answer.status_code, f"the endpoint answered {answer.status_code}: {answer.text[:200]}")
