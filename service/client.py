"""`Client`: ask an endpoint from Python.

with Client("http://127.0.0.1:8700") as client:
    prediction = client.predict(image=Path("0000.png"), sweep=points, speed_mps=8.3, target_point=(20.0, 0.5))
    prediction.outputs["waypoints"]  # (4, 2) float32, metres
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx2
import numpy as np

from fusegpt.signature import Signature
from service.endpoint.oip.datatypes import HEADER_LENGTH, STORED, unpack_bytes
from service.endpoint.oip.writing import Input, written
from service.errors import ClusterUnreachable, ServiceError

UNPROCESSABLE = 422


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
    """Talks to one endpoint, over a connection that is kept. A lost connection is tried once again.

    `token` is the caller's, where the endpoint asks for one (FUSEGPT_TOKEN of the commands).
    """

    def __init__(self, url: str, timeout_s: float = 30.0, token: str = "") -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(base_url=self.url, timeout=timeout_s, trust_env=False, headers=headers)
        self._known: dict[str, Any] = {}

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
        Sent as binary tensors of the Open Inference Protocol. Raises EndpointError or InputError naming the
        field, ClusterUnreachable, and OSError for a file that cannot be read.
        """
        known = self._known or self._learn()
        try:
            return self._infer(known, inputs)
        except EndpointError as error:
            # A new champion may take other inputs than the one that was asked for its signature.
            if error.status != UNPROCESSABLE or self._learn() == known:
                raise
            return self._infer(self._learn(), inputs)

    def _learn(self) -> dict[str, Any]:
        model = self.model()
        self._known = {"name": model["name"], "signature": model["signature"]}
        return self._known

    def _infer(self, known: Mapping[str, Any], inputs: Mapping[str, Input]) -> Prediction:
        headers, content = written(Signature.model_validate(known["signature"]), inputs)
        answer = self._answer("POST", f"/v2/models/{known['name']}/infer", headers=headers, content=content)
        return _read(answer)

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

    def _ask(self, method: str, path: str) -> dict[str, Any]:
        body: dict[str, Any] = self._answer(method, path).json()
        return body

    def _answer(self, method: str, path: str, **content: Any) -> httpx2.Response:
        try:
            answer = self._http.request(method, path, **content)
        except httpx2.TimeoutException:
            raise ClusterUnreachable(f"{self.url} did not answer in time") from None
        except httpx2.TransportError:
            answer = self._ask_again(method, path, content)
        if answer.status_code != 200:
            raise _error(answer)
        return answer

    def _ask_again(self, method: str, path: str, content: Mapping[str, Any]) -> httpx2.Response:
        try:
            return self._http.request(method, path, **content)
        except httpx2.TransportError as error:
            raise ClusterUnreachable(f"nothing answers at {self.url}: {error}; is `fusegpt serve` running?") from None


def _read(answer: httpx2.Response) -> Prediction:
    length = int(answer.headers[HEADER_LENGTH])
    told = json.loads(answer.content[:length])
    binary = memoryview(answer.content)[length:]
    outputs: dict[str, Any] = {}
    for output in told["outputs"]:
        size = output["parameters"]["binary_data_size"]
        outputs[output["name"]] = _output(output, binary[:size])
        binary = binary[size:]
    timings = {key[: -len("_ms")]: value for key, value in told["parameters"].items() if key.endswith("_ms")}
    return Prediction(outputs, told["model_name"], int(told["model_version"]), timings)


def _output(output: Mapping[str, Any], content: memoryview) -> Any:
    """Text as it is; an array in the shape of one sample, a single number without any."""
    if output["datatype"] == "BYTES":
        return bytes(unpack_bytes(content, 1)[0]).decode()
    array = np.frombuffer(content, STORED[output["datatype"]]).reshape(output["shape"][1:])
    return array.reshape(()) if array.shape == (1,) else array


def _error(answer: httpx2.Response) -> EndpointError:
    try:
        problem = answer.json()
        field = str(problem.get("field", ""))
        detail = str(problem["error"]).removeprefix(f"{field}: ") if "error" in problem else str(problem["detail"])
        return EndpointError(answer.status_code, detail, field)
    except (ValueError, KeyError, TypeError):
        return EndpointError(answer.status_code, f"the endpoint answered {answer.status_code}: {answer.text[:200]}")
