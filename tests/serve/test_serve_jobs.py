"""Who comes next, what is kept loaded, what a slow reader misses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vfxmatte.engines.base import EngineSettings
from vfxmatte.errors import PlateError, UsageError
from vfxmatte.pipeline.shot import Shot
from vfxmatte.serve import rpc
from vfxmatte.serve.engine_cache import EngineCache
from vfxmatte.serve.execute import execute
from vfxmatte.serve.jobs import MAX_JOBS_PER_CLIENT, Job, JobQueue, Steps
from vfxmatte.serve.outbox import Outbox
from vfxmatte.serve.requests import RunRequest
from vfxmatte.serve.rpc import RpcError
from vfxmatte.serve.threads import Server
from vfxmatte.serve.work import run_steps


def job(client: str, ident: int = 0, *, answers: list[Any] | None = None, **about: Any) -> Job:
    values: dict[str, Any] = {
        "kind": "run", "start": lambda _: steps(), "emit": lambda *_, **__: None,
        "answer": (answers if answers is not None else []).append, **about,
    }  # fmt: skip
    return Job(client=client, ident=ident, **values)


def steps(count: int = 2) -> Steps:
    for _ in range(count):
        yield
    return {"steps": count}


def order(queue: JobQueue) -> list[tuple[object, rpc.Ident]]:
    found = []
    while (taken := queue.take(0)) is not None:
        found.append((taken.client, taken.ident))
        queue.finish(taken)
    return found


def test_clients_take_turns_and_keep_their_own_order() -> None:
    queue = JobQueue()
    for ident in (1, 2, 3):
        queue.put(job("a", ident))
    queue.put(job("b", 1))
    assert order(queue) == [("a", 1), ("b", 1), ("a", 2), ("a", 3)]


def test_short_work_goes_first() -> None:
    queue = JobQueue()
    queue.put(job("a", 1))
    queue.put(job("b", 1, urgent=True))
    assert order(queue) == [("b", 1), ("a", 1)]


def test_short_work_goes_between_the_steps_of_long_work_unless_it_writes_there_too() -> None:
    queue = JobQueue()
    queue.put(job("a", 1, output="/out"))
    queue.put(job("b", 1))
    queue.put(job("b", 2, urgent=True, output="/out"))
    queue.put(job("b", 3, urgent=True, output="/elsewhere"))
    urgent = queue.take(0)
    assert urgent is not None and urgent.ident == 2  # nothing runs yet
    queue.finish(urgent)
    running = queue.take(0)
    assert running is not None and running.ident == 3
    queue.finish(running)
    queue.put(job("b", 4, urgent=True, output="/out"))
    queue.put(job("b", 5, urgent=True, output="/elsewhere"))
    first = queue.take(0)
    while first is not None and first.urgent:
        queue.finish(first)
        first = queue.take(0)
    assert first is not None and first.output == "/out"
    queue.put(job("c", 6, urgent=True, output="/out"))
    assert queue.take_urgent() is None
    queue.put(job("c", 7, urgent=True, output="/other"))
    taken = queue.take_urgent()
    assert taken is not None and taken.ident == 7


def test_a_client_has_so_many_jobs_and_each_its_own_id() -> None:
    queue = JobQueue()
    queue.put(job("a", 0))
    with pytest.raises(RpcError, match="id 0 is under way"):
        queue.put(job("a", 0))
    for ident in range(1, MAX_JOBS_PER_CLIENT):
        queue.put(job("a", ident))
    with pytest.raises(RpcError, match="at most"):
        queue.put(job("a", MAX_JOBS_PER_CLIENT))
    queue.put(job("b", 0))


def test_a_cancelled_job_that_waits_is_answered_in_its_turn_and_never_begun() -> None:
    queue, answers = JobQueue(), []
    begun: list[bool] = []

    def start(_: Job) -> Steps:
        begun.append(True)
        yield
        return {}

    queue.put(job("a", 1, answers=answers, start=start))
    assert not queue.cancel("b", 1) and not queue.cancel("a", 2)
    assert queue.cancel("a", 1)
    taken = queue.take(0)
    assert taken is not None
    execute(taken, lambda: None)
    assert isinstance(answers[0], RpcError) and answers[0].code == rpc.CANCELLED and not begun


def test_after_the_end_jobs_are_cancelled() -> None:
    queue = JobQueue()
    queue.put(job("a", 1))
    queue.close()
    queue.put(job("a", 2))
    assert [one.stopped for one in queue.jobs()] == [True, True]


def failing(error: Exception) -> Any:
    def start(_: Job) -> Steps:
        yield
        raise error

    return start


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PlateError("no plate"), rpc.FAILED),
        (RpcError(rpc.INVALID_PARAMS, "no array"), rpc.INVALID_PARAMS),
        (ZeroDivisionError("oh"), rpc.INTERNAL_ERROR),
    ],
)
def test_whatever_happens_a_job_is_answered(error: Exception, code: int) -> None:
    answers: list[Any] = []
    execute(job("a", answers=answers, start=failing(error)), lambda: None)
    (answer,) = answers
    assert answer.code == code and str(error) in answer.message


def test_work_may_be_done_between_steps() -> None:
    answers: list[Any] = []
    between: list[int] = []
    execute(job("a", answers=answers), lambda: between.append(1))
    assert answers == [{"steps": 2}] and between == [1, 1]


class FakeEngine:
    def __init__(self, settings: EngineSettings) -> None:
        self.device, self.closed = settings.device, False

    def describe(self) -> dict[str, Any]:
        return {}

    def mattes(self, tasks: Any) -> Any:
        return iter(())

    def close(self) -> None:
        self.closed = True


class Loader:
    def __init__(self) -> None:
        self.opened: list[FakeEngine] = []

    def __call__(self, settings: EngineSettings) -> FakeEngine:
        self.opened.append(FakeEngine(settings))
        return self.opened[-1]


def test_engines_stay_and_the_one_not_used_longest_goes() -> None:
    loader = Loader()
    engines = EngineCache(capacity=2, opener=loader)
    for device in ("cpu", "cuda:0", "cpu", "cuda:1"):
        with engines.use(EngineSettings(device=device)) as engine:
            assert engine.device == device
    assert [(one.device, one.closed) for one in loader.opened] == [
        ("cpu", False), ("cuda:0", True), ("cuda:1", False),
    ]  # fmt: skip
    assert engines.devices == ["cuda:1", "cpu"]


def test_an_engine_in_use_is_never_closed() -> None:
    loader = Loader()
    engines = EngineCache(capacity=1, opener=loader)
    with engines.use(EngineSettings(device="cpu")) as first:
        with engines.use(EngineSettings(device="cuda:0")):
            engines.close_unused(now=True)
        assert not first.closed  # type: ignore[attr-defined]
    engines.close_unused(now=True)
    assert all(one.closed for one in loader.opened) and engines.devices == []


def test_memory_is_given_back_after_a_while() -> None:
    now = 0.0
    loader = Loader()
    engines = EngineCache(keep_seconds=10, clock=lambda: now, opener=loader)
    with engines.use(EngineSettings()):
        now = 50.0
    now = 59.0
    engines.close_unused()
    assert not loader.opened[0].closed
    now = 60.0
    engines.close_unused()
    assert loader.opened[0].closed


def test_weights_that_changed_on_the_disk_are_loaded_again(tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"one")
    loader = Loader()
    engines = EngineCache(opener=loader)
    settings = EngineSettings(weights=weights)
    for text in (b"one", b"another"):
        weights.write_bytes(text)
        with engines.use(settings):
            pass
    assert len(loader.opened) == 2


def test_events_are_dropped_for_a_slow_reader_and_answers_are_not() -> None:
    outbox = Outbox(events=3, answers=2)
    for number in range(5):
        outbox.put_event(b"event %d" % number)
    assert outbox.dropped == 2
    assert outbox.put_answer(b"one") and outbox.put_answer(b"two")
    assert not outbox.put_answer(b"three")  # who lets answers pile up is given up
    outbox.close()
    sent = []
    while (message := outbox.take()) is not None:
        sent.append(message)
    assert sent == [b"event 0", b"event 1", b"event 2", b"one", b"two"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::1", "localhost", "192.168.0.1", ""])
def test_no_other_address_is_listened_on(host: str) -> None:
    with pytest.raises(UsageError, match=r"listens on 127\.0\.0\.1 and nowhere else"):
        Server().listen(host)


def test_a_run_can_be_stopped_while_the_motion_is_looked_for(
    tiny_shot: Path, tiny_weights: Path
) -> None:
    shot = Shot.open(tiny_shot)
    engine = EngineSettings(weights=tiny_weights, device="cpu")
    shot = replace(shot, settings=replace(shot.settings, engine=engine))
    told: list[str] = []
    one = job("a", emit=lambda event, **_: told.append(event))
    work = run_steps(RunRequest(shot=shot, overwrite=False), EngineCache(), one)
    next(work)  # announced, and its engine open
    one.stop()  # nobody asks between steps: the run itself notices
    with pytest.raises(StopIteration) as caught:
        while True:
            next(work)
    totals = caught.value.value
    assert totals["interrupted"] and totals["written"] < 2
    assert told[0] == "start" and told[-1] == "totals"
    assert not list(tiny_shot.glob("matte/.*/scratch/*"))
