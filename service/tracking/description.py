"""`describe`: a search in a few lines of Markdown, as MLflow shows them above its parent run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from service.events import Search, Trial, best_of
from service.settings import Settings


def job_page(settings: Settings, job: str) -> str:
    """Where the service's own page shows a job: at the address that the service was told, else where it listens.

    Empty where it listens everywhere and was told no address: what it is called from outside is not known here.
    """
    host = f"[{settings.api_host}]" if ":" in settings.api_host else settings.api_host
    listens = "" if settings.api_host in ("0.0.0.0", "::") else f"http://{host}:{settings.api_port}"
    address = settings.address or listens
    return f"{address}/#{quote(job)}" if address else ""


def describe(search: Search, trials: Sequence[Trial] = (), *, as_job: bool = False, page: str = "") -> str:
    """What it asks, where its job is (`page`, where that is known), and, at its end, what it found."""
    lines = [search.experiment.description]
    if as_job:
        name = f"[{search.name}]({page})" if page else search.name
        lines.append(f"Job {name}: `fusegpt status {search.name}`")
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
