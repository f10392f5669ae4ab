"""The compared systems through the path that trains and scores them all."""

import keras
import numpy as np
import pytest
from algorithm_1 import algorithm_1, gaussian
from synthetic import write_dataset

from data_prep.errors import InputError
from data_prep.shards import Shard, list_shards
from experiments.lab.scoring.regularity import micro_auc
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.catalogue import run_system
from experiments.lab.systems.features import ShardFeatures
from experiments.lab.systems.tsc import training_blocks
from experiments.lab.training import alternation

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
)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def tsc(features, tmp_path_factory):
    return run_system("TSC", features, "spatial", SMALL, 0, tmp_path_factory.mktemp("tsc"))


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


def test_scores_of_tsc_are_those_of_its_dictionary(features, tsc):
    """On the whole-frame region, by Algorithm 1 written out in NumPy."""
    model = tsc.model()
    A, gamma = model.dictionary.astype(float), float(model.srnn.gamma)
    with Shard(features / "test" / "01.h5") as shard:
        x = shard.features()[None, :, 0].astype(float)
    S, alpha_0 = gaussian(x, delta_squared=100), np.zeros((1, A.shape[1]))
    codes = algorithm_1(A, x, S, alpha_0, scalars=(gamma, 0.01, 2.0), depth=20)
    errors = np.square(x - codes @ A.T).sum(-1)[0]
    np.testing.assert_allclose(tsc.scores()[0].error[:, 0], errors, rtol=1e-3, atol=1e-5)


def test_tsc_with_exact_coding_and_no_l1_is_told_in_one_line(features, tmp_path):
    settings = SMALL.override(tsc_lambda1=0.0, tsc_coding="exact")
    with pytest.raises(InputError, match="exact coding takes a lambda1 above 0, got 0"):
        run_system("TSC", features, "spatial", settings, 0, tmp_path)


def test_interrupted_tsc_resumes_to_the_same_dictionary(features, tsc, tmp_path, monkeypatch):
    """Broken off once before an alternation is written, and once after."""
    for fault in ("write_json", "log_alternation"):
        real = getattr(alternation, fault)

        def break_off(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(alternation, fault, break_off)
        with pytest.raises(KeyboardInterrupt):
            run_system("TSC", features, "spatial", SMALL, 0, tmp_path)
        monkeypatch.setattr(alternation, fault, real)
    (folder,) = (path.parent for path in (tmp_path / "checkpoints").rglob("history.json"))
    for name in ("last.keras", "alternation_0002.keras"):  # what `kill -9` leaves of a file half written
        (folder / f".tmp-{'0' * 16}-{name}").touch()
    resumed = run_system("TSC", features, "spatial", SMALL, 0, tmp_path)
    np.testing.assert_array_equal(resumed.model().dictionary, tsc.model().dictionary)
    objectives = [[row["objective"] for row in run.history] for run in (resumed, tsc)]
    assert objectives[0] == objectives[1]
    assert len(objectives[0]) == 3
    assert not list(resumed.folder.glob("alternation_*"))
    assert not list(resumed.folder.glob(".tmp-*"))


def test_tsc_codes_all_frames_or_the_same_windows(features):
    source = ShardFeatures(features, "spatial", SMALL)
    everything = list(training_blocks(source, SMALL.override(tsc_windows=0), 0))
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
    for n_windows in (1, 16, 20):
        blocks = list(training_blocks(source, SMALL.override(tsc_windows=n_windows), 0))
        assert sum(len(block.x) for block in blocks) == 21 * n_windows
    first, again = (list(training_blocks(source, SMALL, 0)) for _ in range(2))
    assert len(first) == 1
    np.testing.assert_array_equal(first[0].x, again[0].x)
