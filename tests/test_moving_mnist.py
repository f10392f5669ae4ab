"""Moving-MNIST: labels recounted from pixels, movement from displacements, bad files."""

import tracemalloc
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from data_prep import moving_mnist
from data_prep.errors import InputError
from data_prep.mnist_digits import Digits, load_digits
from data_prep.moving_mnist import BOX_PX, DIGIT_PX, SIZE_PX, STEP_PX, MovingMNIST, Settings


@pytest.fixture
def digits():
    """Two full squares of different gray: where they are can be read from any picture."""
    return Digits(np.stack([np.full((28, 28), level, np.uint8) for level in (100, 200)]), "squares")


def generate(path, kind, split, n_sequences, seed, digits, **options):
    return moving_mnist.generate(path, Settings(kind, split, n_sequences, seed, **options), digits, False)


def written(tmp_path, digits, kind, split, n_sequences=6, seed=3, name="file.h5", **options):
    path = generate(tmp_path / name, kind, split, n_sequences, seed, digits, **options)
    with MovingMNIST(path) as reader:
        return reader.frames(), reader.labels


def corner(frame, level):
    """The upper left corner of the square of a gray level, from those of its pixels that can be seen."""
    y, x = np.nonzero(frame == level)
    return np.array([y.min(), x.min()])


def boxes(frame, other):
    """White pixels of `frame` that `other` does not have."""
    return np.argwhere((frame == 255) & (other != 255))


@pytest.mark.parametrize("kind", moving_mnist.KINDS)
def test_digits_start_side_by_side_in_the_centre(tmp_path, digits, kind):
    frames, _ = written(tmp_path, digits, kind, "train")
    for sequence in frames:
        y, x = np.nonzero(sequence[0])
        assert (np.ptp(y) + 1, np.ptp(x) + 1) == (DIGIT_PX, 2 * DIGIT_PX)
        assert abs(y.min() + y.max() - (SIZE_PX - 1)) <= 1
        assert abs(x.min() + x.max() - (SIZE_PX - 1)) <= 1


def test_spatial_labels_equal_the_frames_with_a_box(tmp_path, digits):
    frames, labels = written(tmp_path, digits, "spatial", "test", 12)
    for sequence, truth in zip(frames, labels, strict=True):
        white = [np.argwhere(frame == 255) for frame in sequence]
        np.testing.assert_array_equal([len(pixels) > 0 for pixels in white], truth)
        abnormal = np.flatnonzero(truth)
        assert len(abnormal) == 5
        assert np.ptp(abnormal) == 4
        for pixels in (white[t] for t in abnormal):
            assert len(pixels) == BOX_PX**2
            assert (np.ptp(pixels, 0) == BOX_PX - 1).all()
            np.testing.assert_array_equal(pixels, white[abnormal[0]])
    assert len({tuple(truth) for truth in labels}) > 3


def test_boxes_are_where_the_white_pixels_are(tmp_path, digits):
    path = generate(tmp_path / "file.h5", "spatial", "test", 5, 3, digits)
    with MovingMNIST(path) as reader:
        for sequence, truth, box in zip(reader.frames(), reader.labels, reader.boxes, strict=True):
            np.testing.assert_array_equal(np.argwhere(sequence[truth == 1][0] == 255).min(0), box)
    for kind, split in (("spatial", "train"), ("temporal", "test")):
        path = generate(tmp_path / f"{kind}.h5", kind, split, 2, 3, digits)
        with MovingMNIST(path) as reader:
            assert (reader.boxes == -1).all()


def test_lit_pixels_are_those_of_any_frame(tmp_path, digits):
    path = generate(tmp_path / "file.h5", "spatial", "test", 5, 3, digits)
    with MovingMNIST(path) as reader:
        np.testing.assert_array_equal(reader.lit, (reader.frames() > 0).any((0, 1)))
        assert reader.lit.dtype == bool


def test_spatial_digits_step_along_one_axis(tmp_path, digits):
    frames, labels = written(tmp_path, digits, "spatial", "train")
    assert not labels.any()
    for sequence in frames:
        assert not (sequence == 255).any()
        moved = np.diff([corner(frame, 200) for frame in sequence], axis=0)
        np.testing.assert_array_equal(np.abs(moved).sum(1), STEP_PX)
        np.testing.assert_array_equal(np.abs(moved).max(1), STEP_PX)
        assert len(np.unique(moved, axis=0)) > 1


