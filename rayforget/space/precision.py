"""How exactly models are run when they are scored: names, and where a record says which it was."""

from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

ScoringPrecision = Literal["fp32", "tf32", "bf16", "fp16"]
"""fp32; fp32 whose products are of TF32's 10 bits; autocast to bf16 or to fp16. Weights are fp32 in each."""
FULL: ScoringPrecision = "fp32"
REDUCED: tuple[ScoringPrecision, ...] = ("tf32", "fp16", "bf16")
"""Those that a GPU computes faster."""
AUTO = "auto"
Asked = ScoringPrecision | Literal["auto"]
"""As a space asks for it."""

PRECISION = "evaluation_precision"
"""The entry of a record's provenance that names the precision of its scores; left out for fp32, as by records older
than it."""
CHOICE = "precision_choice"
"""The fact of theta_0's record that says what a chosen precision was compared on; see `precision_choice.Choice`."""


def planned(asked: Asked) -> ScoringPrecision:
    """The precision where there is no sweep that could choose one, or none has been chosen yet: fp32 for `auto`."""
    return FULL if asked == "auto" else asked


def noted(precision: ScoringPrecision) -> dict[str, str]:
    """What a record's provenance says of it."""
    return {} if precision == FULL else {PRECISION: precision}


def precision_in(provenance: Mapping[str, Any]) -> ScoringPrecision:
    """The precision of a record's scores."""
    found = provenance.get(PRECISION, FULL)
    return cast(ScoringPrecision, found if found in get_args(ScoringPrecision) else FULL)
