"""Where there is no HAProxy, Ray Serve's own proxy carries gRPC as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S
from tiny_model import ShelfOnDisk
from typed_model import RIGHT, given, headers, typed_endpoint

from service.endpoint import ingress
from service.endpoint.config import EndpointConfig

triton: Any = pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed")
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]  # noqa: E402

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def test_serves_own_proxy_answers_and_asks_for_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingress, "haproxy", lambda: None)
    shelf = ShelfOnDisk(tmp_path)
    shelf.promote(1)
    with (
        typed_endpoint(tmp_path, shelf, EndpointConfig(poll_s=0.2, max_body_mb=4, timeout_s=PATIENCE_S)) as endpoint,
        triton.InferenceServerClient(endpoint.grpc) as client,
    ):
        answer = client.infer("typed", given(triton, RIGHT), headers=headers())
        assert answer.as_numpy("count").tolist() == RIGHT["count"].tolist()
        with pytest.raises(
            InferenceServerException, match=r"UNAUTHENTICATED\] Authorization: a bearer token is needed"
        ):
            client.infer("typed", given(triton, RIGHT))
        with pytest.raises(InferenceServerException, match=r"INVALID_ARGUMENT\] count: has shape \(1\)"):
            client.infer("typed", given(triton, RIGHT | {"count": RIGHT["count"][0]}), headers=headers())
