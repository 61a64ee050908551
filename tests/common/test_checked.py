"""Every number of every setting has its range, nested ones too, wherever it is set from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from click.testing import CliRunner

from training.config import TrainConfig
from training.portraits.config import PortraitTraining
from training.recipes import RECIPES
from vfxmatte.cli import commands
from vfxmatte.common.checked import Allowed, Checked, allowed_of, limited
from vfxmatte.common.configuration import changed
from vfxmatte.errors import TrainingError, UsageError, VfxmatteError
from vfxmatte.io.writers import OutputSettings
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.propagation.two_directions import MergeSettings


def numbers_of(settings: Any, within: str = "") -> Iterator[tuple[str, type, str]]:
    """(dotted name, the dataclass that has it, its own name) of every number, nested ones too."""
    hints = get_type_hints(type(settings))
    for one in dataclasses.fields(settings):
        value, name = getattr(settings, one.name), f"{within}{one.name}"
        if dataclasses.is_dataclass(value) and not hasattr(value, "parse"):
            yield from numbers_of(value, f"{name}.")
        elif hints[one.name] in (int, float, int | None, float | None):
            yield name, type(settings), one.name


RUN = list(numbers_of(RunSettings()))
# Not of networks: `DimConfig` checks itself.
TRAINING = [
    row
    for base in (TrainConfig(), PortraitTraining())
    for row in numbers_of(base)
    if not row[0].startswith("network.")
]


def test_every_nested_dataclass_of_settings_is_checked() -> None:
    kinds = {kind for _, kind, _ in (*RUN, *TRAINING)}
    assert len(kinds) >= 12 and all(issubclass(kind, Checked) for kind in kinds)
    free = {name for name, kind, own in (*RUN, *TRAINING) if allowed_of(kind, own) == Allowed()}
    assert free == set()


def beyond(kind: type, own: str) -> list[float]:
    """Values just outside of the range, and one that is no number."""
    allowed = allowed_of(kind, own)
    whole = get_type_hints(kind)[own] in (int, int | None)
    step = 1 if whole else 1e-3
    found = [] if whole else [math.nan, math.inf]
    found += [] if allowed.at_least is None else [allowed.at_least - step]
    found += [] if allowed.above is None else [allowed.above]
    found += [] if allowed.at_most is None else [allowed.at_most + step]
    found += [] if allowed.below is None else [allowed.below]
    return [int(value) if whole else value for value in found]


def nest(name: str, value: Any) -> dict[str, Any]:
    for part in reversed(name.split(".")):
        value = {part: value}
    return dict(value)


@pytest.mark.parametrize(("name", "kind", "own"), RUN, ids=lambda row: str(row))
def test_a_value_out_of_range_is_refused_by_name_value_and_range(
    name: str, kind: Any, own: str
) -> None:
    values = beyond(kind, own)
    assert values
    for value in values:
        says = f"{own} must be {allowed_of(kind, own)}, found {value!r}"
        with pytest.raises(UsageError) as told:
            changed(RunSettings(), nest(name, value), path=Path("shot.toml"))
        assert told.value.what == f"{name.removesuffix(own)}{says}" and told.value.path
        with pytest.raises(UsageError) as made:
            kind(**{own: value})
        assert made.value.what == says


@pytest.mark.parametrize(("name", "kind", "own"), TRAINING, ids=lambda row: str(row))
def test_settings_of_training_likewise(name: str, kind: Any, own: str) -> None:
    base = PortraitTraining() if hasattr(PortraitTraining(), name.split(".")[0]) else TrainConfig()
    for value in beyond(kind, own):
        with pytest.raises(TrainingError, match=f"{own} must be"):
            changed(base, nest(name, value), error=TrainingError)
        with pytest.raises(TrainingError, match=f"{own} must be"):
            kind(**{own: value})


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_recipes_are_in_range(recipe: str) -> None:
    assert RECIPES[recipe].config().total_steps >= 0


@dataclass(frozen=True, kw_only=True)
class _Sample(Checked):
    share: float = limited(0.5, at_least=0, at_most=1)
    count: int | None = limited(None, at_least=1)
    loud: bool = False


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"share": "half"}, "share must be a number, found 'half'"),
        ({"share": True}, "share must be a number, found True"),
        ({"share": None}, "share must be a number, found None"),
        ({"count": 1.0}, "count must be a whole number, found 1.0"),
        ({"count": 0}, "count must be 1 or more, found 0"),
        ({"loud": 1}, "loud must be true or false, found 1"),
    ],
)
def test_other_kinds_are_refused_in_words(values: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        _Sample(**values)
    assert caught.value.what == says
    assert _Sample(share=1, count=3).count == 3


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"engine": "knn"}, 'write `[engine]` and under it `name = "knn"`'),
        ({"engine": "fast"}, 'write `[engine]` and under it `mode = "fast"`'),
        ({"output": "png"}, 'write `[output]` and under it `format = "png"`'),
        ({"propagation": "medium"}, 'write `[propagation]` and under it `preset = "medium"`'),
        ({"engine": {"classical": "display"}},
         'write `[engine.classical]` and under it `light = "display"`'),
        ({"propagation": {"meeting": 3}}, "settings of 'propagation.meeting': growth_px, "),
        ({"engine": ["dim"]}, "settings of 'engine': name, weights"),
    ],
)  # fmt: skip
def test_a_value_in_a_table_s_place_is_answered_with_what_to_write(
    wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        changed(RunSettings(), wrong, path=Path("shot.toml"))
    assert says in str(caught.value.hint)
    with pytest.raises(UsageError) as option:
        changed(RunSettings(), {"engine": "knn"})
    assert option.value.hint == "write engine.name=knn"


def wrongs(settings: Any = None) -> Iterator[tuple[dict[str, Any], str]]:
    """A value of a wrong kind for every setting, nested ones too."""

    class Odd:
        def __repr__(self) -> str:
            return "ODD"

    def walk(current: Any, within: str) -> Iterator[str]:
        for one in dataclasses.fields(current):
            yield f"{within}{one.name}"
            value = getattr(current, one.name)
            if dataclasses.is_dataclass(value):
                yield from walk(value, f"{within}{one.name}.")

    for name in walk(settings, ""):
        yield nest(name, Odd()), name


@pytest.mark.parametrize("base", [RunSettings(), TrainConfig(), PortraitTraining()])
def test_no_class_name_is_ever_in_a_message(base: Any) -> None:
    names = [kind.__name__ for kind in Checked.__subclasses__()]
    names += ["FrameRange", "DimConfig", "PortraitConfig", "NoneType", "typing", "<class"]
    for record, name in wrongs(base):
        with pytest.raises(VfxmatteError) as caught:
            changed(base, record)
        assert name in str(caught.value) and not any(one in str(caught.value) for one in names)


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({"name": "a", "trains": "all", "lr": 1, "step": 3}, "no setting 'phases.step'"),
        ({"name": "a", "lr": 1}, "'phases' lacks trains"),
        ({"name": "a", "trains": "none", "lr": 1}, "setting 'phases.trains' wants 'stage1'"),
        ({"name": "a", "trains": "all", "lr": 1, "warmup": -1}, "phases.warmup must be 0 or more"),
        (7, "'phases' wants tables"),
    ],
)
def test_tables_in_a_list_are_read_as_strictly(item: Any, says: str) -> None:
    with pytest.raises(TrainingError, match=says) as caught:
        changed(TrainConfig(), {"phases": [item]}, error=TrainingError)
    assert "Phase" not in str(caught.value)


MISTAKES = [
    ("propagation.meeting.gap_at_half_px", "0"),
    ("propagation.tightening.core_px", "-5"),
    ("workers", "-1"),
    ("fps", "0"),
    ("fps", "nan"),
    ("missing", '"guess"'),
    ("engine", '"knn"'),
    ("engine.batch", "0"),
    ("engine.mode", '"sparse"'),
    ("engine.weigths", '"a"'),
    ("output.format", '"gif"'),
    ("frames", '"9-1"'),
    ("keyframe_growth", "inf"),
]


@pytest.mark.parametrize(("key", "value"), MISTAKES)
@pytest.mark.parametrize("command", ["run", "check", "evaluate", "merge"])
def test_the_same_mistake_has_the_same_exit_code(
    tiny_shot: Path, command: str, key: str, value: str
) -> None:
    option = CliRunner().invoke(commands, [command, str(tiny_shot), "--set", f"{key}={value}"])
    (tiny_shot / "shot.toml").write_text(f"{key} = {value}\n", encoding="utf-8")
    told = CliRunner().invoke(commands, [command, str(tiny_shot)])
    assert (option.exit_code, told.exit_code) == (2, 2), told.output
    assert "shot.toml" in told.output and key.split(".")[0] in told.output


def test_options_that_clash_are_wrong_use_in_python_too() -> None:
    with pytest.raises(UsageError, match="RGBA cannot be written as png"):
        OutputSettings(format="png", rgba="straight")
    with pytest.raises(UsageError, match="missing must be 'error' or 'hold' or 'skip'"):
        RunSettings(missing="guess")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="gap_at_half_px must be above 0, found 0"):
        MergeSettings(gap_at_half_px=0)
