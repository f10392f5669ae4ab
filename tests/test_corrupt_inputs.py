"""Damaged input, as the commands meet it: one line that names file and fault, exit code 2, nothing lost.

The images are a re-packed walkway, the videos an Avenue sample: neither has to have the published counts.
"""

import shutil

import imageio.v3 as iio
import keras
import numpy as np
import pytest
import scipy.io
from PIL import Image

from data_prep import command_line, extract_features, extraction
from data_prep.backbones import Backbone
from data_prep.datasets.__main__ import main as list_datasets
from data_prep.errors import InputError
from data_prep.shards import list_shards, validate_shard

SIZE_PX, N_FRAMES = 32, 8
TRAIN, TEST = ("01", "02", "03"), ("01", "02")


def frames(seed):
    """Noise, so that every byte of a file counts: uint8 (N_FRAMES, s, s, 3)."""
    shape = (N_FRAMES, SIZE_PX, SIZE_PX, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_labels(path, n_clips):
    gt = np.empty((1, n_clips), object)
    for clip in range(n_clips):
        gt[0, clip] = np.array([[2], [4]])
    scipy.io.savemat(path, {"gt": gt})


def write_image_clip(folder, seed):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames(seed)):
        Image.fromarray(frame).save(folder / f"{number:03d}.jpg", quality=95)


def make_walkway(data_dir):
    """Three training and two test clips of JPG files, with labels and masks."""
    root = data_dir / "walkway"
    for split, clips in (("training", TRAIN), ("testing", TEST)):
        for clip in clips:
            write_image_clip(root / split / "frames" / clip, int(clip))
    for clip in TEST:
        folder = root / "testing" / "masks" / clip
        folder.mkdir(parents=True)
        for number in range(N_FRAMES):
            mask = np.full((SIZE_PX, SIZE_PX), 255 * (1 <= number <= 3), np.uint8)
            Image.fromarray(mask).save(folder / f"{number:03d}.png")
    write_labels(root / "walkway.mat", len(TEST))
    return root


def make_avenue_sample(data_dir):
    """Two training videos and a test video in the layout of Avenue, without masks."""
    root = data_dir / "avenue_sample"
    for split, clips in (("training_videos", TRAIN[1:]), ("testing_videos", TEST[1:])):
        (root / split).mkdir(parents=True)
        for clip in clips:
            path = root / split / f"{clip}.avi"
            iio.imwrite(path, frames(int(clip)), plugin="pyav", codec="mpeg4", fps=25)
    write_labels(root / "avenue.mat", 21)
    return root


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def change_codec(path):
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"ZZZZ"))


def resize(path):
    with Image.open(path) as image:
        image.resize((SIZE_PX + 2, SIZE_PX)).save(path)


