"""Sentences for the node's panel."""

from __future__ import annotations

from typing import Any

_LOOKALIKES = {"<": "‹", ">": "›", "[": "(", "]": ")", "$": "＄"}
_MAX_FAILURES = 5  # listed in the panel


def safe(text: str) -> str:
    """Return a text without HTML and Tcl, which a Nuke text knob would interpret."""
    return "".join(_LOOKALIKES.get(letter, letter) for letter in text)


def rendering(what: str, done: int, count: int) -> str:
    return f"Nuke renders the {what}: {done} of {count}"


def fitting(step: int, steps: int) -> str:
    return f"Fitting to the shot: step {step} of {steps}"


def progress(done: int, count: int, seconds: float, fresh: int) -> str:
    """Return the text of a render under way.

    Args:
        done, count: finished and all frames.
        seconds: time since the job started.
        fresh: how many of the finished frames were solved in that time.
    """
    if not done:
        return f"Following the keyframes through {count} frames"
    text = f"{done} of {count} frames"
    if fresh and seconds > 0:
        pace = fresh / seconds
        text += f", {pace:.2f} a second, {clock((count - done) / pace)} left"
    return text


def clock(seconds: float) -> str:
    """Format a duration as `40 s`, `3 min` or `2 h 05 min`."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else "{} h {:02d} min".format(*divmod(minutes, 60))


def ending(totals: dict[str, Any], failures: dict[int, str], notes: list[str]) -> str:
    """Return the text of a run that is over."""
    written, kept = totals.get("written", 0), totals.get("kept", 0)
    lines = [
        "{}: {} written{}{}".format(
            "Stopped" if totals.get("interrupted") else "Done",
            written,
            f", {kept} kept from before" if kept else "",
            ", {} left out".format(totals["skipped"]) if totals.get("skipped") else "",
        )
    ]
    if failures:
        lines.append(f"{len(failures)} failed:")
        numbers = sorted(failures)[:_MAX_FAILURES]
        lines += [f"frame {number}: {failures[number]}" for number in numbers]
    if totals.get("interrupted"):
        lines.append("Press Render to go on.")
    confidence = totals.get("suggested_confidence")
    if confidence is not None and confidence < 0.99:
        lines.append(
            "A further keyframe would help most on frame {}.".format(totals["suggested_keyframe"])
        )
    return "\n".join(lines + notes)
