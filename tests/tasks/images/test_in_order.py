import threading
import time

import pytest

from rayforget.tasks.images.in_order import map_in_order


@pytest.mark.parametrize("count", [0, 1, 7, 1000])
def test_equals_map_whatever_finishes_first(count):
    def slow_at_first(item: int) -> int:
        time.sleep(0.002 if item < 3 else 0)
        return item * item

    assert list(map_in_order(slow_at_first, range(count))) == [item * item for item in range(count)]


def test_takes_no_more_items_than_it_needs_soon():
    taken = []

    def items():
        for item in range(100_000):
            taken.append(item)
            yield item

    results = map_in_order(lambda item: item, items())
    assert next(results) == 0
    assert len(taken) < 1000
    results.close()


def test_the_first_error_is_raised_and_the_rest_is_dropped():
    done = []

    def fail_at_five(item: int) -> int:
        if item == 5:
            raise ValueError("five")
        done.append(item)
        return item

    with pytest.raises(ValueError, match="five"):
        list(map_in_order(fail_at_five, range(100_000)))
    assert len(done) < 1000
    assert threading.active_count() < 20
