"""From a trained model to region errors (Sec. 3.7); on to a frame's score it is `scoring.regularity`."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from data_prep.errors import InputError
from data_prep.shards import Shard
from data_prep.windows import clip_blocks
from models.blocks import BlockModel

# Clips scored side by side: rows enough for efficient matrix products. Features are read in blocks, and what
# is kept is the scores, four numbers a region and frame.
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
    """A loss or scores that are not finite: too large a step, or codes that grow along a long clip."""


@dataclass(frozen=True)
class ClipScores:
    """What a model says of one clip.

    `error` ||x - x^||^2, `similarity` S_{t-1,t}, `code_distance` ||a_t - a_{t-1}|| and `sparsity` (share of
    zero codes) are (n_frames, R), float32 of a network, the last three None for a system without codes;
    `labels` is uint8 (n_frames,), 1 = abnormal.
    """

    clip: str
    labels: np.ndarray
    error: np.ndarray
    similarity: np.ndarray | None = None
    code_distance: np.ndarray | None = None
    sparsity: np.ndarray | None = None

    def of_codes(self, name: str) -> np.ndarray:
        """Return `similarity`, `code_distance` or `sparsity`. InputError: the scores have none."""
        values = getattr(self, name)
        if values is None:
            raise InputError(
                f"scores of clip {self.clip}: expected {name}, got none; to score again, delete them"
            )
        return values

    def of_regions(self, name: str) -> np.ndarray:
        """Return what `of_codes` does of all regions and frames, (n,), but for flow windows at rest.

        A window at rest has no features and so no codes that say anything; its scores are 0.
        """
        return self.of_codes(name)[self.error > 0]


@functools.lru_cache(maxsize=1)
def step_function(streaming: BlockModel) -> Callable:
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
    streaming: BlockModel, shards: Sequence[Path], stream: str, temporal_window_frames=4, alignment="causal"
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
