import hashlib
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from data_prep import walkway
from data_prep.datasets import find_datasets
from data_prep.errors import InputError
from data_prep.files import locked
from data_prep.frames import read_frames
from data_prep.labels import masks_to_labels
from data_prep.walkway import (
    ANOMALIES,
    MIN_VISIBLE_PX,
    Rendering,
    generate,
    generate_under,
    render_clip,
    scene,
)
from data_prep.walkway.__main__ import main

ROOT = Path(__file__).parents[1]
SIZES = {"n_train_clips": 2, "n_test_clips": 3, "clip_frames": 24}
SETTINGS = Rendering(seed=0, **SIZES)


def digest(folder):
    """Return name -> hash of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("generated")
    generate(root, **SIZES)
    return root


@pytest.fixture(scope="module")
def dataset(root):
    return find_datasets(root)["walkway"]


@pytest.fixture(scope="module")
def rendered_clips():
    return [render_clip(SETTINGS, "test", clip) for clip in range(SIZES["n_test_clips"])]


def test_it_is_found_in_the_repacked_layout(root, dataset):
    assert dataset.layout == "re-packed"
    assert [clip.name for clip in dataset.split("train")] == ["01", "02"]
    assert [clip.name for clip in dataset.split("test")] == ["01", "02", "03"]
    assert dataset.has_pixel_masks
    for clip in dataset.clips:
        assert read_frames(clip.source, [0, 23]).shape == (2, 160, 240, 3)
    assert json.loads((root / "walkway" / "walkway.json").read_text()) == {"seed": 0, "version": 1, **SIZES}
    assert sorted(path.name for path in root.iterdir()) == [".lock", "walkway"]


def test_labels_are_a_recount_of_the_masks(dataset):
    for clip in dataset.split("test"):
        masks = list(dataset.pixel_masks(clip))
        np.testing.assert_array_equal(dataset.frame_labels(clip), masks_to_labels(masks))
        areas = [int(mask.sum()) for mask in masks]
        assert all(area == 0 or area >= MIN_VISIBLE_PX for area in areas)


def test_training_clips_have_no_anomaly(dataset):
    assert not any(dataset.frame_labels(clip).any() for clip in dataset.split("train"))
    for clip in range(4):
        assert not render_clip(SETTINGS, "train", clip)[1].any()


@pytest.mark.parametrize("clip_frames", [walkway.MIN_CLIP_FRAMES, 120])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_test_clip_is_normal_abnormal_normal(seed, clip_frames):
    for clip in range(len(ANOMALIES)):
        _, masks = render_clip(Rendering(seed, 1, 3, clip_frames), "test", clip)
        abnormal = np.flatnonzero(masks.any(axis=(1, 2)))
        assert 0 < abnormal[0]
        assert abnormal[-1] < clip_frames - 1
        assert 0.05 < len(abnormal) / clip_frames < 0.6


def test_masks_lie_on_what_moves(rendered_clips):
    """The anomaly is where the frame differs most from the clip's median, i.e. from the empty scene."""
    for frames, masks in rendered_clips:
        change = np.abs(frames - np.median(frames, axis=0)).mean(axis=-1)
        middle = np.flatnonzero(masks.any(axis=(1, 2)))
        middle = middle[len(middle) // 2]
        assert change[middle][masks[middle]].mean() > 4 * change[middle][~masks[middle]].mean()


def test_mask_crosses_the_picture(rendered_clips):
    for _, masks in rendered_clips:
        columns = [np.flatnonzero(mask.any(axis=0)).mean() for mask in masks if mask.any()]
        assert abs(columns[-1] - columns[0]) > 120


def test_anomalies_are_of_three_shapes():
    """The kinds differ by outline: a cart is far larger, a cyclist wider than a runner for its height."""
    outlines = {}
    for clip, kind in enumerate(ANOMALIES):
        _, masks = render_clip(Rendering(0, 1, 3, 60), "test", clip)
        mask = max(masks, key=np.sum)
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        outlines[kind] = (np.ptp(rows) + 1, np.ptp(columns) + 1, mask.sum() / (np.ptp(rows) + 1) ** 2)
    height, width, _ = outlines["cart"]
    assert width > 1.2 * height
    assert outlines["cyclist"][1] > 0.85 * outlines["cyclist"][0]
    assert outlines["runner"][1] < 0.95 * outlines["runner"][0]
    assert outlines["cart"][2] > outlines["cyclist"][2] > 0


def test_scene_is_static_but_noise_and_light_change(rendered_clips):
    frames = np.concatenate([frames for frames, _ in rendered_clips]).astype(np.float32)
    empty = frames[:, :20, :, :]  # nobody is that far away
    assert np.corrcoef(empty[0].ravel(), empty[-1].ravel())[0, 1] > 0.9
    assert 1.0 < (empty[1] - empty[0]).std() < 6.0
    assert np.ptp(empty.mean(axis=(1, 2, 3))) > 0.5


def test_people_walk_in_both_directions():
    rng = np.random.default_rng(0)
    speeds = [scene._draw_mover(rng, "walker", 0.0).speed_px for _ in range(50)]
    assert min(speeds) < 0 < max(speeds)
    assert len(set(np.abs(speeds))) > 40


def test_same_seed_same_bytes_other_seed_other_bytes(root, tmp_path):
    again = digest(generate(tmp_path / "again", **SIZES))
    assert again == digest(root / "walkway")
    other = digest(generate(tmp_path / "other", seed=1, **SIZES))
    assert other.keys() == again.keys()
    assert other["training/frames/01/000.jpg"] != again["training/frames/01/000.jpg"]


def test_seed_changes_the_movers_and_not_only_the_scene():
    first, second = (render_clip(Rendering(seed, 1, 1, 24), "test", 0)[1] for seed in (0, 1))
    assert (first != second).any()


def test_mask_below_the_smallest_area_is_empty(monkeypatch):
    _, masks = render_clip(SETTINGS, "test", 0)
    areas = masks.sum(axis=(1, 2))
    limit = int(np.median(areas[areas > 0]))
    monkeypatch.setattr(scene, "MIN_VISIBLE_PX", limit)
    _, fewer = render_clip(SETTINGS, "test", 0)
    np.testing.assert_array_equal(fewer.sum(axis=(1, 2)), np.where(areas < limit, 0, areas))
    assert 0 < np.count_nonzero(fewer.any(axis=(1, 2))) < np.count_nonzero(areas)


def test_a_clip_does_not_depend_on_the_number_of_clips():
    few, _ = render_clip(Rendering(0, 1, 1, 24), "train", 0)
    many, _ = render_clip(Rendering(0, 9, 9, 24), "train", 0)
    np.testing.assert_array_equal(few, many)


def test_jpg_is_close_to_what_was_rendered(root):
    frames, masks = render_clip(SETTINGS, "test", 0)
    stored = read_frames(root / "walkway" / "testing" / "frames" / "01", range(24))
    assert np.abs(stored.astype(int) - frames).mean() < 5
    mask = cv2.imread(str(root / "walkway" / "testing" / "masks" / "01" / "012.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask > 0, masks[12])


# Reuse, and nothing that is there is ever replaced

SMALL = {"n_train_clips": 1, "n_test_clips": 1, "clip_frames": 20}


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_finished_folder_is_reused(tmp_path):
    folder = generate(tmp_path, **SMALL)
    before = times(folder)
    assert generate(tmp_path, **SMALL) == folder
    assert times(folder) == before


def other_settings(folder):
    generate(folder.parent, **{**SMALL, "seed": 7})
    return "it holds testing, no walkway of these settings"


def a_frame_gone(folder):
    (generate(folder.parent, **SMALL) / "training" / "frames" / "01" / "003.jpg").unlink()
    return "files are missing or too many"


def a_frame_of_the_user(folder):
    (generate(folder.parent, **SMALL) / "training" / "frames" / "01" / "mine.jpg").write_text("years of work")
    return "files are missing or too many"


def no_settings(folder):
    (generate(folder.parent, **SMALL) / "walkway.json").unlink()
    return "it holds testing, no walkway of these settings"


def a_dataset_of_the_user(folder):
    """What a generated one looks like, but for `walkway.json`."""
    for place in ("training/frames/01/000.jpg", "testing/frames/01/000.jpg", "testing/masks/01/000.png"):
        (folder / place).parent.mkdir(parents=True)
        (folder / place).write_text("years of work")
    return "it holds testing, no walkway of these settings"


def settings_of_the_user(folder):
    a_dataset_of_the_user(folder)
    (folder / "walkway.json").write_bytes(b"\xff not ours")
    return "it holds testing, no walkway of these settings"


def a_thesis(folder):
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    return "it holds thesis.txt, no walkway of these settings"


@pytest.mark.parametrize(
    "fill",
    [
        other_settings,
        a_frame_gone,
        a_frame_of_the_user,
        no_settings,
        a_dataset_of_the_user,
        settings_of_the_user,
        a_thesis,
    ],
)
def test_what_is_there_is_never_replaced(tmp_path, capsys, fill):
    fault = fill(tmp_path / "walkway")
    before = digest(tmp_path / "walkway")
    arguments = ["--out", str(tmp_path), "--train-clips", "1", "--test-clips", "1", "--clip-frames", "20"]
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"error: {tmp_path / 'walkway'}: will not be replaced, {fault}; delete it yourself"
    )
    assert digest(tmp_path / "walkway") == before
    assert {path.name for path in tmp_path.iterdir()} <= {"walkway", ".lock"}


def test_walkways_of_other_settings_stand_beside_each_other(tmp_path):
    settings = [Rendering(seed, 1, 1, 20) for seed in (0, 1)]
    roots = [generate_under(tmp_path, one) for one in settings]
    assert roots == [generate_under(tmp_path, one) for one in settings]
    assert len(set(roots)) == 2
    for root, one in zip(roots, settings, strict=True):
        assert walkway.is_finished(root / "walkway", one)


def test_four_processes_at_once_give_what_one_does(tmp_path):
    """All begin while the lock is held; three then find the work done."""
    command = [sys.executable, "-m", "data_prep.walkway", "--out", str(tmp_path / "four")]
    command += ["--train-clips", "1", "--test-clips", "1", "--clip-frames", "20"]
    with locked(tmp_path / "four"):
        started = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in "1234"]
        told = [process.stderr.readline() for process in started]
    assert [process.wait() for process in started] == [0] * 4
    assert told == [f"{tmp_path / 'four'}: another command is writing here, waiting for it\n"] * 4
    alone = generate(tmp_path / "alone", **SMALL)
    assert digest(tmp_path / "four" / "walkway") == digest(alone)
    assert {path.name for path in (tmp_path / "four").iterdir()} == {"walkway", ".lock"}


def test_what_a_killed_process_left_is_removed(tmp_path):
    left = tmp_path / ".tmp-0123456789abcdef-walkway" / "training"
    left.mkdir(parents=True)
    generate(tmp_path, **SMALL)
    assert not left.parent.exists()


def test_interruption_leaves_nothing_behind(tmp_path, monkeypatch):
    def stop(settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(walkway, "_to_json", stop)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/\.lock: cannot be locked"):
        generate(tmp_path / "file", **SMALL)
    (tmp_path / "walkway").touch()
    with pytest.raises(InputError, match=r"walkway: cannot be written, .*Not a directory"):
        generate(tmp_path, **SMALL)


@pytest.mark.parametrize(
    "bad", [{"clip_frames": 19}, {"n_train_clips": 0}, {"n_test_clips": 0}, {"seed": -1}]
)
def test_bad_settings(tmp_path, bad):
    with pytest.raises(InputError, match="walkway: bad settings"):
        generate(tmp_path, **{**SIZES, **bad})
    assert list(tmp_path.iterdir()) == []


def test_command(tmp_path, capsys):
    sizes = ["--train-clips", "1", "--test-clips", "1", "--clip-frames", "20"]
    assert main(["--out", str(tmp_path), *sizes]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "walkway")
    assert main(["--out", str(tmp_path), "--clip-frames", "3"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
