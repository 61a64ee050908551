"""Renders that are under way: one thread each, which only ever waits; Nuke's own goes on.

The thread asks the main thread to render one frame at a time through Nuke, then has the engine
do its work, and hands every word for the panel to the main thread.
"""

from __future__ import annotations

import functools
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from vfxmatte_nuke import client, host, paths, wording
from vfxmatte_nuke.frames import ranges_text
from vfxmatte_nuke.plan import Plan, Step
from vfxmatte_nuke.problem import Cancelled, Problem

_running: list[Job] = []  # touched on the main thread alone


class Job:
    """One render of one node."""

    def __init__(self, node: Any, plan: Plan, notes: Sequence[str] = ()) -> None:
        self.node, self.plan = node, plan
        self.name = host.full_name(node)
        self.done = threading.Event()
        self.problem: str | None = None
        self.failures: dict[int, str] = {}
        self._gui = host.is_gui()
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self._cancelled = threading.Event()
        self._engine_job: Any = None
        self._counts = {"done": 0, "fresh": 0, "count": plan.last - plan.first + 1}
        self._notes = list(notes)
        self._path: tuple[str, int] | None = None
        self._started = time.monotonic()
        self._said = threading.Event()

    # -- on the main thread

    def start(self) -> None:
        note = self.plan.note
        self._say("Starting" + ("; Nuke renders the plate because " + note if note else ""))
        host.set_values(self.node, rendering=1)
        _running.append(self)
        threading.Thread(target=self._work, name="vfxmatte " + self.name, daemon=True).start()

    def pump(self) -> None:
        """Without an interface: do what the thread asks of the main thread, until it is done."""
        while not (self.done.is_set() and self._calls.empty()):
            try:
                self._calls.get(timeout=0.05)()
            except queue.Empty:
                continue
            except KeyboardInterrupt:
                self.cancel()

    def cancel(self) -> None:
        """Stop soon; finished frames stay. Returns at once."""
        self._cancelled.set()
        if self._engine_job is not None:
            self._engine_job.cancel()

    def _say(self, text: str) -> None:
        if host.exists(self.node):
            host.set_values(self.node, status=wording.safe(text))
        if not self._gui:
            host.say(f"{self.name}: {text}")

    def _render(self, step: Step) -> None:
        if not host.exists(self.node):
            raise Cancelled()
        host.render_inner(self.node, step.write, step.fresh, step.frame)
        paths.settle(step.fresh, step.final)

    def _finish(self, text: str) -> None:
        _running.remove(self)
        try:
            if host.exists(self.node):
                self._show_results()
                host.set_values(self.node, rendering=0)
            self._say(text)
        finally:
            self.done.set()

    def _show_results(self) -> None:
        """The Reads inside the node look at what is there now."""
        if self._path is not None:
            pattern = paths.pattern_of(*self._path)
            folder, _, name = pattern.rpartition("/")
            trimaps = folder + "/trimaps/trimap" + name[len("matte") :].rpartition(".")[0] + ".png"
            first, last = self._shown_range(pattern)
            host.set_values(
                self.node, matte_file=pattern, trimap_file=trimaps, matte_first=first,
                matte_last=last, has_matte=1,
            )  # fmt: skip
        host.reload_results(self.node)

    def _shown_range(self, pattern: str) -> tuple[int, int]:
        """This render's range, together with what the same mattes held before."""
        names = ("matte_file", "matte_first", "matte_last", "has_matte")
        old = host.values(self.node, names)
        if not old["has_matte"] or old["matte_file"] != pattern:
            return self.plan.first, self.plan.last
        return (
            min(self.plan.first, int(old["matte_first"])),
            max(self.plan.last, int(old["matte_last"])),
        )

    # -- on the job's own thread

    def _work(self) -> None:
        try:
            text = self._prepare_and_run()
        except Cancelled:
            text = "Stopped. Press Render to go on."
        except Problem as problem:
            text = self.problem = str(problem)
        except Exception as error:  # a bug must not leave the panel at "Starting"
            logging.getLogger("vfxmatte").exception("%s", self.name)
            text = self.problem = f"This should not happen: {error!r}"
        self._later(lambda: self._finish(text))

    def _prepare_and_run(self) -> str:
        folders = {step.folder for step in self.plan.steps}
        for folder in folders:
            paths.ensure_folder(folder + "/unfinished")
        try:
            self._render_steps()
        finally:
            for folder in folders:
                _remove_unfinished(folder + "/unfinished")
        return self._run_engine()

    def _render_steps(self) -> None:
        steps = self.plan.steps
        for index, step in enumerate(steps):
            self._check_cancelled()
            text = wording.rendering(step.what, index + 1, len(steps))
            self._later(functools.partial(self._say, text))
            self._ask(functools.partial(self._render, step))
        painted = [step for step in steps if step.what == "trimap"]
        if painted:
            paths.drop_other_trimaps(painted[0].folder, [step.frame for step in painted])

    def _run_engine(self) -> str:
        self._check_cancelled()
        engine, errors = client.engine(), client.command_module().EngineError
        self._started = time.monotonic()
        self._engine_job = engine.start_run(on_event=self._event, **self.plan.job)
        if self._cancelled.is_set():
            self._engine_job.cancel()
        try:
            totals = self._engine_job.result()
        except errors as error:
            if error.kind == "Cancelled":
                raise Cancelled() from error
            raise Problem(str(error)) from error
        if self.failures:
            self.problem = wording.ending(totals, self.failures, [])
        return wording.ending(totals, self.failures, self._notes)

    def _event(self, record: dict[str, Any]) -> None:
        """On the client's thread."""
        kind = record.get("event")
        if kind == "start":
            self._counts["count"] = record.get("count", self._counts["count"])
        elif kind == "note":
            self._notes.append(str(record.get("text")))
        elif kind == "frame":
            self._frame(record)
        else:
            return
        if not self._said.is_set():  # at most one word for the panel waits at a time
            self._said.set()
            self._later(self._say_progress)

    def _frame(self, record: dict[str, Any]) -> None:
        number, error = int(record["frame"]), record.get("error")
        self._counts["done"] += 1
        self._counts["fresh"] += record.get("status") == "written"
        if record.get("path"):
            self._path = (str(record["path"]), number)
        if error:
            hint = " " + error["hint"] if error.get("hint") else ""
            self.failures[number] = error["message"] + "." + hint

    def _say_progress(self) -> None:
        self._said.clear()
        if self.done.is_set():
            return
        counts, seconds = self._counts, time.monotonic() - self._started
        text = wording.progress(counts["done"], counts["count"], seconds, counts["fresh"])
        lines = [text, *self._notes[-1:]]
        if self.failures:
            lines.append("failed: " + ranges_text(self.failures))
        self._say("\n".join(lines))

    def _check_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled()

    def _later(self, call: Callable[[], None]) -> None:
        if self._gui:
            host.later(call)
        else:
            self._calls.put(call)

    def _ask(self, call: Callable[[], None]) -> None:
        """Have the main thread do something and wait for it; its exception is raised here."""
        caught: list[BaseException] = []
        answered = threading.Event()

        def careful() -> None:
            try:
                call()
            except BaseException as error:  # handed over, not swallowed
                caught.append(error)
            finally:
                answered.set()

        if self._gui:
            host.result_of(careful)
        else:
            self._calls.put(careful)
            answered.wait()
        if caught:
            raise caught[0]


def _remove_unfinished(folder: str) -> None:
    """What a render that failed has left."""
    for name in os.listdir(folder):
        os.remove(os.path.join(folder, name))
    os.rmdir(folder)


def start(node: Any, plan: Plan, notes: Sequence[str] = ()) -> Job:
    """Start a render; raises Problem where the node or the folder is already being rendered.

    notes: shown in the panel at the end, beside the engine's own.
    """
    for job in _running:
        if same_node(job, node):
            raise Problem("this node is rendering already", "Wait, or press Cancel.")
        if os.path.normcase(job.plan.output) == os.path.normcase(plan.output):
            raise Problem(
                f"{job.name} is rendering into {plan.output}",
                "Give this node another 'shot folder'.",
            )
    job = Job(node, plan, notes)
    job.start()
    return job


def of_node(node: Any) -> Job | None:
    """The node's render that is under way, if any."""
    return next((job for job in _running if same_node(job, node)), None)


def same_node(job: Job, node: Any) -> bool:
    """By its name at this moment: an artist may rename a node while it renders."""
    return host.exists(job.node) and host.full_name(job.node) == host.full_name(node)


def cancel_all() -> None:
    for job in list(_running):
        job.cancel()