def test_temporal_digits_move_together_then_apart(tmp_path, digits):
    frames, labels = written(tmp_path, digits, "temporal", "test")
    for sequence, truth in zip(frames, labels, strict=True):
        np.testing.assert_array_equal(truth, [0] * 10 + [1] * 10)
        first, second = (np.array([corner(f, level) for f in sequence[:10]]) for level in (100, 200))
        assert len(np.unique(np.diff(first, axis=0), axis=0)) == 1
        np.testing.assert_array_equal(np.diff(first, axis=0), np.diff(second, axis=0))
        bright = np.array([corner(frame, 200) for frame in sequence[9:]])
        # The dark square's place, where the bright one hides none of it.
        dark = np.array([corner(frame, 100) for frame in sequence[9:]])
        whole = np.array([(frame == 100).sum() == DIGIT_PX**2 for frame in sequence[9:]])
        known = whole[1:] & whole[:-1]
        assert (np.diff(bright, axis=0) != np.diff(dark, axis=0)).any(1)[known].all()
        assert np.abs(np.diff(bright, axis=0)).max() == STEP_PX
        assert np.abs(np.diff(bright, axis=0)).max(1).min() == STEP_PX


@pytest.mark.parametrize("kind", moving_mnist.KINDS)
def test_control_is_the_test_split_without_its_anomalies(tmp_path, digits, kind):
    frames, labels = written(tmp_path, digits, kind, "test", 8)
    control, none = written(tmp_path, digits, kind, "control", 8, name="control.h5")
    assert not none.any()
    changed = (frames != control).any((2, 3))
    if kind == "spatial":  # the box stands in every abnormal frame and in no other
        np.testing.assert_array_equal(changed, labels)
    else:  # together to the end; frame 9 is the last of the way that both share
        assert not changed[:, :10].any()
        assert changed[:, 11:].mean() > 0.9
        for sequence in control:
            y, x = zip(*(np.nonzero(frame) for frame in sequence), strict=True)
            assert {(np.ptp(rows) + 1, np.ptp(columns) + 1) for rows, columns in zip(y, x, strict=True)} == {
                (DIGIT_PX, 2 * DIGIT_PX)
            }


def test_control_and_test_digits_are_those_that_training_has_not(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=images[:3], x_test=images[3:])
    digits = {split: moving_mnist.digits_of(split, tmp_path) for split in moving_mnist.SPLITS}
    assert {split: len(held.images) for split, held in digits.items()} == {
        "train": 3,
        "test": 2,
        "control": 2,
    }
    assert digits["control"].sha256 == digits["test"].sha256
    train, test = ({image.tobytes() for image in digits[split].images} for split in ("train", "test"))
    assert not train & test


def test_temporal_training_digits_move_together_all_along(tmp_path, digits):
    frames, labels = written(tmp_path, digits, "temporal", "train", 12)
    assert not labels.any()
    directions = set()
    for sequence in frames:
        first, second = (np.array([corner(f, level) for f in sequence]) for level in (100, 200))
        np.testing.assert_array_equal(np.abs(second - first), np.tile([0, DIGIT_PX], (20, 1)))
        assert len(np.unique(second - first, axis=0)) == 1
        steps = np.unique(np.diff(first, axis=0), axis=0)
        assert len(steps) == 1
        directions.add(tuple(steps[0]))
    assert len(directions) > 3


def test_same_seed_same_sequences(tmp_path, digits):
    frames, labels = written(tmp_path, digits, "spatial", "test", 4)
    again, labels_again = written(tmp_path, digits, "spatial", "test", 2, name="b.h5")
    other, _ = written(tmp_path, digits, "spatial", "test", 2, seed=4, name="c.h5")
    training, _ = written(tmp_path, digits, "spatial", "train", 2, name="d.h5")
    np.testing.assert_array_equal(frames[:2], again)
    np.testing.assert_array_equal(labels[:2], labels_again)
    assert (other != again).any()
    assert (np.where(training == 255, 0, training) != np.where(again == 255, 0, again)).any()


def test_settings_size_digits_and_box(tmp_path, digits):
    frames, labels = written(tmp_path, digits, "spatial", "test", 2, digit_px=40, step_px=2, box_px=7)
    assert (frames[0, 0] == 200).sum() >= 40**2 - 49
    assert (frames[labels == 1] == 255).sum(axis=(1, 2)).tolist() == [49] * 10


def test_features_have_length_1_and_come_in_batches(tmp_path, digits):
    path = generate(tmp_path / "file.h5", "temporal", "test", 3, 0, digits)
    with MovingMNIST(path) as reader:
        batches = list(reader.batches(2))
        frames = reader.frames().astype(float)
    assert [batch.shape for batch in batches] == [(2, 20, 50625), (1, 20, 50625)]
    assert batches[0].dtype == np.float32
    features = np.concatenate(batches)
    np.testing.assert_allclose(np.linalg.norm(features, axis=-1), 1, rtol=1e-5)
    picture = frames[1, 4].ravel()
    np.testing.assert_allclose(features[1, 4], picture / np.linalg.norm(picture), rtol=1e-5)


