"""The exhibits on dataset counts, samples, similarity, temporal weight and the network's drawing."""

from itertools import groupby
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data_prep import walkway
from data_prep.datasets import find_datasets
from data_prep.errors import InputError
from data_prep.pooling import region_pyramid
from experiments import figure_02_model_graph as figure_02
from experiments import figure_05_sample_frames as figure_05
from experiments import figure_10_similarity_pairs as figure_10
from experiments import figure_11_temporal_weight as figure_11
from experiments import table_02_dataset_statistics as table_02
from experiments.lab.publishing import pictures
from experiments.lab.publishing.results import Row
from experiments.lab.scoring.measure import auc
from experiments.lab.scoring.score import ClipScores
from experiments.lab.settings.schema import PAPER
from models.similarity import GaussianSimilarity, LearnedSimilarity
from models.srnn_ae import SRNNAE
from tests.synthetic import CHANNELS, REGIONS, write_clip


@pytest.fixture(scope="module")
def walkway_root(tmp_path_factory):
    """Return the folder of a walkway of 2 training and 3 testing clips of 24 frames."""
    out = tmp_path_factory.mktemp("data")
    walkway.generate(out, seed=0, n_train_clips=2, n_test_clips=3, clip_frames=24)
    return out


@pytest.fixture(scope="module")
def dataset(walkway_root):
    return find_datasets(walkway_root)["walkway"]


@pytest.mark.parametrize(
    ("labels", "n"), [("0110100", 2), ("1111", 1), ("0000", 0), ("1010101", 4), ("1", 1), ("0001", 1)]
)
def test_events_are_runs_of_abnormal_frames(labels, n):
    assert table_02.n_events(np.array(list(labels), np.uint8)) == n


def test_scenes_are_told_by_the_names_of_the_clips():
    assert table_02.n_scenes("shanghaitech", ["01_0014", "01_0015", "13_0007", "01_001"]) == 2
    assert table_02.n_scenes("lv", ["a", "b", "a", "b"]) == 2
    assert table_02.n_scenes("ped2", ["01", "02"]) == 1


def test_statistics_equal_what_the_files_hold(dataset, walkway_root):
    root = walkway_root / "walkway"
    n_train, n_test = (
        len(list((root / split / "frames").glob("*/*.jpg"))) for split in ("training", "testing")
    )
    labels = [np.load(path).tolist() for path in sorted((root / "testing" / "test_frame_mask").iterdir())]
    runs = [label for clip in labels for label, _ in groupby(clip)]
    assert table_02.statistics(dataset) == {
        ("Total", "frames"): n_train + n_test,
        ("Training", "frames"): n_train,
        ("Testing", "frames"): n_test,
        ("Regularity", "frames"): n_train + sum(clip.count(0) for clip in labels),
        ("Irregularity", "frames"): sum(clip.count(1) for clip in labels),
        ("#Abnormal Events", "events"): runs.count(1),
        ("#Scenes", "scenes"): 1,
    }


def test_statistics_of_ped2(real_data):
    ped2 = find_datasets(real_data)["ped2"]
    counts = [4560, 2550, 2010, 4560 - 1648, 1648, 12, 1]
    assert list(table_02.statistics(ped2).values()) == counts


def test_note_tells_where_the_paper_counts_otherwise_and_where_to_get_the_rest():
    rows = [
        Row("table_02", "Irregularity", "Ped2", "frames", ours=1648),
        Row("table_02", "Total", "Ped2", "frames", ours=4560),
    ]
    note = table_02.note(rows, absent={"avenue"})
    assert "Ped2 Irregularity 1,648 (paper: 1,636)" in note
    assert "Total" not in note
    assert "CUHK Avenue: http://www.cse.cuhk.edu.hk" in note


