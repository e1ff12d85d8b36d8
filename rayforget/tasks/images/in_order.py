"""Maps a function over many items in threads: results in order, few of them in memory, first error raised."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int | None = None
) -> Generator[Result, None, None]:
    """`map(function, items)` on all cores, for functions that read or decode (which release Python's lock).

    Args:
        function: called in any of the threads.
        items: taken one by one, a few ahead of the results.
        threads: 1 for a function that holds Python's lock, for which threads would only compete; None: one per core.
    """
    threads = threads or min(32, os.cpu_count() or 1)
    source = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        window: deque[Future[Result]] = deque(pool.submit(function, item) for item in islice(source, 8 * threads))
        try:
            while window:
                result = window.popleft().result()
                window.extend(pool.submit(function, item) for item in islice(source, 1))
                yield result
        finally:
            for future in window:
                future.cancel()
