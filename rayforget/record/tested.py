"""Scores on `test` and their checkpoints' records -> the scores that are of the recorded weights.

A record that was deleted is made again by another training, which may end in other weights: on another machine, or with
other libraries. Scores of the earlier weights then stand beside a checkpoint that they say nothing of.
"""

from collections.abc import Callable, Iterable

from rayforget.values.records import TestRecord


def of_recorded_weights(
    tests: Iterable[TestRecord], hash_of: Callable[[TestRecord], str | None], tell: Callable[[str], None]
) -> list[TestRecord]:
    """Those of `tests` whose weights are their checkpoints', in order.

    Args:
        tests: scores on `test`; an empty hash is not compared.
        hash_of: the hash of theta_1 in a checkpoint's record; None if there is no record, or no hash in it.
        tell: gets a sentence for each of the others.
    """
    kept: list[TestRecord] = []
    for test in tests:
        known = hash_of(test)
        if known is None or test.theta_1_hash in ("", known):
            kept.append(test)
        else:
            tell(
                f"scores on test of {test.trial} step {test.step} are of weights with hash {test.theta_1_hash}, and "
                f"its record, made again since, is of {known}: they are not used; `rayforget sweep --resume` scores "
                "these points again"
            )
    return kept
