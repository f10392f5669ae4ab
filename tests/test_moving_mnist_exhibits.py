"""Moving-MNIST in the lab: windows, scores, dark pixels, exact resume, and parts of Table 1 and Figure 4."""

import csv
import json
from functools import partial

import keras
import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.mnist_digits import Digits
from data_prep.moving_mnist import MovingMNIST, intensities
from experiments import figure_04_moving_mnist, moving_mnist_sizes, table_01_moving_mnist
from experiments.lab import cli
from experiments.lab.context import Context
from experiments.lab.publishing.results import HELD_OUT, Row, read_rows
from experiments.lab.systems import sequences
from experiments.lab.systems.catalogue import systems_of
from experiments.lab.systems.moving_mnist import (
    SequenceFeatures,
    SequenceFrames,
    control_scores,
    error_maps,
    gray_pixels,
    streamed,
    task_on_sequences,
    with_mnist_settings,
)
from experiments.lab.systems.sequences import SequenceWindows, score_sequences, sequence_files
from experiments.lab.systems.srnn_ae import build_srnn_ae
from experiments.lab.training import alternation
from experiments.lab.training.train import make_run
from models.blocks import squared_error
from models.srnn_ae import Streaming
from tests.synthetic_mnist import TINY, all_frames, noise_files

ON_SEQUENCES = with_mnist_settings(TINY)
ON_MNIST, MEAN_FRAME = systems_of("table_01"), "mean frame (error of Conv-AE)"


def made(system, files, settings, seed, out):
    return make_run(task_on_sequences(system, files, settings, seed), out)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return noise_files(tmp_path_factory.mktemp("files"))


def test_windows_are_slices_and_depend_on_seed_and_step_alone(files):
    frames = all_frames(files.train)
    every = {frames[i, t : t + 10].tobytes(): (i, t) for i in range(5) for t in range(11)}
    windows = SequenceWindows(files.train, np.asarray, 10, 20, seed=3)
    found = [every[window.tobytes()] for step in range(60) for window in windows.batch(step)]
    counts = [found.count(place) for place in every.values()]
    assert min(counts) > 2  # 21.8 expected of each of the 55, standard deviation 4.6
    assert max(counts) < 45
    again = SequenceWindows(files.train, np.asarray, 10, 20, seed=3)
    for step in (7, 8):
        np.testing.assert_array_equal(again.batch(step), windows.batch(step))
    assert (windows.batch(0) != windows.batch(1)).any()
    assert (windows.batch(0) != SequenceWindows(files.train, np.asarray, 10, 20, seed=4).batch(0)).any()
    with pytest.raises(InputError, match="window_frames: expected at most the 20 frames"):
        SequenceWindows(files.train, np.asarray, 21)


def test_scores_do_not_depend_on_the_sequences_beside(files):
    """Each sequence alone, and in a group filled up with black ones; against the model's own call."""
    task = task_on_sequences("sRNN-AE", files, TINY, 0)
    model = task.trainer.build(task.trainer.batch(0))
    scores = task.scorer(model)("test")
    live = Streaming(model)
    x = intensities(all_frames(files.test))
    dark = np.setdiff1d(np.arange(50625), files.pixels)
    direct = model(x[..., files.pixels])
    error = keras.ops.convert_to_numpy(squared_error(x[..., files.pixels], direct["reconstruction"]))
    error = error + np.square(x[..., dark]).sum(-1)
    assert np.square(x[..., dark]).any()
    codes = keras.ops.convert_to_numpy(direct["codes"])
    with MovingMNIST(files.test) as reader:
        for index, clip in enumerate(scores):
            assert clip.clip == f"{index:05d}"
            np.testing.assert_array_equal(clip.labels, reader.labels[index])
            alone = streamed(live, reader.frames(index, index + 1), files.pixels)
            for name in ("error", "similarity", "code_distance", "sparsity"):
                assert getattr(clip, name).shape == (20, 1)
                np.testing.assert_allclose(getattr(clip, name)[:, 0], alone[name][0], atol=1e-5)
            np.testing.assert_allclose(clip.error[:, 0], error[index], atol=1e-5)
            np.testing.assert_allclose(clip.sparsity[:, 0], (codes[index] == 0).mean(-1), atol=1e-6)


