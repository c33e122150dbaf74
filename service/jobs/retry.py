"""What to do with a job that failed, by the class of its failure: data, so that it can be read and argued about.

A lost worker or node is chance: the next attempt goes on from the last checkpoint. Memory that ran out, a wrong spec
and a loss that is not a number would come again: they end the job, with their first cause.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from service.errors import sentence

FailureKind = Literal["lost", "unreachable", "place", "memory", "not_finite", "spec", "data", "other"]

# How often each class is tried again. A server that is away may be away for minutes, and a search that has run for
# hours must not be given up for that.
RETRIES: dict[FailureKind, int] = {"lost": 3, "unreachable": 10, "place": 10}
WAIT = timedelta(seconds=5)  # before the first retry of what was not there; doubled each time
LONGEST_WAIT = timedelta(minutes=5)

SAID: dict[FailureKind, str] = {
    "lost": "its process or node was lost",
    "unreachable": "the cluster was unreachable",
    "place": "the cluster has no place for a trial",
    "memory": "out of memory, which would happen again",
    "not_finite": "the loss stopped being a finite number, which would happen again",
    "spec": "the spec is wrong",
    "data": "the data is wrong",
    "other": "the job failed",
}

# Class names along an error's ancestry, most telling first; by name, because to import Ray or torch takes seconds.
_CLASSES: tuple[tuple[FailureKind, frozenset[str]], ...] = (
    ("memory", frozenset({"MemoryError", "OutOfMemoryError"})),
    ("unreachable", frozenset({"ClusterUnreachable"})),
    ("place", frozenset({"NoPlaceError"})),
    ("spec", frozenset({"SettingError", "InputError", "Refused", "NotFound"})),
    ("data", frozenset({"DataError"})),
    (
        "lost",
        frozenset({"LostWorkersError", "RayActorError", "WorkerCrashedError", "NodeDiedError", "ObjectLostError"}),
    ),
    ("lost", frozenset({"LocalRayletDiedError", "RaySystemError", "ConnectionError"})),
)
# What errors of other processes and of devices say, for they arrive as text.
_WORDS: tuple[tuple[FailureKind, re.Pattern[str]], ...] = (
    ("memory", re.compile(r"out of memory|OutOfMemory|MemoryError|oom[-_ ]?kill|(low on|want of) memory", re.I)),
    ("not_finite", re.compile(r"not a finite number|loss is (nan|inf)", re.I)),
    ("lost", re.compile(r"process died|node died|worker (died|crashed)|actor died", re.I)),
)
# Ray adds to every lost process what may have been, the OOM killer among it.
_GUESS = re.compile(r"(Some common causes include|There are some potential root causes).*")


@dataclass(frozen=True)
class Failure:
    """The class of a failure, and its first cause in one line."""

    kind: FailureKind
    cause: str

    def reason(self) -> str:
        return f"{SAID[self.kind]}: {self.cause}"


def failure_of(error: BaseException) -> Failure:
    """Class and first cause of what ended a job: the error at the beginning of the chain tells."""
    chain = list(_chain(error))
    for link in reversed(chain):
        kind = _by_class(link) or _by_words(str(link))
        if kind == "lost" and (cause := memory_cause(str(link))):  # a process that Ray ended for its memory
            return Failure("memory", cause)
        if kind:
            return Failure(kind, sentence(link))
    return Failure("other", sentence(chain[-1]))


def failure_said(text: str) -> Failure:
    """The class of a failure that is known by its words alone: a trial's."""
    return Failure(_by_words(text) or "other", " ".join(text.split()))


def memory_cause(text: str) -> str:
    """The line that says that memory ran out, of all that is said of a failure; empty where none does."""
    pattern = dict(_WORDS)["memory"]
    lines = (" ".join(line.split()) for line in _GUESS.sub("", text).splitlines())
    return next((line[:500] for line in lines if pattern.search(line)), "")


def may_retry(failure: Failure, retries: int) -> bool:
    """Whether a job that was started again `retries` times after such a failure is started once more."""
    return retries < RETRIES.get(failure.kind, 0)


def pause_before(failure: Failure, retries: int) -> timedelta:
    """How long the next attempt waits: what was lost starts at once, what was not there needs time to come back."""
    return min(WAIT * 2**retries, LONGEST_WAIT) if failure.kind in ("unreachable", "place") else timedelta(0)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from; Ray keeps the worker's own error in `cause`."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        told = getattr(link, "cause", None)
        link = told if isinstance(told, BaseException) else link.__cause__


def _by_class(error: BaseException) -> FailureKind | None:
    names = {ancestor.__name__ for ancestor in type(error).__mro__}
    return next((kind for kind, known in _CLASSES if names & known), None)


def _by_words(text: str) -> FailureKind | None:
    said = _GUESS.sub("", text)
    return next((kind for kind, pattern in _WORDS if pattern.search(said)), None)
