"""From a trained model to region errors, and from region errors to a frame's regularity score (Sec. 3.7)."""

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from data_prep.errors import InputError
from data_prep.shards import Shard
from data_prep.windows import clip_blocks
from experiments.lab.scoring import fusion, metrics
from experiments.lab.scoring.protocol import Protocol
from models.srnn_ae import Streaming

# Clips scored side by side: rows enough for efficient matrix products, memory independent of the dataset.
CLIPS_AT_ONCE = 16
BLOCK_FRAMES = 5
PER_FRAME = ("error", "similarity", "code_distance", "sparsity")


def use_float32_products() -> None:
    """Have float32 products taken in float32: on Nvidia's GPUs TensorFlow and JAX round factors to TF32."""
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)


use_float32_products()  # once, by whatever trains or scores


class DivergedError(InputError):
    """Scores that are not finite: codes that grow along a clip longer than the training windows."""


@dataclass(frozen=True)
class ClipScores:
    """What a model says of one clip.

    `error` ||x - x^||^2, `similarity` S_{t-1,t}, `code_distance` ||a_t - a_{t-1}|| and `sparsity` (share of
    zero codes) are float32 (n_frames, R), the last three None for a system without codes; `labels` is uint8
    (n_frames,), 1 = abnormal.
    """

    clip: str
    labels: np.ndarray
    error: np.ndarray
    similarity: np.ndarray | None = None
    code_distance: np.ndarray | None = None
    sparsity: np.ndarray | None = None


@functools.lru_cache(maxsize=1)
def step_function(streaming: Streaming) -> Callable:
    """Return `streaming.step`, compiled for TensorFlow so that the state stays in its tensors.

    `predict_on_batch`, which `step` calls, costs a tenth of a frame's time at 21 rows.
    """
    if keras.backend.backend() != "tensorflow":
        return streaming.step
    import tensorflow as tf

    @functools.cache
    def compiled(shape: tuple[int, int]) -> Callable:
        """Return one graph of blocks (rows, *shape) for any number of rows: tracing takes seconds."""
        arrays = {"x": np.empty((1, *shape), streaming.compute_dtype), **streaming.initial_state(1)}
        block = {key: tf.TensorSpec((None, *array.shape[1:]), array.dtype) for key, array in arrays.items()}
        return tf.function(streaming, input_signature=[block], jit_compile=streaming.jit_compile)

    def step(x, state):
        outputs = compiled(x.shape[1:])({"x": tf.constant(x), **state})
        state = {key: outputs.pop(key) for key in state}
        return {key: value.numpy() for key, value in outputs.items()}, state

    return step


def score_clips(
    streaming: Streaming, shards: Sequence[Path], stream: str, temporal_window_frames=4, alignment="causal"
) -> list[ClipScores]:
    """Return the scores of each shard, in order; clips start from the initial state.

    Of windows (`data_prep.flow_windows`), those at rest, whose features are zeros, score 0 throughout.

    Raises:
        DivergedError: a score that is not finite, naming the shard.
    """
    step = step_function(streaming)
    scored = []
    for group in side_by_side(shards):
        with Shard(group[0]) as shard:
            windows = shard.boxes is not None
        blocks: list[list[dict]] = [[] for _ in group]
        state = None
        for x, n_valid in clip_blocks(group, stream, BLOCK_FRAMES, temporal_window_frames, alignment):
            state = streaming.initial_state(len(x)) if state is None else state
            scores, state = step(x, state)
            if windows:
                active = x.any(axis=-1)
                scores = {key: value * active for key, value in scores.items()}
            for index, n_frames in enumerate(n_valid):
                rows = slice(index * len(x) // len(group), (index + 1) * len(x) // len(group))
                blocks[index].append({key: value[rows, :n_frames].T for key, value in scores.items()})
        for path, parts in zip(group, blocks, strict=True):
            with Shard(path) as shard:
                clip, labels = shard.info.clip, shard.labels
            arrays = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
            if not np.isfinite(arrays["error"]).all():
                raise DivergedError(f"{path}: expected finite reconstruction errors, got NaN or infinity")
            scored.append(ClipScores(clip, labels, **arrays))
    return scored


def side_by_side(shards: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield the shards in groups to score together: consecutive, of equally many regions each."""

    def n_regions(path: Path) -> int:
        with Shard(path) as shard:
            return shard.n_regions

    for _, alike in itertools.groupby(shards, n_regions):
        while group := list(itertools.islice(alike, CLIPS_AT_ONCE)):
            yield group


def in_order(clips: Sequence[ClipScores], names: Sequence[str], source: object) -> list[ClipScores]:
    """Return the clips in the order of `names`: whatever is joined is joined by name.

    Args:
        clips: in any order.
        names: of the same clips.
        source: what the clips are from, for the error.

    Raises InputError: other clips than those, naming them.
    """
    by_name = {clip.clip: clip for clip in clips}
    faults = {
        "without": [name for name in names if name not in by_name],
        "besides": [name for name in by_name if name not in set(names)],
        "repeated": [name for name, count in Counter(clip.clip for clip in clips).items() if count > 1],
    }
    if any(faults.values()):
        told = "; ".join(f"{word} {', '.join(found)}" for word, found in faults.items() if found)
        raise InputError(f"{source}: other clips than those it is joined with: {told}")
    return [by_name[name] for name in names]


def joined(streams: Mapping[str, Sequence[ClipScores]]) -> dict[str, list[ClipScores]]:
    """Return the streams with their clips in the order of the first. InputError: other clips or labels."""
    first, *_ = streams.values()
    names = [clip.clip for clip in first]
    found = {stream: in_order(clips, names, f"{stream} stream") for stream, clips in streams.items()}
    for stream, clips in found.items():
        for one, other in zip(first, clips, strict=True):
            if not np.array_equal(one.labels, other.labels):
                raise InputError(f"{stream} stream, clip {one.clip}: labels differ from the first stream's")
    return found


def regularity(
    streams: Mapping[str, Sequence[ClipScores]],
    protocol: Protocol | None = None,
    train_errors: Mapping[str, np.ndarray] | None = None,
) -> list[np.ndarray]:
    """Return the regularity score s(t) of each clip of the first stream, (n_frames,); low is abnormal.

    Paper: Eq. (14) and Sec. 3.7, see `scoring.fusion`.

    Args:
        streams: stream -> scores, clips in any order; those that the protocol names.
        protocol: None for the paper's on these streams.
        train_errors: stream -> frame errors of the training clips, (n,), see `fusion.regularity`.
    """
    protocol = protocol or Protocol(tuple(streams))
    errors = {
        stream: [metrics.frame_error(clip.error, protocol.frame_error) for clip in clips]
        for stream, clips in joined({stream: streams[stream] for stream in protocol.streams}).items()
    }
    return fusion.regularity(errors, protocol, train_errors)


def micro_auc(
    streams: Mapping[str, Sequence[ClipScores]],
    protocol: Protocol | None = None,
    train_errors: Mapping[str, np.ndarray] | None = None,
) -> float:
    """Return the frame-level AUC over all frames of all clips; arguments as of `regularity`."""
    protocol = protocol or Protocol(tuple(streams))
    labels = [clip.labels for clip in streams[protocol.streams[0]]]
    return metrics.frame_auc([-s for s in regularity(streams, protocol, train_errors)], labels)
