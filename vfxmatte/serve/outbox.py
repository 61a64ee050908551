"""The messages that wait to be sent to one client: bounded, so that a slow reader blocks nobody."""

from __future__ import annotations

import threading
from collections import deque

EVENTS = 512
ANSWERS = 2048


class Outbox:
    """A thread-safe queue of messages; excess events are dropped, answers never are."""

    def __init__(self, *, events: int = EVENTS, answers: int = ANSWERS) -> None:
        self._events, self._answers = events, answers
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._closed = False
        self._sending = False
        self.dropped = 0
        """Number of events that were dropped."""

    def put_event(self, message: bytes) -> None:
        """Queue an event, or drop it where too many messages wait."""
        with self._changed:
            if len(self._waiting) >= self._events:
                self.dropped += 1
            else:
                self._put(message)

    def put_answer(self, message: bytes) -> bool:
        """Queue an answer; return False where so many wait that the client must be disconnected."""
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
        """Wait for the next message, the previous one being sent; None once closed and empty."""
        with self._changed:
            self._sending = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            self._sending = True
            return self._waiting.popleft()

    def close(self, *, drop: bool = False) -> None:
        """Accept no more messages; `drop`: discard the waiting ones too."""
        with self._changed:
            self._closed = True
            if drop:
                self._waiting.clear()
                self._sending = False
            self._changed.notify_all()

    def wait_sent(self, timeout: float) -> bool:
        """Wait until everything is sent; return False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and not self._sending, timeout=timeout
            )
