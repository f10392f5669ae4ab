"""Flow of known motion, what a stack holds, flow shards: round trip, resuming, bad input."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from data_prep import extraction, optical_flow, walkway
from data_prep.backbones import Backbone, load_backbone
from data_prep.datasets import RECORDS, Clip, Dataset
from data_prep.errors import InputError
from data_prep.frames import iter_frames
from data_prep.optical_flow import (
    FlowOptions,
    FlowRecipe,
    flow_inputs,
    scaled_flow,
    tvl1_flow,
)
from data_prep.optical_flow.__main__ import main
from data_prep.read_ahead import map_ahead
from data_prep.resnet import MEAN_BGR
from data_prep.shards import Shard, list_shards, validate_shard

SIZE_PX = 16
LABELS = [0, 0, 1, 1, 0, 0]


def texture(size_px, shift=(0, 0), seed=0):
    """A smooth random picture, uint8, moved by (right, down) px; what comes in at its edges is new."""
    margin = 16
    noise = np.random.default_rng(seed).uniform(0, 255, (size_px + 2 * margin,) * 2)
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    left, top = margin - shift[0], margin - shift[1]
    return smooth[top : top + size_px, left : left + size_px].astype(np.uint8)


@pytest.mark.parametrize("shift", [(3, 0), (0, -2), (-2, 1), (0, 0)])
def test_known_translation_is_recovered(shift):
    flow = tvl1_flow(texture(64), texture(64, shift))
    assert flow.shape == (64, 64, 2)
    assert flow.dtype == np.float32
    inside = flow[8:-8, 8:-8]
    np.testing.assert_allclose(inside, np.broadcast_to(shift, inside.shape), atol=0.4)
    np.testing.assert_allclose(inside.mean(axis=(0, 1)), shift, atol=0.1)


def test_flow_at_a_smaller_size_is_in_pixels_of_the_input():
    grays = texture(48), texture(48, (2, -1))
    flow = scaled_flow(grays, FlowOptions(48, 5, input_size_px=96))
    assert flow.shape == (96, 96, 2)
    assert flow.dtype == np.float16
    expected = np.array([2, -1]) * (96 / 48) * 255 / 40
    np.testing.assert_allclose(flow[24:-24, 24:-24].mean(axis=(0, 1)), expected, atol=1)


def test_fast_motion_is_clipped_at_twenty_pixels(monkeypatch):
    flow = np.zeros((SIZE_PX, SIZE_PX, 2), np.float32)
    flow[:8], flow[8:, :, 0], flow[8:, :, 1] = 35, -35, 10
    monkeypatch.setattr(optical_flow, "tvl1_flow", lambda *_: flow)
    scaled = scaled_flow((None, None), FlowOptions(SIZE_PX, 1, SIZE_PX))
    assert (scaled[:8] == 127.5).all()
    assert (scaled[8:, :, 0] == -127.5).all()
    assert (scaled[8:, :, 1] == 63.75).all()


@pytest.fixture
def flow_tells_its_frames(monkeypatch):
    """A flow whose u is the gray value of the first frame and whose v is that of the second."""

    def told(before, after, _):
        return np.stack([before, after], axis=-1).astype(np.float32)

    monkeypatch.setattr(optical_flow, "tvl1_flow", told)


def test_stack_holds_the_last_ten_flows_oldest_first(flow_tells_its_frames):
    frames = [np.full((20, 30, 3), value, np.uint8) for value in range(14)]
    stacks = list(flow_inputs(frames, FlowOptions(SIZE_PX, 1, SIZE_PX)))
    assert len(stacks) == 14
    for t, stack in enumerate(stacks):
        assert stack.shape == (SIZE_PX, SIZE_PX, 20)
        assert stack.dtype == np.float16
        for channel in range(20):
            flow_number = max(1, t - 9 + channel // 2)  # f_1 stands for those before it
            value = flow_number - 1 if channel % 2 == 0 else flow_number
            assert (stack[..., channel] == value * 6.375).all(), (t, channel)


def test_picture_holds_the_last_flow_and_its_length(flow_tells_its_frames):
    frames = [np.full((20, 30, 3), value, np.uint8) for value in (0, 3, 4, 30)]
    pictures = list(flow_inputs(frames, FlowOptions(SIZE_PX, 1, SIZE_PX, picture=True)))
    step = 6.375  # a pixel in the units of the network
    # |(0, 3)| = 3, |(3, 4)| = 5; v = 30 is clipped at 20, and so is the length of (4, 20)
    expected = [(0, 3 * step, 3 * step)] * 2 + [(3 * step, 4 * step, 5 * step), (4 * step, 127.5, 127.5)]
    assert [picture.shape for picture in pictures] == [(SIZE_PX, SIZE_PX, 3)] * 4
    for picture, colors in zip(pictures, expected, strict=True):
        assert picture.dtype == np.float16
        np.testing.assert_array_equal(picture, np.broadcast_to(np.float16(colors), picture.shape))
    (alone,) = flow_inputs(frames[:1], FlowOptions(SIZE_PX, 1, SIZE_PX, picture=True))
    assert alone.shape == (SIZE_PX, SIZE_PX, 3)
    assert not alone.any()


def test_stack_looks_at_no_later_frame(flow_tells_its_frames):
    taken = []

    def frames():
        for value in range(5):
            taken.append(value)
            yield np.full((20, 30, 3), value, np.uint8)

    stacks = flow_inputs(frames(), FlowOptions(SIZE_PX, 1, SIZE_PX))
    read = []
    for _ in stacks:
        read.append(len(taken))
    assert read == [2, 2, 3, 4, 5]  # the first frame waits for the second


def test_one_frame_has_no_motion():
    stacks = list(flow_inputs([np.full((20, 30, 3), 9, np.uint8)], FlowOptions(SIZE_PX, 1, 32)))
    assert len(stacks) == 1
    assert stacks[0].shape == (32, 32, 20)
    assert not stacks[0].any()


def test_all_cores_give_the_flows_of_one():
    frames = [np.repeat(texture(40, (t, 0))[..., None], 3, axis=2) for t in range(6)]
    options = FlowOptions(20, 2, 32)
    with ThreadPoolExecutor(2) as pool:
        parallel = np.stack(list(flow_inputs(frames, options, partial(map_ahead, pool, 3))))
    np.testing.assert_array_equal(parallel, np.stack(list(flow_inputs(frames, options))))
    assert parallel.any()


def test_computing_ahead_keeps_order_and_its_bound():
    taken = []

    def numbers():
        for number in itertools.count():
            taken.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        squares = map_ahead(pool, 3, lambda x: x * x, numbers())
        assert list(itertools.islice(squares, 10)) == [x * x for x in range(10)]
        assert len(taken) == 10 + 3
        assert list(map_ahead(pool, 3, str, [7])) == ["7"]


def test_first_layer_is_the_mean_of_the_rgb_filters():
    rgb, flow = (
        load_backbone("thin_resnet50", input_size_px=32, layer="conv2", flow=flow) for flow in ("", "stack")
    )
    (kernel, bias), (rgb_kernel, rgb_bias) = (
        next(layer for layer in b.model.layers if isinstance(layer, keras.layers.Conv2D)).get_weights()
        for b in (flow, rgb)
    )
    assert rgb_kernel.shape[2] == 3
    assert kernel.shape == (7, 7, 20, rgb_kernel.shape[3])
    mean = (rgb_kernel[:, :, 0] + rgb_kernel[:, :, 1] + rgb_kernel[:, :, 2]) / 3
    for channel in range(20):
        np.testing.assert_allclose(kernel[:, :, channel], mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(bias, rgb_bias)
    assert (flow.name, flow.requested, flow.input_dtype) == (
        "thin_resnet50-flow",
        "thin_resnet50-flow",
        "float16",
    )
    assert flow.weights_sha256 == rgb.weights_sha256


def test_network_on_pictures_is_the_rgb_network_without_its_mean():
    options = {"input_size_px": 32, "layer": "conv2"}
    rgb, flow = (load_backbone("thin_resnet50", flow=flow, **options) for flow in ("", "picture"))
    assert (flow.name, flow.input_dtype) == ("thin_resnet50-flow_picture", "float16")
    assert FlowOptions.of(flow, 48, 1) == FlowOptions(48, 1, 32, picture=True)
    colors = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3))
    mean_rgb = np.array(MEAN_BGR["thin_resnet50"][::-1])
    expected = rgb.model.predict_on_batch(colors.astype(np.uint8))
    np.testing.assert_allclose(
        flow.model.predict_on_batch((colors - mean_rgb).astype(np.float16)), expected, atol=0.01
    )


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    """A network that is easy to follow: means of 4x4 pixels, so 16x16 stacks give 4x4 maps."""
    inputs = keras.Input((SIZE_PX, SIZE_PX, 20))
    model = keras.Model(inputs, keras.layers.AveragePooling2D(4)(inputs))
    return Backbone("means-flow", model, SIZE_PX, "last", 20, "ab" * 32, "means-flow", "", "float16")


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    """Two training clips, one of them of a single frame, and a test clip; a texture that moves."""
    clips = []
    for split, name, n_frames in (("train", "01", 12), ("train", "02", 1), ("test", "01", len(LABELS))):
        folder = tmp_path / "data" / split / name
        folder.mkdir(parents=True)
        for t in range(n_frames):
            cv2.imwrite(str(folder / f"{t:03d}.png"), texture(24, (t % 5, 0), seed=len(clips)))
        clips.append(Clip("walkway", split, name, folder))
    labels = {"01": np.array(LABELS, np.uint8)}
    return Dataset(RECORDS["walkway"], tmp_path / "data", "re-packed", tuple(clips), labels, {})


def extract(dataset, backbone, tmp_path, **options) -> Path:
    part = options.pop("part", (1, 1))
    flow = FlowOptions.of(backbone, options.pop("size_px", 20), options.pop("warps", 2))
    recipe = FlowRecipe(backbone, dtype="float32", options=flow, **options)
    return extraction.extract(dataset, recipe, tmp_path / "features", part, progress=False)


@pytest.mark.parametrize("batch_frames", [1, 5])
def test_shards_hold_the_features_of_the_stacks(dataset, backbone, tmp_path, batch_frames):
    folder = extract(dataset, backbone, tmp_path, batch_frames=batch_frames)
    assert folder == tmp_path / "features" / "walkway" / "means-flow-last-16-max-float32-tvl1_20px_2warps"
    for clip in dataset.clips:
        path = folder / clip.split / f"{clip.name}.h5"
        info = validate_shard(path)
        assert (info.backbone, info.input_size_px) == ("means-flow", SIZE_PX)
        assert "TV-L1, 2 warps" in info.resizing
        stacks = np.stack(list(flow_inputs(iter_frames(clip.source), FlowOptions(20, 2, SIZE_PX))))
        cells = stacks.astype(np.float32).reshape(-1, 4, 4, 4, 4, 20).mean(axis=(2, 4))
        with Shard(path) as shard:
            assert shard.features().shape == (len(stacks), 21, 20)
            np.testing.assert_allclose(shard.features()[:, 5:], cells.reshape(-1, 16, 20), atol=1e-3)
            np.testing.assert_allclose(shard.features()[:, 0], cells.max(axis=(1, 2)), atol=1e-3)
            assert shard.labels.tolist() == (LABELS if clip.split == "test" else [0] * len(stacks))


def test_resuming_redoes_only_what_is_missing_or_damaged(dataset, backbone, tmp_path, written, capfd):
    folder = extract(dataset, backbone, tmp_path, part=(1, 2))
    assert written == ["train/01", "test/01"]
    extract(dataset, backbone, tmp_path)
    assert written == ["train/01", "test/01", "train/02"]
    path = folder / "test" / "01.h5"
    path.write_bytes(path.read_bytes()[:-20])
    written.clear()
    extract(dataset, backbone, tmp_path)
    assert written == ["test/01"]
    assert capfd.readouterr().err.startswith(f"{path}: damaged shard")
    extract(dataset, backbone, tmp_path)
    assert written == ["test/01"]


def test_every_way_of_computing_flow_has_its_own_folder(dataset, backbone, tmp_path):
    full = extract(dataset, backbone, tmp_path, size_px=None)
    folders = [full, *(extract(dataset, backbone, tmp_path, warps=n) for n in (1, 2))]
    assert full.name.endswith("tvl1_16px_2warps")
    assert len(set(folders)) == 3


def test_unreadable_clip_stops_in_one_line_and_leaves_no_half_shard(dataset, backbone, tmp_path, written):
    bad = dataset.clips[2].source / "003.png"
    good = bad.read_bytes()
    bad.write_bytes(good[:40])
    with pytest.raises(InputError, match=f"^{bad}: damaged image"):
        extract(dataset, backbone, tmp_path)
    files = [path.name for path in (tmp_path / "features").rglob("[!.]*") if path.is_file()]
    assert not list((tmp_path / "features").rglob(".tmp-*"))
    assert sorted(files) == ["01.h5", "02.h5", "clips.json"]
    bad.write_bytes(good)
    written.clear()
    extract(dataset, backbone, tmp_path)
    assert written == ["test/01"]


def test_options_out_of_range_are_refused(dataset, backbone, tmp_path):
    with pytest.raises(InputError, match="flow size: expected at least 16 px, got 8"):
        extract(dataset, backbone, tmp_path, size_px=8)
    with pytest.raises(InputError, match="flow warps: expected at least 1, got 0"):
        extract(dataset, backbone, tmp_path, warps=0)


def test_command_extracts_flow_features(tmp_path, capfd):
    walkway.generate(tmp_path, n_train_clips=1, n_test_clips=1, clip_frames=walkway.MIN_CLIP_FRAMES)
    command = (
        f"--data {tmp_path} --out {tmp_path / 'features'} --backbone thin_resnet50 --input-size 32 "
        "--layer conv2 --flow-warps 1 --flow-size"
    ).split()
    assert main([*command, "16"]) == 0
    folder = Path(capfd.readouterr().out.strip())
    assert folder.name == "thin_resnet50-flow-conv2-32-max-tvl1_16px_1warps"
    with Shard(list_shards(folder, "test")[0]) as shard:
        assert shard.features().shape == (walkway.MIN_CLIP_FRAMES, 21, 128)
        assert shard.info.requested_backbone == "thin_resnet50-flow"
    assert main([*command, "4"]) == 2
    assert capfd.readouterr().err == "error: flow size: expected at least 16 px, got 4\n"