def test_sparse_intensities_are_the_dense_formula(files):
    frames = all_frames(files.test)
    x = frames.reshape(3, 20, -1).astype(np.float64)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    np.testing.assert_allclose(intensities(frames), x, atol=1e-6)
    some = np.flatnonzero(frames[0, 3])[::2]
    np.testing.assert_allclose(intensities(frames, some), x[..., some], atol=1e-6)
    assert not intensities(np.zeros_like(frames)).any()


@pytest.mark.parametrize("system", ["TSC", "sRNN-AE"])
def test_models_start_at_the_principal_directions_of_training_frames(files, system):
    """Against NumPy's singular values: two directions hold of the energy what the best two can."""
    with MovingMNIST(files.train) as reader:
        x = reader.features(pixels=files.pixels).reshape(100, -1)
    best = np.square(np.linalg.svd(x, compute_uv=False)[:2]).sum()
    trainer = task_on_sequences(system, files, TINY, 0).trainer
    model = trainer.build() if system == "TSC" else trainer.build(trainer.batch(0))
    A = np.asarray(model.srnn.dictionary)
    np.testing.assert_allclose(A[:, :2], -A[:, 2:], atol=1e-6)
    np.testing.assert_allclose(A[:, :2].T @ A[:, :2], np.eye(2), atol=1e-5)
    assert 0.98 * best < np.square(x @ A[:, :2]).sum() < 1.0001 * best
    norm = np.linalg.norm(A, 2) ** 2 + float(np.asarray(model.srnn.lambda2))
    np.testing.assert_allclose(float(np.asarray(model.srnn.gamma)), norm, rtol=1e-3)
    own = task_on_sequences(system, files, TINY.override(mnist_start="own"), 0)
    assert own.name != task_on_sequences(system, files, TINY, 0).name
    assert own.trainer.build.__class__ is not trainer.build.__class__


def test_dark_pixels_left_out_equal_dark_pixels_that_start_at_zero(files):
    """The model on all 50,625 pixels, trained beside the one on the lit ones."""
    task = task_on_sequences("sRNN-AE", files, TINY, 0)
    lit = task.trainer.build(task.trainer.batch(0))
    windows = SequenceWindows(files.train, intensities, 10, 2, 0)
    full = build_srnn_ae(50625, 2, ON_SEQUENCES, 0)
    pixels = files.pixels
    for one, other in zip(full.weights, lit.weights, strict=True):
        if one.shape == other.shape:
            one.assign(other)
        else:  # A and phi have a row a pixel, Z^T a column
            value = np.zeros(one.shape, np.float32)
            value[(slice(None), pixels) if one.shape[1] == 50625 else pixels] = np.asarray(other)
            one.assign(value)
    for step in range(3):
        losses = [
            model.train_on_batch(batch(step))
            for model, batch in ((lit, task.trainer.batch), (full, windows.batch))
        ]
        np.testing.assert_allclose(*losses, rtol=1e-5)
    dark = np.setdiff1d(np.arange(50625), pixels)
    A, Z = (np.asarray(weights) for weights in (full.srnn.dictionary, full.decoder))
    assert not A[dark].any()
    assert not Z[:, dark].any()
    np.testing.assert_allclose(A[pixels], np.asarray(lit.srnn.dictionary), atol=1e-5)
    x = intensities(all_frames(files.test))
    error = keras.ops.convert_to_numpy(squared_error(x, full(x)["reconstruction"]))
    scores = SequenceFeatures(files).scorer(Streaming)(lit)("test")
    np.testing.assert_allclose(np.stack([clip.error[:, 0] for clip in scores]), error, atol=1e-4)


def test_scores_that_are_not_finite_are_named(files):
    def scores_of(frames):
        return {"error": np.where(np.arange(len(frames)) == 1, np.nan, 0)[:, None] * np.ones(20)}

    with pytest.raises(InputError, match=r"test\.h5: sequence 1: expected finite errors"):
        score_sequences(files.test, scores_of, 3)


