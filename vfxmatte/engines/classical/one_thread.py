"""Scikit-learn on one thread: its clusters are sums that it divides among its threads, so that
their last bits, and with them the clusters, would depend on how many there are."""

from __future__ import annotations

from contextlib import AbstractContextManager


def one_thread() -> AbstractContextManager[object]:
    """Within it BLAS and OpenMP have one thread; scikit-learn brings what this takes."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits
