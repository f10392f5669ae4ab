"""Windows and blocks against plain slices of the same features."""

import numpy as np
import pytest
from synthetic import CHANNELS, REGIONS, write_clip

from data_prep import windows
from data_prep.errors import InputError
from data_prep.pooling import rolling_temporal
from data_prep.shards import Shard
from data_prep.windows import ActiveRowSampler, WindowSampler, batches, clip_blocks, stream_features


@pytest.fixture
def clips(tmp_path):
    """Two clips whose features say where they come from: 1000 * clip + 10 * frame + region."""
    frames = {}
    for clip, n_frames in (("01", 13), ("02", 20)):
        place = 10 * np.arange(n_frames)[:, None] + np.arange(REGIONS) * 0.1
        features = 1000 * int(clip) + place[..., None] + np.zeros(CHANNELS)
        frames[write_clip(tmp_path, "train", clip, features.astype(np.float32))] = features
    return frames


def test_batch_holds_consecutive_frames_of_each_region(clips):
    sampler = WindowSampler(list(clips), window_frames=5, batch_clips=3, seed=1)
    batch = sampler.batch(0)
    assert batch.shape == (3 * REGIONS, 5, CHANNELS)
    assert batch.dtype == np.float32
    for window in batch.reshape(3, REGIONS, 5, CHANNELS):
        np.testing.assert_allclose(np.diff(window, axis=1), 10, rtol=1e-3)
        np.testing.assert_allclose(np.diff(window, axis=0), 0.1, rtol=1e-2)


def test_batches_depend_on_seed_and_step_alone(clips):
    first = WindowSampler(list(clips), window_frames=5, seed=1)
    second = WindowSampler(list(clips), window_frames=5, seed=1)
    resumed = batches(second.batch, start_step=7)
    np.testing.assert_array_equal(first.batch(7), next(resumed)[0])
    np.testing.assert_array_equal(first.batch(8), next(resumed)[0])
    assert not np.array_equal(first.batch(7), first.batch(8))
    assert not np.array_equal(first.batch(7), WindowSampler(list(clips), window_frames=5, seed=2).batch(7))


def test_few_shards_are_open_at_once(clips, monkeypatch):
    many, one = (WindowSampler(list(clips), window_frames=5, seed=1) for _ in range(2))
    expected = [many.batch(step) for step in range(5)]
    monkeypatch.setattr(windows, "MOST_OPEN", 1)
    for step, batch in enumerate(expected):
        np.testing.assert_array_equal(one.batch(step), batch)
    assert (len(many._opened), len(one._opened)) == (2, 1)


def test_every_window_is_equally_likely(clips):
    sampler = WindowSampler(list(clips), window_frames=11, batch_clips=50, seed=0)
    starts = np.concatenate([sampler.batch(step)[::REGIONS, 0, 0] for step in range(40)])
    values, counts = np.unique(np.round(starts), return_counts=True)
    assert values.tolist() == [1000, 1010, 1020, *range(2000, 2100, 10)]  # 3 + 10 windows
    expected = len(starts) / 13
    chi_squared = np.sum((counts - expected) ** 2 / expected)
    assert chi_squared < 32.9  # 0.1 % level, 12 degrees of freedom


def test_a_clip_shorter_than_the_window_is_refused(clips):
    with pytest.raises(InputError, match=r"01\.h5: expected at least 14 frames .* got 13"):
        WindowSampler(list(clips), window_frames=14)


@pytest.fixture
def sparse_clips(tmp_path):
    """Clips of 30 rows: 3 to 9 are active in frames 4 to 7 of the first, all of them in all of the second."""
    paths = []
    for clip, (frames, rows) in {"01": (slice(4, 8), slice(3, 10)), "02": (slice(None), slice(None))}.items():
        features = np.zeros((12, 30, 2), np.float32)
        features[frames, rows] = 100 * int(clip) + np.arange(30)[None, rows, None]
        paths.append(write_clip(tmp_path, "train", clip, features))
    return paths


def test_rows_of_a_batch_are_active(sparse_clips):
    sampler = ActiveRowSampler(sparse_clips, n_rows=8, window_frames=3, batch_clips=6)
    batches = [sampler.batch(step) for step in range(50)]
    assert {batch.shape for batch in batches} == {(48, 3, 2)}
    rows = np.concatenate(batches)
    names = rows.max(axis=(1, 2))
    assert set(names.astype(int)) == {*range(103, 110), *range(200, 230)}
    for drawn in names.astype(int).reshape(-1, 8):  # of one window each
        assert len(set(drawn // 100)) == 1
        assert drawn[0] < 200 or len(set(drawn)) == 8  # each once, where there are enough


def test_active_rows_depend_on_seed_and_step_alone(sparse_clips):
    first, again, other = (ActiveRowSampler(sparse_clips, n_rows=8, seed=s) for s in (1, 1, 2))
    first.batch(0)
    np.testing.assert_array_equal(first.batch(7), again.batch(7))
    assert not np.array_equal(first.batch(7), first.batch(8))
    assert not np.array_equal(first.batch(7), other.batch(7))


def test_nothing_active_is_an_error(tmp_path):
    path = write_clip(tmp_path, "train", "01", np.zeros((12, 5, 2), np.float32))
    with pytest.raises(InputError, match="expected features that are not zeros, got none in 1000 windows"):
        ActiveRowSampler([path]).batch(0)


@pytest.mark.parametrize("alignment", ["causal", "centered"])
def test_temporal_windows_equal_pooling_of_the_whole_clip(tmp_path, alignment):
    features = np.random.default_rng(0).uniform(0, 1, (15, REGIONS, CHANNELS)).astype(np.float32)
    path = write_clip(tmp_path, "train", "01", features)
    whole = rolling_temporal(features, 4, alignment)
    with Shard(path) as shard:
        for start, stop in ((0, 4), (2, 9), (10, 15)):
            part = stream_features(shard, start, stop, "temporal", 4, alignment)
            np.testing.assert_array_equal(part, whole[start:stop])
            early = stream_features(shard, start, stop, "early", 4, alignment)
            np.testing.assert_array_equal(early, np.concatenate([features, whole], -1)[start:stop])
        with pytest.raises(ValueError, match="stream"):
            stream_features(shard, 0, 1, "motion")


def test_blocks_cover_each_clip_once_and_pad_with_zeros(clips):
    blocks = list(clip_blocks(list(clips), "spatial", 6))
    assert [block.shape for block, _ in blocks] == [(2 * REGIONS, 6, CHANNELS)] * 4
    for index, features in enumerate(clips.values()):
        rows = slice(index * REGIONS, (index + 1) * REGIONS)
        parts = [block[rows, : n_valid[index]] for block, n_valid in blocks]
        np.testing.assert_allclose(np.concatenate(parts, 1).transpose(1, 0, 2), features, rtol=1e-6)
    last, n_valid = blocks[-1]
    assert n_valid.tolist() == [0, 2]
    assert not last[:REGIONS].any()
    assert not last[REGIONS:, 2:].any()
