"""`probe_on_cluster`: the probe as a driver on a node of the cluster, on what one worker of a trial reserves there.

The question goes in with the driver's shell line, and the answer comes back in its log: both over the head's REST, so
that whoever asks needs no disk of the cluster. A driver whose asker is gone ends by itself at the same time as its
asker would have given up, also one that begins only then.
"""

from __future__ import annotations

import contextlib
import secrets
import shlex
import signal
import time
from collections.abc import Sequence

from fusegpt.experiment import Experiment, Resources
from service.cluster.dashboard import Dashboard, DriverState, NotNow
from service.cluster.probe import NOBODY, Measured, NotMeasured, answers, asked, last_word
from service.cluster.wanted import Gone, waiting
from service.errors import ClusterUnreachable, sentence
from service.settings import Settings

LIMIT_S = 45.0  # from the question to the answer, a process that is placed and starts included
PLACED_S = 20.0  # of that until it runs: what is not free by then is in use
ANSWER_S = 10.0  # how long the head may take to answer the submission
POLL_S, AGAIN_S = 0.3, 1.0
COMMAND = ("python", "-m", "service.cluster.probe")  # the cluster's python
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # by itself, or as a shell tells it
WAITING: tuple[DriverState, ...] = ("PENDING", "RUNNING")


def probe_on_cluster(
    models: Sequence[Experiment],
    settings: Settings,
    dashboard: Dashboard | None = None,
    *,
    limit_s: float = LIMIT_S,
    command: Sequence[str] = COMMAND,
    gone: Gone = waiting,
) -> list[Measured]:
    """What each of these models takes there. Raises NotMeasured, saying why; leaves nothing running."""
    probe = _ProbeJob(dashboard or Dashboard(settings), limit_s, gone)
    try:
        probe.submit(_line(models, settings, limit_s, command), models[0].resources)
        return probe.answer()
    except (ClusterUnreachable, OSError) as error:
        raise NotMeasured(sentence(error)) from None
    finally:
        probe.stop()


def _line(models: Sequence[Experiment], settings: Settings, limit_s: float, command: Sequence[str]) -> str:
    """A shell line that runs the probe until then at the latest, with the models on its input."""
    run = shlex.join([*command, str(settings.cache), "--until", f"{time.time() + limit_s:.0f}"])
    return f"exec {run} <<'END'\n{asked(models)}END\n"


class _ProbeJob:
    """One driver, from its submission to its end."""

    def __init__(self, dashboard: Dashboard, limit_s: float, gone: Gone) -> None:
        self._dashboard, self._limit_s, self._gone = dashboard, limit_s, gone
        self._name = f"probe-{secrets.token_hex(6)}"
        self._end = time.monotonic() + limit_s
        self._ended = False

    def submit(self, line: str, resources: Resources) -> None:
        """Again and again while the head takes none. Raises NotMeasured, ClusterUnreachable, OSError."""
        hidden = {} if resources.gpus_per_worker else {"CUDA_VISIBLE_DEVICES": ""}
        cpus, gpus = resources.cpus_per_worker, resources.gpus_per_worker
        while True:
            try:
                return self._dashboard.submit(self._name, line, hidden, cpus=cpus, gpus=gpus, within_s=ANSWER_S)
            except NotNow as error:
                if self._is_known():
                    return None
                if self._left() < AGAIN_S:
                    raise NotMeasured(f"the cluster took no probe for {self._limit_s:g} s: {error}") from None
            self._rest(AGAIN_S)

    def answer(self) -> list[Measured]:
        """What it measured, once it has ended. Raises NotMeasured, ClusterUnreachable."""
        placed = time.monotonic() + PLACED_S
        while (state := self._dashboard.state(self._name)) in WAITING:
            if state == "PENDING" and time.monotonic() > min(placed, self._end):
                raise NotMeasured(f"no worker's place came free on the cluster within {PLACED_S:g} s")
            if self._left() <= 0:
                raise NotMeasured(
                    f"a few steps on the cluster took more than {self._limit_s:g} s; data that is not packed yet is "
                    "packed by the first trial"
                )
            self._rest(POLL_S)
        self._ended = True
        log = self._dashboard.log(self._name)
        if state != "SUCCEEDED":
            raise NotMeasured(self._why(log))
        return answers(log)

    def stop(self) -> None:
        """End it where it has not ended; Ray lets go of what it reserved."""
        if not self._ended:
            with contextlib.suppress(ClusterUnreachable):
                self._dashboard.stop(self._name)

    def _rest(self, seconds: float) -> None:
        """Raises NotMeasured where nobody waits any more."""
        if self._gone():
            raise NotMeasured(NOBODY)
        time.sleep(seconds)

    def _is_known(self) -> bool:
        """Whether the head took it, whatever it answered then."""
        with contextlib.suppress(NotNow):
            return self._dashboard.state(self._name) != "UNKNOWN"
        return False

    def _left(self) -> float:
        return self._end - time.monotonic()

    def _why(self, log: str) -> str:
        code = self._dashboard.exit_code(self._name)
        if code in KILLED:
            return "the probe was killed on the cluster, as the system does where memory runs out"
        return last_word(log) or "the probe on the cluster ended without a word"
