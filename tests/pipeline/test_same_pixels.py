"""Equal fingerprints mean equal pixels: the same bytes with any number of threads, however the
frames are divided; and what decides only the file is no reason to solve again."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vfxmatte
from vfxmatte.engines.protocol import EngineSettings, Task
from vfxmatte.engines.registry import open_engine
from vfxmatte.io.stills.reading import read_image
from vfxmatte.io.writers import OutputSettings
from vfxmatte.journal.stale import written_fingerprint
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import FrameResult, Matte

SAMPLE = Path(__file__).parents[2] / "sample_shots" / "long_hair"
FRAMES = "1001-1002"
_LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@pytest.fixture(scope="module")
def short_shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames of the sample shot, so that its trimaps are followed over two frames."""
    folder = tmp_path_factory.mktemp("sample") / "long_hair"
    for number in (1001, 1002, 1003):
        for part, name in (("plate", f"plate.{number}.exr"), ("trimaps", f"trimap.{number}.png")):
            if (SAMPLE / part / name).is_file():
                (folder / part).mkdir(parents=True, exist_ok=True)
                shutil.copy2(SAMPLE / part / name, folder / part / name)
    shutil.copy2(SAMPLE / "shot.toml", folder / "shot.toml")
    return folder


def environment(threads: int | None) -> dict[str, str]:
    """All libraries' threads; None leaves them to themselves."""
    root = str(Path(vfxmatte.__file__).parents[1])
    inherited = {k: v for k, v in os.environ.items() if k not in _LIBRARIES}
    numbers = {} if threads is None else {name: str(threads) for name in _LIBRARIES}
    return {**inherited, **numbers, "PYTHONPATH": root, "OMP_WAIT_POLICY": "PASSIVE"}


