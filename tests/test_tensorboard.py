"""TensorBoard logs read back by TensorBoard's own reader."""

import io

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util.tensor_util import make_ndarray

from experiments.lab.training.tensorboard import TensorBoardLog

PICTURE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
CODES = np.random.default_rng(1).uniform(0, 1, (7, 11))


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs") / "run"
    log = TensorBoardLog(folder)
    log.scalars(10, {"train/loss": 2.5})
    log.scalars(20, {"train/loss": 1.5})
    log.histograms(20, {"codes": CODES})
    log.image(20, "test/clip", PICTURE)
    log.hparams({"seed": 3, "learning_rate": 1e-5, "system": "TSC", "trained": True}, {"final/auc": 0.5}, 20)
    log.close()
    return EventAccumulator(str(folder), {"tensors": 0}).Reload()


def test_scalars_have_their_steps(events):
    points = [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors("train/loss")]
    assert points == [(10, 2.5), (20, 1.5)]


def test_a_histogram_counts_every_value(events):
    buckets = make_ndarray(events.Tensors("codes")[0].tensor_proto)  # left, right, count
    counts, _ = np.histogram(CODES, len(buckets))
    np.testing.assert_array_equal(buckets[:, 2], counts)


def test_a_picture_comes_back_pixel_by_pixel(events):
    width, height, png = make_ndarray(events.Tensors("test/clip")[0].tensor_proto)
    assert (int(width), int(height)) == (30, 20)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), PICTURE)
    assert events.SummaryMetadata("test/clip").plugin_data.plugin_name == "images"


def test_the_hparams_entry_holds_settings_and_result(events):
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    stored = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert stored["seed"].number_value == 3
    assert stored["learning_rate"].number_value == 1e-5
    assert stored["system"].string_value == "TSC"
    assert stored["trained"].bool_value is True
    assert float(make_ndarray(events.Tensors("final/auc")[0].tensor_proto)) == 0.5


def test_a_full_disk_is_raised_where_it_is_written_and_names_the_file(tmp_path, small_files):
    log = TensorBoardLog(tmp_path / "run")
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    with pytest.raises(OSError, match="File too large") as told:
        log.image(0, "noise", noise)
    assert told.value.filename == str(next((tmp_path / "run").iterdir()))
