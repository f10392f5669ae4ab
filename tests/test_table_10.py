"""Table 10: frames one at a time score as whole clips do; rates, hours and what they are counted with."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from synthetic import write_clip, write_dataset

from data_prep.errors import InputError
from data_prep.shards import Shard, list_shards
from experiments import table_10_running_time as table_10
from experiments.lab.publishing.published import published
from experiments.lab.publishing.results import Row
from experiments.lab.scoring.score import score_clips
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.baselines import whole_frames
from experiments.lab.systems.catalogue import SYSTEMS, named
from experiments.lab.systems.frame_systems import FORMULAS, window_scores
from experiments.lab.systems.gray_frames import score_windows
from models.conv_ae import ConvAE
from models.conv_lstm_ae import ConvLSTMAE
from models.lstm_ae import LSTMAE, LSTMStreaming
from models.nearest_subspace import NearestSubspace
from models.srnn_ae import SRNNAE, Streaming
from models.tsc import TSC

CHANNELS = 6


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("features"), channels=CHANNELS)


@pytest.mark.parametrize(
    ("system", "build"),
    [
        ("sRNN-AE", lambda: SRNNAE(CHANNELS, n_atoms=8, similarity_units=4, lambda2=0.5, seed=1)),
        ("TSC", lambda: TSC(CHANNELS, 8, depth=5, lambda1=0.01)),
        ("LSTM-AE", lambda: LSTMAE(CHANNELS, 5)),
    ],
)
def test_streams_score_as_whole_clips_do(shards, system, build):
    path = list_shards(shards, "test")[0]
    built = {stream: build() for stream in ("spatial", "temporal")}
    runs = {stream: SimpleNamespace(model=lambda model=model: model) for stream, model in built.items()}
    live_scores = named(SYSTEMS[system].live)
    streaming = LSTMStreaming if system == "LSTM-AE" else Streaming
    models = {stream: streaming(model) for stream, model in built.items()}
    with Shard(path) as shard:
        frames = list(shard.features())
    how, scores = live_scores(runs, PAPER, None)
    assert how == "two streams (two steps a frame and a rolling maximum)"
    live = list(scores(iter(frames)))
    how, scores = live_scores({"spatial": runs["spatial"]}, PAPER, None)
    assert how == "spatial stream alone"
    alone = list(scores(iter(frames)))
    for stream, model in models.items():
        expected = score_clips(model, [path], stream)[0].error
        np.testing.assert_allclose([errors[stream] for errors in live], expected, rtol=1e-4, atol=1e-5)
    assert [list(errors) for errors in alone] == [["spatial"]] * len(frames)
    np.testing.assert_array_equal(alone[-1]["spatial"], live[-1]["spatial"])
    assert not np.allclose(live[-1]["spatial"], live[-1]["temporal"])


@pytest.mark.parametrize(
    ("system", "network", "side", "step"),
    [
        ("Conv-AE", lambda: ConvAE(4, (8, 4, 2), 23), 23, 4),
        ("ConvLSTM-AE", lambda: ConvLSTMAE((2, 4, 8), (3,), 17), 17, 2),
    ],
)
def test_windows_score_as_whole_clips_do(tmp_path, system, network, side, step):
    """On a clip that ends with a window, as every window of a live camera does."""
    clip = np.random.default_rng(0).uniform(0, 1, (12, 1, side * side)).astype(np.float32)
    path, model, mean = write_clip(tmp_path, "test", "01", clip), network(), clip.mean(0)[0]
    formulas = FORMULAS[system]
    scores = list(window_scores(model, mean, formulas, 4, iter(clip)))

    def errors_of_windows(windows):
        x = formulas.shape(windows - mean)
        return keras.ops.convert_to_numpy(formulas.errors(x, model.predict_on_batch(x)))

    expected = score_windows(path, errors_of_windows, 4, step).error[:, 0]
    np.testing.assert_allclose(np.concatenate(scores), expected, rtol=1e-5)
    assert [len(errors) for errors in scores[:5]] == [0, 0, 0, 4, 0]
    assert len(scores) == 12


def test_rate_leaves_the_warm_up_out_and_is_the_median_of_rounds(monkeypatch):
    now, rounds = 0.0, iter((0.25, 4.0, 0.5))

    def results():
        nonlocal now
        seconds = next(rounds)
        for index in range(1000):
            now += seconds if index >= table_10.WARM_FRAMES else 100.0
            yield index

    monkeypatch.setattr(table_10.time, "perf_counter", lambda: now)
    assert table_10.frames_per_second(results, 30) == 2.0


def cell(**fields):
    """A row of the table, as `run` makes it."""
    values = fields.pop("values", None)
    return lambda given, **more: Row("table_10", ours=(values or given)[0], seeds=1, **fields, **more)


def test_training_is_the_sum_of_the_streams_with_the_paper_beside_it():
    def run(seconds):
        metrics = {"training_seconds": seconds, "steps": 18_000}  # what is kept was made before the end
        return SimpleNamespace(metrics=metrics, history=[{"step": 18_000}, {"step": 20_000}])

    row = table_10.training_row(cell(row="sRNN-AE"), {"spatial": run(3600), "temporal": run(1800)})
    assert row.ours == 1.5
    assert row.paper == published("table_10")["sRNN-AE", "Training", "hours"][0]
    assert row.protocol == "spatial and temporal, 20,000 iterations"


def test_speed_is_of_the_frames_after_the_warm_up_from_memory_or_from_the_clip(monkeypatch):
    seen = []

    class TwoSources(table_10.Camera):
        def live(self):
            return lambda: iter(np.ones((99, 1, 2)))

    def scores(frames):
        for features in frames:
            seen.append(features.mean())
            yield seen

    camera = TwoSources(SimpleNamespace(name="07"), None, "max", np.zeros((25, 1, 2)))
    of = cell(row="TSC", backbone="thin")
    alone = table_10.speed_row(of, camera, scores, table_10.ALONE, "how")
    assert seen == [0] * 25 * table_10.ROUNDS
    end_to_end = table_10.speed_row(of, camera, scores, table_10.END_TO_END, "how")
    assert seen[25 * table_10.ROUNDS :] == [1] * 25 * table_10.ROUNDS
    assert (alone.metric, alone.paper, end_to_end.paper) == ("fps", 7.0, None)
    for row in (alone, end_to_end):
        assert row.ours > 0
        assert "15 frames of clip 07" in row.protocol
        assert "cores" in row.protocol


def test_clip_too_short_to_be_timed_is_refused(tmp_path):
    write_clip(tmp_path, "test", "01", np.zeros((table_10.WARM_FRAMES, 21, 2), np.float32))
    clip = SimpleNamespace(name="01", split="test", source="videos/01.avi")
    dataset = SimpleNamespace(split=lambda _: [clip])
    with pytest.raises(InputError, match=r"videos/01\.avi: expected more than 10 frames to time, got 10"):
        table_10.Camera.of(SimpleNamespace(datasets={"ped2": dataset}), "ped2", tmp_path, None, 32)


def test_baselines_see_the_whole_frame_alone(shards):
    run = SimpleNamespace(config={"system": "Nearest Subspace", "seed": 0})
    settings = PAPER.override(n_subspace_atoms=3)
    source = SYSTEMS["Nearest Subspace"].reads.source(shards, "spatial", settings)
    how, scores = named(SYSTEMS["Nearest Subspace"].live)({"whole frame": run}, settings, source)
    assert how == "whole frames"
    with Shard(list_shards(shards, "test")[0]) as shard:
        features = shard.features()
    fitted = NearestSubspace.fit(whole_frames(list_shards(shards, "train"), 0), 3, 0)
    np.testing.assert_allclose(np.concatenate(list(scores(iter(features)))), fitted.errors(features[:, 0]))
