"""Renders under way: one thread each, which mostly waits, so that Nuke stays free.

The thread has the main thread render one frame at a time through Nuke, then starts the job, and
passes every text for the panel to the main thread.
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
from vfxmatte_nuke.plan import Plan
from vfxmatte_nuke.problem import Cancelled, Problem
from vfxmatte_nuke.step import Step

_running: list[Render] = []  # used on the main thread alone
_POLL_SECONDS = 0.05


class Render:
    """One render of one node.

    Args:
        node: the VfxMatte node.
        plan: what to render.
        notes: shown in the panel at the end, beside the job's own.
    """

    def __init__(self, node: Any, plan: Plan, notes: Sequence[str] = ()) -> None:
        self.node, self.plan = node, plan
        self.name = host.full_name(node)
        self.done = threading.Event()
        self.problem: str | None = None
        self.failures: dict[int, str] = {}
        self._gui = host.is_gui()
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self._cancelled = threading.Event()
        self._job: Any = None
        self._counts = {"done": 0, "fresh": 0, "count": plan.last - plan.first + 1}
        self._fit: tuple[int, int] | None = None
        """Step and steps of a fit under way."""
        self._notes = list(notes)
        self._path: tuple[str, int] | None = None
        self._started = time.monotonic()
        self._text_waits = threading.Event()

    # -- on the main thread

    def start(self) -> None:
        note = self.plan.note
        self._show("Starting" + ("; Nuke renders the plate because " + note if note else ""))
        host.set_values(self.node, rendering=1)
        _running.append(self)
        threading.Thread(target=self._work, name="vfxmatte " + self.name, daemon=True).start()

    def pump(self) -> None:
        """Execute the thread's calls until the render ends; for a Nuke without an interface."""
        while not (self.done.is_set() and self._calls.empty()):
            try:
                self._calls.get(timeout=_POLL_SECONDS)()
            except queue.Empty:
                continue
            except KeyboardInterrupt:
                self.cancel()

    def cancel(self) -> None:
        """Stop soon, and return at once; finished frames stay."""
        self._cancelled.set()
        if self._job is not None:
            self._job.cancel()

    def _show(self, text: str) -> None:
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
            self._show(text)
        finally:
            self.done.set()

    def _show_results(self) -> None:
        """Point the Reads inside the node to what is on disk now."""
        if self._path is not None:
            pattern = paths.pattern_of(*self._path)
            folder, _, name = pattern.rpartition("/")
            if self.plan.shows_layers:
                pattern = self.plan.output + "/" + name
            trimaps = folder + "/trimaps/trimap" + name[len("matte") :].rpartition(".")[0] + ".png"
            first, last = self._shown_range(pattern)
            host.set_values(
                self.node, matte_file=pattern, trimap_file=trimaps, matte_first=first,
                matte_last=last, has_matte=1,
            )  # fmt: skip
        host.reload_results(self.node)

    def _shown_range(self, pattern: str) -> tuple[int, int]:
        """Return this render's range, joined with the range shown before of the same mattes."""
        names = ("matte_file", "matte_first", "matte_last", "has_matte")
        old = host.values(self.node, names)
        if not old["has_matte"] or old["matte_file"] != pattern:
            return self.plan.first, self.plan.last
        return (
            min(self.plan.first, int(old["matte_first"])),
            max(self.plan.last, int(old["matte_last"])),
        )

    # -- on the render's own thread

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
        return self._run_job()

    def _render_steps(self) -> None:
        steps = self.plan.steps
        for index, step in enumerate(steps):
            self._check_cancelled()
            text = wording.rendering(step.what, index + 1, len(steps))
            self._later(functools.partial(self._show, text))
            self._wait_for(functools.partial(self._render, step))
        painted = [step for step in steps if step.what == "trimap"]
        if painted:
            paths.drop_other_trimaps(painted[0].folder, [step.frame for step in painted])

    def _run_job(self) -> str:
        self._check_cancelled()
        vfxmatte = client.package()
        self._started = time.monotonic()
        self._job = vfxmatte.shared_client().start_run(on_event=self._event, **self.plan.request)
        if self._cancelled.is_set():
            self._job.cancel()
        try:
            totals = self._job.result()
        except vfxmatte.ClientError as error:
            if error.kind == "Cancelled":
                raise Cancelled() from error
            raise Problem(str(error)) from error
        if self.failures:
            self.problem = wording.ending(totals, self.failures, [])
        return wording.ending(totals, self.failures, self._notes)

    def _event(self, record: dict[str, Any]) -> None:
        """Take in an event; called on the client's thread."""
        kind = record.get("event")
        if kind == "start":
            self._counts["count"] = record.get("count", self._counts["count"])
        elif kind == "fit":
            step, steps = int(record["step"]), int(record["steps"])
            self._fit = (step, steps) if step < steps else None
        elif kind == "note":
            self._fit = None
            self._notes.append(str(record.get("text")))
        elif kind == "frame":
            self._frame(record)
        else:
            return
        if not self._text_waits.is_set():  # at most one text waits for the main thread
            self._text_waits.set()
            self._later(self._show_progress)

    def _frame(self, record: dict[str, Any]) -> None:
        number, error = int(record["frame"]), record.get("error")
        self._fit = None
        self._counts["done"] += 1
        self._counts["fresh"] += record.get("status") == "written"
        if record.get("path"):
            self._path = (str(record["path"]), number)
        if error:
            hint = " " + error["hint"] if error.get("hint") else ""
            text = error["message"] + "." + hint
            if record.get("subject"):
                text = "{}: {}".format(record["subject"], text)
            before = self.failures.get(number)
            self.failures[number] = before + " " + text if before else text

    def _show_progress(self) -> None:
        self._text_waits.clear()
        if self.done.is_set():
            return
        counts, seconds, fit = self._counts, time.monotonic() - self._started, self._fit
        text = wording.progress(counts["done"], counts["count"], seconds, counts["fresh"])
        if fit is not None:
            text = wording.fitting(*fit)
        lines = [text, *self._notes[-1:]]
        if self.failures:
            lines.append("failed: " + ranges_text(self.failures))
        self._show("\n".join(lines))

    def _check_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled()

    def _later(self, call: Callable[[], None]) -> None:
        if self._gui:
            host.later(call)
        else:
            self._calls.put(call)

    def _wait_for(self, call: Callable[[], None]) -> None:
        """Execute a call on the main thread and wait; its exception is raised here."""
        caught: list[BaseException] = []
        answered = threading.Event()

        def guarded() -> None:
            try:
                call()
            except BaseException as error:  # handed over, not swallowed
                caught.append(error)
            finally:
                answered.set()

        if self._gui:
            host.result_of(guarded)
        else:
            self._calls.put(guarded)
            answered.wait()
        if caught:
            raise caught[0]


def _remove_unfinished(folder: str) -> None:
    """Remove what a failed render has left."""
    for name in os.listdir(folder):
        os.remove(os.path.join(folder, name))
    os.rmdir(folder)


def start(node: Any, plan: Plan, notes: Sequence[str] = ()) -> Render:
    """Start a render; raises Problem if the node or the folder is already being rendered."""
    for render in _running:
        if same_node(render, node):
            raise Problem("this node is rendering already", "Wait, or press Cancel.")
        if os.path.normcase(render.plan.output) == os.path.normcase(plan.output):
            raise Problem(
                f"{render.name} is rendering into {plan.output}",
                "Wait for it, or give this node another 'shot folder'.",
            )
    render = Render(node, plan, notes)
    render.start()
    return render


def of_node(node: Any) -> Render | None:
    """Return the node's render under way, or None."""
    return next((render for render in _running if same_node(render, node)), None)


def same_node(render: Render, node: Any) -> bool:
    """Return True if a render is the node's, by its present name: artists rename nodes."""
    return host.exists(render.node) and host.full_name(render.node) == host.full_name(node)


def cancel_all() -> None:
    for render in list(_running):
        render.cancel()