def test_similarities_of_a_clip_are_those_of_numpy(tmp_path, monkeypatch):
    monkeypatch.setattr(figure_10, "BLOCK_FRAMES", 4)  # blocks of 4, 4 and 1 pairs
    features = np.random.default_rng(0).normal(size=(10, REGIONS, CHANNELS)).astype("float32")
    learned = LearnedSimilarity(units=5, seed=1)
    learned.build((None, CHANNELS))
    layers = {"learned": learned, "gaussian": GaussianSimilarity(7.0)}
    found = figure_10.clip_similarities(layers, write_clip(tmp_path, "test", "01", features))
    squared = ((features[1:] - features[:-1]) ** 2).sum(-1)
    np.testing.assert_allclose(found["gaussian"], np.exp(-squared / 7.0), rtol=1e-5)
    kernel, bias = learned.get_weights()
    phi = np.maximum(features @ kernel + bias, 0)
    phi /= np.maximum(np.linalg.norm(phi, axis=-1, keepdims=True), 1e-6)
    np.testing.assert_allclose(found["learned"], (phi[1:] * phi[:-1]).sum(-1), atol=1e-5)
    of_one = figure_10.clip_similarities(layers, write_clip(tmp_path, "test", "02", features[:1]))
    assert {name: S.shape for name, S in of_one.items()} == dict.fromkeys(layers, (0, REGIONS))


def test_pairs_are_two_neighbors_of_one_label():
    labels = np.array([0, 0, 0, 1, 1, 0, 1])
    assert figure_10.middle_pair(labels, 0) == 2  # of the pairs (0, 1) and (1, 2) the later
    assert figure_10.middle_pair(labels, 1) == 4
    assert figure_10.middle_pair(np.array([0, 1, 0]), 1) is None


def test_first_clip_with_both_pairs_is_chosen(tmp_path):
    features = np.ones((4, REGIONS, CHANNELS), "float32")
    paths = [
        write_clip(tmp_path, "test", f"{number:02d}", features, labels)
        for number, labels in enumerate(([1, 1, 1, 1], [0, 1, 1, 1], [1, 1, 0, 0]), start=1)
    ]
    assert figure_10.chosen_pairs(paths) == (2, "03", {0: 3, 1: 1})
    with pytest.raises(InputError, match=r"test: expected a clip with two neighboring normal"):
        figure_10.chosen_pairs(paths[:2])


@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 5), (7, 7), (3, 4)])
def test_region_boxes_hold_what_their_regions_see(row, column):
    size = 8  # cells of the pyramid do not overlap on a map of 8 x 8
    feature_map = np.zeros((1, size, size, 1), "float32")
    feature_map[0, row, column] = 1
    seen = np.flatnonzero(np.asarray(region_pyramid(feature_map))[0, :, 0])
    inside = []
    for region in range(REGIONS):
        left, top, width, height = (size * share for share in figure_10.region_box(region, size, REGIONS))
        if left <= column < left + width and top <= row < top + height:
            inside.append(region)
    assert inside == seen.tolist()


def test_region_boxes_of_a_larger_pyramid():
    """The last of 1 + 4 + 16 + 64 regions is the cell at the bottom right of 8 x 8."""
    assert figure_10.region_box(84, 8, 85) == (7 / 8, 7 / 8, 1 / 8, 1 / 8)
    with pytest.raises(ValueError, match="region: expected one of 85, got 85"):
        figure_10.region_box(85, 8, 85)