def test_conv_ae_sees_gray_frames_minus_their_mean(files):
    """Sequences 0 to 2 are trained on, 3 and 4 are held out."""
    task = task_on_sequences("Conv-AE", files, TINY, 0)
    batch = task.trainer.batch(0)
    assert batch.shape == (8, 39, 39, 10)
    frames = all_frames(files.train)
    gray = gray_pixels(frames, 39)
    assert gray.shape == (5, 20, 39 * 39)
    np.testing.assert_allclose(gray.mean(-1), frames.mean((2, 3)) / 255, atol=2e-3)
    source = SequenceFrames(files, 39, TINY)
    np.testing.assert_allclose(source.mean, gray[:3].mean((0, 1)), atol=2e-3)  # rounded before the mean
    drawn = SequenceWindows(files.train, np.asarray, 10, 8, 0, n_sequences=3)
    expected = gray_pixels(drawn.batch(0), 39) - source.mean
    np.testing.assert_array_equal(batch[2, :, :, 4], expected[2, 4].reshape(39, 39))
    held_out = np.concatenate(list(source.held_out(10)))
    expected = gray[3:].reshape(2, 2, 10, -1).transpose(1, 0, 2, 3).reshape(4, 10, -1)
    np.testing.assert_array_equal(held_out, expected)
    every = {frames[i, t : t + 10].tobytes(): i for i in range(5) for t in range(11)}
    assert {every[window.tobytes()] for step in range(9) for window in drawn.batch(step)} == {0, 1, 2}


def test_as_many_sequences_held_out_as_there_are_is_refused(files):
    with pytest.raises(InputError, match="mnist_held_out_sequences: expected less than the 5"):
        SequenceFrames(files, 39, TINY.override(mnist_held_out_sequences=5))


@pytest.mark.parametrize("window_frames", [10, 8])
def test_every_frame_of_a_sequence_is_scored_in_a_window(files, window_frames):
    def halves(windows):
        assert windows.shape == (64, window_frames, 25)
        return np.abs(windows).sum(-1) / 2

    scores = SequenceFrames(files, 5, TINY).score("test", halves, window_frames, window_frames)
    expected = np.abs(gray_pixels(all_frames(files.test), 5)).sum(-1) / 2
    np.testing.assert_allclose([clip.error[:, 0] for clip in scores], expected, rtol=1e-5)


@pytest.fixture(scope="module")
def runs(files, tmp_path_factory):
    """One trained run of every system."""
    out = tmp_path_factory.mktemp("out")
    return out, {system: made(system, files, TINY, 0, out) for system in ON_MNIST}


