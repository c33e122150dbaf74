"""Whether gRPC can be switched on here. Needs neither gRPC nor Ray."""

from __future__ import annotations

from importlib.util import find_spec

from service.settings import Settings


def wrong_grpc(settings: Settings) -> str:
    """Why the endpoint would not start with FUSEGPT_GRPC_PORT as it is set; empty where it would."""
    if settings.grpc_port is None:
        return ""
    if settings.tokens is None:
        return (
            "FUSEGPT_GRPC_PORT: needs FUSEGPT_TOKENS, because Ray Serve has gRPC listen on every interface, whatever "
            "FUSEGPT_HOST is; name a file with lines `NAME ROLE SHA256`, or unset FUSEGPT_GRPC_PORT"
        )
    if find_spec("tritonclient") is None:
        return "FUSEGPT_GRPC_PORT: gRPC's messages are not installed here; pip install 'fusegpt[grpc]'"
    return ""
