"""Extraction by any recipe: several processes at one folder, what is done meanwhile, killed writers."""

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from data_prep import extraction
from data_prep.datasets import RECORDS, Clip, Dataset
from data_prep.errors import InputError
from data_prep.extraction import extract
from data_prep.files import Lock
from data_prep.frames import iter_frames
from data_prep.recipes import Maker
from data_prep.shards import Shard, list_shards, validate_shard

ROOT = Path(__file__).parents[1]
NAMES = [str(number) for number in range(1, 9)]
ATTRIBUTES = {
    "backbone": "means",
    "weights_sha256": "",
    "layer": "pixels",
    "input_size_px": 8,
    "resizing": "none",
    "pooling": "mean",
    "dtype": "float32",
}


class MeanColors:
    """The mean color of each frame: a recipe that needs no network."""

    name, key = "means", "means-8"

    def __init__(self, before_clip=lambda source: None):
        self.before_clip = before_clip

    @contextmanager
    def at_work(self, dataset, folder):
        def read(source):
            self.before_clip(source)
            for frame in iter_frames(source):
                yield frame[None].astype(np.float32)

        yield Maker(ATTRIBUTES, read, lambda: lambda frames: frames.mean(axis=(1, 2))[:, None])


def make_dataset(root: Path) -> Dataset:
    """Return the dataset of eight training clips, drawn first where they are not there."""
    clips = []
    for seed, name in enumerate(NAMES):
        folder = root / name
        if not folder.exists():
            folder.mkdir(parents=True)
            frames = np.random.default_rng(seed).integers(0, 256, (5, 8, 8, 3), np.uint8)
            for index, frame in enumerate(frames):
                cv2.imwrite(str(folder / f"{index}.png"), frame)
        clips.append(Clip("walkway", "train", name, folder))
    return Dataset(RECORDS["walkway"], root, "re-packed", tuple(clips), {}, {})


@pytest.fixture
def dataset(tmp_path):
    return make_dataset(tmp_path / "data")


def run(dataset, out, recipe=None):
    return extract(dataset, recipe or MeanColors(), out, progress=False)


def checksums(folder):
    return {path.stem: validate_shard(path).checksum for path in list_shards(folder, "train")}


WORK = """
import sys, time
from pathlib import Path
sys.path[:0] = ["tests"]
from data_prep import extraction
from test_extraction import MeanColors, make_dataset, run
write = extraction.write_shard
def told(path, *rest):
    print(path.stem, flush=True)
    write(path, *rest)
extraction.write_shard = told
print("ready", flush=True)
sys.stdin.readline()
run(make_dataset(Path(sys.argv[1])), Path(sys.argv[2]), MeanColors(lambda source: time.sleep(0.02)))
"""


def test_four_processes_share_the_clips_and_write_what_one_does(dataset, tmp_path):
    alone = checksums(run(dataset, tmp_path / "alone"))
    command = [sys.executable, "-c", WORK, str(tmp_path / "data"), str(tmp_path / "four")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in "1234"]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 4
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    written, errors = zip(*(process.communicate() for process in started), strict=True)
    assert [process.returncode for process in started] == [0] * 4, errors
    assert sorted(" ".join(written).split()) == NAMES  # each once
    assert set("".join(errors).splitlines()) <= {
        f"{tmp_path}/four/walkway/means-8/train/{name}.h5: another command is writing here, waiting for it"
        for name in NAMES
    }
    assert checksums(tmp_path / "four" / "walkway" / "means-8") == alone


def test_a_clip_that_another_has_in_hand_comes_last_and_is_waited_for(dataset, tmp_path, capfd, written):
    """Another process holds clip 2, and lets it go, undone, once clip 8 is being read."""
    folder = tmp_path / "features" / "walkway" / "means-8"
    other = Lock(folder, folder / "train" / ".2.lock")
    other.acquire()
    recipe = MeanColors(lambda source: other.release() if source.name == "8" else None)
    run(dataset, tmp_path / "features", recipe)
    assert written == [f"train/{name}" for name in "13456782"]
    assert capfd.readouterr().err == ""


def test_a_clip_that_another_has_done_meanwhile_is_left_as_it_is(dataset, tmp_path, written):
    """While clip 1 is read, another process writes clips 5 to 8: each is written once."""
    started = []

    def other(source):
        if source.name == "1" and not started:
            started.append(source)
            clips = Dataset(dataset.record, dataset.root, "re-packed", dataset.clips[4:], {}, {})
            run(clips, tmp_path / "features")

    folder = run(dataset, tmp_path / "features", MeanColors(other))
    assert sorted(written) == [f"train/{name}" for name in NAMES]
    assert len(checksums(folder)) == 4  # of the list that the other process wrote
    run(dataset, tmp_path / "features")
    assert list(checksums(folder)) == NAMES


def test_locks_are_free_after_an_error(dataset, tmp_path, written):
    def fault(source):
        if source.name == "3":
            raise InputError("clip 3: damaged")

    with pytest.raises(InputError, match="clip 3: damaged"):
        run(dataset, tmp_path / "features", MeanColors(fault))
    locks = list((tmp_path / "features").rglob(".*.lock"))
    assert locks
    assert all(Lock(path, path).acquire(wait=False) for path in locks)


def test_what_a_killed_writer_left_is_removed(dataset, tmp_path):
    folder = tmp_path / "features" / "walkway" / "means-8" / "train"
    folder.mkdir(parents=True)
    (folder / ".tmp-0123456789abcdef-3.h5").write_bytes(b"half a shard")
    run(dataset, tmp_path / "features")
    assert not list(folder.glob(".tmp-*"))


def test_nothing_is_prepared_where_nothing_is_to_be_made(dataset, tmp_path, monkeypatch):
    folder = run(dataset, tmp_path / "features")
    monkeypatch.setattr(extraction, "_make", None)
    assert run(dataset, tmp_path / "features") == folder
    with Shard(list_shards(folder, "train")[0]) as shard:
        expected = [cv2.imread(str(dataset.root / "1" / f"{t}.png"))[..., ::-1] for t in range(5)]
        np.testing.assert_allclose(shard.features()[:, 0], np.mean(expected, axis=(1, 2)), rtol=1e-6)
