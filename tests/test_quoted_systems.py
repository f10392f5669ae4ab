"""The systems that the paper quotes through the path that makes all runs, on a small walkway."""

from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest

from data_prep import walkway
from data_prep.backbones import Backbone
from data_prep.datasets import find_datasets, read_labelled_set
from data_prep.errors import InputError
from data_prep.extraction import extract
from data_prep.frames import count_frames
from experiments.lab.publishing.published import STAND_INS, published
from experiments.lab.scoring import metrics, pixel_metrics
from experiments.lab.scoring.score_files import load_scores
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.catalogue import SYSTEMS, run_system, task_of
from experiments.lab.systems.quoted.inputs import Cells
from experiments.lab.systems.quoted.sources import Frames
from experiments.lab.systems.quoted.tasks import WHOLE_CLIP
from models.quoted.cell_maps import CellGrid

pytestmark = pytest.mark.usefixtures("few_volumes_are_enough")

N_FRAMES = 24
QUOTED = [name for name, entry in SYSTEMS.items() if entry.quoted]
UNTRAINED = [name for name in QUOTED if not SYSTEMS[name].fitted]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("quoted")


@pytest.fixture(scope="module")
def dataset(root):
    walkway.generate(root, n_train_clips=2, n_test_clips=2, clip_frames=N_FRAMES)
    return find_datasets(root)["walkway"]


def network(size_px):
    """A "backbone" of random filters at 1/32 of the resolution."""
    frames = keras.layers.Input((size_px, size_px, 3), dtype="uint8")
    scaled = keras.layers.Rescaling(1 / 255)(frames)
    filters = keras.initializers.RandomNormal(seed=0)
    maps = keras.layers.Conv2D(6, 32, strides=32, kernel_initializer=filters, activation="relu")(scaled)
    return Backbone("random", keras.Model(frames, maps), size_px, "last", 6, "", "random")


@pytest.fixture(scope="module")
def place_of(root, dataset):
    """Where what a system reads lies."""

    def place(system):
        reads = SYSTEMS[system].reads
        if isinstance(reads, Cells):
            return extract(dataset, reads.recipe(PAPER), root / "features", progress=False)
        return Frames(dataset, network(reads.backbone_px) if reads.backbone_px else None)

    return place


@pytest.fixture(scope="module")
def source_of(place_of):
    """The same as a system's task takes it."""
    return lambda system: SYSTEMS[system].reads.source(place_of(system), "cells", PAPER)


