"""Who calls: bearer tokens with roles, kept as SHA-256 in the file that FUSEGPT_TOKENS names.

One line a token: `NAME ROLE SHA256`, e.g. `ann submitter 9f86d081...`; `#` begins a comment. A token is long and random
(`openssl rand -hex 32`), so that its plain hash is as good as itself is hard to guess:

    printf %s "$TOKEN" | sha256sum
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from fusegpt.config import SettingError
from service.endpoint.problem import ProblemError
from service.settings import Settings

Role = Literal["viewer", "submitter", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)  # each may do what those before it may
HOSTS = {"API": "FUSEGPT_API_HOST", "endpoint": "FUSEGPT_HOST"}
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Caller:
    """Who asks, and what they may do."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


LOCAL = Caller("local", "admin")


class Access:
    """The tokens of a file, read again when the file changes: who is taken out of it is out at once."""

    def __init__(self, settings: Settings, what: Literal["API", "endpoint"] = "API") -> None:
        """Raises SettingError where `what` would listen beyond this machine without tokens, or the file is wrong."""
        self._file, self._read = settings.tokens, (0.0, dict[str, Caller]())
        variable, host = HOSTS[what], settings.api_host if what == "API" else settings.host
        if self._file is None and host not in LOOPBACK:
            raise SettingError(
                f"FUSEGPT_TOKENS: is needed where the {what} listens beyond this machine ({variable} is "
                f"{host}); name a file with lines `NAME ROLE SHA256`"
            )
        self._callers()

    @property
    def needs_token(self) -> bool:
        return self._file is not None

    def caller(self, token: str) -> Caller | None:
        """Whose token it is; takes the same time whichever it is."""
        if self._file is None:
            return LOCAL
        digest, found = hashlib.sha256(token.encode()).hexdigest(), None
        for known, caller in self._callers().items():
            if hmac.compare_digest(known, digest):
                found = caller
        return found

    def _callers(self) -> dict[str, Caller]:
        if self._file is None:
            return {}
        try:
            changed = self._file.stat().st_mtime
            if changed != self._read[0]:
                self._read = changed, _parse(self._file)
        except OSError as error:
            raise SettingError(f"FUSEGPT_TOKENS: {self._file} cannot be read ({error.strerror})") from None
        return self._read[1]


def _parse(file: Path) -> dict[str, Caller]:
    """SHA-256 -> its caller."""
    callers: dict[str, Caller] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 3 or words[1] not in ROLES or not re.fullmatch(r"[0-9a-f]{64}", words[2]):
            # Not the line itself: it may hold a token that somebody forgot to hash.
            raise SettingError(f"{file}:{number}: write NAME ROLE SHA256, ROLE one of {', '.join(ROLES)}")
        role = next(role for role in ROLES if role == words[1])
        callers[words[2]] = Caller(words[0], role)
    return callers


_bearer = HTTPBearer(auto_error=False, description="A token of the file that FUSEGPT_TOKENS names.")


def _caller(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Caller:
    access: Access = request.app.state.services.access
    caller = access.caller(given.credentials if given else "")
    if caller is None:
        said = "this token is not known" if given else "a bearer token is needed"
        raise ProblemError(401, said, "Authorization", headers={"WWW-Authenticate": "Bearer"})
    return caller


Viewer = Annotated[Caller, Depends(_caller)]


def _submitter(caller: Viewer) -> Caller:
    return _at_least(caller, "submitter")


def _admin(caller: Viewer) -> Caller:
    return _at_least(caller, "admin")


def _at_least(caller: Caller, role: Role) -> Caller:
    if not caller.may(role):
        raise ProblemError(403, f"{caller.name} is {caller.role}; this needs {role}")
    return caller


Submitter = Annotated[Caller, Depends(_submitter)]
Admin = Annotated[Caller, Depends(_admin)]
