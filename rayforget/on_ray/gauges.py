"""How a sweep is getting on, as gauges of Ray's metrics: each node's agent serves them to Prometheus.

| name | tags | what |
|---|---|---|
| `ray_rayforget_trainings` | sweep, state: done, failed, running, left | trainings |
| `ray_rayforget_recovered` | sweep | share of forgetting undone without losing speciality, so far, on `val` |
| `ray_rayforget_storage_waits` | sweep | times that the driver has had to wait for the storage |
| `ray_rayforget_slot_idle_seconds` | slot | seconds for which a warm slot had no job |
"""

from typing import TYPE_CHECKING

from ray.util.metrics import Gauge

from rayforget.record.jobs import TrialJob
from rayforget.record.storage.patience import waits

if TYPE_CHECKING:
    from rayforget.search.agenda import Agenda


class SweepGauges:
    """The driver's."""

    def __init__(self, sweep: str) -> None:
        tags = {"sweep": sweep}
        self._trainings = _gauge("rayforget_trainings", "Trainings by state.", tags, "state")
        self._recovered = _gauge("rayforget_recovered", "Share recovered so far, on val.", tags)
        self._waits = _gauge("rayforget_storage_waits", "Waits for the storage in the driver.", tags)

    def show(self, agenda: "Agenda", recovered: float | None) -> None:
        """Sets them; `recovered` is None while it is not defined."""
        failed, done = len(agenda.failures()), agenda.finished_trainings()
        running = sum(isinstance(named.job, TrialJob) for named in tuple(agenda.running.values()))
        left = max(0, agenda.num_trainings - done - running)
        for state, number in (("done", done - failed), ("failed", failed), ("running", running), ("left", left)):
            self._trainings.set(number, {"state": state})
        if recovered is not None:
            self._recovered.set(recovered)
        self._waits.set(waits())


class SlotGauge:
    """A slot's."""

    def __init__(self, slot: str) -> None:
        self._idle = _gauge("rayforget_slot_idle_seconds", "Seconds without a job.", {"slot": slot})
        self._seconds = 0.0

    def idle(self, seconds: float) -> None:
        """Adds to the time without a job."""
        self._seconds += seconds
        self._idle.set(self._seconds)


def _gauge(name: str, description: str, tags: dict[str, str], *more: str) -> Gauge:
    gauge = Gauge(name, description=description, tag_keys=(*tags, *more))
    gauge.set_default_tags(tags)
    return gauge