def test_what_javan_learns_of_a_clip_ends_with_it(source_of):
    method = task_of(
        "after Javan et al.", source_of("after Javan et al."), PAPER.override(javan_update=True), 0
    ).method
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 256, (16, 64, 96, 3), np.uint8)
    model = method.fit(lambda: iter([clip]))
    first, second = (np.stack(list(method.maps(model, clip))) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("system", QUOTED)
def test_system_scores_every_frame_and_its_run_is_kept(system, place_of, dataset, root):
    run = run_system(system, place_of(system), "cells", PAPER, 0, root)
    assert (run.config["system"], run.config["dataset"]) == (system, "walkway")
    grid = run.config.get("cells", {"rows": 1, "columns": 1})
    for clip, scored in zip(dataset.split("test"), run.scores(), strict=True):
        assert scored.clip == clip.name
        assert scored.error.shape == (N_FRAMES, grid["rows"] * grid["columns"])
        assert np.isfinite(scored.error).all()
        np.testing.assert_array_equal(scored.labels, dataset.frame_labels(clip))
    assert run.train_errors().shape == ((1 if system in UNTRAINED else 2) * N_FRAMES,)
    card = (run.folder / "model_card.md").read_text()
    assert "No model is kept" in card
    assert ("trained on nothing" in card) == (system in UNTRAINED)
    assert ("limits of the training errors" in card) <= (system not in UNTRAINED)
    changed = (run.folder / "metrics.json").stat().st_mtime_ns
    again = run_system(system, place_of(system), "cells", PAPER, 0, root)
    assert again.folder == run.folder
    assert (again.folder / "metrics.json").stat().st_mtime_ns == changed


@pytest.mark.parametrize("system", [name for name in QUOTED if name not in UNTRAINED])
def test_look_ahead_is_as_said_and_frames_give_what_shards_gave(system, place_of, source_of, dataset, root):
    task, reads = task_of(system, source_of(system), PAPER, 0), SYSTEMS[system].reads
    frames = list(next(Frames(dataset).split("test")).frames())
    fitted, t = task.trainer.fit(), 10
    found = np.reshape(list(task.method.maps(fitted, reads.of_frames(frames, PAPER))), (N_FRAMES, -1))
    until = frames[: t + 1 + task.method.ahead_frames]
    early = list(task.method.maps(fitted, reads.of_frames(until, PAPER)))
    np.testing.assert_allclose(np.ravel(early[t]), found[t], rtol=1e-6)
    run = run_system(system, place_of(system), "cells", PAPER, 0, root)
    np.testing.assert_allclose(run.scores()[0].error, found, rtol=1e-3, atol=1e-4)


def test_training_errors_of_what_knows_each_frame_are_of_fits_without_it(source_of, place_of, dataset, root):
    """By brute force: the distance of each histogram to the nearest of the other quarters of the clips."""
    source = source_of("HOFM")
    clips = [np.stack(list(clip.frames())) for clip in source.split("train")]  # (T, R, 84)
    by_hofm = [clip.reshape(N_FRAMES, -1, 28, 3).sum(axis=-1) for clip in clips]
    quarter = np.arange(N_FRAMES) // (N_FRAMES // 4)
    run = run_system("HOFM", place_of("HOFM"), "cells", PAPER, 0, root)
    errors = load_scores(run.folder / "train_errors.npz")
    for clip, found in zip(by_hofm, errors, strict=True):
        for t, cell in np.ndindex(clip.shape[:2]):
            known = np.concatenate([other[quarter != quarter[t], cell] for other in by_hofm])
            nearest = np.linalg.norm(known - clip[t, cell], axis=1).min()
            np.testing.assert_allclose(found.error[t, cell], nearest, rtol=1e-6)
    assert np.ptp(run.train_errors()) > 0


def test_untrained_systems_say_that_they_see_the_whole_clip(source_of):
    for system in UNTRAINED:
        task = task_of(system, source_of(system), PAPER, 0)
        assert task.method.ahead_frames == WHOLE_CLIP
        assert task.method.fit is None


def test_boxes_of_shards_are_the_cells_of_the_frames(source_of, dataset):
    frame_shape = Frames(dataset).frame_shape
    for system in ("Reddy et al.", "HOFME", "MPPCA", "after Biswas et al."):
        source = source_of(system)
        assert source.frame_shape == frame_shape
        config = task_of(system, source, PAPER, 0).config["cells"]
        assert config == vars(SYSTEMS[system].reads.recipe(PAPER).grid(frame_shape))


@pytest.mark.parametrize("system", ["HOFM", "SF", "Reddy et al.", "after Biswas et al."])
def test_a_clip_on_its_side_is_refused_though_it_has_as_many_cells(system, tmp_path):
    for clip, shape in {"training/frames/a": (80, 120), "testing/frames/b": (120, 80)}.items():
        (tmp_path / "yard" / clip).mkdir(parents=True)
        for number in range(4):
            cv2.imwrite(str(tmp_path / "yard" / clip / f"{number}.png"), np.zeros((*shape, 3), np.uint8))
    (tmp_path / "yard/labels.csv").write_text("clip,first,last\nb,2,3\n")
    reads = SYSTEMS[system].reads
    folder = extract(read_labelled_set(tmp_path / "yard"), reads.recipe(PAPER), tmp_path, progress=False)
    source = reads.source(folder, "cells", PAPER)
    assert len(list(source.split("train"))) == 1
    with pytest.raises(InputError, match=r"b\.h5: expected frames of 120x80 px, as .* got 80x120 px"):
        list(source.split("test"))


def test_data_is_told_by_frames_and_labels(dataset):
    source = Frames(dataset)
    labels = {name: 1 - truth for name, truth in dataset.test_labels.items()}
    other = Frames(replace(dataset, test_labels=labels))
    assert source.data.clips("train") == other.data.clips("train")
    assert source.data.clips("test") != other.data.clips("test")
    assert count_frames(dataset.split("train")[0].source) == N_FRAMES


def test_every_setting_of_a_quoted_system_is_in_its_runs_name(source_of):
    for name, value in vars(PAPER.quoted).items():
        systems = [system for system in QUOTED if name in SYSTEMS[system].settings]
        assert systems, name
        for system in systems:
            assert task_of(system, source_of(system), PAPER, 0).config["model"][name] == value


def test_published_rows_have_the_names_of_what_stands_in_for_them():
    rows = {row for exhibit in ("table_03", "table_04") for row, *_ in published(exhibit)}
    assert set(STAND_INS) <= rows
    assert not set(STAND_INS.values()) & rows
    assert published("table_04")["after Lu et al.", "LV", "auc"][0] == 0.112
    unpublished = {"SF", "HOFM", "Unmasking (appearance)"}
    assert set(QUOTED) - unpublished <= rows


def test_pixel_scores_of_cells_are_those_of_the_map_at_the_frames_size():
    """Against every threshold tried on the pixels themselves."""
    rng = np.random.default_rng(0)
    grid, shape, overlap = CellGrid.of_cells(16, (40, 50)), (40, 50), 0.2
    masks = np.zeros((6, *shape), bool)
    masks[1, 5:20, 10:30], masks[3, 30:40, 44:50], masks[4, :, 20] = True, True, True
    maps = rng.choice(np.linspace(0, 1, 9), (6, grid.rows * grid.columns))
    scores = pixel_metrics.PixelScores(np.eye(maps.shape[1], dtype=bool), overlap)
    pixel_metrics.stream_masks({"01": lambda: iter(masks)}, grid, [(scores, {"01": maps})])
    expected = []
    for mask, cells in zip(masks, maps, strict=True):
        pixels = grid.pixel_map(cells, shape)
        detected = [
            t
            for t in np.unique(maps)
            if ((pixels >= t)[mask].mean() >= overlap if mask.any() else (pixels >= t).any())
        ]
        expected.append(max(detected))
    np.testing.assert_array_equal(scores.clips[0], expected)
    labels = masks.any(axis=(1, 2)).astype(np.uint8)
    assert metrics.frame_auc(scores.clips, [labels]) == metrics.frame_auc([np.array(expected)], [labels])
