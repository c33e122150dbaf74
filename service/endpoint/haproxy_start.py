"""What Ray Serve starts in place of HAProxy: it revises the configuration, then becomes HAProxy.

Serve writes a configuration that also listens on every interface for statistics (ports 8404 and 9101, the same for
every Ray on a host) and that lets every user of the machine into the admin socket; and its HAProxy outlives a parent
that is killed, keeping the endpoint's port. It tries another replica only where none was reached at all, so that what
a killed replica had taken is lost; here a request is kept until its answer begins, and asked again of another: a
prediction changes nothing. Run by path, with the standard library alone, on each start and reload:

    python haproxy_start.py BYTES HAPROXY -db -f CONFIGURATION ...
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

OPEN_SECTIONS = ("frontend prometheus", "listen stats")
# HAProxy keeps a request in one buffer: it waits for the whole and copies it, 0.4 to 2 ms here for 3.3 MB. Without
# a cache of buffers each would be taken from the system anew (4 ms).
SMALL_BUFFER_BYTES = 16 * 1024
MEMORY = """\
    tune.bufsize {buffer}
    tune.memory.hot-size {cache}
"""
REPLACED = ("retry-on", "retries", "option redispatch", "errorfile", "timeout http-request")
DEFAULTS = """\
    retry-on conn-failure empty-response junk-response
    retries 3
    option redispatch 1
    timeout http-request 30s
    errorfile 408 {folder}/408.http
    errorfile 502 {folder}/503.http
    errorfile 503 {folder}/503.http
    errorfile 504 {folder}/503.http
"""
WHOLE = "    option http-buffer-request\n"
# gRPC's calls that HAProxy refuses by itself, before it waits for a request as a whole: a stream never is one, and what
# Serve tells of its applications needs no token.
REFUSED = {
    "/inference.GRPCInferenceService/ModelStreamInfer": (12, "streams are not offered; ask ModelInfer instead"),
    "/ray.serve.RayServeAPIService/ListApplications": (14, "the applications are not told"),
}
ANSWERS = {
    408: ("Request Timeout", "the request did not arrive within 30 s", ""),
    503: ("Service Unavailable", "no replica answers at this moment", "Retry-After: 1\r\n"),
}
PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become HAProxy, with the same process id: Serve addresses its signals to it."""
    keep_bytes, arguments = int(arguments[0]), arguments[1:]
    configuration = Path(arguments[arguments.index("-f") + 1])
    write_answers(configuration.parent)
    configuration.write_text(revised(configuration.read_text(), configuration.parent, keep_bytes))
    die_with_parent()
    os.execv(arguments[0], arguments)


def revised(configuration: str, folder: Path, keep_bytes: int) -> str:
    """The configuration without what listens everywhere, the admin socket for its owner only, and with our defaults.

    Requests of up to `keep_bytes` are kept to be asked again; 0 keeps none, and waits for none.
    """
    buffer = max(keep_bytes, SMALL_BUFFER_BYTES)
    sizes = {"folder": folder, "buffer": buffer, "cache": 16 * buffer}
    added = {
        "global": MEMORY.format(**sizes),
        "defaults": DEFAULTS.format(**sizes) + WHOLE * bool(keep_bytes),
        "frontend grpc_frontend": refusals(),
    }
    kept: list[str] = []
    section = ""
    for line in configuration.splitlines():
        if line and not line[0].isspace():
            section = line.strip()
        told = line.strip()
        if section in OPEN_SECTIONS or (section == "defaults" and told.startswith((*REPLACED, *ours()))):
            continue
        if "stats socket" in line:
            line = line.replace("mode 666", "mode 600")
        if told.startswith(("tune.bufsize", "tune.memory.hot-size")) or f"{line}\n" in refusals():
            continue
        kept.append(line)
        kept.extend(added.get(told, "").splitlines())
    return "\n".join(kept) + "\n"


def refusals() -> str:
    """Rules that answer a call of gRPC with its status. What is kept of others is waited for by the backend."""
    answer = "http-request return status 200 content-type application/grpc hdr grpc-status"
    return "    no option http-buffer-request\n" + "".join(
        f'    {answer} {code} hdr grpc-message "{said}" if {{ path {path} }}\n'
        for path, (code, said) in REFUSED.items()
    )


def ours() -> list[str]:
    """What our defaults say, so that a second revision does not say it twice."""
    return [line.strip() for line in (DEFAULTS + WHOLE).splitlines() if "{" not in line]


def write_answers(folder: Path) -> None:
    """The answers that HAProxy gives by itself: a problem as the endpoint's own, and with `error` for OIP's clients."""
    for status, (title, detail, header) in ANSWERS.items():
        body = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail, "error": detail})
        head = f"HTTP/1.1 {status} {title}\r\nContent-Type: application/problem+json\r\n{header}"
        file, fresh = folder / f"{status}.http", folder / f"{status}.{os.getpid()}"
        fresh.write_text(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}", newline="")
        fresh.replace(file)


def die_with_parent() -> None:
    """Ask the kernel to end this process when the one that started it ends, in whatever way. Linux only."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent is gone already")


if __name__ == "__main__":
    main(sys.argv[1:])
