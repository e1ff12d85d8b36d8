"""Every registry of extensions, by the group of its entry points."""

from collections.abc import Mapping
from typing import Any

from rayforget.extensions.registry import Registry
from rayforget.metrics.registry import METRICS
from rayforget.space.curve_paths import PATHS
from rayforget.space.foundation import FOUNDATIONS
from rayforget.space.penalty import PENALTIES

REGISTRIES: Mapping[str, Registry[Any]] = {each.group: each for each in (FOUNDATIONS, PENALTIES, PATHS, METRICS)}
