"""Runs scikit-learn on one thread.

Its clusters are sums that it divides among threads: their last bits, and so the clusters, would
depend on the number of threads.
"""

from __future__ import annotations

from contextlib import AbstractContextManager


def one_thread() -> AbstractContextManager[object]:
    """Limit BLAS and OpenMP to one thread; threadpoolctl comes with scikit-learn."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits
