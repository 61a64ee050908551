"""The renderer without Blender: seeds, jobs, resuming, failures, hair arithmetic, finishing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
from click.testing import CliRunner

from training.render import blender, drapery, dynamics, finish, foregrounds, kinds, strands
from training.render.__main__ import cli, parse_size
from training.render.jobs import Job, ShotJob, StillJob, from_line, to_line
from training.render.scene import Quality
from training.render.shots import SHOTS, layer_paths, subject_path
from vfxmatte.errors import MissingFrameError, UsageError
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage

QUALITY = Quality(width=32, height=24)


def write_layer(path: Path, pixels: FloatImage) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGBA": np.ascontiguousarray(pixels)}).write(str(path))


def soft_disc(height: int, width: int) -> FloatImage:
    """Premultiplied red RGBA whose alpha falls off around the middle."""
    rows, columns = np.indices((height, width), dtype=np.float32)
    away = np.hypot(rows - height / 2, columns - width / 2)
    alpha = np.clip(height / 3 - away + 0.5, 0, 1)
    return np.stack([0.8 * alpha, 0.1 * alpha, 0.05 * alpha, alpha], axis=-1).astype(np.float32)


class FakeRenderer:
    """Writes discs instead of rendering; fails for the seeds that are listed."""

    def __init__(self, failing: set[int], seen: list[Job]) -> None:
        self.failing, self.seen = failing, seen

    def render(self, job: Job) -> str | None:
        self.seen.append(job)
        assert isinstance(job, StillJob)
        if job.seed in self.failing:
            return "RuntimeError: out of memory"
        front, alpha, _ = layer_paths(job.folder, job.seed)
        disc = soft_disc(job.quality.height, job.quality.width)
        write_layer(front, disc)
        write_layer(alpha, disc)
        return None

    def close(self) -> None:
        self.seen.append(StillJob(kind="closed", seed=-1, folder=Path(), quality=QUALITY))


def fake(failing: set[int], seen: list[Job]) -> Callable[[], blender.Renderer]:
    return lambda: FakeRenderer(failing, seen)


def seeds_of(seen: list[Job]) -> list[int]:
    return sorted(job.seed for job in seen if job.seed >= 0)


def test_importing_the_renderer_needs_no_blender() -> None:
    code = (
        "import sys; sys.modules['bpy'] = None; import training.render.__main__;"
        "import training.render.elements, training.render.sets, training.render.creature"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_seed_has_one_kind_for_ever() -> None:
    assert [kinds.kind_of(seed) for seed in range(2000, 2003)] == ["portrait"] * 3
    assert kinds.kind_of(4999) == "portrait"
    mixed = [kinds.kind_of(seed) for seed in range(400)]
    assert set(mixed) == set(kinds.MIXED)
    assert mixed == [kinds.kind_of(seed) for seed in range(400)]
    assert mixed[:8] == [
        "smoke",
        "long_hair",
        "smoke",
        "long_hair",
        "solid",
        "veil",
        "foliage",
        "veil",
    ]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("6..8", [6, 7, 8]), ("7", [7]), ("3..4,9", [3, 4, 9]), ("1,1..2", [1, 2])],
)
def test_seed_lists(text: str, seeds: list[int]) -> None:
    assert foregrounds.parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "5..", "..5", "9..3", "-1..4", "1.5"])
def test_a_wrong_seed_list_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        foregrounds.parse_seeds(text)


@pytest.mark.parametrize(
    "job",
    [
        StillJob(kind="fur", seed=6, folder=Path("/a b/ü"), quality=QUALITY),
        ShotJob(
            shot="net", seed=1, first=1001, last=1025, frame=1007, folder=Path("x"), quality=QUALITY
        ),
    ],
)
def test_a_job_survives_its_journey(job: Job) -> None:
    line = to_line(job)
    assert "\n" not in line
    assert from_line(line) == job


def test_elements_are_written_and_kept(tmp_path: Path) -> None:
    seen: list[Job] = []
    first = list(
        foregrounds.render_foregrounds(tmp_path, [2000, 2001], fake({2001}, seen), quality=QUALITY)
    )
    assert {o.job.seed: o.error for o in first} == {
        2000: None,
        2001: "RuntimeError: out of memory",
    }
    assert [p.name for p in tmp_path.iterdir()] == ["02000_portrait.webp"]
    before = (tmp_path / "02000_portrait.webp").read_bytes()
    seen.clear()
    again = list(
        foregrounds.render_foregrounds(tmp_path, [2000, 2001], fake(set(), seen), quality=QUALITY)
    )
    assert [o.job.seed for o in again] == [2001]
    assert seeds_of(seen) == [2001]
    assert (tmp_path / "02000_portrait.webp").read_bytes() == before
    assert (tmp_path / "02001_portrait.webp").exists()


def test_several_renderers_share_the_seeds_and_are_closed(tmp_path: Path) -> None:
    seen: list[Job] = []
    outcomes = list(
        foregrounds.render_foregrounds(
            tmp_path, range(2000, 2010), fake(set(), seen), quality=QUALITY, workers=3
        )
    )
    assert sorted(o.job.seed for o in outcomes) == list(range(2000, 2010))
    assert sum(job.seed == -1 for job in seen) == 3


def test_a_webp_element_is_straight_srgb(tmp_path: Path) -> None:
    list(foregrounds.render_foregrounds(tmp_path, [2000], fake(set(), []), quality=QUALITY))
    pixels = cv2.imread(str(tmp_path / "02000_portrait.webp"), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    assert pixels.shape == (24, 32, 4)
    expected = 255 * (1.055 * 0.8 ** (1 / 2.4) - 0.055)
    soft = (pixels[..., 3] > 20) & (pixels[..., 3] < 235)
    assert soft.any()
    np.testing.assert_allclose(pixels[soft][:, 2], expected, atol=2)
    disc = soft_disc(24, 32)[..., 3]
    np.testing.assert_allclose(pixels[..., 3] / 255, disc, atol=1 / 255)


def test_an_exr_element_is_premultiplied(tmp_path: Path) -> None:
    list(
        foregrounds.render_foregrounds(
            tmp_path, [2000], fake(set(), []), quality=QUALITY, file_format="exr"
        )
    )
    pixels = finish.read_channels(tmp_path / "02000_portrait.exr", "RGBA")
    np.testing.assert_allclose(pixels[..., 0], 0.8 * pixels[..., 3], atol=2e-3)


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such kind"):
        list(
            foregrounds.render_foregrounds(
                tmp_path, [1], fake(set(), []), quality=QUALITY, kind="dragon"
            )
        )


def python_without_blender(folder: Path) -> Path:
    """A program that says, as a Python without bpy would, that the module is not there."""
    program = folder / "python"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    return program


def test_a_python_without_blender_is_refused_with_the_command(tmp_path: Path) -> None:
    python = python_without_blender(tmp_path)
    result = CliRunner().invoke(
        cli, ["foregrounds", str(tmp_path / "out"), "--seeds", "6", "--blender-python", str(python)]
    )
    assert result.exit_code == 2
    assert "pip install bpy==5.0.1" in result.output
    assert str(python) in result.output
    assert not (tmp_path / "out").exists()


def test_a_python_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot start"):
        blender.find_interpreter(tmp_path / "nothing")


def test_the_environment_names_the_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    monkeypatch.setenv(blender.ENVIRONMENT_VARIABLE, str(program))
    assert blender.find_interpreter() == program


def test_a_renderer_that_dies_is_reported_and_replaced(tmp_path: Path) -> None:
    counter = tmp_path / "count"
    program = tmp_path / "python"
    program.write_text(
        "#!/bin/sh\nread line\n"
        f"if [ ! -e {counter} ]; then touch {counter}; echo boom; exit 11; fi\n"
        "echo Fra:1\necho '@render-answer {}'\ncat > /dev/null\n"
    )
    program.chmod(0o755)
    process = blender.BlenderProcess(program)
    job = StillJob(kind="fur", seed=6, folder=tmp_path, quality=QUALITY)
    error = process.render(job)
    assert error is not None and "exit code 11" in error and "boom" in error
    assert process.render(job) is None
    process.close()


def test_the_worker_answers_a_bad_job_and_goes_on() -> None:
    worker = subprocess.run(
        [sys.executable, "-m", "training.render.worker"],
        input='{"task": "nonsense"}\nnot json\n',
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    answers = [line for line in worker.stdout.splitlines() if line.startswith("@render-answer")]
    assert ["KeyError" in answers[0], "JSONDecodeError" in answers[1]] == [True, True]


@pytest.mark.parametrize("text", ["640", "x", "0x10", "axb", "640x-2"])
def test_a_wrong_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


def test_the_sample_shots_are_known() -> None:
    assert parse_size("640x360") == (640, 360)
    assert {"furry_creature", "long_hair", "foliage", "two_creatures"} <= set(SHOTS)
    result = CliRunner().invoke(cli, ["shots", "--shot", "nothing", "-o", "x"])
    assert result.exit_code == 2
    assert "furry_creature" in result.output


def test_a_shot_is_finished_from_its_layers(tmp_path: Path) -> None:
    layers, out = tmp_path / "layers", tmp_path / "shot"
    back = np.full((18, 32, 4), (0.2, 0.4, 3.0, 1.0), dtype=np.float32)
    for frame in (1001, 1002, 1003):
        front, alpha, behind = layer_paths(layers, frame)
        write_layer(front, soft_disc(36, 64))
        write_layer(alpha, soft_disc(36, 64))
        write_layer(behind, back)
    finish.finish_shot("test", layers, range(1001, 1004), out, seed=0)
    plate = finish.read_channels(out / "plate/plate.1002.exr", "RGB")
    alpha = finish.read_channels(out / "alpha/alpha.1002.exr", "A")
    expected = alpha * (0.8, 0.1, 0.05) + (1 - alpha) * (0.2, 0.4, 3.0)
    np.testing.assert_allclose(plate.mean(axis=(0, 1)), expected.mean(axis=(0, 1)), rtol=0.03)
    assert sorted(p.name for p in (out / "trimaps").iterdir()) == [
        "trimap.1001.png",
        "trimap.1003.png",
    ]
    assert 'frames = "1001-1003"' in (out / "shot.toml").read_text()


def test_subjects_share_the_picture_and_have_their_own_alpha(tmp_path: Path) -> None:
    layers, out = tmp_path / "layers", tmp_path / "shot"
    cover = np.zeros((36, 64, 4), np.float32)
    cover[:, :40, 0] = np.linspace(1, 0.3, 40)  # the first subject before the second
    cover[:, :, 1] = 0.999 * (1 - cover[..., 0])
    cover[..., 3] = cover[..., 0] + cover[..., 1]
    for frame in (1001, 1002, 1003):
        _, alpha, behind = layer_paths(layers, frame)
        write_layer(alpha, cover)
        write_layer(behind, np.full((18, 32, 4), (0.2, 0.4, 3.0, 1.0), np.float32))
        for name, colour in (("brown", (0.8, 0.1, 0.05)), ("grey", (0.1, 0.1, 0.9))):
            whole = np.full((18, 32, 4), (*colour, 1.0), np.float32)
            write_layer(subject_path(layers, frame, name), whole)
    finish.finish_shot("two_creatures", layers, range(1001, 1004), out, seed=0)
    plate = finish.read_channels(out / "plate/plate.1002.exr", "RGB")
    brown, grey = (
        finish.read_channels(out / f"alpha/{name}/alpha.1002.exr", "A")
        for name in ("brown", "grey")
    )
    assert (brown + grey).max() <= 1
    np.testing.assert_allclose(brown[..., 0], cover[..., 0], atol=1e-3)
    expected = brown * (0.8, 0.1, 0.05) + grey * (0.1, 0.1, 0.9)
    expected += (1 - brown - grey) * (0.2, 0.4, 3.0)
    np.testing.assert_allclose(plate.mean(axis=(0, 1)), expected.mean(axis=(0, 1)), rtol=0.03)
    for name in ("brown", "grey"):
        found = sorted(p.name for p in (out / "trimaps" / name).iterdir())
        assert found == ["trimap.1001.png", "trimap.1002.png", "trimap.1003.png"]


def test_a_missing_layer_names_frame_and_file(tmp_path: Path) -> None:
    with pytest.raises(MissingFrameError, match=r"1001.*foreground\.1001\.exr"):
        finish.finish_shot("test", tmp_path, range(1001, 1002), tmp_path / "out", seed=0)


def test_grain_is_fixed_and_grows_with_light() -> None:
    plate = np.stack([np.full((64, 64), level, np.float32) for level in (0.0, 0.2, 2.0)], axis=-1)
    noisy = finish.grained(plate, 3, 1001)
    np.testing.assert_array_equal(noisy, finish.grained(plate, 3, 1001))
    assert not np.array_equal(noisy, finish.grained(plate, 3, 1002))
    dark, mid, bright = (noisy - plate).std(axis=(0, 1))
    assert dark < mid < bright


def test_a_keyframe_covers_every_soft_pixel() -> None:
    alpha = soft_disc(60, 60)[..., 3]
    labels = finish.trimap_of(alpha, 4.0)
    soft = (alpha > 0.02) & (alpha < 0.98)
    assert (labels[soft] == UNKNOWN).all()
    assert (alpha[labels == FOREGROUND] >= 0.98).all()
    assert (alpha[labels == BACKGROUND] <= 0.02).all()
    assert {BACKGROUND, UNKNOWN, FOREGROUND} == set(np.unique(labels))


def roots(count: int) -> strands.Roots:
    normals = strands.unit(np.random.default_rng(0).normal(0, 1, (count, 3)))
    return strands.Roots(positions=0.1 * normals, normals=normals)


def down(position: strands.Array) -> strands.Array:
    return np.broadcast_to(np.array([0.0, 0.0, -1.0]), position.shape)


def test_grown_strands_have_their_length_and_bend_down() -> None:
    lengths = np.linspace(0.1, 0.3, 20)
    grown = strands.grow(roots(20), lengths, 12, lift=0.6, pull=down, stiffness=1.0)
    segments = np.linalg.norm(np.diff(grown, axis=1), axis=-1)
    np.testing.assert_allclose(segments.sum(axis=1), lengths)
    last = strands.unit(grown[:, -1] - grown[:, -2])
    np.testing.assert_allclose(last, down(last), atol=1e-9)


def test_clumps_draw_tips_together_and_leave_roots() -> None:
    rng = np.random.default_rng(1)
    grown = strands.grow(roots(200), np.full(200, 0.2), 8, lift=0.9, pull=down, stiffness=1.0)
    tufted = strands.clump(grown, 10, 1.0, rng)
    np.testing.assert_allclose(tufted[:, 0], grown[:, 0])
    tips = {tuple(np.round(tip, 6)) for tip in tufted[:, -1]}
    assert len(tips) == 10


def test_scattered_roots_lie_on_the_mesh() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [9, 9, 9.0]])
    normals = np.array([[0, 0, 1.0]] * 4)
    roots = strands.scatter_roots(
        vertices, normals, np.array([[0, 1, 2]]), 500, np.random.default_rng(0)
    )
    x, y, z = roots.positions.T
    assert (z == 0).all() and (x >= 0).all() and (y >= 0).all() and (x + y <= 1 + 1e-9).all()
    np.testing.assert_allclose(roots.positions.mean(axis=0)[:2], 1 / 3, atol=0.05)


def hanging(turn: Callable[[float], float]) -> dict[float, strands.Array]:
    lengths = np.full(30, 0.3)
    groomed = strands.grow(roots(30), lengths, 10, lift=0.5, pull=down, stiffness=0.5)

    def pose(frame: float) -> dynamics.Pose:
        c, s = np.cos(turn(frame)), np.sin(turn(frame))
        return dynamics.Pose(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]), np.zeros(3))

    ball = dynamics.Ellipsoid((0, 0, 0), (0.1, 0.1, 0.1))
    swing = dynamics.Swing(wind=0.0)
    return dynamics.simulate(groomed, pose, [ball], swing, range(1001, 1011), fps=24)


def test_hair_rests_when_the_head_rests_and_swings_when_it_turns() -> None:
    still = hanging(lambda frame: 0.0)
    turning = hanging(lambda frame: 0.25 * (frame - 1001))
    assert set(still) == {1001 + 0.5 * i for i in range(19)}
    drift = np.linalg.norm(still[1010.0] - still[1006.0], axis=-1).max()
    travel = np.linalg.norm(turning[1010.0] - turning[1006.0], axis=-1).mean()
    assert drift < 0.02 < travel


def test_simulated_hair_keeps_its_length_and_stays_out_of_the_head() -> None:
    for frame, points in hanging(lambda frame: 0.3 * (frame - 1001)).items():
        length = np.linalg.norm(np.diff(points, axis=1), axis=-1).sum(axis=1)
        np.testing.assert_allclose(length, 0.3, rtol=0.05, err_msg=str(frame))
        assert np.linalg.norm(points, axis=-1).min() > 0.08


def test_a_sheet_hangs_from_its_edge() -> None:
    sheet = drapery.Sheet(np.random.default_rng(0))
    edge = np.stack([np.linspace(0, 1, 9), np.zeros(9)], axis=-1)
    hem = edge + np.array([0.0, 1.0])
    moved = [np.linalg.norm(sheet.at(uv, 1010) - sheet.at(uv, 1001), axis=-1) for uv in (edge, hem)]
    assert moved[0].mean() < 0.5 * moved[1].mean()
