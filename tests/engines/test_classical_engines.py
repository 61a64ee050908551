"""Classical engines: PyMatting's results, pieces, clusters, light, and what cannot be solved."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pymatting
import pytest
import scipy.sparse
from click.testing import CliRunner, Result

from tests.conftest import tiny_alpha, tiny_plate
from vfxmatte.cli import commands
from vfxmatte.colour import encode_for_network
from vfxmatte.engines.answers import solve_one
from vfxmatte.engines.classical import optional, pieces
from vfxmatte.engines.classical.light import in_light
from vfxmatte.engines.classical.linear_system import solve
from vfxmatte.engines.classical.settings import ClassicalSettings
from vfxmatte.engines.protocol import EngineSettings, Task, known_alpha
from vfxmatte.engines.registry import open_engine
from vfxmatte.errors import SolveError, UsageError
from vfxmatte.pipeline.frame import FrameState
from vfxmatte.pipeline.plan import requested_engine
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.stages import solve as solve_stage
from vfxmatte.review.metrics import matte_errors
from vfxmatte.trimaps import from_matte
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels, Matte, Trimap

LAPLACIANS = ("closed-form", "knn")
CLUSTERS = ("gmm", "kmeans")
SOLVERS = (*LAPLACIANS, *CLUSTERS)


def disc(number: int = 1) -> Task:
    """The tiny shot's first frame with a band of 4 px around its soft edge."""
    labels = from_matte(tiny_alpha(0), erode_px=4, dilate_px=4)
    trimap = Trimap(number=number, labels=labels, is_keyframe=True)
    return Task(image=encode_for_network(tiny_plate(0)).astype(np.float32), trimap=trimap)


def with_labels(image: FloatImage, labels: Labels) -> Task:
    return Task(image=image, trimap=Trimap(number=7, labels=labels, is_keyframe=True))


def matte_of(name: str, one: Task, *, most_px: int | None = None, **told: Any) -> Matte:
    settings = EngineSettings(name=name, max_window_px=most_px, classical=ClassicalSettings(**told))
    return solve_one(open_engine(settings), one)


def halves(left: Sequence[float], right: Sequence[float], *, band: int = 8) -> Task:
    """Foreground of one colour beside background of another, the band between them mixed."""
    alpha = np.clip((28 + band / 2 - np.arange(56)) / band, 0, 1)[None, :, None].repeat(40, axis=0)
    picture = alpha * np.array(left) + (1 - alpha) * np.array(right)
    labels = np.full((40, 56), UNKNOWN, np.uint8)
    labels[:, :20], labels[:, 36:] = FOREGROUND, BACKGROUND
    return with_labels(encode_for_network(picture).astype(np.float32), labels)


# -- what they give -------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "most"), [("closed-form", 0.25), ("knn", 0.35), ("gmm", 0.6)])
def test_they_are_nearer_to_the_truth_than_the_trimap(name: str, most: float) -> None:
    one, truth = disc(), tiny_alpha(0)
    labels = one.trimap.labels
    trimap = matte_errors(matte_of("trimap", one).alpha, truth, labels).mad
    assert matte_errors(matte_of(name, one).alpha, truth, labels).mad < most * trimap


def test_closed_form_is_pymatting_s_own() -> None:
    one = disc()
    labels = one.trimap.labels
    values = np.select([labels == BACKGROUND, labels == UNKNOWN], [0.0, 0.5], 1.0)
    picture = in_light(one.image, "linear")
    with pytest.warns(UserWarning, match=r"should be in \[0, 1\]"):
        expected = pymatting.estimate_alpha_cf(picture, values)
    np.testing.assert_allclose(matte_of("closed-form", one).alpha, expected, atol=1e-3)


def test_knn_is_near_pymatting_s_own() -> None:
    """Which knows every pixel of the picture, and the known ones only nearly."""
    one = disc()
    labels = one.trimap.labels
    values = np.select([labels == BACKGROUND, labels == UNKNOWN], [0.0, 0.5], 1.0)
    with pytest.warns(UserWarning, match=r"should be in \[0, 1\]"):
        expected = pymatting.estimate_alpha_knn(in_light(one.image, "linear"), values)
    assert np.abs(matte_of("knn", one).alpha - expected).mean() < 0.01


