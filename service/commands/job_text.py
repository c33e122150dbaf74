"""Jobs, trials and plans as text for people. What they are made of is the API's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from service.remote import Json

WIDEST = 40


def row(job: Json) -> str:
    """One job in one line."""
    told = job["reason"]
    if job["state"] == "succeeded" and job["result"]:
        told = result(job["result"])
    return f"{job['name']:<{WIDEST}} {job['state']:<10} {when(job['created'])}  {told}".rstrip()


def rows(jobs: list[Json]) -> list[str]:
    """The jobs, a line each."""
    return list(map(row, jobs)) or ["no job yet; start one with: fusegpt submit fusion_waypoints"]


def submitted(job: Json) -> str:
    """What a person does next."""
    name, why = job["name"], f" ({job['reason']})" if job["reason"] else ""
    return f"{name} is {job['state']}{why}\nwatch it: fusegpt logs -f {name}\nstop it:  fusegpt cancel {name}"


def changed(job: Json, limits: Mapping[str, float]) -> str:
    """A job after its priority or budget has changed."""
    said = "".join(f", {key} {value:g}" for key, value in limits.items())
    return f"{job['name']} is {job['state']}, priority {job['priority']}{said}"


def status(job: Json, progress: Json, trials: list[Json]) -> str:
    """A job, how far it is, and a line a trial."""
    why = f": {job['reason']}" if job["reason"] else ""
    lines = [f"{job['name']} is {job['state']}{why}"]
    tried = f", {times(job['retries'], 'retry', 'retries')}" if job["retries"] else ""
    by = f" by {job['owner']}" if job["owner"] else ""
    lines.append(f"  {job['experiment']}, submitted{by} at {when(job['created'])}, priority {job['priority']}{tried}")
    lines.append(f"  holds {job['cpus']:g} CPU and {job['gpus']:g} GPU while it runs")
    if progress["metric"]:
        states = ", ".join(f"{count} {state}" for state, count in progress["states"].items()) or "none has begun"
        lines.append(f"  {sum(progress['states'].values())} of {progress['planned']} trials: {states}")
        lines.append(f"  {progress['metric']}: {best(progress)}")
    if job["result"]:
        lines.append(f"  result: {result(job['result'])}")
    return "\n".join([*lines, *map(trial, trials)])


def best(progress: Json) -> str:
    return "no value yet" if progress["best"] is None else f"best so far {progress['best']:.4g} ({progress['trial']})"


def trial(each: Json) -> str:
    """One trial in one line."""
    value = figure(each["best"])
    told = each["error"] or settings(each["drawn"])
    head = f"  {each['id']}  {each['state']:<8}  epoch {each['epoch']:>3}  best {value:<8} {each['seconds']:>6.0f} s"
    return f"{head}  {told}".rstrip()


def result(told: Json) -> str:
    """What a job came to."""
    value = figure(told.get("best"))
    version = f", version {told['version']}" if "version" in told else ""
    gate = (
        f" ({'champion' if told['promoted'] else 'not promoted'}: {told.get('gate', '')})" if "promoted" in told else ""
    )
    ended = f"; {told['ended']}" if "ended" in told else ""
    return f"{told.get('metric', '')} {value} by {told.get('trial', '')}{version}{gate}{ended}"


def plan(told: Json) -> str:
    """What a spec would run, and what it would take."""
    hours = "no estimate" if told["hours"] is None else f"about {told['hours']:.3g} h by {told['hours_from']}"
    limits = {"h": told["budget_hours"], "GPU hours": told["budget_gpu_hours"]}
    limit = "".join(f", ends after {most:g} {unit} at the latest" for unit, most in limits.items() if most)
    lines = [
        f"{told['experiment']}: {times(told['trials'], 'trial')} of {times(told['epochs'], 'epoch')}, "
        f"by {told['algorithm']}, for {'less' if told['mode'] == 'min' else 'more'} {told['metric']}",
        "  model       " + ", ".join(_model(told, which) for which in ("smallest", "default", "largest")),
        f"  memory      {size(told['state_gb'])} for the largest one's weights, gradients and AdamW state (fp32); "
        "activations come on top",
        *_measured(told),
        f"  resources   {told['cpus']:g} CPU and {told['gpus']:g} GPU, {times(told['at_once'], 'trial')} at once",
        f"  in all      {times(told['epochs_in_all'], 'epoch')}, {hours}{limit}",
    ]
    return "\n".join(lines)


def _model(told: Json, which: str) -> str:
    """One of the models: its parameters, and a forward's operations where they can be counted."""
    counted = told["parameters" if which == "default" else which]
    flops = told["flops" if which == "default" else f"{which}_flops"]
    of = f" {told['flops_of']}" if told["flops_of"] != "an answer" else ""
    return f"{counted:,} ({which}{'' if flops is None else f', {operations(flops)}{of}'})"


def _measured(told: Json) -> list[str]:
    if not told["measured"]:
        return [f"  not probed: {told['not_measured']}"]
    each = [
        f"{which} {took['step_s'] * 1e3:.3g} ms a step, {took['epoch_s']:.3g} s an epoch, {size(took['peak_gb'])}"
        for which, took in told["measured"].items()
    ]
    device = next(iter(told["measured"].values()))["device"]
    return [f"  measured    {'; '.join(each)} at most (one worker, {device})"]


def searches(told: Json) -> str:
    """The searches, a line each, and the champions."""
    if not told["searches"]:
        return "no search yet; start one with: fusegpt tune fusion_waypoints"
    lines = [
        f"{each['name']:<{WIDEST}} {each['state']:<12} {each['trials']:>3} trials  {each['metric']} "
        f"{figure(each['best']):<8} {when(each['started'])}"
        for each in told["searches"]
    ]
    champions = told["champions"].items()
    return "\n".join(
        lines + [f"champion of {name}: {f'version {number}' if number else 'none'}" for name, number in champions]
    )


def size(gb: float) -> str:
    return f"{gb:.3g} GB" if gb >= 1 else f"{gb * 1e3:.3g} MB"


def operations(flops: int) -> str:
    return f"{flops / 1e9:.3g} GFLOP" if flops >= 1e8 else f"{flops / 1e6:.3g} MFLOP"


def settings(drawn: Mapping[str, Any]) -> str:
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in drawn.items()
    )


def figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def times(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def when(written: str) -> str:
    """A time of the API on this machine's clock."""
    return f"{datetime.fromisoformat(written).astimezone():%Y-%m-%d %H:%M}"
