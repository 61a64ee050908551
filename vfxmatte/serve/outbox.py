"""What waits to be sent to one client: bounded, so that a slow reader holds nobody up."""

from __future__ import annotations

import threading
from collections import deque

EVENTS = 512
ANSWERS = 2048


class Outbox:
    """Thread safe. Events are dropped when too much waits; answers never are: a client that lets
    them pile up is given up.

    dropped: how many events were.
    """

    def __init__(self, *, events: int = EVENTS, answers: int = ANSWERS) -> None:
        self._events, self._answers = events, answers
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._closed = False
        self._sending = False
        self.dropped = 0

    def put_event(self, message: bytes) -> None:
        with self._changed:
            if len(self._waiting) >= self._events:
                self.dropped += 1
            else:
                self._put(message)

    def put_answer(self, message: bytes) -> bool:
        """False where the client is to be given up."""
        with self._changed:
            if len(self._waiting) >= self._events + self._answers:
                return False
            self._put(message)
            return True

    def _put(self, message: bytes) -> None:
        if not self._closed:
            self._waiting.append(message)
            self._changed.notify_all()

    def take(self) -> bytes | None:
        """The next message, waiting for it; the one before has been sent then. None when the
        outbox is closed and empty."""
        with self._changed:
            self._sending = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            self._sending = True
            return self._waiting.popleft()

    def close(self, *, drop: bool = False) -> None:
        """Nothing more is taken in. drop: nor is anything sent that waits."""
        with self._changed:
            self._closed = True
            if drop:
                self._waiting.clear()
                self._sending = False
            self._changed.notify_all()

    def wait_sent(self, timeout: float) -> bool:
        """Whether everything was sent in time."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and not self._sending, timeout=timeout
            )
