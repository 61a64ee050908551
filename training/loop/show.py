"""What a training tells, on the screen: a bar where a person looks on, plain lines in a log."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bar,
)

from training.loop.events import Event, Progress, Validation
from vfxmatte.common.exit_codes import INTERRUPTED
from vfxmatte.errors import VfxmatteError


def show(events: Iterator[Event], console: Console, *, total: int, at: int = 0) -> None:
    """Print events until there are no more.

    total: the step at which the training ends; at: where it begins.

    Raises:
        VfxmatteError: it was interrupted (Ctrl-C).
    """
    try:
        if console.is_terminal:
            _with_bar(events, console, total, at)
        else:
            for event in events:
                console.print(line(event, total), highlight=False)
    except KeyboardInterrupt:
        stopped = VfxmatteError("stopped; the same command goes on from the last checkpoint")
        stopped.exit_code = INTERRUPTED
        raise stopped from None


def line(event: Event, total: int) -> str:
    """One event in one line."""
    if isinstance(event, Progress):
        losses = " ".join(f"{name} {value:.4f}" for name, value in event.losses.items())
        return f"step {event.step}/{total} {event.phase}: {losses} lr {event.lr:.2e} {_pace(event)}"
    if isinstance(event, Validation):
        best = ", the best so far" if event.best else ""
        return f"validation at step {event.step}: MAD {event.mad:.4f}, MSE {event.mse:.4f}{best}"
    return event


def _pace(event: Progress) -> str:
    return (
        f"{event.samples_per_second:.1f} samples/s, making data {event.data_share:.0%}, "
        f"peak {event.peak_memory_bytes / 2**30:.1f} GiB"
    )


def _with_bar(events: Iterator[Event], console: Console, total: int, at: int) -> None:
    """Progress moves the bar; all else is printed above it."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), TextColumn("{task.fields[pace]}"),
    )  # fmt: skip
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("training", total=total, completed=at, pace="")
        for event in events:
            if isinstance(event, Progress):
                doing = f"{event.phase}: loss {event.losses['loss']:.4f}"
                bar.update(task, completed=event.step, description=doing, pace=_pace(event))
            else:
                bar.console.print(line(event, total), highlight=False)
