"""A noted job -> what the study was asked for it, and its number, by which the study knows it."""

from rayforget.record.jobs import TrialJob
from rayforget.search.study import Asked


def asked_of(job: TrialJob) -> Asked:
    """What the study answered when the job was made; the values are in its recipe."""
    return Asked(
        method=job.recipe.method,
        params=dict(job.asked),
        values={},
        fraction=job.fraction,
        alpha=job.alpha,
        seed=job.recipe.seed,
    )


def number_of(trial: str) -> int:
    """A trial's number: `0007-lora` is the eighth training handed out."""
    return int(trial.split("-", 1)[0])
