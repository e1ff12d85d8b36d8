"""What a worker sets itself up from; the driver writes it down, and needs no torch for that."""

from dataclasses import dataclass

from rayforget.space.models import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class EquipmentSpec:
    """What a worker needs to set itself up."""

    space: Space
    sweep_name: str
    token: int | None = None
    """The driver's number: this worker stops writing once another driver has the sweep. None checks nothing."""
