"""`vfxmatte-train foreground`: measure foreground colours against true ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from training.elements.pack import read_pack
from training.measure.foreground import (
    GROUNDS,
    METHODS,
    Case,
    Errors,
    Method,
    boiling,
    measure,
    pack_cases,
    seconds_of_a_frame,
    shot_cases,
)
from training.measure.sheet import Picture, save_sheet
from vfxmatte.colour import encode_for_network
from vfxmatte.errors import TrainingError

_MOST_ROWS = 12
_DETAIL_PX = 256


@click.command()
@click.argument("sets", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--per-element", default=1, show_default=True, type=click.IntRange(1),
              help="Backgrounds for each held-out element of a pack.")  # fmt: skip
@click.option("--seed", default=7, show_default=True, help="Of a pack's composites.")
@click.option("--time/--no-time", "timed", default=True, help="Also time a 1080p frame.")
@click.option("--boil/--no-boil", default=True, help="Also measure whole shots in motion.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all figures.")
@click.option("--sheet", "sheet_path", type=click.Path(path_type=Path),
              help="Write a PNG of composites over a saturated green.")  # fmt: skip
def foreground(
    sets: tuple[Path, ...],
    per_element: int,
    seed: int,
    timed: bool,
    boil: bool,
    json_path: Path | None,
    sheet_path: Path | None,
) -> None:
    """Measure foreground colours: the plate's own, vfxmatte's, and PyMatting's if installed.

    SETS are packs (their held-out elements, composited) and shots with plate/, alpha/ and, of some
    frames, foreground/. The figures are mean CIEDE2000 differences between composites with the true
    alpha over black, white, mid grey and green: over the band, and where alpha is partial. Boil is
    the change from frame to frame along the motion.
    """
    methods = _methods()
    figures: dict[str, dict[str, Errors]] = {}
    rows: list[list[Picture]] = []
    for path in sets:
        cases = list(_cases(path, per_element, seed))
        figures[path.stem] = measure(cases, methods)
        if boil and path.is_dir():
            for name, method in methods.items():
                figures[path.stem][name].boil = boiling(path, method)
        if sheet_path is not None:
            chosen = cases[:: max(1, len(cases) * len(sets) // _MOST_ROWS)]
            rows += [_row(case, methods) for case in chosen]
    seconds = {n: seconds_of_a_frame(m) for n, m in methods.items() if timed and n != "plate"}
    Console().print(_table(figures, seconds))
    if json_path is not None:
        plain = {s: {n: asdict(e) for n, e in of_set.items()} for s, of_set in figures.items()}
        json_path.write_text(json.dumps({"sets": plain, "seconds": seconds}, indent=1), "utf-8")
    if sheet_path is not None:
        save_sheet(sheet_path, rows, titles=("plate", *methods, "truth"), cell_px=_DETAIL_PX)


def _methods() -> dict[str, Method]:
    try:
        import pymatting  # noqa: F401
    except ImportError:
        return {name: method for name, method in METHODS.items() if name != "pymatting"}
    return METHODS


def _cases(path: Path, per_element: int, seed: int) -> Iterator[Case]:
    if path.is_file():
        return pack_cases(read_pack(path).validation(), per_element=per_element, seed=seed)
    if not (path / "foreground").is_dir():
        raise TrainingError(
            "there is no true foreground", path=path / "foreground",
            hint="give a pack, or a shot with plate/, alpha/ and foreground/",
        )  # fmt: skip
    return shot_cases(path)


def _row(case: Case, methods: dict[str, Method]) -> list[Picture]:
    """Draw the softest part of a picture: the plate, and its composites over green."""
    soft = cv2.boxFilter(case.soft.astype(np.float32), -1, (_DETAIL_PX // 2, _DETAIL_PX // 2))
    height, width = soft.shape
    row, column = np.unravel_index(int(soft.argmax()), soft.shape)
    top = int(np.clip(row - _DETAIL_PX // 2, 0, max(0, height - _DETAIL_PX)))
    left = int(np.clip(column - _DETAIL_PX // 2, 0, max(0, width - _DETAIL_PX)))
    part = slice(top, top + _DETAIL_PX), slice(left, left + _DETAIL_PX)
    share = case.alpha[part][:, :, None]
    behind = (1 - share) * np.array(GROUNDS["green"], np.float32)
    colours: list[Any] = [method(case.plate, case.alpha)[part] for method in methods.values()]
    colours.append(case.truth[part])
    return [_displayed(case.plate[part]), *(_displayed(share * one + behind) for one in colours)]


def _displayed(linear: Any) -> Picture:
    return np.asarray(np.clip(encode_for_network(linear), 0, 1))


def _table(figures: dict[str, dict[str, Errors]], seconds: dict[str, float]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("set", "colour", "ΔE band", "ΔE soft", "of the plate's", "boil", "s a frame"):
        table.add_column(name, justify="left" if name in ("set", "colour") else "right")
    for set_name, of_set in figures.items():
        plate = float(np.mean(of_set["plate"].band))
        for name, errors in of_set.items():
            band, soft = float(np.mean(errors.band)), float(np.mean(errors.soft))
            boil = "" if errors.boil is None else f"{errors.boil:.4f}"
            time = f"{seconds[name]:.2f}" if name in seconds else ""
            cells = (f"{band:.2f}", f"{soft:.2f}", f"{band / plate:.0%}", boil, time)
            table.add_row(f"{set_name} ({len(errors.band)})", name, *cells)
    return table