@pytest.mark.parametrize("system", ON_MNIST)
def test_training_leaves_runs_like_every_other(files, runs, system):
    out, run = runs[0], runs[1][system]
    assert run.folder.parent == out / "checkpoints" / "moving_mnist"
    name = (
        "mean_frame_error_of_conv_ae"
        if system == MEAN_FRAME
        else system.lower().translate({45: "_", 32: "_"})
    )
    assert run.folder.name.startswith(f"{name}-spatial-seed0-")
    assert 0 <= run.metrics["auc_per_clip"] <= 1
    assert len(run.scores()) == 3
    assert run.train_errors().shape == (3 * 20,)  # of as many sequences as there are to test
    assert run.config["features"]["test"]["n_sequences"] == 3
    before = (run.folder / "metrics.json").stat().st_mtime_ns
    assert made(system, files, TINY, 0, out).folder == run.folder
    assert (run.folder / "metrics.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("system", ON_MNIST)
def test_every_system_has_an_error_a_frame_and_controls_in_table_1(files, runs, system):
    out, run = runs[0], runs[1][system]
    control = control_scores(task_on_sequences(system, files, TINY, 0), run)
    for scores, with_anomalies in ((run.scores(), True), (control, False)):
        assert [clip.clip for clip in scores] == ["00000", "00001", "00002"]
        for clip in scores:
            assert clip.error.shape == (20, 1)
            assert clip.labels.shape == (20,)
            assert clip.labels.any() == with_anomalies
            for name in ("similarity", "code_distance", "sparsity"):
                assert (getattr(clip, name) is not None) == (system in ("TSC", "sRNN-AE"))
    # A box is seen by nothing before its first frame.
    for clip, twin in zip(run.scores(), control, strict=True):
        first = int(np.flatnonzero(clip.labels)[0])
        assert first > 0
        first = first // 10 * 10 if system == "Conv-AE" else first  # windows of ten frames know of later ones
        np.testing.assert_allclose(clip.error[:first], twin.error[:first], rtol=1e-4)
        assert np.abs(clip.error - twin.error).max() > 0
    context = Context("smoke", TINY, out)
    rows = table_01_moving_mnist.system_rows(context, system, "Spatial Anomaly", files, "a command")
    names = [system, f"{system}, no anomaly", f"{system}, equal times"]
    names += [f"{system}, {table_01_moving_mnist.ON_LIT}"] if files.boxes_on_lit.any() else []
    assert list(dict.fromkeys(row.row for row in rows)) == names
    assert {row.seeds for row in rows} == {1}
    learned = [row.ours for row in rows if row.metric in HELD_OUT]
    expected = ("held_out_error", "mean_frame_error") if system == "Conv-AE" else ()
    assert learned == [run.metrics[name] for name in expected]


def test_mean_frame_of_moving_mnist_is_scored_by_hand(files, runs):
    gray = gray_pixels(all_frames(files.test), 39)
    mean = SequenceFrames(files, 39, TINY).mean
    expected = np.abs(gray - mean).sum(-1)
    errors = [clip.error[:, 0] for clip in runs[1][MEAN_FRAME].scores()]
    np.testing.assert_allclose(errors, expected, rtol=1e-5)


def test_resumed_tsc_ends_as_the_unbroken_one(files, runs, tmp_path, monkeypatch):
    unbroken = runs[1]["TSC"]

    def break_off(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(alternation, "log_alternation", break_off)
        with pytest.raises(KeyboardInterrupt):
            made("TSC", files, TINY, 0, tmp_path)
    assert len(list(tmp_path.rglob("alternation_0001.keras"))) == 1
    resumed = made("TSC", files, TINY, 0, tmp_path)
    np.testing.assert_array_equal(resumed.model().dictionary, unbroken.model().dictionary)
    assert [row["objective"] for row in resumed.history] == [row["objective"] for row in unbroken.history]
    for one, other in zip(resumed.scores(), unbroken.scores(), strict=True):
        np.testing.assert_array_equal(one.error, other.error)


@pytest.fixture
def squares(monkeypatch):
    """Two squares in place of MNIST."""
    digits = Digits(np.stack([np.full((28, 28), level, np.uint8) for level in (100, 200)]), "squares")
    monkeypatch.setattr(sequences, "digits", lambda split, data_dir: digits)


def test_files_are_named_by_what_determines_them(squares, tmp_path):
    make = partial(sequence_files, "temporal", folder=tmp_path, data_dir=None)
    first = make(settings=TINY)
    before = first.train.stat().st_mtime_ns
    again = make(settings=TINY.override(mnist_n_atoms=8))
    assert again == first
    assert again.train.stat().st_mtime_ns == before
    assert first.settings["train"]["n_sequences"] == 5
    assert first.settings["test"]["digits"] == "squares"
    other = make(settings=TINY.override(mnist_step_px=1))
    with pytest.raises(InputError, match=r"^setting mnist_step_px: expected at most 4"):
        make(settings=TINY.override(mnist_step_px=5))
    assert {first.train, first.test}.isdisjoint({other.train, other.test})
    assert len(other.pixels) < len(first.pixels) < 50625
    np.testing.assert_array_equal(
        first.pixels, np.flatnonzero((all_frames(first.train) > 0).any((0, 1)).ravel())
    )


def test_settings_of_moving_mnist_stand_in_the_usual_places():
    assert ON_SEQUENCES.model.lambda1 == TINY.moving_mnist.mnist_lambda1
    assert ON_SEQUENCES.train.batch_clips == 2
    assert ON_SEQUENCES.tsc.tsc_alternations == 2
    assert ON_SEQUENCES.model.gamma == TINY.model.gamma


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.5, 0.6, 0.7), "Spatial Anomaly: sRNN-AE > TSC > Conv-AE, as in the paper."),
        (
            (0.5, 0.7, 0.6),
            "Spatial Anomaly: TSC > sRNN-AE > Conv-AE, in the paper sRNN-AE > TSC > Conv-AE.",
        ),
    ],
)
def test_order_is_said(values, said):
    rows = [
        Row("table_01", system, "Spatial Anomaly", "auc", value - shift, protocol=protocol)
        for system, value in zip(("Conv-AE", "TSC", "sRNN-AE"), values, strict=True)
        for protocol, shift in (("per_clip", 0), ("global", 0.3 * value))
    ]
    ours = [Row("table_01", MEAN_FRAME, "Spatial Anomaly", "auc", 0.65, protocol="per_clip")]
    assert table_01_moving_mnist.order_note("Spatial Anomaly", [*ours, *rows]) == said
    assert all(row.paper for row in rows)


