"""`Watcher`: who answers here, kept at what the registry wants, and taken over in place when that changes.

A new version is loaded beside the old one, warmed and tried; only then it answers. Whatever goes wrong with it, the old
one goes on: a bad version can never take the endpoint down. The old one stays warm, so that the way back takes no time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from service.endpoint.champion import Champions, Predictor, Served, Wanted, load_predictor
from service.endpoint.config import EndpointConfig
from service.endpoint.proof import proven
from service.registry.rollout import Rollout

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 600.0


@dataclass(frozen=True)
class Refusal:
    """A version that was promoted and does not answer, and why."""

    version: int
    reason: str
    attempts: int
    retry_at: float


@dataclass(frozen=True)
class Lineup:
    """Who answers at this moment. Replaced as a whole, so that whoever looks sees one moment."""

    champion: Served | None = None
    former: Served | None = None
    challenger: Served | None = None
    rollout: Rollout | None = None

    @property
    def loaded(self) -> list[Served]:
        """All that could answer."""
        return [served for served in (self.champion, self.former, self.challenger) if served is not None]

    def at_hand(self, version: int) -> Served | None:
        """That version, where it is loaded."""
        return next((served for served in self.loaded if served.version == version), None)

    def stand_in(self, served: Served) -> Served | None:
        """Who answers a request on which `served` failed; None where there is nobody that takes the same inputs."""
        other = self.former if served is self.champion else self.champion
        if other is None or other is served or other.signature.inputs != served.signature.inputs:
            return None
        return other


class Watcher:
    """Keeps `lineup` at what is wanted. `poll` blocks while it loads, and while another thread polls."""

    def __init__(
        self,
        name: str,
        champions: Champions,
        config: EndpointConfig,
        load: Callable[[Path], Predictor] = load_predictor,
    ) -> None:
        self.name = name
        self.lineup = Lineup()
        self.trouble = ""
        self._champions = champions
        self._config = config
        self._load = load
        self._wanted = Wanted()
        self._refusals: dict[int, Refusal] = {}
        self._withdrawn: dict[int, str] = {}  # here already, and not yet told to the registry
        self._lock = threading.Lock()
        self._polling = threading.Lock()

    @property
    def served(self) -> Served | None:
        """The champion that answers."""
        return self.lineup.champion

    @property
    def refused(self) -> Refusal | None:
        """A version that is wanted and does not answer."""
        wanted = (self._wanted.champion, self._wanted.challenger)
        return next((refused for number, refused in self._refusals.items() if number in wanted), None)

    @property
    def waiting_for(self) -> str:
        """Why nothing is served yet; empty where a model answers."""
        if self.served is not None:
            return ""
        if self.refused is not None:
            return f"version {self.refused.version} of {self.name} was refused: {self.refused.reason}"
        return self.trouble or f"{self.name} has no champion yet: promote a version"

    def poll(self) -> None:
        """Ask who is wanted and take over what is new. Never raises."""
        with self._polling:
            self._poll()

    def _poll(self) -> None:
        try:
            self._tell_what_was_withdrawn()
            self._wanted = wanted = self._champions.wanted()
            self.trouble = "" if wanted.champion is not None else f"{self.name} has no champion yet: promote a version"
        except Exception as error:
            self.trouble = f"the registry does not answer: {_told(error)}"
            log.warning("%s: %s", self.name, self.trouble)
            return
        known = (wanted.champion, wanted.challenger, wanted.former)
        self._refusals = {number: refused for number, refused in self._refusals.items() if number in known}
        self._follow_champion(wanted)
        self._follow_challenger(wanted)
        self._follow_former(wanted)

    def withdraw(self, version: int, reason: str) -> bool:
        """Take a version out of the traffic at once; the registry is told at the next poll. False where it has none.

        A champion steps back behind the one before, where that is still at hand.
        """
        with self._lock:
            line = self.lineup
            if line.challenger and line.challenger.version == version:
                self.lineup = replace(line, challenger=None, rollout=None)
            elif line.champion and line.champion.version == version and line.former:
                self.lineup = replace(line, champion=line.former, former=None)
            else:
                return False
            self._withdrawn[version] = reason
        log.error("%s: version %d is withdrawn: %s; %s answers", self.name, version, reason, self._present())
        return True

    def _tell_what_was_withdrawn(self) -> None:
        for version, reason in list(self._withdrawn.items()):
            self._champions.withdraw(version, reason, self.served.version if self.served else None)
            del self._withdrawn[version]

    def _follow_champion(self, wanted: Wanted) -> None:
        number, served = wanted.champion, self.served
        if number is None or number in self._withdrawn:
            return
        if served is not None and served.version == number:
            self._refusals.pop(number, None)
            return
        new = self._at_hand_or_loaded(number)
        if new is None and served is None and wanted.former is not None:
            new = self._loaded(wanted.former)
        elif new is not None and served is not None and wanted.former not in (None, served.version):
            # Promoted twice within one poll: the way back is made ready before the new one gets a request.
            self._keep_former(self._at_hand_or_loaded(wanted.former))
        if new is not None:
            self._crown(new, wanted)

    def _follow_former(self, wanted: Wanted) -> None:
        """A replica that is fresh, or that has just gone back, has no way back yet."""
        line = self.lineup
        if line.champion is None or line.champion.version != wanted.champion or wanted.former is None:
            return
        if wanted.former != wanted.champion and not (line.former and line.former.version == wanted.former):
            self._keep_former(self._at_hand_or_loaded(wanted.former))

    def _keep_former(self, former: Served | None) -> None:
        with self._lock:
            if former is not None and former.version not in self._withdrawn:
                self.lineup = replace(self.lineup, former=former)

    def _at_hand_or_loaded(self, number: int) -> Served | None:
        return self.lineup.at_hand(number) or self._loaded(number)

    def _crown(self, new: Served, wanted: Wanted) -> None:
        with self._lock:
            line = self.lineup
            if new.version in self._withdrawn or (line.champion and line.champion.version == new.version):
                return
            # What the registry would go back to stays; what was rolled back is let go.
            former = next((each for each in line.loaded if each.version == wanted.former), None)
            tried = line.challenger is not None and line.challenger.version != new.version
            self.lineup = Lineup(
                champion=replace(new, since=time.time()),
                former=former if former is not new else None,
                challenger=line.challenger if tried else None,
                rollout=line.rollout if tried else None,
            )
        log.info("%s: version %d answers", self.name, new.version)

    def _follow_challenger(self, wanted: Wanted) -> None:
        number, line = wanted.challenger, self.lineup
        new = None
        if number is not None and number not in self._withdrawn and line.champion is not None:
            new = self._at_hand_or_loaded(number)
        with self._lock:
            if new is None or new.version in self._withdrawn:
                self.lineup = replace(self.lineup, challenger=None, rollout=None)
            elif new is not self.lineup.champion:
                self.lineup = replace(self.lineup, challenger=new, rollout=wanted.rollout)

    def _loaded(self, number: int) -> Served | None:
        """The version, proven; None where it is bad, or was a moment ago."""
        refused = self._refusals.get(number)
        if refused is not None and time.monotonic() < refused.retry_at:
            return None
        try:
            folder = self._champions.folder(number)
            served = proven(self.name, number, folder, self._load, self._config.max_batch_size)
        except Exception as error:
            log.exception("%s: version %d is refused, %s goes on", self.name, number, self._present())
            self._refuse(number, _told(error))
            return None
        self._refusals.pop(number, None)
        return served

    def _refuse(self, number: int, reason: str) -> None:
        attempts = self._refusals[number].attempts + 1 if number in self._refusals else 1
        pause = min(self._config.retry_refused_s * 2 ** (attempts - 1), LONGEST_PAUSE_S)
        self._refusals[number] = Refusal(number, reason, attempts, time.monotonic() + pause)
        wanted = number in (self._wanted.champion, self._wanted.challenger)
        if wanted and attempts >= self._config.withdraw_after and self.served is not None:
            self._withdrawn[number] = f"it could not be loaded {attempts} times: {reason}"

    def _present(self) -> str:
        return f"version {self.served.version}" if self.served else "no version"


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
