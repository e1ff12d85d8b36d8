"""theta_0 and plain fine-tuning on `val` -> the errors within which plain fine-tuning's gain and loss may be
nothing."""

from collections.abc import Mapping, Sequence

from rayforget.frontier.measured import measure
from rayforget.frontier.points import FrontierPoint, PointKey, TaskRole
from rayforget.frontier.recovered import Pair
from rayforget.values.scores import Score

NUM_RESAMPLES = 1000
SEED = 0


class BaselineErrors:
    """The same errors of S(plain) - S(theta_0) and G(theta_0) - G(plain) as a summary's, each computed once.

    They make a sweep's live view and series say `undefined` where its report would. A bootstrap of all points after
    each training would take the driver seconds; the baselines' is repeated only when a plain training ends.
    """

    def __init__(self, roles: Sequence[TaskRole]) -> None:
        self._roles = roles
        self._known: dict[tuple[PointKey, ...], Pair] = {}

    def __call__(
        self, theta_0: FrontierPoint, plain: Sequence[FrontierPoint], val: Mapping[PointKey, Mapping[str, Score]]
    ) -> Pair:
        """The two standard errors, paired over items, for the mean of these plain trainings.

        Raises:
            RecordError: the models were not scored on the same items.
        """
        keys = (theta_0.key, *sorted((point.key for point in plain), key=lambda key: key.order))
        if keys not in self._known:
            points = dict(enumerate(keys))
            measured = measure(points, val, self._roles, theta_0=0, split="val", num_resamples=NUM_RESAMPLES, seed=SEED)
            found = measured.mean(range(1, len(keys)))
            assert found is not None  # all of them were measured above
            assert found.difference_errors is not None
            self._known[keys] = found.difference_errors
        return self._known[keys]