@pytest.mark.parametrize("name", SOLVERS)
def test_light_decides_and_is_told(name: str) -> None:
    """A ramp in linear light is a ramp in alpha where it is solved in linear light."""
    one = halves((0.9, 0.8, 0.7), (0.02, 0.03, 0.1))
    linear, display = (matte_of(name, one, light=light).alpha for light in ("linear", "display"))
    assert np.abs(linear - display).max() > 0.05
    settings = EngineSettings(name=name, classical=ClassicalSettings(light="display"))
    assert open_engine(settings).describe()["light"] == "display"
    assert (
        open_engine(replace(settings, classical=ClassicalSettings())).describe()["light"]
        == "linear"
    )


def test_in_linear_light_a_linear_mix_is_found_exactly() -> None:
    one = halves((0.9, 0.8, 0.7), (0.02, 0.03, 0.1))
    truth = np.clip((32 - np.arange(56)) / 8, 0, 1)[None].repeat(40, axis=0)
    error = np.abs(matte_of("closed-form", one).alpha - truth)
    assert error.max() < 0.01
    assert np.abs(matte_of("closed-form", one, light="display").alpha - truth).max() > 0.02


def test_highlights_are_compressed_and_stay_apart() -> None:
    values = np.array([0, 0.001, 0.5, 1.0, 2.0, 10.0, 100.0], np.float32)
    image = encode_for_network(values)[:, None, None].repeat(3, axis=2)
    seen = in_light(image, "linear")[:, 0, 0]
    np.testing.assert_allclose(seen[:4], values[:4], atol=1e-6)
    np.testing.assert_allclose(seen[4:], 2 - 1 / values[4:], atol=1e-4)
    assert (np.diff(in_light(image, "display")[:, 0, 0]) > 0).all()
    assert in_light(np.full((1, 1, 3), -0.05, np.float32), "linear").max() == 0


# -- one side missing, odd pictures ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["trimap", *SOLVERS])
def test_without_one_side_the_answer_is_the_other(name: str) -> None:
    one = disc()
    labels = np.full_like(one.trimap.labels, UNKNOWN)
    labels[0] = BACKGROUND
    assert not matte_of(name, with_labels(one.image, labels)).alpha.any()
    labels[0] = FOREGROUND
    assert matte_of(name, with_labels(one.image, labels)).alpha.all()


