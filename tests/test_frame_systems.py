"""Systems on gray frames: what is held out, when training stops and what is kept, the mean frame's errors."""

import keras
import numpy as np
import pytest
from synthetic import write_clip

from data_prep.errors import InputError
from data_prep.shards import Shard
from experiments.lab.publishing.notes import held_out_note
from experiments.lab.publishing.results import HELD_OUT, Row
from experiments.lab.publishing.tables import protocols, text_grid
from experiments.lab.scoring.regularity import micro_auc
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems import frame_systems
from experiments.lab.systems.catalogue import run_system
from experiments.lab.systems.frame_systems import FORMULAS, MEAN_FRAMES, as_channels, as_video
from experiments.lab.systems.gray_frames import ShardFrames, score_windows
from experiments.lab.training.held_out import ERROR, LOSS, MEAN_FRAME_ERROR, MEAN_FRAME_LOSS, HeldOut
from tests.breaking_off import broken_off_at

SMALL = PAPER.override(
    conv_ae_filters=8,
    conv_ae_iterations=24,
    conv_ae_batch_clips=2,
    conv_ae_learning_rate=3e-3,
    conv_lstm_filters=4,
    conv_lstm_memory=6,
    conv_lstm_iterations=24,
    conv_lstm_batch_clips=2,
    conv_lstm_learning_rate=3e-3,
    frames_checkpoint_every=6,
    log_every=2,
)
SIZES = {"Conv-AE": 39, "ConvLSTM-AE": 33}


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Gray frames, a bar passing, two training clips; in the middle of the test clip stands a square."""

    def write(size):
        folder = tmp_path_factory.mktemp(f"gray{size}")
        for split, clip in (("train", "01"), ("train", "02"), ("test", "01")):
            pictures = np.zeros((24, size, size), np.float32)
            for t in range(24):
                pictures[t, :, t + int(clip) : t + 4 + int(clip)] = 0.5
            labels = np.zeros(24, np.uint8)
            if split == "test":
                labels[8:16] = 1
                pictures[8:16, 10:24, 8:22] = 1
            write_clip(folder, split, clip, pictures.reshape(24, 1, -1), labels)
        return folder

    return {system: write(size) for system, size in SIZES.items()}


@pytest.fixture(scope="module")
def runs(frames, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return {system: run_system(system, frames[system], "frames", SMALL, 0, out) for system in SIZES}


@pytest.mark.parametrize("system", SIZES)
def test_frame_system_trains_and_scores(runs, system):
    run = runs[system]
    clip = run.scores()[0]
    assert clip.error.shape == (24, 1)
    assert clip.similarity is None
    assert np.isfinite(clip.error).all()
    assert micro_auc({"frames": run.scores()}) == pytest.approx(run.metrics["auc_per_clip"])
    losses = [row["loss"] for row in run.history]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    measured = [row for row in run.history if LOSS in row]
    assert [row["step"] for row in measured] == [6, 12, 18, 24]
    assert measured[-1][LOSS] < measured[0][LOSS]
    assert run.metrics[LOSS] == next(row[LOSS] for row in measured if row["step"] == run.metrics["steps"])


def in_numpy(system, x):
    """Loss and frame errors of what draws the mean frame; x (n, T, H * W) is minus it."""
    squares = np.square(x).sum(-1)
    if system == "Conv-AE":
        return 0.5 * squares.sum(1).mean(), np.abs(x).sum(-1)
    before = np.concatenate([squares[:, :1], squares[:, :-1]], 1)
    return 0.5 * squares.mean() + 0.5 * squares[:, :-1].mean(), np.sqrt(squares + before)


@pytest.mark.parametrize("row", MEAN_FRAMES)
def test_mean_frame_has_the_errors_of_its_formulas(frames, tmp_path, row):
    system = MEAN_FRAMES[row]
    run = run_system(row, frames[system], "frames", SMALL, 0, tmp_path)
    assert run_system(row, frames[system], "frames", SMALL, 7, tmp_path).folder == run.folder
    train = [stored(frames[system], "train", clip) for clip in ("01", "02")]
    mean, test = train[0].mean(0), stored(frames[system], "test", "01")
    loss, errors = in_numpy(system, np.stack([train[1][:10], train[1][10:20]]) - mean)
    assert run.metrics[MEAN_FRAME_LOSS] == pytest.approx(loss, rel=1e-5)
    assert run.metrics[MEAN_FRAME_ERROR] == pytest.approx(errors.mean(), rel=1e-5)
    # windows from 0, 10, 14 or 0, 5, 10, 14; the frames that are not the first of a window agree
    _, whole = in_numpy(system, (test - mean)[None])
    np.testing.assert_allclose(run.scores()[0].error[:, 0], whole[0], rtol=1e-5)
    assert run.metrics["auc_per_clip"] == pytest.approx(micro_auc({"frames": run.scores()}))


def stored(folder, split, clip):
    with Shard(folder / split / f"{clip}.h5") as shard:
        return shard.features()[:, 0].astype(float)


@pytest.mark.parametrize("system", SIZES)
def test_each_network_is_measured_on_the_frames_held_out(frames, runs, system):
    """Against the saved model, by hand."""
    mean = stored(frames[system], "train", "01").mean(0)
    held_out = stored(frames[system], "train", "02") - mean
    x = FORMULAS[system].shape(np.stack([held_out[:10], held_out[10:20]]))
    output = runs[system].model()(x)
    if system == "Conv-AE":
        difference = np.asarray(output) - x
        loss = 0.5 * np.square(difference).sum((1, 2, 3)).mean()
        error = np.abs(difference).sum((1, 2)).mean()
    else:
        now = np.square(np.asarray(output["current"]) - x).sum((2, 3, 4))
        past = np.square(np.asarray(output["past"]) - x[:, :-1]).sum((2, 3, 4))
        loss = 0.5 * now.mean() + 0.5 * past.mean()
        error = np.sqrt(now + np.concatenate([now[:, :1], past], 1)).mean()
    metrics = runs[system].metrics
    assert (metrics[LOSS], metrics[ERROR]) == pytest.approx((loss, error), rel=1e-4)


def rule(patience=2, least_gain=0.1):
    return HeldOut(lambda model: {}, dict, patience, least_gain)


@pytest.mark.parametrize(
    ("losses", "gained", "is_over"),
    [
        ([10], [0], False),
        ([10, 9.5], [0], False),  # less than a tenth
        ([10, 9.5, 9.2], [0], True),
        ([10, 9.5, 8.9], [0, 2], False),  # counted from the last gain: what is slow adds up
        ([10, 8, 7, 6.9, 6.8, 6.2], [0, 1, 2, 5], False),
        ([10, 8, 12, 9], [0, 1], True),
    ],
)
def test_the_rule(losses, gained, is_over):
    history = [{"step": step, LOSS: loss} for step, loss in enumerate(losses)]
    between = [{"step": step + 0.5} for step in range(len(losses))]
    rows = sorted(history + between, key=lambda row: row["step"])
    assert [row["step"] for row in rule().gains(rows)] == gained
    assert rule().is_over(rows) == is_over


@pytest.fixture(scope="module")
def scripted(frames, tmp_path_factory, patch):
    """Training stops after step 18: steps 6 and 12 gain, the others do not. Return a run that is so made."""
    losses = {6: 10.0, 12: 5.0, 18: 4.9, 24: 4.8}

    def measure(model):
        return {LOSS: losses[int(model.optimizer.iterations)], ERROR: 1.0}

    nothing = {MEAN_FRAME_LOSS: 9.0, MEAN_FRAME_ERROR: 2.0}
    held_out = HeldOut(measure, lambda: nothing, 1, 0.1)
    patch(frame_systems, "held_out_rule", lambda *_: held_out)
    return run_system("Conv-AE", frames["Conv-AE"], "frames", SMALL, 0, tmp_path_factory.mktemp("scripted"))


def test_training_stops_and_keeps_the_last_gain(frames, tmp_path, scripted):
    run = scripted
    assert run.history[-1]["step"] == 18
    assert run.metrics["steps"] == 12
    assert run.steps == [6, 12]
    assert run.metrics[LOSS] == 5.0
    shorter = SMALL.override(conv_ae_iterations=12)
    unbroken = run_system("Conv-AE", frames["Conv-AE"], "frames", shorter, 0, tmp_path)
    assert unbroken.folder != run.folder
    assert_same_end(run, unbroken)


@pytest.mark.parametrize("step", [14, 18])
def test_a_run_broken_off_ends_as_the_unbroken_one(frames, tmp_path, scripted, step):
    """Between checkpoints, and after the one that ends it."""
    shards, unbroken = frames["Conv-AE"], scripted
    with broken_off_at(step), pytest.raises(KeyboardInterrupt):
        run_system("Conv-AE", shards, "frames", SMALL, 0, tmp_path)
    run = run_system("Conv-AE", shards, "frames", SMALL, 0, tmp_path)
    assert_same_end(run, unbroken)
    seconds = {"seconds": 0.0}
    assert [row | seconds for row in run.history] == [row | seconds for row in unbroken.history]


def assert_same_end(run, other):
    for one, two in zip(run.model().weights, other.model().weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(two))
    np.testing.assert_array_equal(run.scores()[0].error, other.scores()[0].error)
    np.testing.assert_array_equal(run.train_errors(), other.train_errors())


def held_out_rows(system, error, mean_frame):
    place = {"column": "Ped2", "protocol": "mean error; kept: iteration 6 of at most 24"}
    return [
        Row("table_03", system, metric=metric, ours=value, **place)
        for metric, value in zip(HELD_OUT, (error, mean_frame), strict=True)
    ]


def test_a_table_warns_of_a_system_that_has_hardly_learned():
    rows = [*held_out_rows("Conv-AE", 80.0, 100.0), *held_out_rows("ConvLSTM-AE", 2.85, 3.0)]
    other = [Row("table_03", "TSC", "Ped2", "auc", 0.7)]
    assert held_out_note([*rows, *other]) == (
        "Warning: ConvLSTM-AE on Ped2 has learned little: its error on training clips held out, 2.85 against "
        "3, is not 10 % below that of the mean frame (kept: iteration 6 of at most 24). Error on training "
        "clips held out against the mean frame's: Conv-AE, Ped2: 80 against 100 (-20 %); ConvLSTM-AE, Ped2: "
        "2.85 against 3 (-5 %)."
    )
    assert held_out_note(rows[:2]).startswith("Error on training clips held out")
    assert held_out_note(other) == ""


def test_tables_show_what_was_learned_in_their_notes_alone():
    rows = [Row("table_03", "Conv-AE", "Ped2", "auc", 0.7), *held_out_rows("Conv-AE", 80.0, 100.0)]
    assert text_grid(rows, lambda row: row.metric, "; ") == [["", "Ped2"], ["Conv-AE", "auc"]]
    assert "kept" not in protocols(rows)


def write_clips(folder, lengths):
    """Training clips whose pixels number all frames from 0."""
    first = 0
    for index, n_frames in enumerate(lengths):
        numbers = np.arange(first, first + n_frames, dtype=np.float32)
        write_clip(folder, "train", f"{index:02d}", np.tile(numbers[:, None, None], (1, 1, 4)))
        first += n_frames
    return folder


@pytest.mark.parametrize(
    ("lengths", "every", "held_out", "trained"),
    [
        ([6] * 8, 4, [18, 19, 20, 21, 42, 43, 44, 45], [*range(18), *range(24, 42)]),  # clips 4 and 8
        ([6, 9, 9], 8, [15, 16, 17, 18, 19, 20, 21, 22], range(15)),  # fewer: the last
        ([12], 8, [8, 9, 10, 11], range(8)),  # one clip: its last window
        ([40], 4, [30, 31, 32, 33, 34, 35, 36, 37], range(30)),  # one clip: its last quarter
    ],
)
def test_what_is_held_out_is_never_trained_on(tmp_path, lengths, every, held_out, trained):
    """Windows of 4 frames."""
    source = ShardFrames(write_clips(tmp_path, lengths), every, 4)
    windows = np.concatenate(list(source.held_out(4)))
    assert windows[:, :, 0].ravel().tolist() == held_out
    batch = source.sampler(4, 8, 0)
    seen = {int(frame) for step in range(60) for frame in batch(step)[:, :, 0].ravel()}
    assert seen == set(trained)
    np.testing.assert_allclose(source.mean, np.mean(list(trained)), rtol=1e-6)


def test_a_single_clip_of_less_than_two_windows_is_told(tmp_path):
    with pytest.raises(InputError, match=r"00\.h5: the only training clip: expected at least 8 frames"):
        ShardFrames(write_clips(tmp_path, [7]), 8, 4)


def test_a_clip_held_out_that_is_shorter_than_a_window_is_told(tmp_path):
    with pytest.raises(InputError, match=r"01\.h5: held out of training: expected .* of 4 frames, got 3"):
        ShardFrames(write_clips(tmp_path, [9, 3]), 8, 4)


def test_shapes_of_windows():
    windows = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    assert as_channels(windows)[1, 0, 1].tolist() == [13, 17, 21]
    assert as_video(windows)[1, 2, 1, 0, 0] == windows[1, 2, 2]


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
