"""A summary -> `frontier.json`, for other programs: the frontier's points with their scores, errors and recipes."""

import json
from dataclasses import asdict

from rayforget.frontier.summary import Summary


def frontier_json(summary: Summary) -> bytes:
    """One object per point, from the most general to the most special."""
    rows = []
    for index in summary.frontier:
        point = summary.points[index]
        tested = summary.test.get(index)
        rows.append(
            {
                "trial": point.trial,
                "step": point.step,
                "fraction": point.fraction,
                "alpha": point.alpha,
                "path": point.path,
                "method": point.method,
                "val": asdict(summary.val[index]),
                "test": None if tested is None else asdict(tested),
                "recipe": dict(point.recipe),
                "stale": summary.notice is not None,
            }
        )
    return json.dumps(rows, indent=2, default=str).encode()
