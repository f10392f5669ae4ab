"""Scores: padding, blocks and grouping must not show; files must come back as they were written."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from synthetic import CHANNELS, REGIONS, write_clip

from data_prep.errors import InputError
from experiments.lab.scoring import score
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.regularity import micro_auc, regularity
from experiments.lab.scoring.score import ClipScores, score_clips
from experiments.lab.scoring.score_files import load_scores, save_scores
from models.lstm_ae import LSTMAE, LSTMStreaming
from models.srnn_ae import SRNNAE, Streaming


@pytest.fixture
def model():
    model = SRNNAE(CHANNELS, n_atoms=9, similarity_units=4, gamma=2.0, lambda2=0.5, seed=3)
    model.srnn.initial_codes.assign(np.linspace(0, 0.5, 9))
    return model


@pytest.fixture
def shards(tmp_path):
    rng = np.random.default_rng(0)
    return [
        write_clip(tmp_path, "test", f"{i:02d}", rng.uniform(0, 2, (n, REGIONS, CHANNELS)), np.arange(n) % 2)
        for i, n in enumerate((25, 7, 13))
    ]


def test_scores_equal_one_forward_pass_over_the_whole_clip(model, shards):
    scored = score_clips(Streaming(model), shards, "spatial")
    for path, clip in zip(shards, scored, strict=True):
        with score.Shard(path) as shard:
            x = shard.features().transpose(1, 0, 2)
            np.testing.assert_array_equal(clip.labels, shard.labels)
        outputs = {key: keras.ops.convert_to_numpy(value) for key, value in model(x).items()}
        codes = np.concatenate([np.tile(np.linspace(0, 0.5, 9), (REGIONS, 1, 1)), outputs["codes"]], 1)
        np.testing.assert_allclose(
            clip.error, np.sum((x - outputs["reconstruction"]) ** 2, -1).T, rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(clip.similarity, outputs["similarity"][..., 0].T, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(
            clip.code_distance, np.linalg.norm(np.diff(codes, axis=1), axis=-1).T, rtol=1e-3, atol=1e-5
        )
        np.testing.assert_allclose(clip.sparsity, (outputs["codes"] == 0).mean(-1).T, rtol=1e-6)


def test_permuting_the_clips_changes_nothing(model, shards):
    forward = score_clips(Streaming(model), shards, "temporal")
    backward = score_clips(Streaming(model), shards[::-1], "temporal")[::-1]
    for one, other in zip(forward, backward, strict=True):
        np.testing.assert_allclose(one.error, other.error, rtol=1e-5)
    auc = micro_auc({"temporal": forward})
    assert micro_auc({"temporal": forward[::-1]}) == pytest.approx(auc, abs=1e-12)


def test_groups_of_clips_equal_one_at_a_time(model, shards, monkeypatch):
    together = score_clips(Streaming(model), shards, "spatial")
    monkeypatch.setattr(score, "CLIPS_AT_ONCE", 1)
    for one, other in zip(together, score_clips(Streaming(model), shards, "spatial"), strict=True):
        np.testing.assert_allclose(one.error, other.error, rtol=1e-5)


def test_windows_at_rest_score_nothing(model, tmp_path):
    """Clips of frames of other shapes have other numbers of windows; files hold them all the same."""
    rng = np.random.default_rng(0)
    paths, active = [], []
    for index, n_windows in enumerate((30, 30, 12)):
        active.append(rng.uniform(size=(8, n_windows)) < 0.3)
        features = rng.uniform(0, 2, (8, n_windows, CHANNELS)) * active[-1][..., None]
        boxes = np.zeros((n_windows, 4), np.float32)
        paths.append(write_clip(tmp_path, "test", f"{index}", features.astype(np.float32), boxes=boxes))
    scored = score_clips(Streaming(model), paths, "spatial")
    for path, moving, clip in zip(paths, active, scored, strict=True):
        np.testing.assert_array_equal(clip.error > 0, moving)
        with score.Shard(path) as shard:
            x = shard.features().transpose(1, 0, 2)
        expected = np.sum((x - keras.ops.convert_to_numpy(model(x)["reconstruction"])) ** 2, -1).T
        np.testing.assert_allclose(clip.error[moving], expected[moving], rtol=1e-4, atol=1e-5)
        codes = keras.ops.convert_to_numpy(model(x)["codes"])
        assert clip.of_regions("sparsity").mean() == pytest.approx((codes == 0).mean(-1).T[moving].mean())
    save_scores(tmp_path / "scores.npz", scored)
    for one, other in zip(scored, load_scores(tmp_path / "scores.npz"), strict=True):
        np.testing.assert_array_equal(one.error.max(axis=1), other.error.max(axis=1))


def test_step_function_equals_the_step_of_the_model(model):
    streaming = Streaming(model)
    x = np.random.default_rng(0).uniform(0, 2, (REGIONS, 6, CHANNELS)).astype(np.float32)
    compiled, state, other = score.step_function(streaming), *[streaming.initial_state(REGIONS)] * 2
    for block in (x[:, :1], x[:, 1:3], x[:, 3:]):  # blocks of any length
        scores, state = compiled(block, state)
        expected, other = Streaming(model).step(block, other)
        for name in score.PER_FRAME:
            np.testing.assert_allclose(scores[name], expected[name], rtol=1e-5, atol=1e-6)


LENGTHS = (3, 5, 3)


@pytest.mark.parametrize("kind", ["sRNN-AE", "LSTM-AE"])
def test_blocks_of_any_length_follow_each_other(model, kind):
    """One streaming model, blocks of 3, 5 and 3 frames; whole, in both ways that a block is scored."""
    if kind == "sRNN-AE":
        make = lambda: Streaming(model)  # noqa: E731
    else:
        lstm = LSTMAE(CHANNELS, 5)
        make = lambda: LSTMStreaming(lstm)  # noqa: E731
    x = np.random.default_rng(0).uniform(0, 2, (REGIONS, sum(LENGTHS), CHANNELS)).astype(np.float32)
    whole, _ = make().step(x, make().initial_state(REGIONS))
    streaming = make()
    for step in (streaming.step, score.step_function(streaming)):
        state, start = streaming.initial_state(REGIONS), 0
        for length in LENGTHS:
            scores, state = step(x[:, start : start + length], state)
            for name, values in scores.items():
                expected = whole[name][:, start : start + length]
                np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)
            start += length


def test_saved_scores_come_back(model, shards, tmp_path):
    scored = score_clips(Streaming(model), shards, "spatial")
    save_scores(tmp_path / "scores.npz", scored)
    for one, other in zip(scored, load_scores(tmp_path / "scores.npz"), strict=True):
        assert one.clip == other.clip
        for name in ("labels", *score.PER_FRAME):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_damaged_scores_are_refused(tmp_path):
    path = tmp_path / "scores.npz"
    path.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(InputError, match=r"scores\.npz"):
        load_scores(path)


def test_a_model_that_gives_nan_is_refused(model, shards):
    model.decoder.assign(np.full(model.decoder.shape, np.nan))
    with pytest.raises(InputError, match=r"00\.h5: expected finite"):
        score_clips(Streaming(model), shards, "spatial")


def test_regularity_by_hand(shards):
    def clip(errors):
        errors = np.array(errors, np.float32)[:, None] * np.ones(REGIONS, np.float32)
        return score.ClipScores("c", np.array([0, 1, 0], np.uint8), errors, errors, errors, errors)

    spatial, temporal = [clip([1, 3, 2])], [clip([4, 4, 0])]
    np.testing.assert_allclose(regularity({"spatial": spatial})[0], [1, 0, 0.5])
    both = {"spatial": spatial, "temporal": temporal}
    np.testing.assert_allclose(regularity(both)[0], [1, 0, 1.0])
    three = {"flow": [clip([2, 0, 1])], "temporal": temporal, "spatial": spatial}
    np.testing.assert_allclose(regularity(three)[0], [1, 0.5, 1.25])
    np.testing.assert_allclose(regularity(three, Protocol(("flow",)))[0], [0, 1, 0.5])  # one of them alone
    smooth = regularity(both, Protocol(smoothing_frames=3))[0]
    np.testing.assert_allclose(smooth, [0.5, 2 / 3, 0.5])
    train = {"spatial": np.array([0.0, 2.0, 4.0])}
    by_train = regularity({"spatial": spatial}, Protocol(("spatial",), normalization="train"), train)[0]
    np.testing.assert_allclose(by_train, 1 - np.array([1, 3, 2]) / np.percentile(train["spatial"], 99.9))


def named_clips(names, seed=0):
    rng = np.random.default_rng(seed)
    labels = {name: (np.arange(9) % 4 == int(name) % 4).astype(np.uint8) for name in names}
    return [score.ClipScores(name, labels[name], rng.gamma(2.0, size=(9, 1))) for name in names]


def test_streams_are_joined_by_the_names_of_their_clips():
    names = [str(number) for number in range(1, 13)]  # by name 10 comes before 2
    spatial, temporal = named_clips(names), named_clips(names, seed=1)
    expected = micro_auc({"spatial": spatial, "temporal": temporal})
    by_name = sorted(temporal, key=lambda clip: clip.clip)
    assert micro_auc({"spatial": spatial, "temporal": by_name}) == expected
    assert micro_auc({"temporal": by_name, "spatial": spatial}, Protocol()) == expected


def test_streams_of_other_clips_or_labels_are_refused_by_name():
    spatial = named_clips(["1", "2", "3"])
    with pytest.raises(InputError, match=r"temporal stream: .*: without 2, 3; besides 4$"):
        regularity({"spatial": spatial, "temporal": named_clips(["1", "4"])})
    with pytest.raises(InputError, match=r"temporal stream: .*: repeated 3$"):
        regularity({"spatial": spatial, "temporal": named_clips(["1", "2", "3", "3"])})
    other = [replace(clip, labels=1 - clip.labels) if clip.clip == "2" else clip for clip in spatial]
    with pytest.raises(InputError, match="temporal stream, clip 2: labels differ"):
        regularity({"spatial": spatial, "temporal": other})


def test_scores_without_what_codes_give_are_one_line():
    clip = ClipScores("01", np.zeros(3, np.uint8), np.ones((3, 21)), similarity=np.ones((3, 21)))
    assert clip.of_codes("similarity").shape == (3, 21)
    with pytest.raises(InputError, match=r"scores of clip 01: expected sparsity, got none"):
        clip.of_codes("sparsity")
