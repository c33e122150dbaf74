"""The protocol's service as Ray Serve registers it, with its messages still in bytes.

Triton's own `add_GRPCInferenceServiceServicer_to_server` would have every message parsed before anything of ours is
asked; so the same calls are registered without parsing, and a message is parsed once its token is known.
"""

from __future__ import annotations

from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2  # type: ignore[import-untyped]

SERVICE = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]


def add_to_server(servicer: Any, server: Any) -> None:
    """What `grpc_options.grpc_servicer_functions` names. Streams are taken for single calls, which are then refused."""
    handlers = {
        call.name: grpc.unary_unary_rpc_method_handler(getattr(servicer, call.name)) for call in SERVICE.methods
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),))


def is_live(address: str) -> bool:
    """Whether the endpoint answers at HOST:PORT."""
    with grpc.insecure_channel(address) as channel:
        try:
            channel.unary_unary(f"/{SERVICE.full_name}/ServerLive")(b"", timeout=5.0)
        except grpc.RpcError:
            return False
    return True


def question(call: str, content: bytes) -> Any:
    """The call's request. Raises DecodeError (google.protobuf.message)."""
    return GetMessageClass(SERVICE.methods_by_name[call].input_type).FromString(content)


def answer(call: str) -> Any:
    """An empty answer of the call's type."""
    return GetMessageClass(SERVICE.methods_by_name[call].output_type)()