def test_weight_0_is_the_spatial_stream_and_weight_1_the_sum():
    rng = np.random.default_rng(0)
    labels = [rng.permutation([0, 1] * 10), np.ones(15, int)]
    errors = {name: [rng.uniform(size=(len(n), REGIONS)) for n in labels] for name in ("spatial", "temporal")}

    def trained(clips):
        scores = [
            ClipScores(f"{i}", label.astype("uint8"), error, error, error, error)
            for i, (label, error) in enumerate(zip(labels, clips, strict=True))
        ]
        train_errors = np.linspace(0.2, 0.9, 30)
        return SimpleNamespace(
            steps=[1], scores=lambda step=None: scores, train_errors=lambda kind: train_errors
        )

    def normalized(name):
        frames = [clip.max(axis=1) for clip in errors[name]]
        return np.concatenate([(e - e.min()) / (e.max() - e.min()) for e in frames])

    context = SimpleNamespace(settings=PAPER)
    runs = {name: trained(clips) for name, clips in errors.items()}
    aucs = {
        weight: auc(runs, protocol)
        for weight, protocol in zip(figure_11.WEIGHTS, figure_11.protocols(context), strict=True)
    }
    truth = np.concatenate(labels)
    assert list(aucs) == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    assert aucs[0] == pytest.approx(roc_auc_score(truth, normalized("spatial")))
    assert aucs[1] == pytest.approx(roc_auc_score(truth, normalized("spatial") + normalized("temporal")))
    assert aucs[0] != aucs[1]
    runs = {"spatial": runs["spatial"], "flow": runs["temporal"]}  # the second panel
    of_appearance = [auc(runs, protocol) for protocol in figure_11.of_appearance()]
    flow = np.concatenate([clip.max(axis=1) for clip in errors["temporal"]])
    assert of_appearance[0] == pytest.approx(roc_auc_score(truth, flow))
    assert len(set(of_appearance)) > 3


@pytest.mark.parametrize(("split", "label"), [("train", 0), ("test", 1), ("test", 0)])
def test_samples_have_the_label_asked_for_and_come_from_all_clips(dataset, split, label):
    samples = figure_05.spread_samples(dataset, split, label)
    assert len(set(samples)) == figure_05.SAMPLES
    assert {clip.name for clip, _ in samples} == {clip.name for clip in dataset.split(split)}
    assert all(dataset.frame_labels(clip)[index] == label for clip, index in samples)


def test_outline_runs_around_the_mask_alone():
    frame, mask = np.full((60, 80, 3), 100, np.uint8), np.zeros((60, 80), bool)
    mask[20:40, 30:60] = True
    drawn = figure_05.outlined(frame, mask)
    changed = (drawn != frame).any(axis=-1)
    assert changed[20, 30:60].all()
    assert changed[20:40, 59].all()
    assert not changed[24:36, 34:56].any()
    far = np.ones_like(mask)
    far[16:44, 26:64] = False
    assert not changed[far].any()
    assert (frame == 100).all()


@pytest.mark.parametrize("similarity", ["learned", "gaussian"])
def test_network_is_drawn_with_every_weight_of_the_model(tmp_path, similarity):
    model = SRNNAE(6, n_atoms=9, depth=10, similarity=similarity, similarity_units=4)
    shapes = figure_02.weight_shapes(model)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == model.count_params()
    assert (shapes["dictionary"], shapes["decoder"], shapes["gamma"]) == ((6, 9), (9, 6), ())
    tensors = figure_02.tensor_shapes(model)
    width = 4 if similarity == "learned" else 6
    assert [tensors[name] for name in ("x", "codes", "embedding")] == ["n x 6", "n x 9", f"n x {width}"]
    path = figure_02.draw_network(model, "title", tmp_path / "figure_02.png", 5)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_deep_networks_are_drawn_with_some_steps_left_out():
    assert figure_02.step_labels(3) == ["step 1", "step 2", "step 3"]
    assert figure_02.step_labels(30) == ["step 1", "step 2", "...", "step 30"]


def test_frame_pairs_outline_the_region_in_both_frames(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path: saved.append(figure) or path)
    pairs = [np.zeros((2, 40, 80, 3), np.uint8)] * 2
    boxes = [(0, 0, 1, 1), (0.5, 0.25, 0.25, 0.25)]
    pictures.frame_pairs(tmp_path / "a.png", pairs, ["a", "b"], boxes, [False, True], "title")
    found = [panel.patches[0].get_bbox().bounds for panel in saved[0].axes]
    assert found == [(0, 0, 79, 39)] * 2 + [(40, 10, 19, 9)] * 2
