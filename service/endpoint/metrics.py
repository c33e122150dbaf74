"""`Metrics`: what the endpoint counts, per model and version, and `Totals`: the same over all replicas."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from service.endpoint.champion import Served

Snapshot = list[Metric]

STAGES = ("read", "decode", "wait", "encode", "forward", "finish", "respond")
STAGE_BUCKETS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
REASONS = {
    400: "broken_request",
    404: "not_found",
    408: "read_timeout",
    413: "too_large",
    415: "format",
    422: "invalid_input",
    499: "client_gone",
    503: "unavailable",
    504: "timeout",
}
MODEL = ("model", "version")


class Metrics:
    """The counters of one replica. Safe to use from several threads."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._registry = registry = CollectorRegistry()
        self._requests = Histogram(
            "fusegpt_request_seconds",
            "Answered requests, from their first byte on.",
            (*MODEL, "protocol"),
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self._samples = Counter("fusegpt_samples", "Samples in answered requests.", MODEL, registry=registry)
        self._errors = Counter(
            "fusegpt_request_errors", "Requests not answered, by reason.", (*MODEL, "reason"), registry=registry
        )
        self._queue = Gauge(
            "fusegpt_queue_requests", "Requests that were read and are not answered yet.", ("model",), registry=registry
        )
        self._batches = Histogram(
            "fusegpt_batch_size", "Samples predicted together.", MODEL, buckets=BATCH_BUCKETS, registry=registry
        )
        self._stages = Histogram(
            "fusegpt_stage_seconds",
            "A request's time in a stage; encode, forward and finish are a batch's.",
            (*MODEL, "stage"),
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self._version_errors = Counter(
            "fusegpt_version_errors", "Right requests that a version did not answer.", MODEL, registry=registry
        )
        self._shadow_seconds = Histogram(
            "fusegpt_shadow_seconds",
            "A shadow's predictions, one sample each.",
            MODEL,
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self._shadow_lost = Counter(
            "fusegpt_shadow_lost",
            "Copies that a shadow did not compare, by reason.",
            (*MODEL, "reason"),
            registry=registry,
        )
        self._shadow_difference = Counter(
            "fusegpt_shadow_difference",
            "Sum of the mean differences from the champion's answers.",
            (*MODEL, "output"),
            registry=registry,
        )
        self._shadow_largest = Gauge(
            "fusegpt_shadow_difference_max",
            "Largest difference from the champion's answers.",
            (*MODEL, "output"),
            registry=registry,
        )
        self._largest: dict[tuple[str, str, str], float] = {}
        self._last = Gauge(
            "fusegpt_last_answer_timestamp_seconds", "When a request was last answered.", MODEL, registry=registry
        )

    def answered(self, served: Served, protocol: str, samples: int, seconds: float) -> None:
        """A request was answered."""
        labels = (served.name, str(served.version))
        self._requests.labels(*labels, protocol).observe(seconds)
        self._samples.labels(*labels).inc(samples)
        self._last.labels(*labels).set(time.time())

    def failed(self, served: Served | None, status: int) -> None:
        """A request was not answered."""
        version = str(served.version) if served else ""
        self._errors.labels(self._model, version, REASONS.get(status, "internal")).inc()

    def version_failed(self, served: Served) -> None:
        """A right request was not answered by this version; another may have answered it."""
        self._version_errors.labels(served.name, str(served.version)).inc()

    def shadowed(self, served: Served, seconds: float, differences: Mapping[str, tuple[float, float]]) -> None:
        """A shadow's answer was compared: the mean and the largest difference of each output."""
        model = (served.name, str(served.version))
        self._shadow_seconds.labels(*model).observe(seconds)
        for output, (mean, largest) in differences.items():
            labels = (*model, output)
            self._shadow_difference.labels(*labels).inc(mean)
            self._largest[labels] = max(self._largest.get(labels, 0.0), largest)
            self._shadow_largest.labels(*labels).set(self._largest[labels])

    def shadow_failed(self, served: Served) -> None:
        """A shadow failed on a copy."""
        self._shadow_lost.labels(served.name, str(served.version), "failed").inc()

    def shadow_dropped(self, served: Served) -> None:
        """A copy found no place or no quiet moment."""
        self._shadow_lost.labels(served.name, str(served.version), "dropped").inc()

    def queue(self, waiting: int) -> None:
        """How many requests wait now."""
        self._queue.labels(self._model).set(waiting)

    def batch(self, name: str, version: int, size: int) -> None:
        """A batch was predicted."""
        self._batches.labels(name, str(version)).observe(size)

    def stage(self, name: str, version: int, stage: str, seconds: float) -> None:
        """A stage took its time."""
        self._stages.labels(name, str(version), stage).observe(seconds)

    @contextmanager
    def timed(self, served: Served, stage: str) -> Iterator[None]:
        """Counts the block as a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.stage(served.name, served.version, stage, time.perf_counter() - began)

    def snapshot(self) -> Snapshot:
        """Everything as it is now; other replicas' are of the same form."""
        return list(self._registry.collect())


class Totals(Collector):
    """Snapshots of several replicas as one: what is counted is added up; else the largest counts."""

    def __init__(self, snapshots: Iterable[Snapshot]) -> None:
        self._metrics = _added(snapshots)

    def collect(self) -> Sequence[Metric]:
        """For Prometheus' registry."""
        return list(self._metrics.values())

    def text(self) -> bytes:
        """Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def stage(self, version: str, stage: str) -> tuple[int, float]:
        """How often a stage was run and how long all together."""
        return self._count_and_sum("fusegpt_stage_seconds", version=version, stage=stage)

    def requests(self, version: str) -> tuple[int, float]:
        """How many requests were answered and how long all together."""
        return self._count_and_sum("fusegpt_request_seconds", version=version)

    def samples(self, version: str) -> int:
        """Samples answered."""
        return int(self._sum("fusegpt_samples", "_total", version=version))

    def batches(self, version: str) -> int:
        """Batches predicted."""
        return self._count_and_sum("fusegpt_batch_size", version=version)[0]

    def errors(self, version: str) -> int:
        """Requests not answered."""
        return int(self._sum("fusegpt_request_errors", "_total", version=version))

    def version_errors(self, version: str) -> int:
        """Right requests that the version did not answer."""
        return int(self._sum("fusegpt_version_errors", "_total", version=version))

    def shadow(self, version: str, outputs: Iterable[str]) -> dict[str, Any]:
        """What a shadow's answers came to beside the champion's."""
        compared, seconds = self._count_and_sum("fusegpt_shadow_seconds", version=version)
        lost = {
            reason: int(self._sum("fusegpt_shadow_lost", "_total", version=version, reason=reason))
            for reason in ("failed", "dropped")
        }
        apart = {
            output: {
                "mean": self._sum("fusegpt_shadow_difference", "_total", version=version, output=output)
                / max(compared, 1),
                "max": self._sum("fusegpt_shadow_difference_max", "", version=version, output=output),
            }
            for output in outputs
        }
        return {"compared": compared, "mean_ms": 1000 * seconds / max(compared, 1), **lost, "differences": apart}

    def last_answer_s(self, version: str) -> float:
        """When the last request was answered, in seconds since 1970; 0 for never."""
        return self._sum("fusegpt_last_answer_timestamp_seconds", "", version=version)

    def _count_and_sum(self, name: str, **labels: str) -> tuple[int, float]:
        return int(self._sum(name, "_count", **labels)), self._sum(name, "_sum", **labels)

    def _sum(self, name: str, suffix: str, **labels: str) -> float:
        metric = self._metrics.get(name)
        if metric is None:
            return 0.0
        wanted = labels.items()
        return sum(s.value for s in metric.samples if s.name == name + suffix and wanted <= s.labels.items())


def _added(snapshots: Iterable[Snapshot]) -> dict[str, Metric]:
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for metric in (metric for snapshot in snapshots for metric in snapshot):
        families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
        known = values.setdefault(metric.name, {})
        for sample in metric.samples:
            if sample.name.endswith("_created"):
                continue
            key = (sample.name, tuple(sample.labels.items()))
            before = known.get(key, 0.0)
            largest = sample.name.endswith(("_timestamp_seconds", "_max"))
            known[key] = max(before, sample.value) if largest else before + sample.value
    for name, known in values.items():
        for (sample_name, labels), value in known.items():
            families[name].add_sample(sample_name, dict(labels), value)
    return families
