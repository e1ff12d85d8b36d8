"""Tune's view of a slot: one actor that is reused for one trial after another."""

import time
from typing import Any

from ray import tune

from rayforget.on_ray.gauges import SlotGauge
from rayforget.on_ray.slot import Slot, SlotSpec

OBJECTIVES = ("speciality", "generality")
IDLE = None
"""The job of a warm slot that waits for one: Tune would end the actor of a slot without a trial."""
_NAP_S = 0.5
"""How late a waiting slot may get its job."""


class SlotTrainable(tune.Trainable):
    """A trial is one job, or one wait for a job; the slot outlives it (`reuse_actors=True`).

    A trial's failure is a result, never an exception: Tune discards an actor whose `step` raised, and with it the warm
    slot. Both objectives' keys are always present, since Tune insists; the searcher tells their values.
    """

    def setup(self, config: dict[str, Any], spec: SlotSpec) -> None:  # type: ignore[override]  # with_parameters' way
        """Starts the slot; called once for many trials."""
        self._job = config["job"]
        self._slot = Slot(spec)
        self._gauge = SlotGauge(spec.name)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes the next trial's job."""
        self._job = new_config["job"]
        return True

    def step(self) -> dict[str, Any]:
        """Does the whole job; if there is none, naps repeatedly until `EndOfWait` ends the trial."""
        if self._job is IDLE:
            time.sleep(_NAP_S)
            self._gauge.idle(_NAP_S)
            return {"done": False, **dict.fromkeys(OBJECTIVES)}
        reply = self._slot.run(self._job)
        outcome = {"error": reply.error, "value": reply.value, "refused": reply.refused}
        return {"done": True, **outcome, **dict.fromkeys(OBJECTIVES)}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: what a trial needs to go on is in the record."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing, likewise."""

    def cleanup(self) -> None:
        """Ends the slot."""
        self._slot.close()
