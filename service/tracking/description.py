"""`describe`: a search in a few lines of Markdown, as MLflow shows them above its parent run."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from service.events import Search, Trial, best_of
from service.settings import Settings


def job_page(settings: Settings, job: str) -> str:
    """Where the service's own page shows a job: at the address that the service was told, else where it listens."""
    host = settings.api_host if settings.api_host not in ("0.0.0.0", "::") else platform.node()
    host = f"[{host}]" if ":" in host else host
    return f"{settings.address or f'http://{host}:{settings.api_port}'}/#{quote(job)}"


def describe(search: Search, job: str, trials: Sequence[Trial] = ()) -> str:
    """What it asks, where its job is, and, at its end, what it found. `job` is the page of its job, or nothing."""
    lines = [search.experiment.description]
    if job:
        lines.append(f"Job [{search.name}]({job}): `fusegpt status {search.name}`")
    best = best_of(search, list(trials))
    if best is not None:
        drawn = ", ".join(f"`{key}` {_short(value)}" for key, value in best.drawn.items()) or "the default settings"
        lines.append(f"Best of {len(trials)}: trial {best.number}, {search.metric} {_short(best.best)}, with {drawn}")
        lines += _what_matters(search)
    return "\n\n".join(line for line in lines if line)


def _what_matters(search: Search) -> list[str]:
    """What the overview said of importance, if it did."""
    file = search.folder / "pictures" / "importance.json"
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if not told["settings"]:
        return [f"Which settings matter is not said: {told['note']}"]
    beyond = [f"`{one['key']}` {one['share']:.0%}" for one in told["settings"] if one["beyond_chance"]]
    said = ", ".join(beyond) or "none more than a setting without any effect might"
    but = f". But {told['note']}" if told["note"] else ""
    return [f"What explains {search.metric} over {told['trials']} trials (pictures/importance.png): {said}{but}"]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
