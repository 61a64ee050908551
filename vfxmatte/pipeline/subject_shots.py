"""A shot with several subjects as a shot for each.

    shot/trimaps/hero/trimap.1001.png    painted keyframes of one subject
    shot/matte/hero/matte.1001.exr       its mattes
    shot/garbage/hero/, core/, keys/     its own, if it has any

A trimaps/ folder with keyframes of its own has a single subject, whatever folders lie in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from vfxmatte.errors import ShotError, UsageError
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.shot_folder import SHARED_FOLDERS, SIDE_FOLDERS


def chosen(shot: Shot, names: Collection[str]) -> Shot:
    """Return the shot with these subjects alone to be matted; all of them for no name.

    Raises:
        UsageError: it has no such subject.
    """
    unknown = sorted(set(names) - set(shot.subjects))
    if not unknown:
        return replace(shot, chosen=frozenset(names))
    if not shot.subjects:
        raise UsageError(
            f"the shot has no subject {unknown[0]!r}: its keyframes lie in trimaps/ itself",
            shot=shot.name,
            hint="leave out --subject, or move the keyframes into trimaps/NAME/ for each subject",
        )
    raise UsageError(
        f"the shot has no subject {unknown[0]!r}",
        shot=shot.name,
        hint=f"its subjects are {', '.join(shot.subjects)}",
    )


def chosen_names(shot: Shot) -> list[str]:
    """Return the names of the subjects to matte, in order."""
    return [name for name in shot.subjects if not shot.chosen or name in shot.chosen]


def subject_shots(shot: Shot) -> dict[str, Shot]:
    """Return each subject with keyframes as a shot of its own, with its folder of results.

    Raises:
        ShotError: a subject that is to be matted has no keyframe.
    """
    for problem in subjects_without_keyframes(shot):
        raise problem
    return {
        name: _subject_shot(shot, name, keyframes)
        for name, keyframes in shot.subjects.items()
        if is_keyed(shot, name)
    }


def is_keyed(shot: Shot, name: str) -> bool:
    """Return True if a subject has a keyframe trimap, or finished mattes; raises UsageError."""
    return bool(shot.subjects[name]) or "keys" in _own(shot.sides_with(shot.settings), name)


def subjects_without_keyframes(shot: Shot) -> list[ShotError]:
    """Return an error for each subject that is to be matted and has no keyframe."""
    others = [f"--subject {name}" for name in shot.subjects if is_keyed(shot, name)]
    return [
        ShotError(
            f"the subject {name!r} has no keyframe trimap",
            shot=shot.name,
            path=_folder(shot.subjects, name),
            hint="paint one into this folder, or remove the folder; without it you can do the "
            f"others: {' '.join(others)}",
        )
        for name in chosen_names(shot)
        if not is_keyed(shot, name)
    ]


def one_subject(shot: Shot) -> Shot:
    """Return the shot, or its one chosen subject as a shot.

    Raises:
        UsageError: several are meant where only one can be.
    """
    if not shot.subjects:
        return shot
    names = chosen_names(shot)
    if len(names) > 1:
        raise UsageError(
            f"the shot has {len(names)} subjects, and this needs one: {', '.join(names)}",
            shot=shot.name,
            hint=f"name one: --subject {names[0]}",
        )
    return subject_shots(shot)[names[0]]


def _subject_shot(shot: Shot, name: str, keyframes: Mapping[int, Path]) -> Shot:
    return replace(
        shot,
        name=f"{shot.name}/{name}",
        keyframes=keyframes,
        subjects={},
        chosen=frozenset(),
        subject=name,
        output=shot.output / name,
        settings=subject_settings(shot.settings, name),
        sides=_own(shot.sides, name),
    )


def subject_settings(settings: RunSettings, name: str) -> RunSettings:
    """Return the settings for one of several subjects.

    Raises:
        UsageError: finished, garbage or core mattes for no subject in particular.
    """
    sides = {kind: getattr(settings, kind) for kind in SIDE_FOLDERS}
    own = _own({kind: place for kind, place in sides.items() if place is not None}, name)
    return replace(
        settings,
        keys=own.get("keys"),
        garbage=own.get("garbage"),
        core=own.get("core"),
        cleanplate=own.get("cleanplate"),
    )


def _own(sides: Mapping[str, Path], name: str) -> dict[str, Path]:
    """Return a subject's own folders of finished, garbage and core mattes, and shared ones.

    Raises:
        UsageError: there are files for no subject in particular.
    """
    shared = {kind: place for kind, place in sides.items() if kind in SHARED_FOLDERS}
    apart = {kind: place for kind, place in sides.items() if kind not in SHARED_FOLDERS}
    for kind, place in apart.items():
        if not place.is_dir() or any(path.is_file() for path in place.glob("[!.]*")):
            raise UsageError(
                f"with several subjects, {kind} mattes lie in a folder for each",
                path=place,
                hint=f"move them into {kind}/{name}/",
            )
    own = {kind: place / name for kind, place in apart.items() if (place / name).is_dir()}
    return {**own, **shared}


def _folder(subjects: Mapping[str, Mapping[int, Path]], name: str) -> Path:
    """Return the folder of a subject without keyframes, beside one that has some."""
    files = next(iter(next(keyframes for keyframes in subjects.values() if keyframes).values()))
    return files.parent.parent / name