@pytest.mark.parametrize("name", SOLVERS)
def test_single_colours_and_a_single_known_pixel(name: str) -> None:
    one = halves((1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    assert matte_of(name, one, clusters=8).alpha[:, 20:24].min() > 0.6
    flat = with_labels(np.full((40, 56, 3), 0.5, np.float32), one.trimap.labels)
    alpha = matte_of(name, flat).alpha
    assert np.isfinite(alpha).all()
    if name in CLUSTERS:  # nothing tells the sides apart
        np.testing.assert_allclose(alpha[:, 20:36], 0.5, atol=0.01)
    labels = np.full((40, 56), UNKNOWN, np.uint8)
    labels[0, 0], labels[-1, -1] = FOREGROUND, BACKGROUND
    few = matte_of(name, with_labels(one.image, labels), clusters=5)
    assert few.alpha[20, 2] > few.alpha[20, -2]
    if name in CLUSTERS:
        assert few.stats["foreground_clusters"] == 1


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("shape", [(1, 9), (2, 9), (9, 2), (3, 3), (1, 3)])
def test_very_small_pictures(name: str, shape: tuple[int, int]) -> None:
    labels = np.full(shape, UNKNOWN, np.uint8)
    labels.flat[0], labels.flat[-1] = FOREGROUND, BACKGROUND
    image = np.random.default_rng(3).random((*shape, 3), np.float32)
    alpha = matte_of(name, with_labels(image, labels)).alpha
    assert alpha.flat[0] == 1 and alpha.flat[-1] == 0 and np.isfinite(alpha).all()


def test_pixels_that_are_like_no_known_one_are_joined_to_the_nearest() -> None:
    """A patch of a colour of its own: its pixels have one another as nearest neighbours, and no
    equation would tell of either side."""
    one = halves((0.9, 0.1, 0.1), (0.1, 0.1, 0.2))
    image = one.image.copy()
    image[5:35, 21:27] = (0.95, 0.75, 0.3)
    alpha = matte_of("knn", with_labels(image, one.trimap.labels)).alpha
    np.testing.assert_allclose(alpha[10:30, 22:26], 1.0, atol=1e-3)


# -- pieces ---------------------------------------------------------------------------------------


def large() -> Task:
    """A wavy outline across 400×300 px, mixed in linear light over textures."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:300, 0:400]
    alpha = np.clip((x - 200 - 60 * np.sin(y / 30)) / 20 + 0.5, 0, 1)[..., None]
    noise = random.normal(0, 0.01, (300, 400, 3))
    picture = alpha * (0.8, 0.5, 0.1) + (1 - alpha) * (0.05, 0.2, 0.4) + noise
    labels = from_matte(alpha[..., 0].astype(np.float32), erode_px=12, dilate_px=12)
    return with_labels(encode_for_network(picture.clip(0)).astype(np.float32), labels)


@pytest.mark.parametrize(("name", "far"), [("closed-form", 0.1), ("knn", 0.25)])
def test_pieces_are_told_near_the_whole_and_without_a_seam(name: str, far: float) -> None:
    one = large()
    whole, pieced = matte_of(name, one), matte_of(name, one, most_px=5000)
    assert whole.stats["pieces"] == 1 and pieced.stats["pieces"] > 1
    assert 0 <= pieced.stats["solver_residual"] <= 1e-5
    unknown = one.trimap.labels == UNKNOWN
    difference = np.where(unknown, pieced.alpha - whole.alpha, 0)
    assert np.abs(difference)[unknown].mean() < far / 5
    both = unknown[:, 1:] & unknown[:, :-1]
    assert np.abs(np.diff(difference, axis=1)[both]).max() < far
    settings = EngineSettings(name=name, max_window_px=5000)
    assert open_engine(settings).describe()["most_px"] == 5000


def test_pieces_are_said_aloud(tiny_shot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "OVERLAP_PX", 4)
    monkeypatch.setattr(pieces, "_SMALLEST_CORE_PX", 12)
    few = ["--set", "engine.max_window_px=100"]
    arguments = [str(tiny_shot), *few, "--frames", "1002-1003"]
    run = CliRunner().invoke(commands, ["run", *arguments, "--engine", "closed-form"])
    assert run.exit_code == 0 and run.output.count("too large to be solved at once") == 1
    assert "frame 1002" in run.output
    compared = CliRunner().invoke(commands, ["compare", *arguments, "--engines", "knn,trimap"])
    assert compared.exit_code == 0, compared.output
    assert "knn: frames 1002-1003 were too large to be solved at once" in compared.output


# -- solvers that fail ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAPLACIANS)
def test_a_solver_that_does_not_converge_says_so_with_its_residual(name: str) -> None:
    one = replace(large(), trimap=replace(large().trimap, number=1042))
    with pytest.raises(
        SolveError, match=r"did not converge: residual \d\.\de.* after 1 steps"
    ) as e:
        matte_of(name, one, iterations=1, tolerance=1e-9)
    assert e.value.frame == 1042 and "engine.classical.iterations" in str(e.value.hint)


def test_equations_without_an_answer_are_refused() -> None:
    matrix = scipy.sparse.csr_matrix(np.array([[1.0, -1.0], [-1.0, 1.0]]))
    with pytest.raises(SolveError, match="did not converge"):
        solve(matrix, np.array([1.0, 1.0]), lambda _: lambda v: v, ClassicalSettings())
    nothing = solve(matrix, np.zeros(2), lambda _: lambda v: v, ClassicalSettings())
    assert not nothing.values.any() and nothing.residual == 0


def test_a_run_names_the_frames_that_do_not_converge(tiny_shot: Path) -> None:
    run = ["run", str(tiny_shot), "--engine", "knn", "--json"]
    result = CliRunner().invoke(commands, [*run, "--set", "engine.classical.iterations=1"])
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    frames = [line for line in lines if line["event"] == "frame"]
    assert result.exit_code == 3 and len(frames) == 5
    for frame in frames:
        assert frame["status"] == "failed" and frame["error"]["kind"] == "SolveError"
        assert frame["error"]["frame"] == frame["frame"] and frame["error"]["shot"] == "tiny shot"
    assert not list((tiny_shot / "matte").glob("*.exr"))


def test_the_solver_s_figures_are_told(tiny_shot: Path) -> None:
    result = CliRunner().invoke(
        commands, ["run", str(tiny_shot), "--engine", "closed-form", "--json", "--frames", "1003"]
    )
    (frame,) = [json.loads(x) for x in result.stdout.splitlines() if '"event": "frame"' in x]
    assert frame["stats"]["pieces"] == 1 and 0 < frame["stats"]["solver_residual"] < 1e-5


class Choosy:
    """Solves no frame of an even number."""

    device = "cpu"

    def describe(self) -> Mapping[str, Any]:
        return {"engine": "choosy"}

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte]:
        for one in tasks:
            if one.number % 2 == 0:
                raise SolveError("an even number", frame=one.number)
            yield Matte(number=one.number, alpha=known_alpha(one.trimap.labels), stats={"odd": 1.0})

    def close(self) -> None:
        pass


def test_a_frame_that_cannot_be_solved_fails_alone_and_in_order() -> None:
    unread = FrameState(number=6, fingerprint="", trimap=None, error=UsageError("not read"))
    works = [
        unread if n == 6 else FrameState(number=n, fingerprint="", trimap=None, task=disc(n))
        for n in (2, 3, 4, 5, 6, 8, 9, 10)
    ]
    done = list(solve_stage(Choosy(), works))
    assert [work.number for work in done] == [2, 3, 4, 5, 6, 8, 9, 10]
    assert [work.number for work in done if work.matte is not None] == [3, 5, 9]
    failed = {work.number: str(work.error) for work in done if work.error}
    assert failed.keys() == {2, 4, 6, 8, 10} and "not read" in failed[6]
    assert all("an even number" in text for number, text in failed.items() if number != 6)
    assert done[1].stats["odd"] == 1.0


# -- settings and packages ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("engine.classical.clustres=3", "no setting 'engine.classical.clustres'"),
        ("engine.classical.clusters=0", "clusters must be 1 to 32"),
        ("engine.classical.light=gamma", "'engine.classical.light'"),
        ("engine.classical.tolerance=2", "tolerance must be above 0"),
        ("engine.classical.iterations=0", "iterations must be 1 or more"),
        ("engine.classical.epsilon=0", "epsilon must be above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(tiny_shot: Path, setting: str, message: str) -> None:
    result = CliRunner().invoke(
        commands, ["run", str(tiny_shot), "--engine", "gmm", "--set", setting]
    )
    assert result.exit_code == 2 and message in result.output
    if "clustres" in setting:
        assert "did you mean clusters" in result.output


def test_what_a_run_was_asked_for_names_the_classical_settings() -> None:
    plain = requested_engine(RunSettings().engine)
    assert plain == {"name": "dim", "precision": "auto", "mode": "exact"}
    gmm = EngineSettings(name="gmm")
    more = replace(gmm, classical=ClassicalSettings(clusters=4))
    assert requested_engine(gmm) != requested_engine(more)
    assert hash(gmm) != hash(more)


@pytest.mark.parametrize(
    ("name", "package"),
    [("closed-form", "pymatting"), ("knn", "pymatting"), ("gmm", "scikit-learn"),
     ("kmeans", "scikit-learn")],
)  # fmt: skip
def test_a_missing_package_is_named_with_the_pip_command(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda found: None)
    with pytest.raises(UsageError, match=f"'{name}' needs the package {package}") as caught:
        open_engine(EngineSettings(name=name))
    assert "pip install 'vfxmatte[engines]'" in str(caught.value.hint)


def test_check_tells_of_engines_that_could_not_be_opened(
    tiny_shot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def checked(engine: str) -> Result:
        return CliRunner().invoke(commands, ["check", str(tiny_shot), "--engine", engine])

    assert checked("gmm").exit_code == 0
    unknown = checked("gmmm")
    assert unknown.exit_code == 2 and "no engine 'gmmm'" in unknown.output
    monkeypatch.setattr(optional, "_PACKAGES", {"gmm": ("no_such_module", "no-such-package")})
    lacking = checked("gmm")
    assert lacking.exit_code == 2 and "needs the package no-such-package" in lacking.output
