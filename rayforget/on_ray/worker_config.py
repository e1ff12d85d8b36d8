"""What a worker of a slot is told."""

from dataclasses import dataclass
from typing import Any

from rayforget.on_ray.parcel import Parcel
from rayforget.trial.equipment_spec import EquipmentSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """What a worker needs to know; sent to it once."""

    mailbox: Any
    equipment: Parcel[EquipmentSpec]
    keeper: Any = None
    """Handle of a `ThetaKeeper`; None keeps theta_0 in the worker's own memory."""
