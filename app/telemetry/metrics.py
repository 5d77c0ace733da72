"""What Prometheus reads, in a registry of each application's own."""

from __future__ import annotations

from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_PREFIX = "shapespace"
_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_KEPT = 1000  # latest times of each kind that `/v1/stats` takes its percentiles from


@dataclass(frozen=True)
class Figure:
    """A number that is read when somebody asks.

    Attributes:
        name: Without the prefix, with its unit at the end.
        help: One sentence.
        value: Now.
        labels: More about it; figures of one name have labels of the same names.
        total: Whether it only ever grows.
    """

    name: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    total: bool = False


class Metrics:
    """Counts what happens to requests, and asks for what stands now.

    Args:
        live: Figures of the engine, the children and the device.
    """

    def __init__(self, live: Callable[[], Iterable[Figure]] = tuple) -> None:
        self.live = live
        self.began = monotonic()
        self.registry = CollectorRegistry()
        self.latest: dict[str, deque[float]] = {"wait": deque(maxlen=_KEPT), "total": deque(maxlen=_KEPT)}
        self._requests = self._counter("http_requests", "Requests answered.", "route", "method", "status")
        self._seconds = self._histogram("http_request_seconds", "Time of a request until its answer is sent.", "route")
        self._refusals = self._counter("refusals", "Requests answered with a problem document.", "reason")
        self._stages = self._histogram("stage_seconds", "Time of each part of a sampling request.", "stage")
        self._molecules = self._counter("molecules", "Molecules answered.", "status")
        self._conformers = self._counter("conformers", "Conformers returned.")
        self._backbones = self._counter("backbones", "Backbones returned.")
        self._failures = self._counter("failures", "Conformers and backbones that are missing.", "reason")
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.registry.register(_Live(self))

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request was answered; `route` is a template, never an address that a caller made up."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_refusal(self, reason: str) -> None:
        """One request was answered with a problem document."""
        self._refusals.labels(reason).inc()

    def count_stages(self, seconds: Mapping[str, float]) -> None:
        """One request was sampled; the seconds of each of its parts."""
        for stage, value in seconds.items():
            self._stages.labels(stage).observe(value)
            if stage in self.latest:
                self.latest[stage].append(value)

    def count_molecule(self, status: str, returned: int, missing: Iterable[tuple[str, int]]) -> None:
        """One molecule was answered; `missing` has a reason and a count of conformers each."""
        self._molecules.labels(status).inc()
        self._conformers.inc(returned)
        self._count_missing(missing)

    def count_backbones(self, returned: int, missing: Iterable[tuple[str, int]]) -> None:
        """One length was answered; `missing` has a reason and a count of backbones each."""
        self._backbones.inc(returned)
        self._count_missing(missing)

    def totals(self) -> dict[str, dict[str, int]]:
        """Counts since the start, by what tells them apart."""
        return {
            "requests": _by(self._requests, "status"),
            "refusals": _by(self._refusals, "reason"),
            "molecules": _by(self._molecules, "status"),
            "failures": _by(self._failures, "reason"),
            "conformers": _by(self._conformers, ""),
            "backbones": _by(self._backbones, ""),
        }

    def percentiles(self) -> dict[str, dict[str, float]]:
        """Median and 99th percentile of the latest times, s."""
        return {
            name: {f"p{q}": round(float(np.percentile(np.array(values), q)), 4) for q in (50, 99)}
            for name, values in self.latest.items()
            if values
        }

    def _count_missing(self, missing: Iterable[tuple[str, int]]) -> None:
        for reason, count in missing:
            self._failures.labels(reason).inc(count)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", words, labels, registry=self.registry)

    def _histogram(self, name: str, words: str, *labels: str) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", words, labels, registry=self.registry, buckets=_SECONDS)


class _Live(Collector):
    """Figures as families of metrics, read anew for every scrape."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterator[Metric]:
        """Nothing: the engine need not run when this is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """One family for each name."""
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
        for figure in self._metrics.live():
            if figure.name not in families:
                kind = CounterMetricFamily if figure.total else GaugeMetricFamily
                families[figure.name] = kind(f"{_PREFIX}_{figure.name}", figure.help, labels=list(figure.labels))
            families[figure.name].add_metric(list(figure.labels.values()), figure.value)
        return iter(families.values())


def _by(counter: Counter, label: str) -> dict[str, int]:
    """Counts summed over all labels but one."""
    sums: Tally[str] = Tally()
    for sample in next(iter(counter.collect())).samples:
        if sample.name.endswith("_total"):
            sums[sample.labels.get(label, "all")] += int(sample.value)
    return dict(sums)