def solve_apart(shot: Path, output: Path, threads: int | None, *options: str) -> dict[str, str]:
    """The mattes' files of a process of its own: names and digests of all bytes."""
    command = [sys.executable, "-m", "vfxmatte", "run", str(shot), "--output", str(output)]
    subprocess.run([*command, "--quiet", *options], check=True, env=environment(threads))
    mattes = sorted(output.glob("matte.*.exr"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in mattes}


@pytest.mark.long
def test_a_sample_shot_has_the_same_bytes_however_it_is_solved(
    short_shot: Path, tmp_path: Path
) -> None:
    """With the default weights; fingerprints stand in the files, and are compared with them."""
    frames = ("--frames", FRAMES, "--device", "cpu")
    expected = solve_apart(short_shot, tmp_path / "one", 1, *frames)
    assert len(expected) == 2
    assert solve_apart(short_shot, tmp_path / "two", 2, *frames) == expected
    assert solve_apart(short_shot, tmp_path / "unset", None, *frames) == expected
    crew = ("--frames", FRAMES, "--device", "cpu,cpu")
    assert solve_apart(short_shot, tmp_path / "crew", None, *crew) == expected
    for threads, frame in ((2, "1001"), (3, "1002")):
        chunk = ("--frames", frame, "--device", "cpu", "--chunk")
        chunks = solve_apart(short_shot, tmp_path / "chunks", threads, *chunk)
    assert chunks == expected


# -- parts of the way, cheaply ---------------------------------------------------------------------

_PARTS = """
import hashlib, sys
import numpy as np
from vfxmatte.propagation.colour_lines import ColourLineSettings, solve_band
from vfxmatte.propagation.keyframe_matte import KeyframeMatteSettings, keyframe_matte
rng = np.random.default_rng(3)
picture = rng.integers(0, 256, (240, 320, 3), np.uint8)
labels = np.full((240, 320), 128, np.uint8)
labels[:, :20], labels[:, -20:] = 0, 255
guess = rng.random((240, 320), np.float32)
found = [
    solve_band(picture, labels, guess, 0.01, ColourLineSettings()),
    keyframe_matte(labels, picture, KeyframeMatteSettings()),
]
for part in found:
    print(hashlib.sha256(part.tobytes()).hexdigest())
"""

_ENGINES = """
import hashlib, sys
import numpy as np
import torch
from vfxmatte.engines.protocol import EngineSettings, Task
from vfxmatte.engines.registry import open_engine
from vfxmatte.types import Trimap
rng = np.random.default_rng(3)
picture = rng.random((200, 260, 3), np.float32)
labels = np.full((200, 260), 128, np.uint8)
labels[:, :60], labels[:, -60:] = 0, 255
trimap = Trimap(number=1, labels=labels, is_keyframe=True)
for name in sys.argv[1:]:
    engine = open_engine(EngineSettings(name=name))
    (matte,) = engine.mattes([Task(image=picture, trimap=trimap)])
    print(name, hashlib.sha256(matte.alpha.tobytes()).hexdigest())
"""


def printed(code: str, threads: int | None, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, check=True, env=environment(threads), capture_output=True)
    return done.stdout.decode()


def test_rough_mattes_do_not_depend_on_threads() -> None:
    assert printed(_PARTS, 1) == printed(_PARTS, 2) == printed(_PARTS, 3)


@pytest.mark.long
def test_classical_engines_do_not_depend_on_threads() -> None:
    pytest.importorskip("pymatting")
    pytest.importorskip("sklearn")
    names = ("closed-form", "knn", "gmm", "kmeans")
    assert printed(_ENGINES, 1, *names) == printed(_ENGINES, 2, *names)


@pytest.fixture
def torch_threads() -> Iterator[Any]:
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_the_prior_in_torch_does_not_depend_on_threads(torch_threads: Any) -> None:
    """Its solver, on a chain that is long enough for torch to divide a sum."""
    import torch

    from vfxmatte.prior.torchscript_prior import _solved

    count = 70_000
    first = torch.arange(count - 1)
    rows, columns = torch.cat((first, first + 1)), torch.cat((first + 1, first))
    random = torch.from_numpy(np.random.default_rng(1).random((2, count)))
    values, start = random[0, :-1].repeat(2), random[1]
    unknown, known = torch.ones(count, dtype=torch.bool), torch.zeros_like(start)
    functions, blocks = random.repeat(2, 1).t(), 8 * torch.arange(count) // count
    factor = torch.linalg.cholesky(count * torch.eye(32, dtype=torch.float64))
    found = []
    for threads in (1, 2, 3):
        torch_threads(threads)
        solved = _solved(
            rows, columns, values, unknown, torch.arange(count), known,
            functions, blocks, factor, start, 1e-12, 12,
        )  # fmt: skip
        found.append(solved.numpy().tobytes())
    assert len(set(found)) == 1


def test_a_last_layer_with_one_channel_does_not_depend_on_threads(torch_threads: Any) -> None:
    """The refinement's: a product with a single column is what BLAS divides first."""
    import torch
    from torch import nn

    from vfxmatte.network.dim_at_pixels import _Layer

    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        layer = _Layer(nn.Conv2d(64, 1, 3))
        for rows in (500, 1000, 3000):
            gathered = torch.randn(rows, 9 * 64)
            found = []
            for count in (1, 2, 3):
                torch_threads(count)
                found.append(layer._product(gathered).numpy().tobytes())
            assert len(set(found)) == 1


def test_pieces_of_any_size_give_the_same_pixels(tiny_weights: Path) -> None:
    labels = np.full((160, 200), 128, np.uint8)
    labels[:, :40], labels[:, -40:] = 0, 255
    image = np.random.default_rng(2).random((160, 200, 3), np.float32)
    trimap = vfxmatte.types.Trimap(number=1, labels=labels, is_keyframe=True)
    found = []
    for most_px in (None, 12_000):
        engine = open_engine(
            EngineSettings(weights=tiny_weights, device="cpu", max_window_px=most_px)
        )
        (matte,) = engine.mattes([Task(image=image, trimap=trimap)])
        found.append(matte.alpha.tobytes())
    assert found[0] == found[1]


def test_windows_say_what_their_last_bits_depend_on(tiny_weights: Path) -> None:
    exact = EngineSettings(weights=tiny_weights, device="cpu")
    described = [
        open_engine(replace(exact, mode=mode)).describe()  # type: ignore[arg-type]
        for mode in ("exact", "windows", "dense")
    ]
    assert described[0] != described[1] != described[2] and "threads" not in described[0]
    assert described[1]["mode"] == "windows" and described[1]["threads"] > 0


# -- what decides only the file --------------------------------------------------------------------


class Counting:
    """An engine that counts what it solves; its alpha needs more than half precision."""

    device = "cpu"

    def __init__(self) -> None:
        self.solved: list[int] = []

    def describe(self) -> Mapping[str, Any]:
        return {"engine": "counting"}

    def mattes(self, tasks: Any) -> Iterator[Matte]:
        for task in tasks:
            self.solved.append(task.number)
            alpha = task.image[:, :, 0].clip(0, 1) * np.float32(0.7777)
            yield Matte(number=task.number, alpha=np.ascontiguousarray(alpha))

    def close(self) -> None:
        return


def results_of(
    shot: Path, output: Path, *, chunk: bool = False, **settings: Any
) -> tuple[list[FrameResult], list[int]]:
    """The results, and what had to be solved."""
    opened = Shot.open(shot, output=output)
    chosen = RunSettings(output=OutputSettings(**settings))
    engine = Counting()
    with Run(opened, chosen, engine=engine, chunk=chunk) as prepared:
        return list(prepared.frames()), engine.solved


def channels(path: Path) -> dict[str, bytes]:
    image = read_image(path)
    alpha = image.alpha if image.alpha is not None else image.pixels[:, :, -1]
    return {"A": alpha.tobytes(), "all": image.pixels.tobytes()}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"compression": "zips"}),
        ({"compression": "dwaa"}, {"compression": "piz"}),
        ({}, {"attributes": {"vfxmatte/note": "for the client"}}),
        ({}, {"rgba": "premultiplied"}),
        ({"rgba": "premultiplied"}, {"rgba": "straight"}),
        ({"pixel_type": "float"}, {"pixel_type": "half"}),
        ({"pixel_type": "float", "compression": "dwaa"}, {"pixel_type": "float"}),
        ({"pixel_type": "float"}, {"format": "png"}),
        ({"format": "png"}, {"format": "tiff"}),
    ],
)
def test_another_file_of_the_same_alpha_is_not_solved(
    tiny_shot: Path, tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """And it is the very file that solving would have written."""
    assert len(results_of(tiny_shot, tmp_path / "a", **before)[1]) == 5
    results, solved = results_of(tiny_shot, tmp_path / "a", **after)
    assert solved == [] and [result.status for result in results] == ["written"] * 5
    assert "confidence" in results[0].stats
    results_of(tiny_shot, tmp_path / "b", **after)
    for result in results:
        assert result.path is not None
        same = tmp_path / "b" / result.path.name
        assert channels(result.path) == channels(same)
        assert written_fingerprint(result.path) == written_fingerprint(same)
    again, solved = results_of(tiny_shot, tmp_path / "a", **after)
    assert solved == [] and [result.status for result in again] == ["kept"] * 5


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"pixel_type": "float"}),
        ({}, {"format": "png"}),
        ({"format": "tiff"}, {}),
    ],
)
def test_more_than_the_file_holds_is_solved(
    tiny_shot: Path, tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    results_of(tiny_shot, tmp_path / "a", **before)
    assert len(results_of(tiny_shot, tmp_path / "a", **after)[1]) == 5


def test_a_damaged_or_missing_matte_is_solved_again(tiny_shot: Path, tmp_path: Path) -> None:
    results, _ = results_of(tiny_shot, tmp_path)
    paths = [result.path for result in results if result.path is not None]
    paths[0].unlink()
    size = paths[2].stat().st_size
    paths[2].write_bytes(b"x" * size)
    again, solved = results_of(tiny_shot, tmp_path, compression="zips")
    assert solved == [1001, 1002, 1003, 1004, 1005]  # all others are seen by 1003
    assert {result.status for result in again} == {"written"} and len(again) == 5


def test_chunks_write_anew_without_solving(tiny_shot: Path, tmp_path: Path) -> None:
    results_of(tiny_shot, tmp_path)
    results, solved = results_of(tiny_shot, tmp_path, chunk=True, compression="zips")
    assert solved == [] and len(results) == 5
    assert results_of(tiny_shot, tmp_path, compression="zips")[0][0].status == "kept"


def test_a_journal_from_before_leads_to_solving(tiny_shot: Path, tmp_path: Path) -> None:
    """Its records name one fingerprint for all and do not say how a file holds alpha."""
    results_of(tiny_shot, tmp_path)
    journal = tmp_path / ".vfxmatte" / "journal.jsonl"
    text = journal.read_text(encoding="utf-8").replace('"alpha": "half", ', "")
    journal.write_text(text, encoding="utf-8")
    assert len(results_of(tiny_shot, tmp_path, compression="zips")[1]) == 5


def test_check_says_what_needs_no_solving(tiny_shot: Path) -> None:
    from click.testing import CliRunner

    from vfxmatte.cli.group import commands

    engine = ["--engine", "trimap"]
    assert CliRunner().invoke(commands, ["run", str(tiny_shot), *engine]).exit_code == 0
    output = ["--compression", "zips"]
    result = CliRunner().invoke(commands, ["check", str(tiny_shot), *engine, *output])
    assert "5 of them without solving: only the file changes" in result.output