def test_windows_and_chosen_pixels_equal_slices(tmp_path, digits):
    path = generate(tmp_path / "file.h5", "spatial", "test", 3, 0, digits)
    pixels = np.array([0, 113 * SIZE_PX + 100, 113 * SIZE_PX + 120, 50624])
    with MovingMNIST(path) as reader:
        np.testing.assert_array_equal(reader.window(2, 7, 10), reader.frames()[2, 7:17])
        chosen = reader.features(1, 3, pixels)
        np.testing.assert_array_equal(chosen, reader.features()[1:3][..., pixels])
        np.testing.assert_array_equal(np.concatenate(list(reader.batches(2, pixels)))[1:], chosen)
    assert chosen.any()


def test_equal_file_is_kept_and_another_replaced(tmp_path, digits):
    written(tmp_path, digits, "spatial", "train", 2)
    before = (tmp_path / "file.h5").stat().st_mtime_ns
    written(tmp_path, digits, "spatial", "train", 2)
    assert (tmp_path / "file.h5").stat().st_mtime_ns == before
    frames, _ = written(tmp_path, digits, "spatial", "train", 3)
    assert len(frames) == 3
    others = Digits(digits.images[::-1] // 2, digits.source)
    frames, _ = written(tmp_path, others, "spatial", "train", 3)
    assert set(np.unique(frames)) == {0, 50, 100}


def test_what_another_process_wrote_meanwhile_is_kept(tmp_path, digits, monkeypatch):
    """The lock is had once the other has written the file; writing it again would be told by its time."""
    locked, times = moving_mnist.locked, []

    @contextmanager
    def after_another(folder):
        monkeypatch.setattr(moving_mnist, "locked", locked)
        written(tmp_path, digits, "spatial", "train", 2)
        times.append((tmp_path / "file.h5").stat().st_mtime_ns)
        yield

    monkeypatch.setattr(moving_mnist, "locked", after_another)
    written(tmp_path, digits, "spatial", "train", 2)
    assert times == [(tmp_path / "file.h5").stat().st_mtime_ns]


def test_written_whole_or_not_at_all(tmp_path, digits, monkeypatch):
    drawn = moving_mnist.draw_sequence

    def interrupted(settings, images, index):
        if index == 2:
            raise KeyboardInterrupt
        return drawn(settings, images, index)

    monkeypatch.setattr(moving_mnist, "draw_sequence", interrupted)
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path, digits, "spatial", "train")
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_memory_does_not_grow_with_the_sequences(tmp_path, digits):
    """Peak of what Python and NumPy allocate: the same for 4 sequences as for 24."""
    peaks = []
    for n_sequences in (4, 24):
        tracemalloc.start()
        generate(tmp_path / f"{n_sequences}.h5", "spatial", "test", n_sequences, 0, digits)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    sequence_bytes = 20 * SIZE_PX**2
    assert peaks[1] - peaks[0] < sequence_bytes / 2


@pytest.mark.parametrize(
    "options",
    [{"kind": "both"}, {"split": "val"}, {"n_sequences": 0}, {"step_px": 5}, {"digit_px": 90}, {"box_px": 0}],
)
def test_refuses_settings_out_of_range(tmp_path, digits, options):
    with pytest.raises(InputError, match=next(iter(options))):
        written(tmp_path, digits, **{"kind": "spatial", "split": "train", **options})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fault", ["missing", "truncated", "changed", "text"])
def test_damaged_file_is_named(tmp_path, digits, fault):
    path = tmp_path / "file.h5"
    if fault != "missing":
        generate(path, "spatial", "test", 3, 0, digits)
        content = bytearray(path.read_bytes())
        if fault == "truncated":
            content = content[: len(content) // 2]
        elif fault == "changed":
            with MovingMNIST(path) as reader:
                chunk = reader._frames.id.get_chunk_info(0)
            content[chunk.byte_offset + chunk.size // 2] ^= 255
        else:
            content = b"no HDF5"
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"file\.h5: "), MovingMNIST(path) as reader:
        reader.features()


def test_real_digits(tmp_path, real_data):
    """The box changes every abnormal frame and no other, whatever it covers: recounted without the box."""
    digits = load_digits(real_data, "test")
    assert len(digits.images) == 10000
    frames, labels = written(tmp_path, digits, "spatial", "test", 4, seed=3)
    settings = moving_mnist.Settings("spatial", "test", 4, 3, digits.source, digits.sha256)
    small_box = replace(settings, box_px=1)
    for index in range(4):
        without, *_ = moving_mnist.draw_sequence(small_box, digits.images, index)
        changed = [len(boxes(frame, plain)) > 1 for frame, plain in zip(frames[index], without, strict=True)]
        np.testing.assert_array_equal(changed, labels[index])
