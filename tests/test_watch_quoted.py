"""Watching with a system that the paper quotes: live scores are those of the run, one line for the others."""

import re
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.regularity import regularity
from experiments.lab.scoring.score_files import load_scores
from experiments.lab.systems.quoted.sizes import USUAL_PX, on_frame, shrunk, shrunk_shape
from experiments.lab.training.runs import Run
from experiments.lab.watching import maps, outputs
from models.quoted.cell_maps import CellGrid
from tests.videos import HEIGHT, N_FRAMES, WIDTH, lines_of, pictures, write_video
from tests.watched import call

SYSTEMS_NAMED = ("HOFM", "Reddy et al.", "after Lu et al.")
N_NORMAL, N_FIRST = 40, 16  # of the first 40 frames those from 17 to 24 are held out
PERCENTILE = 50  # speeds of 16 of the frames are beyond what Reddy et al. cover


def gray_noise(frames):
    """The pictures with noise that differs from frame to frame: so much that normal frames differ too."""
    rng = np.random.default_rng(1)
    for frame in frames:
        yield (frame + rng.normal(0, 2, frame.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module", params=SYSTEMS_NAMED)
def watched(request, tmp_path_factory):
    """The command once with each system: the first two thirds of a video are normal."""
    folder = tmp_path_factory.mktemp("watch")
    video = write_video(folder / "yard.avi", gray_noise(pictures(height=160, width=240)))
    with pytest.MonkeyPatch.context() as patch:
        code = call(
            patch,
            video,
            "--train",
            video,
            "--train-until",
            "0.667",
            "--system",
            request.param,
            "--threshold",
            PERCENTILE,
            "--out",
            folder,
        )
    assert code == 0
    results = folder / "results" / "quick" / "watch" / "yard"
    run = next(folder.glob("checkpoints/*/*-cells-*"))
    return SimpleNamespace(system=request.param, results=results, run=run, video=video)


def test_live_scores_are_those_that_the_run_has_of_the_same_frames(watched):
    """Each frame of the training part as it came, against the batch form of all frames at once."""
    lines = lines_of(watched.results / "scores.csv")
    assert [int(line["frame"]) for line in lines] == list(range(1, N_FRAMES + 1))
    train = load_scores(watched.run / "train_errors.npz")
    assert [len(clip.error) for clip in train] == [N_FIRST, N_FIRST]
    errors = {"cells": np.concatenate([clip.error.max(axis=1) for clip in train])}
    protocol = Protocol(("cells",), normalization="train")
    expected = regularity({"cells": train}, protocol, errors)
    (held_out,) = regularity({"cells": Run(watched.run).scores()}, protocol, errors)
    scores = np.array([float(line["score"]) for line in lines])
    known = np.percentile(np.concatenate(expected), 100 - PERCENTILE)
    threshold = min(known, np.percentile(held_out, 100 - PERCENTILE, method="lower"))
    sure = np.abs(scores - threshold) > 1e-3
    new = np.arange(N_FRAMES) >= N_NORMAL
    np.testing.assert_array_equal(
        [line["abnormal"] == "1" for line in lines] & sure, (scores < threshold) & sure & new
    )
    if watched.system == "HOFM":  # it knows each training frame: their errors are of a fit without them
        np.testing.assert_allclose(scores[: N_FIRST - 6], scores[: N_FIRST - 6].max())
    else:  # the end of what it was fitted on is no end of the video
        np.testing.assert_allclose(scores[: N_FIRST - 6], expected[0][:-6], atol=1e-3)
    assert scores[42:].mean() < scores[:N_NORMAL].mean() - 0.1  # the jumping square was never seen


def test_all_outputs_appear(watched):
    assert {path.name for path in watched.results.iterdir()} == set(outputs.FILES)


def test_a_system_that_diverges_keeps_what_came(tmp_path, monkeypatch, capsys):
    usual = maps.FittedSystem.maps

    def diverging(self, frames, context):
        for number, cells in enumerate(usual(self, frames, context)):
            yield cells if number < 30 else np.full_like(cells, np.nan)

    monkeypatch.setattr(maps.FittedSystem, "maps", diverging)
    video = write_video(tmp_path / "yard.avi", gray_noise(pictures(height=160, width=240)))
    arguments = [
        "--train",
        video,
        "--train-until",
        "0.667",
        "--system",
        "Reddy et al.",
        "--threshold",
        PERCENTILE,
    ]
    assert call(monkeypatch, video, *arguments, "--out", tmp_path) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    folder = tmp_path / "results" / "quick" / "watch" / "yard"
    assert re.fullmatch(
        rf"error: .*yard\.avi: Reddy et al\. diverges: an error is not finite; what came .* in {folder}",
        error,
    )
    assert {path.name for path in folder.iterdir()} == set(outputs.FILES)
    n_smoothed = Protocol(("cells",)).smoothing_frames // 2
    assert 30 - n_smoothed <= len(lines_of(folder / "scores.csv")) <= 30


def test_frames_of_another_size_are_refused(tmp_path, monkeypatch, capsys):
    footage = write_video(tmp_path / "yard.avi", gray_noise(pictures(20, height=160, width=240)))
    other = write_video(tmp_path / "other.avi", pictures(12))
    flags = ["--train", footage, "--system", "HOFM", "--out", tmp_path]
    assert call(monkeypatch, other, *flags) == 2
    assert f"expected frames of 240x160, as the footage has, got {WIDTH}x{HEIGHT}" in capsys.readouterr().err


def test_footage_beyond_what_densities_cover_is_refused(tmp_path, monkeypatch, capsys):
    """A square moves 36 px in the three frames that Reddy et al. add up, where 15 are covered."""
    frames = [np.full((160, 240, 3), 60, np.uint8) for _ in range(30)]
    texture = np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8)
    for t, frame in enumerate(frames):
        left = abs((12 * t) % 360 - 180)
        frame[50:98, left : left + 48] = cv2.GaussianBlur(texture, (0, 0), 2)
    video = write_video(tmp_path / "fast.avi", frames)
    assert call(monkeypatch, video, "--train", video, "--system", "Reddy et al.", "--out", tmp_path) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.search(
        r"--system Reddy et al\.: .* % of the training frames are beyond .*: take a lower --threshold", error
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--train", "x", "--system", "Unmasking"],
            "Unmasking compares a clip with itself.* cannot run live",
        ),
        (["--train", "x", "--system", "Del et al."], "compares a clip with itself"),
        (["--train", "x", "--system", "TSC"], "--system TSC.*; expected sRNN-AE, .*HOFM"),
        (
            ["--train", "x", "--system", "Nobody et al.", "--set", "depth=2"],
            "--system Nobody et al.: unknown system; expected",
        ),
        (["--run", "x", "--system", "HOFM"], "--system HOFM: expected --train beside it"),
        (["--train", "x", "--system", "HOFM", "--set", "n_atoms=8"], "n_atoms: acts on nothing"),
    ],
)
def test_what_cannot_run_live_is_told_in_a_line(arguments, message, tmp_path, monkeypatch, capsys):
    video = write_video(tmp_path / "yard.avi", list(pictures(12)))
    assert call(monkeypatch, video, *arguments, "--out", tmp_path) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert re.search(message, error)


def test_large_frames_are_shrunk_and_cells_lie_where_they_were():
    assert shrunk_shape((240, 360)) == (240, 360)
    assert shrunk_shape((158, 238, 3)) == (158, 238)
    height, width = shrunk_shape((576, 768, 3))
    assert abs(height * width / USUAL_PX - 1) < 0.01
    assert abs(width / height - 768 / 576) < 0.01
    frames = list(pictures(1, 576, 768))
    assert next(shrunk(frames)).shape == (height, width, 3)
    small = list(pictures(1))
    assert next(shrunk(small)) is small[0]
    boxes = on_frame(CellGrid.of_cells(16, (height, width)), (576, 768)).boxes((576, 768))
    assert boxes[:, 2].max() == 768
    np.testing.assert_allclose(boxes[0, 2:], 16 * 768 / width, rtol=0.01)
