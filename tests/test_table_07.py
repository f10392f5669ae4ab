"""Table 7: the streams of each row and their fusion; live scoring against the shards; the rate."""

from types import SimpleNamespace

import cv2
import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data_prep.backbones import Backbone
from data_prep.datasets import RECORDS, Clip, Dataset
from data_prep.errors import InputError
from data_prep.extraction import extract
from data_prep.flow_windows.extraction import FlowWindowRecipe
from data_prep.flow_windows.options import FlowWindowOptions
from data_prep.network_features import NetworkRecipe, feature_function
from data_prep.optical_flow import FlowOptions, FlowRecipe
from data_prep.shards import list_shards
from experiments import table_07_motion_features as table_07
from experiments.lab.publishing.published import published
from experiments.lab.scoring.score import ClipScores, score_clips
from experiments.lab.settings.schema import PAPER
from models.srnn_ae import SRNNAE, Streaming

SIZE_PX, N_FRAMES = 16, 12
BACKBONES = {"flow": "thin-flow", "windows": "flow_windows"}


def made_run(stream: str):
    """A run with random errors on two clips, of its own for each stream."""
    rng = np.random.default_rng(["spatial", "temporal", "flow", "windows"].index(stream))
    labels = [np.array([0, 0, 1, 1, 0, 1], np.uint8), np.array([1, 0, 0, 0], np.uint8)]
    scores = [ClipScores(str(i), x, rng.uniform(0, 9, (len(x), 21))) for i, x in enumerate(labels)]
    return SimpleNamespace(
        scores=lambda step=None: scores,
        train_errors=lambda _: np.arange(9.0),
        config={"backbone": BACKBONES.get(stream, "thin"), "commit": "abc"},
        steps=[20],
        ahead_frames=0,
    )


def abnormality_by_hand(run):
    errors = [clip.error.max(axis=1) for clip in run.scores()]
    return np.concatenate([(e - e.min()) / (e.max() - e.min()) for e in errors])


def test_rows_score_their_streams_and_fuse_motion_at_its_weight():
    runs = {stream: made_run(stream) for stream in ("spatial", "temporal", "flow")}
    windows = made_run("windows")
    common = {"n_ablation_seeds": 1, "backbone": SimpleNamespace(name="thin"), "commit": "abc"}
    common["heading"] = str.title
    on_windows = SimpleNamespace(settings=PAPER, run=lambda dataset, stream, *_: windows, **common)
    context = SimpleNamespace(
        settings=PAPER,
        run=lambda dataset, stream, *_: runs[stream],
        changed=lambda **settings: on_windows if settings["flow_input"] == "windows" else None,
        **common,
    )
    rows = table_07.auc_rows(context, "ped2", "command")
    intervals = [row for row in rows if row.metric != "auc"]
    rows = [row for row in rows if row.metric == "auc"]
    spatial, temporal, flow = (abnormality_by_hand(run) for run in runs.values())
    labels = np.concatenate([clip.labels for clip in runs["flow"].scores()])
    expected = {
        "Optical flow based only": (flow, "thin-flow"),
        "Appearance aggregation based only": (temporal, "thin"),
        "Appearance+Optical flow based": (spatial + 0.5 * flow, "thin + thin-flow"),
        "Appearance+Appearance aggregation based": (spatial + 0.5 * temporal, "thin"),
        "Flow windows based only": (abnormality_by_hand(windows), "flow_windows"),
    }
    headlines = [row for row in rows if "per_clip" in row.protocol]
    assert [row.row for row in headlines] == list(expected)
    for row in headlines:
        abnormality, backbone = expected[row.row]
        assert row.ours == pytest.approx(roc_auc_score(labels, abnormality))
        assert row.backbone == backbone
        paper = published("table_07").get((row.row, "Ped2", "auc"), [None])[0]
        assert row.paper == paper
        assert (paper is None) == (row.row == table_07.WINDOWS_ROW)
    assert "spatial + 0.5 flow" in headlines[2].protocol
    assert len({row.key for row in rows}) == len(rows) == 3 * 5
    assert [(row.row, row.metric) for row in intervals] == [
        (row.row, metric) for row in headlines for metric in ("auc_ci_low", "auc_ci_high")
    ]
    for row, low, high in zip(headlines, intervals[::2], intervals[1::2], strict=True):
        assert low.ours <= row.ours <= high.ours
        assert low.protocol == high.protocol == row.protocol


