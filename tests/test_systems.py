"""The compared systems through the path that trains and scores them all."""

import keras
import numpy as np
import pytest
from synthetic import write_clip, write_dataset

from data_prep.errors import InputError
from data_prep.shards import Shard, list_shards
from experiments.lab.scoring.regularity import micro_auc
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems import tsc as systems
from experiments.lab.systems.catalogue import run_system
from experiments.lab.systems.frame_systems import as_channels, as_video, mean_frame, score_windows
from experiments.lab.training import alternation
from experiments.lab.training.run_files import load_model

SMALL = PAPER.override(
    n_atoms=8,
    similarity_units=4,
    iterations=8,
    checkpoint_every=4,
    log_every=2,
    lstm_units=5,
    tsc_n_atoms=8,
    tsc_depth=20,
    tsc_lambda1=0.01,
    tsc_alternations=3,
    tsc_windows=4,
    conv_ae_filters=8,
    conv_lstm_filters=2,
    conv_lstm_memory=3,
    frames_iterations=24,
    frames_batch_clips=2,
    frames_learning_rate=1e-2,
)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Gray frames of 39 and 33 px, a bar passing; in the middle of test clips stands a square."""

    def write(size):
        folder = tmp_path_factory.mktemp(f"gray{size}")
        for split in ("train", "test"):
            clip = np.zeros((24, size, size), np.float32)
            for t in range(24):
                clip[t, :, t : t + 4] = 0.5
            labels = np.zeros(24, np.uint8)
            if split == "test":
                labels[8:16] = 1
                clip[8:16, 10:24, 8:22] = 1
            write_clip(folder, split, "01", clip.reshape(24, 1, -1), labels)
        return folder

    return {"Conv-AE": write(39), "ConvLSTM-AE": write(33)}


@pytest.mark.parametrize("system", ["sRNN-AE", "LSTM-AE", "TSC"])
def test_feature_system_trains_scores_and_is_kept(features, tmp_path, system, monkeypatch):
    run = run_system(system, features, "temporal", SMALL, 0, tmp_path)
    assert run.config["system"] == system
    assert run.metrics["training_seconds"] > 0
    assert [clip.clip for clip in run.scores()] == ["01", "02"]
    assert run.scores()[0].error.shape == (24, 21)
    assert run.metrics["auc_per_clip"] == pytest.approx(micro_auc({"temporal": run.scores()}))
    assert run.train_errors().shape == (3 * 24,)
    monkeypatch.setattr(keras.Model, "fit", lambda *_, **__: pytest.fail("trained again"))
    assert run_system(system, features, "temporal", SMALL, 0, tmp_path).folder == run.folder
    assert (run.scores()[0].similarity is None) == (system == "LSTM-AE")


def test_scores_of_lstm_ae_are_those_of_the_whole_sequence(features, tmp_path):
    run = run_system("LSTM-AE", features, "spatial", SMALL, 0, tmp_path)
    with Shard(features / "test" / "01.h5") as shard:
        x = shard.features().transpose(1, 0, 2)
    difference = keras.ops.convert_to_numpy(run.model()(x)["reconstruction"]) - x
    np.testing.assert_allclose(run.scores()[0].error.T, np.square(difference).sum(-1), rtol=1e-4)


def test_scores_of_tsc_are_those_of_its_dictionary(features, tmp_path):
    """On the whole-frame region, by Algorithm 1 written out in NumPy."""
    run = run_system("TSC", features, "spatial", SMALL, 0, tmp_path)
    model = run.model()
    A, gamma = model.dictionary.astype(float), float(model.srnn.gamma)
    with Shard(features / "test" / "01.h5") as shard:
        x = shard.features()[:, 0].astype(float)
    before, errors = np.zeros(A.shape[1]), []
    for t in range(len(x)):
        S = np.exp(-np.square(x[t] - x[t - 1]).sum() / 100) if t else 0.0
        a = before
        for _ in range(20):
            slope = A.T @ (A @ a - x[t]) + 2.0 * S * (a - before)
            a = np.maximum(a - slope / gamma - 0.01 / gamma, 0)
        errors.append(np.square(x[t] - A @ a).sum())
        before = a
    np.testing.assert_allclose(run.scores()[0].error[:, 0], errors, rtol=1e-3, atol=1e-5)


def test_tsc_with_exact_coding_and_no_l1_is_told_in_one_line(features, tmp_path):
    settings = SMALL.override(tsc_lambda1=0.0, tsc_coding="exact")
    with pytest.raises(InputError, match="exact coding takes a lambda1 above 0, got 0"):
        run_system("TSC", features, "spatial", settings, 0, tmp_path)


def test_interrupted_tsc_resumes_to_the_same_dictionary(features, tmp_path, monkeypatch):
    """Broken off once before an alternation is written, and once after."""
    unbroken = run_system("TSC", features, "spatial", SMALL, 0, tmp_path / "unbroken")
    for fault in ("write_json", "log_alternation"):
        real = getattr(alternation, fault)

        def break_off(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(alternation, fault, break_off)
        with pytest.raises(KeyboardInterrupt):
            run_system("TSC", features, "spatial", SMALL, 0, tmp_path)
        monkeypatch.setattr(alternation, fault, real)
    resumed = run_system("TSC", features, "spatial", SMALL, 0, tmp_path)
    np.testing.assert_array_equal(resumed.model().dictionary, unbroken.model().dictionary)
    objectives = [[row["objective"] for row in run.history] for run in (resumed, unbroken)]
    assert objectives[0] == objectives[1]
    assert len(objectives[0]) == 3
    assert not list(resumed.folder.glob("alternation_*"))


@pytest.mark.parametrize("system", ["Conv-AE", "ConvLSTM-AE"])
def test_frame_system_trains_and_scores(frames, tmp_path, system):
    run = run_system(system, frames[system], "frames", SMALL, 0, tmp_path)
    clip = run.scores()[0]
    assert clip.error.shape == (24, 1)
    assert clip.similarity is None
    assert np.isfinite(clip.error).all()
    assert micro_auc({"frames": run.scores()}) == pytest.approx(run.metrics["auc_per_clip"])
    assert isinstance(load_model(run.folder), keras.Model)
    losses = [row["loss"] for row in run.history]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


def test_every_frame_is_scored_once_by_the_window_that_first_reaches_it(tmp_path):
    """Errors that name their window and place: 7 frames, windows of 4, steps of 2: starts 0, 2, 3."""
    clip = np.arange(7, dtype=np.float32).reshape(7, 1, 1)
    path = write_clip(tmp_path, "test", "01", clip)
    windows = []

    def errors_of(batch):
        windows.extend(batch[:, 0, 0].tolist())
        return batch[:, :, 0] + 10 * np.arange(len(batch))[:, None]

    scores = score_windows(path, errors_of, window_frames=4, step_frames=2)
    assert windows == [0, 2, 3]
    assert scores.error[:, 0].tolist() == [0, 1, 2, 3, 14, 15, 26]


def test_clip_shorter_than_a_window_is_filled_up(tmp_path):
    path = write_clip(tmp_path, "test", "01", np.arange(3, dtype=np.float32).reshape(3, 1, 1))
    seen = []

    def errors_of(batch):
        seen.append(batch[0, :, 0].tolist())
        return batch[:, :, 0]

    assert score_windows(path, errors_of, 5, 5).error[:, 0].tolist() == [0, 1, 2]
    assert seen == [[0, 1, 2, 2, 2]]


def test_shapes_of_windows_and_mean_frame(tmp_path):
    windows = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    assert as_channels(windows)[1, 0, 1].tolist() == [13, 17, 21]
    assert as_video(windows)[1, 2, 1, 0, 0] == windows[1, 2, 2]
    for index, value in enumerate((1.0, 4.0)):
        write_clip(tmp_path, "train", str(index), np.full((1 + index, 1, 4), value, np.float32))
    paths = sorted((tmp_path / "train").iterdir())
    np.testing.assert_allclose(mean_frame(paths), np.full(4, 3.0))


def test_tsc_codes_all_frames_or_the_same_windows(features):
    everything = list(systems.training_blocks(features, "spatial", SMALL.override(tsc_windows=0), 0))
    assert sum(block.mask.sum() for block in everything) == 3 * 24 * 21
    assert [block.starts for block in everything] == [True, False, False]
    coded = np.concatenate([block.x for block in everything], 1)
    real = np.concatenate([block.mask for block in everything], 1)
    for index, path in enumerate(list_shards(features, "train")):
        rows = slice(index * 21, (index + 1) * 21)
        with Shard(path) as shard:
            x = shard.features().transpose(1, 0, 2)
            np.testing.assert_array_equal(coded[rows][:, : shard.n_frames], x)
            assert (real[rows].sum(1) == shard.n_frames).all()
    first, again = (list(systems.training_blocks(features, "spatial", SMALL, 0)) for _ in range(2))
    assert len(first) == 1
    np.testing.assert_array_equal(first[0].x, again[0].x)
