"""After Javan Roshtkhari & Levine: votes, ensembles and probabilities counted out, a planted speed found."""

import numpy as np
import pytest

from models.quoted import javan
from models.quoted.javan import Ensembles, Members, Volumes, members, nearest_words, volumes

pytestmark = pytest.mark.usefixtures("few_volumes_are_enough")

SIZE = (64, 96)


def walk(n_frames, speed, seed=0):
    """A patch of smooth noise that moves to the right over a flat background, gray."""
    import cv2

    noise = np.random.default_rng(seed).uniform(0, 255, (24, 16)).astype(np.float32)
    patch = (cv2.GaussianBlur(noise, (0, 0), 1.5) - 127) * 2 + 127
    for t in range(n_frames):
        frame = np.full(SIZE, 90, np.float32)
        left = (8 + speed * t) % (SIZE[1] - 16)
        frame[20:44, left : left + 16] = patch
        yield frame.clip(0, 255).astype(np.uint8)


def test_votes_know_the_direction_of_a_gradient_and_of_its_change():
    """A ramp of 5 gray levels a px to the right; it stands still, then moves 1 px a frame to the left."""
    ramp = 5.0 * np.arange(64)[None].repeat(48, axis=0)
    still = [ramp.clip(0, 255).astype(np.uint8)] * 6
    _, moment, *_ = volumes(still)
    histogram = moment[0].histograms[6, 5].reshape(8, 4)
    np.testing.assert_allclose(histogram[0, 2], 1, atol=1e-5)  # angle 0 belongs to the third quarter
    assert not moment[0].changes.any()
    rising = [(ramp + 5 * t).clip(0, 255).astype(np.uint8) for t in range(9)]
    moment = list(volumes(rising))[2]
    histogram = moment[0].histograms[6, 5].reshape(8, 4)
    np.testing.assert_allclose(histogram[0, 2:].sum(), 1, atol=1e-3)  # 45 degrees: a border of two quarters
    assert moment[0].changes[6, 5]


def test_flat_volumes_have_no_votes_and_grids_are_every_four_px():
    moments = list(volumes(walk(7, 2)))
    assert len(moments) == 4  # of frames 0, 2, 4, 6
    assert [of_scale.changes.shape for of_scale in moments[0]] == [(16, 24), (8, 12)]
    histograms = moments[2][0].histograms
    sums = histograms.sum(axis=-1)
    assert np.isclose(sums, 1, atol=1e-5).any()
    np.testing.assert_allclose(sums[np.abs(sums) > 0], 1, atol=1e-4)
    assert (sums[0] == 0).all()
    assert list(volumes([])) == []


def test_words_are_the_three_nearest_by_their_distance():
    rng = np.random.default_rng(1)
    codebook, x = rng.random((20, 32)).astype(np.float32), rng.random((3, 4, 32)).astype(np.float32)
    found = nearest_words(Volumes(x, np.ones((3, 4), bool)), codebook)
    for place in np.ndindex(3, 4):
        distances = np.linalg.norm(codebook.astype(float) - x[place], axis=1)
        nearest = np.argsort(distances)[:3]
        np.testing.assert_array_equal(found.words[place], nearest)
        weights = 1 / (distances[nearest] + 1e-3)
        np.testing.assert_allclose(found.weights[place], weights / weights.sum(), rtol=1e-3)


def random_window(seed, shape=(9, 10)):
    rng = np.random.default_rng(seed)
    for _ in range(5):
        weights = rng.random((*shape, 3)).astype(np.float32)
        weights /= weights.sum(axis=-1, keepdims=True)
        yield javan.Words(rng.integers(0, 64, (*shape, 3)), weights, rng.random(shape) < 0.2)


def test_members_are_what_lies_around_a_center():
    window = tuple(random_window(2))
    found = members(window)
    np.testing.assert_array_equal(found.centers, np.argwhere(window[2].changes))
    for n, (y, x) in enumerate(found.centers):
        zone = (4 * y // 9) * 6 + 6 * x // 10
        assert found.tables[n] == zone * 64 + window[2].words[y, x, 0]
        for offset in (0, 24, 100, 122, 244):
            moment, rest = divmod(offset, 49)
            down, across = y + rest // 7 - 3, x + rest % 7 - 3
            if 0 <= down < 9 and 0 <= across < 10:
                np.testing.assert_array_equal(found.words[n, offset], window[moment].words[down, across])
                np.testing.assert_array_equal(found.weights[n, offset], window[moment].weights[down, across])
            else:
                assert not found.weights[n, offset].any()


def test_scores_are_the_probabilities_counted_out():
    model = Ensembles([np.zeros((64, 32), np.float32)])
    seen = [members(tuple(random_window(seed))) for seed in range(6)]
    for one in seen:
        model.learn([one])
    asked = members(tuple(random_window(3)))
    scores = model.scores(0, asked)
    for n in range(0, len(asked.tables), 4):
        terms = []
        for offset in range(245):
            if not asked.weights[n, offset].any():
                continue
            counts = np.zeros(64)
            for one in seen:
                for m in np.flatnonzero(one.tables == asked.tables[n]):
                    np.add.at(counts, one.words[m, offset], one.weights[m, offset])
            P = (counts + 1) / (counts.sum() + 64)
            terms.append(-asked.weights[n, offset] @ np.log(P[asked.words[n, offset]]))
        np.testing.assert_allclose(scores[n], np.mean(terms), rtol=1e-4)


@pytest.fixture(scope="module")
def model():
    return Ensembles.fit(lambda: (walk(50, 1, seed) for seed in range(2)))


def test_planted_speed_scores_highest_where_it_is(model):
    normal, fast = (np.stack(list(model.maps(walk(24, speed, 9)))) for speed in (1, 5))
    assert normal.shape == (24, 4, 6)
    assert fast.max() > 1.2 * normal.max()
    assert fast[4:, 1:3].max() == fast.max()  # the rows that it walks in
    assert not np.any(list(model.maps([next(walk(1, 0))] * 6)))


@pytest.mark.parametrize("n_frames", [0, 1, 2, 5])
def test_every_frame_has_a_map(model, n_frames):
    assert len(list(model.maps(walk(n_frames, 1)))) == n_frames


def test_what_is_learned_while_scoring_becomes_usual():
    model = Ensembles.fit(lambda: [walk(40, 1)])
    first, second = (np.stack(list(model.maps(walk(24, 5, 9), update=True))).max() for _ in range(2))
    assert second < 0.9 * first


def test_refuses_no_frames():
    with pytest.raises(ValueError, match="got none"):
        Ensembles.fit(lambda: [[]])
    assert Members((1, 1), *np.zeros((4, 0))).tables.size == 0