def means(n_channels: int, name: str, dtype: str) -> Backbone:
    """A network of means of 4x4 pixels, small enough for random weights behind it to reconstruct nothing."""
    inputs = keras.Input((SIZE_PX, SIZE_PX, n_channels))
    model = keras.Model(inputs, keras.layers.AveragePooling2D(4)(inputs) / 100)
    return Backbone(name, model, SIZE_PX, "last", n_channels, "ab" * 32, name, "", dtype)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    """One test clip of blurred noise that drifts."""
    noise = np.random.default_rng(0).uniform(0, 255, (40, 60, 3))
    picture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    folder = tmp_path / "clip"
    folder.mkdir()
    for t in range(N_FRAMES):
        cv2.imwrite(str(folder / f"{t:03d}.png"), np.roll(picture, t, axis=1).astype(np.uint8))
    clip = Clip("walkway", "test", "01", folder)
    return Dataset(
        RECORDS["walkway"], tmp_path, "re-packed", (clip,), {"01": np.zeros(N_FRAMES, np.uint8)}, {}
    )


def test_live_scores_are_those_of_the_shards(dataset, tmp_path):
    appearance, flow = means(3, "means", "uint8"), means(20, "means-flow", "float16")
    spatial_recipe = NetworkRecipe(appearance, dtype="float32")
    flow_recipe = FlowRecipe(flow, dtype="float32", options=FlowOptions.of(flow, 24, 1))
    spatial_shards, flow_shards = (extract(dataset, one, tmp_path) for one in (spatial_recipe, flow_recipe))
    motion = table_07.through_network(feature_function(flow), FlowOptions(24, 1, SIZE_PX))
    camera = table_07.LiveCamera(feature_function(appearance), motion, SIZE_PX, 4)
    shards = {"spatial": spatial_shards, "temporal": spatial_shards, "flow": flow_shards}
    models = {
        stream: Streaming(SRNNAE(20 if stream == "flow" else 3, n_atoms=8, similarity_units=4, seed=1))
        for stream in shards
    }
    live = list(camera.errors(dataset.clips[0].source, models))
    for stream, folder in shards.items():
        kind = "temporal" if stream == "temporal" else "spatial"
        stored = score_clips(models[stream], list_shards(folder, "test"), kind)[0].error
        assert stored.std() > 0
        np.testing.assert_allclose([errors[stream] for errors in live], stored, rtol=1e-3, atol=1e-5)


def test_live_flow_windows_are_those_of_the_shards(dataset, tmp_path):
    training = Clip("walkway", "train", "01", dataset.clips[0].source)
    both = Dataset(dataset.record, tmp_path, "re-packed", (training, *dataset.clips), dataset.test_labels, {})
    folder = extract(both, FlowWindowRecipe(FlowWindowOptions()), tmp_path)
    context = SimpleNamespace(settings=PAPER.override(flow_input="windows"), flow_shards=lambda name: folder)
    camera = table_07.LiveCamera(lambda _: None, table_07.live_flow(context, "walkway"), SIZE_PX, 4)
    model = Streaming(SRNNAE(40, n_atoms=8, similarity_units=4, seed=1))
    live = [errors["flow"] for errors in camera.errors(dataset.clips[0].source, {"flow": model})]
    stored = score_clips(model, list_shards(folder, "test"), "spatial")[0].error
    assert stored.any()
    np.testing.assert_allclose(live, stored, rtol=2e-2, atol=1e-3)  # shards hold float16


def test_only_what_a_row_needs_is_computed(dataset):
    def refuse(_):
        raise AssertionError("this network should not run")

    network = feature_function(means(20, "means-flow", "float16"))
    flow = table_07.through_network(network, FlowOptions(24, 1, SIZE_PX))
    camera = table_07.LiveCamera(refuse, flow, SIZE_PX, 4)
    source = dataset.clips[0].source
    assert [list(features) for features in camera.features(source, ["flow"])] == [["flow"]] * N_FRAMES
    appearance = feature_function(means(3, "means", "uint8"))
    camera = table_07.LiveCamera(appearance, refuse, SIZE_PX, 4)
    assert len(list(camera.features(source, ["spatial", "temporal"]))) == N_FRAMES


def test_rates_are_of_turns_without_the_warm_up(monkeypatch):
    now = 0.0

    def results(n, seconds_first, seconds_then):
        nonlocal now
        for index in range(n):
            now += seconds_first if index < table_07.WARM_FRAMES else seconds_then
            yield index

    monkeypatch.setattr(table_07.time, "perf_counter", lambda: now)
    rates, n_frames = table_07.frames_per_second(
        {"slow": results(200, 10, 0.5), "fast": results(200, 3, 0.25)}, "clip"
    )
    assert rates == {"slow": 2.0, "fast": 4.0}
    assert n_frames == table_07.TIMED_FRAMES
    assert table_07.frames_per_second({"short": results(15, 10, 0.5)}, "clip") == ({"short": 2.0}, 10)
    with pytest.raises(InputError, match="clip: expected more than 5 frames to time, got 3"):
        table_07.frames_per_second({"short": results(3, 1, 1)}, "clip")
