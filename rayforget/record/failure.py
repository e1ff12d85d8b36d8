"""What the record holds of a training that failed."""

import time

from rayforget.record.jobs import TrialJob
from rayforget.record.provenance import extension_facts
from rayforget.values.records import CheckpointRecord


def failed_record(job: TrialJob, reason: str, theta_0_hash: str) -> CheckpointRecord:
    """The record of a trial that failed; its step is 0, which no checkpoint has."""
    return CheckpointRecord(
        trial=job.name,
        step=0,
        fraction=0.0,
        status="failed",
        reason=reason,
        recipe=job.recipe.model_dump(mode="json"),
        asked=dict(job.asked),
        theta_0_hash=theta_0_hash,
        provenance=extension_facts(),
        finished=time.time(),
    )
