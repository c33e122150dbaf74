"""Jobs for the tests of the job service."""

from __future__ import annotations

import secrets

from service.jobs.job import Job, now


def job(name: str = "", **changes: object) -> Job:
    identifier = secrets.token_hex(6)
    spec = {"experiment": "fusion_waypoints"}
    fields = {"id": identifier, "name": name or f"job-{identifier}", "experiment": "fusion_waypoints", "spec": spec}
    return Job.model_validate({**fields, "created": now(), **changes})
