"""Which network the workers of one training talk over: that of the address by which Ray reaches their node.

Left alone, gloo takes whatever the host's name resolves to: 127.0.0.1 on many hosts, where no other node answers, and
ten seconds of waiting where no name server does.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from typing import Any

from ray.train.torch import TorchConfig
from ray.train.torch.config import _TorchBackend

SIOCGIFADDR = 0x8915


def interface_of(address: str) -> str:
    """The name of the network interface that has this IPv4 address; empty where none has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asked, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return ""


def use_own_interface() -> None:
    """Make gloo use the interface of this node's address, unless GLOO_SOCKET_IFNAME says which."""
    import ray.util

    name = interface_of(ray.util.get_node_ip_address())
    if name:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)


class OwnInterface(_TorchBackend):  # type: ignore[misc]
    """Ray Train's set-up of torch.distributed, over the node's own interface."""

    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        worker_group.execute(use_own_interface)
        super().on_start(worker_group, backend_config)


class OverOwnInterface(TorchConfig):  # type: ignore[misc]
    """TorchConfig whose workers find each other by the address that Ray knows."""

    @property
    def backend_cls(self) -> type[OwnInterface]:
        return OwnInterface