def empty(folder):
    for path in folder.iterdir():
        path.unlink()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Both datasets, made once."""
    return {make: make(tmp_path_factory.mktemp("whole")) for make in (make_walkway, make_avenue_sample)}


@pytest.fixture
def extract(monkeypatch, tmp_path):
    """Run the extraction command with a network that takes no time."""
    inputs = keras.Input((SIZE_PX, SIZE_PX, 3))
    model = keras.Model(inputs, keras.layers.AveragePooling2D(8)(inputs))
    backbone = Backbone("means", model, SIZE_PX, "last", 3, "ab" * 32, "resnet50", "no network")
    monkeypatch.setattr(command_line, "load_backbone", lambda *arguments: backbone)
    monkeypatch.setattr(extraction, "tqdm", lambda **options: _silent_bar())
    arguments = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "features")]
    return lambda: extract_features.main(arguments)


class _silent_bar:  # noqa: N801 - stands in for a function
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def update(self, n):
        """Show nothing."""


IN_A_CLIP = [
    ("truncated jpg", "002.jpg", lambda path: cut(path, 0.6), r"002.jpg: truncated image"),
    ("jpg of no bytes", "002.jpg", lambda path: cut(path, 0), r"002.jpg: damaged image"),
    ("jpg that is text", "002.jpg", lambda path: path.write_text("no image"), r"002.jpg: damaged image"),
    ("frame of another size", "002.jpg", resize, "002.jpg: frame of another size, expected 32x32 px"),
    (
        "frame that is gone",
        "002.jpg",
        lambda path: path.unlink(),
        "003.jpg: gap in frame numbers, expected 2",
    ),
    ("empty clip", "", empty, "03: no image in the folder"),
]
VIDEOS = [
    ("truncated avi", lambda path: cut(path, 0.9), "03.avi: truncated or damaged video at "),
    ("unreadable codec", change_codec, "03.avi: unreadable codec"),
    ("file that is no video", lambda path: path.write_text("no video"), "03.avi: not a readable video file"),
    ("video of no bytes", lambda path: cut(path, 0), "03.avi: not a readable video file"),
]
CASES = [
    *((make_walkway, f"training/frames/03/{name}", *rest) for _, name, *rest in IN_A_CLIP),
    *((make_avenue_sample, "training_videos/03.avi", *rest) for _, *rest in VIDEOS),
]


@pytest.mark.parametrize(
    ("make", "path", "damage", "message"), CASES, ids=[case[0] for case in [*IN_A_CLIP, *VIDEOS]]
)
def test_damaged_clip_stops_in_one_line_and_what_was_done_stays(
    make, path, damage, message, whole, extract, tmp_path, capsys
):
    """The clips are extracted but the third, which comes damaged; mended, it alone is extracted."""
    root = shutil.copytree(whole[make], tmp_path / "data" / whole[make].name)
    third = next((root / "training").glob("frames/03") if make is make_walkway else root.rglob("*/03.avi"))
    kept = tmp_path / "kept"
    shutil.move(third, kept)
    assert extract() == 0
    before = {shard: shard.stat().st_mtime_ns for shard in sorted((tmp_path / "features").rglob("*.h5"))}
    assert len(before) == (4 if make is make_walkway else 2)

    copy = shutil.copytree if kept.is_dir() else shutil.copy
    copy(kept, third)
    damage(root / path)
    capsys.readouterr()
    assert extract() == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert message in said[0]
    assert not list((tmp_path / "features").rglob("03.h5"))
    for shard in before:
        validate_shard(shard)

    shutil.rmtree(third) if third.is_dir() else third.unlink()
    copy(kept, third)
    assert extract() == 0
    after = {shard: shard.stat().st_mtime_ns for shard in sorted((tmp_path / "features").rglob("*.h5"))}
    assert before.items() <= after.items()
    assert [shard.stem for shard in after.keys() - before.keys()] == ["03"]


def test_clips_before_the_damaged_one_are_extracted_in_the_same_run(extract, tmp_path, capsys):
    root = make_walkway(tmp_path / "data")
    cut(root / "training" / "frames" / "03" / "005.jpg", 0.5)
    assert extract() == 2
    assert "03/005.jpg: truncated image" in capsys.readouterr().err
    (folder,) = (tmp_path / "features" / "walkway").iterdir()
    with pytest.raises(InputError, match=r"train: 1 of 3 clips still to be extracted, 03;"):
        list_shards(folder, "train")
    shards = sorted((folder / "train").glob("*.h5"))
    assert [shard.stem for shard in shards] == ["01", "02"]
    for shard in shards:
        assert validate_shard(shard).n_frames == N_FRAMES


LABELS = [
    (
        "label file with too few clips",
        lambda root: write_labels(root / "walkway.mat", 1),
        "walkway.mat: another number of clips, expected 2 as in the test set, got 1",
    ),
    (
        "truncated label file",
        lambda root: cut(root / "walkway.mat", 0.7),
        "walkway.mat: ",
    ),
    (
        "labels behind the end of a clip",
        lambda root: [(root / f"testing/{kind}").unlink() for kind in LAST_FRAMES],
        "walkway.mat: clip 02: expected an interval inside frames 1..3, got 2..4",
    ),
    (
        "too few masks",
        lambda root: (root / "testing/masks/02/007.png").unlink(),
        "masks/02: another number of masks, expected 8 as frames, got 7",
    ),
]
LAST_FRAMES = [
    f"{kind}/02/{number:03d}.{suffix}"
    for number in range(3, N_FRAMES)
    for kind, suffix in (("frames", "jpg"), ("masks", "png"))
]


@pytest.mark.parametrize(
    ("damage", "message"), [case[1:] for case in LABELS], ids=[case[0] for case in LABELS]
)
def test_damaged_labels_stop_every_command(damage, message, extract, tmp_path, capsys):
    damage(make_walkway(tmp_path / "data"))
    for command in (extract, lambda: list_datasets(["--data", str(tmp_path / "data")])):
        assert command() == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1
        assert message in said[0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (resize, "masks/02/004.png: mask of another size, expected 32x32 px as the frame, got 34x32 px"),
        (lambda path: cut(path, 0.5), "masks/02/004.png: damaged image"),
    ],
    ids=["mask of another size", "truncated mask"],
)
def test_damaged_mask_stops_what_reads_it(damage, message, extract, tmp_path, capsys):
    root = make_walkway(tmp_path / "data")
    damage(root / "testing/masks/02/004.png")
    assert list_datasets(["--data", str(tmp_path / "data")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert message in said[0]
    assert extract() == 0  # features need no masks


def test_whole_input_gives_no_error(whole, extract, tmp_path, capsys):
    for root in whole.values():
        shutil.copytree(root, tmp_path / "data" / root.name)
    assert list_datasets(["--data", str(tmp_path / "data")]) == 0
    assert extract() == 0
    assert capsys.readouterr().err == ""
