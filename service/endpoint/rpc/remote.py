"""`RemoteCalls`: the methods that Ray Serve calls by the name of the gRPC call. It needs neither gRPC nor messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Method = Callable[..., Awaitable[Any]]


def _method(call: str) -> Method:
    async def method(self: RemoteCalls, request: bytes, grpc_context: Any) -> Any:  # Serve knows the name grpc_context
        return await self.calls(call, request, grpc_context)

    method.__name__ = call
    return method


class RemoteCalls:
    """Hands each call of the Open Inference Protocol to `calls`."""

    calls: Callable[[str, bytes, Any], Awaitable[Any]]

    ServerLive = _method("ServerLive")
    ServerReady = _method("ServerReady")
    ServerMetadata = _method("ServerMetadata")
    ModelReady = _method("ModelReady")
    ModelMetadata = _method("ModelMetadata")
    ModelInfer = _method("ModelInfer")
    ModelStreamInfer = _method("ModelStreamInfer")
    ModelConfig = _method("ModelConfig")
    ModelStatistics = _method("ModelStatistics")
    RepositoryIndex = _method("RepositoryIndex")
    RepositoryModelLoad = _method("RepositoryModelLoad")
    RepositoryModelUnload = _method("RepositoryModelUnload")
    SystemSharedMemoryStatus = _method("SystemSharedMemoryStatus")
    SystemSharedMemoryRegister = _method("SystemSharedMemoryRegister")
    SystemSharedMemoryUnregister = _method("SystemSharedMemoryUnregister")
    CudaSharedMemoryStatus = _method("CudaSharedMemoryStatus")
    CudaSharedMemoryRegister = _method("CudaSharedMemoryRegister")
    CudaSharedMemoryUnregister = _method("CudaSharedMemoryUnregister")
    TraceSetting = _method("TraceSetting")
    LogSettings = _method("LogSettings")
