"""Every reader of files that others may have made, with a small whole file to damage."""

import io
import json
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import imageio.v3 as iio
import keras
import numpy as np
import onnx
import scipy.io

from data_prep import clip_list, labels, mnist_digits, moving_mnist, normalization, pretrained_weights, shards
from data_prep.flow_windows import place
from data_prep.frames import iter_frames, source_digest
from data_prep.images import read_image
from data_prep.live_frames import FrameStream
from data_prep.mat_files import read_cells
from data_prep.mnist_digits import Digits
from experiments.lab.scoring.score import ClipScores
from experiments.lab.scoring.score_files import load_scores, save_scores
from experiments.lab.training import model_files, run_files
from models.srnn_ae import SRNNAE
from tests.synthetic import write_clip

N_FRAMES, SIDE_PX = 6, 32


@dataclass(frozen=True)
class Reader:
    """A reader: the name of a file for it, how a whole one is made, how it is read.

    `refused` says that the file made is refused, for it holds too little: its parser is what is tried.
    """

    file: str
    make: Callable[[Path], object]
    read: Callable[[Path], object]
    refused: bool = False


def pictures() -> np.ndarray:
    """Frames that a codec has something to do with, uint8 (n, H, W, 3)."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (N_FRAMES, 4, 4, 3), dtype=np.uint8)
    return small.repeat(SIDE_PX // 4, axis=1).repeat(SIDE_PX // 4, axis=2)


def video(codec: str) -> Callable[[Path], object]:
    return lambda path: iio.imwrite(path, pictures(), plugin="pyav", codec=codec, fps=10)


def read_picture(path: Path) -> None:
    read_image(path), read_image(path, gray=True)


def read_video(path: Path) -> None:
    exhaust(iter_frames(path)), exhaust(FrameStream(str(path))), source_digest(path)


def exhaust(items: Iterable) -> None:
    for _ in items:
        pass


def cells(*items) -> np.ndarray:
    array = np.empty((1, len(items)), object)
    array[0, :] = items
    return array


def mat(key: str, items: Iterable, compress: bool) -> Callable[[Path], object]:
    return lambda path: scipy.io.savemat(path, {"note": "x", key: cells(*items)}, do_compression=compress)


INTERVALS = [np.array([[2, 5], [3, 6]], np.uint8), np.zeros((0, 0)), np.array([[1], [6]])]
CELL_MASKS = [np.eye(8, dtype=np.uint8)] * N_FRAMES


def read_labels(path: Path) -> None:
    labels.read_frame_labels(path, {"01": 6, "02": 6, "03": 6})


def read_masks(path: Path) -> None:
    exhaust(labels.read_masks(path, N_FRAMES, (8, 8)))


def windows_shard(path: Path) -> None:
    boxes = np.arange(84, dtype=np.float32).reshape(21, 4)
    write_clip(path.parent, "train", "01", np.ones((4, 21, 6), np.float32), boxes=boxes).rename(path)


def shard(path: Path) -> None:
    write_clip(path.parent, "train", "01", np.ones((4, 21, 6), np.float32)).rename(path)


def read_shard(path: Path) -> None:
    shards.validate_shard(path)
    with shards.Shard(path) as opened:
        opened.features(), opened.whole_frames(), opened.labels, opened.boxes


def sequences(path: Path) -> None:
    digits = Digits(np.full((4, 28, 28), 200, np.uint8), "made up")
    moving_mnist.generate(path, moving_mnist.Settings("spatial", "test", 2), digits, progress=False)


def read_sequences(path: Path) -> None:
    with moving_mnist.MovingMNIST(path) as opened:
        exhaust(opened.batches(1))


def standardized(path: Path) -> None:
    of_channels = np.ones(6, np.float32)
    np.savez(path, method="standardized", source="ab", mean=of_channels, deviation=of_channels)


def scores(path: Path) -> None:
    rows = np.linspace(0, 1, N_FRAMES * 21, dtype=np.float32).reshape(N_FRAMES, 21)
    save_scores(path, [ClipScores(name, np.zeros(N_FRAMES, np.uint8), rows, rows) for name in ("01", "02")])


def write_json(value) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps(value))


def model(path: Path) -> None:
    whole = SRNNAE(6, n_atoms=4, depth=2)
    whole.compile(optimizer="rmsprop", jit_compile=False)
    whole.save(path)


def onnx_weights(path: Path) -> None:
    """As many convolutions as the thin network has, of small kernels."""
    nodes, arrays = [], []
    for number in range(53):
        names = f"w{number}", f"b{number}"
        nodes.append(onnx.helper.make_node("Conv", ["x", *names], ["x"]))
        for name, shape in zip(names, ((2, 2, 1, 1), (2,)), strict=True):
            arrays.append(onnx.numpy_helper.from_array(np.ones(shape, np.float32), name))
    graph = onnx.helper.make_graph(nodes, "thin", [], [], arrays)
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())


def tensorflow_js(path: Path) -> None:
    """An archive with the names of one layer."""
    weights = [{"name": "conv1/kernel", "shape": [1, 1, 3, 2], "dtype": "float32"}]
    layers = [{"class_name": "BatchNormalization", "config": {"name": "bn_conv1", "epsilon": 1e-5}}]
    description = {
        "modelTopology": {"model_config": {"config": {"layers": layers}}},
        "weightsManifest": [{"paths": ["shard"], "weights": weights}],
    }
    with tarfile.open(path, "w") as archive:
        for name, content in (("model.json", json.dumps(description).encode()), ("shard", bytes(24))):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def keras_weights(path: Path) -> None:
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1)]).save(path)


PLACE = place.Place(place.FlowWindowOptions(), place.SpeedUnit(1.0, 2.0), 1.0, "ab")
CONFIG = {
    "system": "sRNN-AE", "dataset": "walkway", "stream": "spatial", "seed": 0, "backbone": "thin_resnet50",
    "features": {
        "layer": "last", "input_size_px": 96, "pooling": "max", "pyramid": "1,2,4", "normalization": "none",
        "weights_sha256": "ab",
    },
    "train": {"iterations": 10, "window_frames": 10, "temporal_window_frames": 4, "alignment": "causal"},
    "commit": "abc", "versions": {"keras": "3.15.0"},
}  # fmt: skip
UCSD = "TestVideoFile = {};\nTestVideoFile{end+1}.gt_frame = [2:3, 5:6];\n" * 3

READERS = {
    **{
        f"picture {suffix}": Reader(
            f"000.{suffix}", lambda path: iio.imwrite(path, pictures()[0]), read_picture
        )
        for suffix in ("jpg", "png", "tif", "bmp")
    },
    "video mp4, MPEG-4": Reader("a.mp4", video("mpeg4"), read_video),
    "video mp4, H.264": Reader("a.mp4", video("libx264"), read_video),
    "video avi, MPEG-4": Reader("a.avi", video("mpeg4"), read_video),
    "video avi, FFV1": Reader("a.avi", video("ffv1"), read_video),
    "video mkv, H.264": Reader("a.mkv", video("libx264"), read_video),
    "labels mat": Reader("a.mat", mat("gt", INTERVALS, False), read_labels),
    "labels mat, compressed": Reader("a.mat", mat("gt", INTERVALS, True), read_labels),
    "masks mat": Reader("a.mat", mat("volLabel", CELL_MASKS, False), read_masks),
    "table mat": Reader(
        "a.mat",
        mat("LVparms", ["a.avi", "b.avi", 3], False),
        lambda path: read_cells(path, "LVparms", "n x 3"),
    ),
    "labels m": Reader("a.m", lambda path: path.write_text(UCSD), read_labels),
    "labels npy": Reader(
        "01.npy",
        lambda path: np.save(path, np.zeros(6, np.uint8)),
        lambda path: labels.read_frame_labels(path.parent, {"01": 6}),
    ),
    "masks npy": Reader("a.npy", lambda path: np.save(path, np.ones((N_FRAMES, 8, 8), bool)), read_masks),
    "digits npz": Reader(
        "mnist.npz",
        lambda path: np.savez(path, x_train=np.zeros((4, 28, 28), np.uint8)),
        lambda path: mnist_digits.load_digits(path.parent),
    ),
    "normalization npz": Reader(
        normalization.FILE, standardized, lambda path: normalization.load_normalization(path.parent)
    ),
    "scores npz": Reader("scores.npz", scores, load_scores),
    "shard h5": Reader("01.h5", shard, read_shard),
    "shard h5, windows": Reader("01.h5", windows_shard, read_shard),
    "sequences h5": Reader("a.h5", sequences, read_sequences),
    "clips json": Reader(
        clip_list.FILE,
        write_json({"dataset": "ped2", "train": ["01", "02"], "test": ["01"]}),
        lambda path: clip_list.read_clip_list(path.parent),
    ),
    "place json": Reader(place.FILE, write_json(asdict(PLACE)), lambda path: place.load_place(path.parent)),
    "config json": Reader("config.json", write_json(CONFIG), lambda path: run_files.read_config(path.parent)),
    "history json": Reader(
        "history.json",
        write_json([{"step": 10, "seconds": 1.0, "loss": 1.0}]),
        lambda path: run_files.read_history(path.parent),
    ),
    "metrics json": Reader(
        "metrics.json",
        write_json({"steps": 10, "loss": 1.0, "training_seconds": 1.0}),
        lambda path: run_files.read_metrics(path.parent),
    ),
    "model keras": Reader("last.keras", model, model_files.read_model),
    "weights onnx": Reader(
        "a.onnx", onnx_weights, lambda path: pretrained_weights.read_convolutions("thin_resnet50", path), True
    ),
    "weights tar": Reader(
        "a.tar", tensorflow_js, lambda path: pretrained_weights.read_convolutions("resnet50", path), True
    ),
    "weights h5": Reader(
        "a.h5", keras_weights, lambda path: pretrained_weights.read_convolutions("resnet50", path), True
    ),
}
