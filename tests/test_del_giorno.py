"""Del Giorno et al.: flat where nothing changes, a peak where it does, and the windows written out."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models.quoted import del_giorno
from models.quoted.del_giorno import change_maps

C = 30


def clip(n_frames, change=(), n_cells=5, seed=0):
    """The same cuboids in every frame; in frames of `change` one of them is another."""
    rng = np.random.default_rng(seed)
    usual, other = np.abs(rng.standard_normal((n_cells, C))), np.abs(rng.standard_normal(C))
    rows, columns = np.full(n_cells, 6), 3 + np.arange(n_cells)
    for t in range(n_frames):
        cuboids = usual.copy()
        if t in change:
            cuboids[2] = other
        yield cuboids, rows, columns


def test_a_clip_without_change_scores_flat():
    maps = np.stack(list(change_maps(clip(43))))
    assert maps.shape == (43, 12, 16)
    np.testing.assert_allclose(maps, maps[:1].repeat(43, axis=0), atol=0.01)
    np.testing.assert_allclose(maps[:, 6, 5], 5 * 5 * 5 / 125 / 5, atol=0.01)  # 1 in 5 of 25 cells of the box


def test_a_change_peaks_where_and_when_it_comes():
    maps = np.stack(list(change_maps(clip(60, range(30, 38)))))
    scores = maps.mean(axis=(1, 2))
    assert 30 <= scores.argmax() < 38
    assert scores[31:37].min() > scores[:25].max()


def test_same_seed_same_maps():
    first, second, other = (np.stack(list(change_maps(clip(30, [25]), seed))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 0


def test_probabilities_are_those_of_the_windows_written_out():
    rng = np.random.default_rng(1)
    n_frames, seed = 34, 5
    frame_of = np.sort(rng.integers(0, n_frames, 90))
    x = rng.standard_normal((90, 4))
    rng = np.random.default_rng(seed)
    orders = [list(range(n_frames))] + [list(rng.permutation(n_frames)) for _ in range(10)]
    seen = [[] for _ in x]
    for order in orders:
        for u in (20, 30, 34):
            labels = {frame: int(place >= u - 10) for place, frame in enumerate(order[:u])}
            used = [i for i in range(90) if frame_of[i] in labels]
            y = np.array([labels[frame_of[i]] for i in used])
            weights = np.where(y == 1, (u - 10) / u, 10 / u)
            model = LogisticRegression(C=0.1, solver="liblinear").fit(x[used], y, sample_weight=weights)
            for i, p in zip(used, model.predict_proba(x[used])[:, 1], strict=True):
                if labels[frame_of[i]]:
                    seen[i].append(p)
    expected = [np.mean(p) if p else 0.5 for p in seen]
    np.testing.assert_allclose(del_giorno.probabilities(x, frame_of, n_frames, seed), expected, atol=1e-3)


def test_whitening_gives_components_of_variance_one():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((200, 5)) @ rng.standard_normal((5, C)) + 7
    white = del_giorno.whitened(x, 100)
    assert white.shape == (200, 5)  # the rank of x
    np.testing.assert_allclose(np.cov(white, rowvar=False, bias=True), np.eye(5), atol=1e-8)
    assert del_giorno.whitened(x, 3).shape == (200, 3)
    assert del_giorno.whitened(np.ones((6, C)), 3).shape == (6, 1)


@pytest.mark.parametrize(("n_frames", "ends"), [(19, []), (20, [20]), (23, [20, 23]), (40, [20, 30, 40])])
def test_windows_end_with_the_order(n_frames, ends):
    assert del_giorno.window_ends(n_frames) == ends


def test_short_still_and_long_clips(monkeypatch):
    nothing = np.zeros((0, C)), np.zeros(0, int), np.zeros(0, int)
    assert list(change_maps([])) == []
    assert not np.any(list(change_maps([nothing] * 25)))
    short = np.stack(list(change_maps(clip(7))))  # no window at all: a = 1/2
    np.testing.assert_allclose(short[:, 6, 5], 1 / 5)
    monkeypatch.setattr(del_giorno, "MOST_FRAMES", 25)
    assert len(list(change_maps(clip(60)))) == 60