def test_sizes_are_compared_on_the_same_sequences(squares, tmp_path):
    """The larger loses less; principal directions lose what they lose of the control sequences themselves."""
    context = Context("smoke", TINY, tmp_path, n_seeds=1)
    moving_mnist_sizes.run(context, ["4", "8"])
    lines = list(csv.DictReader((context.results_dir / "moving_mnist_sizes.csv").open()))
    assert [(line["N"], line["system"]) for line in lines] == [
        (size, system) for size in ("4", "8") for system in moving_mnist_sizes.SYSTEMS
    ]
    rule = [list(line.values())[2:] for line in lines if line["system"] == "unlit pixels"]
    assert rule == [[rule[0][0], "", ""]] * 2
    assert float(rule[0][0]) > 50
    lost = [float(line["energy_lost"]) for line in lines if line["system"] == "principal directions"]
    files = sequence_files("spatial", TINY, context.generated_dir / "moving_mnist", None)
    with MovingMNIST(files.train) as train, MovingMNIST(files.control) as control:
        x, y = train.features().reshape(100, -1), control.features().reshape(60, -1)
    for count, ours in zip((2, 4), lost, strict=True):
        V = np.linalg.svd(x, full_matrices=False)[2][:count].T
        assert ours == pytest.approx(100 * np.median(np.square(y - y @ V @ V.T).sum(-1)), abs=0.5)
    assert (context.results_dir / "moving_mnist_sizes.png").read_bytes().startswith(b"\x89PNG")


def test_error_maps_add_up_to_the_errors_of_frames(files):
    """Against the scores of the streaming model, pixels that no training sequence lights included."""
    task = task_on_sequences("sRNN-AE", files, TINY, 0)
    model = task.trainer.build(task.trainer.batch(0))
    maps = error_maps(model, all_frames(files.test), files.pixels)
    assert maps.shape == (3, 20, 225, 225)
    dark = np.setdiff1d(np.arange(50625), files.pixels)
    assert maps.reshape(60, -1)[:, dark].any()
    for pictures, clip in zip(maps, task.scorer(model)("test"), strict=True):
        np.testing.assert_allclose(pictures.sum(axis=(1, 2)), clip.error[:, 0], rtol=1e-4)


def test_figure_4_shows_the_first_sequences(squares, tmp_path):
    small = {"mnist_train_sequences": 2, "mnist_test_sequences": 2, "mnist_n_atoms": 4, "mnist_iterations": 2}
    flags = [f"--set={name}={value}" for name, value in small.items()]
    context = cli.context(cli.parser("").parse_args(["--profile", "smoke", "--out", str(tmp_path), *flags]))
    figure_04_moving_mnist.run(context)
    results = context.results_dir
    assert (results / "figure_04.png").read_bytes().startswith(b"\x89PNG")
    rows = {row.row: row.ours for row in read_rows(results)}
    assert rows == {"normal": 0, "anomaly of appearance": 5, "anomaly of motion": 10}
    assert "squares" in json.loads((results / "notes.json").read_text())["figure_04"]
