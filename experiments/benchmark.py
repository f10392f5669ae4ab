"""The speed ratios of this code, both sides of each measured in turns in one run.

    python -m experiments.benchmark [--data DIR] [--profile quick]

Writes results/<profile>/benchmark.csv (`name,ours,reference,ratio,unit`); a ratio above 1 means ours is
the faster, and for memory the smaller:

    train_step           seconds a training step in `fit` | its matrix products at the machine's float32 rate
    train_step_bfloat16  seconds of it with compute_dtype bfloat16 | in float32
    feature_extraction   frames/s, decoding included | onnxruntime on the same thin ResNet-50, same decoding
    feature_float16      frames/s of it with feature_compute_dtype float16 | in float32
    streaming_inference  frames/s, one frame of 21 regions at a time | its matrix products at that rate
    streaming_21_rows    the same | its matrix products at the rate of products with 21 rows
    streaming_bytes      the same | its matrices read from memory at every product, A^T A K times
    streaming_bfloat16   frames/s with compute_dtype bfloat16 | in float32
    sparse_coding        seconds for 500 rows of codes to 0.1 % | the faster of scikit-learn's two solvers
    memory_tenfold       peak MB of training on the dataset ten times over | on the dataset once

train_step and streaming run at the paper's size: C = N = 2048, K = 3, T = 10, 84 rows (smoke: at its own).
The parts of a step, in both dtypes, go to training_parts.csv (`lab.benchmarks.training_parts`); what a step
and a streamed frame cost as C, N, K, rows and frames grow goes to costs.csv (`lab.benchmarks.costs`).
sparse_coding also writes sparse_coding.csv: every solver, and how far K steps of SISTA stop short of the
minimum (`lab.benchmarks.sparse_coding`). SPAMS joins in where it is installed: `pip install spams-bin`.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter as now

import numpy as np

from experiments.lab import cli
from experiments.lab.benchmarks.costs import costs, streamed, training_operations, weights_read

# Of the sRNN-AE of the steps and of the sparse coding problems, on the features of the first dataset.
READ_SETTINGS = (
    "features", "model", "batch_clips", "window_frames",
    "tsc_n_atoms", "tsc_lambda1", "tsc_lambda2", "tsc_delta_squared", "tsc_windows",
)  # fmt: skip
ROUNDS = 7
MATRIX_SIZE = 2048
UNCACHED_MATRICES = 6
STEPS_A_ROUND = 10
MEMORY_STEPS = 40
MEMORY_COPIES = 10
REGIONS = 21


def reads(context):
    """Return what the measurements read of the settings."""
    from experiments.lab.systems.reads import Reads

    return Reads(also=READ_SETTINGS, without=("compute_dtype",), walkway="first")


def run(context) -> None:
    """Measure every ratio and write benchmark.csv."""
    from experiments.lab.benchmarks.sparse_coding import sparse_coding
    from experiments.lab.publishing.results import write_csv

    lines = [*train_step(context), *streaming_inference(context), *feature_extraction(context)]
    lines += [sparse_coding(context), memory_tenfold(context)]
    write_training_parts(context)
    write_costs(context)
    written = []
    for name, ours, reference, ratio, unit in lines:
        numbers = {"ours": f"{ours:.4g}", "reference": f"{reference:.4g}", "ratio": f"{ratio:.3f}"}
        written.append({"name": name, **numbers, "unit": unit})
        print(f"{name:20} ours {ours:9.4g}   reference {reference:9.4g} {unit:9}   ratio {ratio:.3f}")
    write_csv(context.results_dir / "benchmark.csv", written)


def median_seconds(*works: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Return the median time of each piece of work; they take turns, so that noise falls on all alike."""
    times = [[] for _ in works]
    for work in works:
        work()
    for _ in range(rounds):
        for work, taken in zip(works, times, strict=True):
            taken.append(seconds_of(work))
    return [float(np.median(taken)) for taken in times]


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long one call takes."""
    start = now()
    work()
    return now() - start


def square_product() -> tuple[Callable[[], object], float]:
    """Return a compiled product of two square float32 matrices, and its floating point operations."""
    import tensorflow as tf

    a = tf.random.normal((MATRIX_SIZE, MATRIX_SIZE), seed=0)
    product = tf.function(lambda: tf.matmul(a, a))
    return product, 2.0 * MATRIX_SIZE**3


def dtypes_measured() -> tuple[str, ...]:
    """Return the dtypes of products to measure: bfloat16 where it is fast; one line tells where it is not."""
    from data_prep.processor import is_fast

    if is_fast("bfloat16"):
        return "float32", "bfloat16"
    print("bfloat16 is not measured: this processor has no instructions for it, and there is no accelerator")
    return ("float32",)


def paper_settings(context):
    """Return the settings at the paper's size; smoke has its own."""
    return context.settings if context.profile == "smoke" else context.settings.override(n_atoms=2048)


def paper_models(context):
    """Return (models by the dtype of their products, batch, settings) at the paper's size, C = N."""
    from experiments.lab.systems.srnn_ae import build_srnn_ae

    settings = paper_settings(context)
    n_features = settings.model.n_atoms
    rows, frames = settings.train.batch_clips * REGIONS, settings.train.window_frames
    batch = np.random.default_rng(0).exponential(0.5, (rows, frames, n_features)).astype(np.float32)
    models = {
        dtype: build_srnn_ae(n_features, rows, settings.override(compute_dtype=dtype), seed=0)
        for dtype in dtypes_measured()
    }
    return models, batch, settings.model


def train_step(context) -> list[tuple]:
    """Return the rows of the training step as a run takes it: one `fit`, thousands of steps."""
    models, batch, options = paper_models(context)
    product, product_operations = square_product()
    steps, products = {dtype: [] for dtype in models}, []
    for _ in range(ROUNDS):
        for dtype, model in models.items():
            steps[dtype] += step_seconds(model, batch)
        products += [seconds_of(product) for _ in range(STEPS_A_ROUND)]
    n_features, (rows, frames) = batch.shape[-1], batch.shape[:2]
    operations = training_operations(
        n_features, options.n_atoms, options.similarity_units, options.depth, rows, frames
    )
    step = {dtype: float(np.median(taken)) for dtype, taken in steps.items()}
    limit = operations / (product_operations / float(np.median(products)))
    lines = [("train_step", step["float32"], limit, limit / step["float32"], "s")]
    if "bfloat16" in step:
        ratio = step["float32"] / step["bfloat16"]
        lines.append(("train_step_bfloat16", step["bfloat16"], step["float32"], ratio, "s"))
    return lines


def write_training_parts(context) -> None:
    """Write training_parts.csv: the processor seconds of a training step's parts, a column a dtype."""
    from experiments.lab.benchmarks.training_parts import parts_of
    from experiments.lab.publishing.results import write_csv

    models, batch, _ = paper_models(context)
    parts = {dtype: parts_of(model, batch) for dtype, model in models.items()}
    lines = [
        {"part": part, **{f"{dtype}_processor_seconds": f"{parts[dtype][part]:.4g}" for dtype in parts}}
        for part in parts["float32"]
    ]
    write_csv(context.results_dir / "training_parts.csv", lines)


def write_costs(context) -> None:
    """Write costs.csv: the processor seconds of a step and of a streamed frame as one size grows."""
    from experiments.lab.publishing.results import write_csv

    settings = paper_settings(context)
    lines = costs(settings, settings.model.n_atoms, REGIONS)
    for line in lines:
        print("{work:15} {axis:11} {from:5} -> {to:5}   time x {ratio}, products x {products}".format(**line))
    write_csv(context.results_dir / "costs.csv", lines)


def step_seconds(model, batch: np.ndarray) -> list[float]:
    """Return the seconds of training steps inside `fit`: to start and end it takes up to 3 s, once a run."""
    import keras

    from experiments.lab.training.freed_memory import freed_memory_kept

    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: ends.append(now()))
    batches = ((batch,) for _ in range(STEPS_A_ROUND))
    with freed_memory_kept():  # as a run has it
        model.fit(batches, steps_per_epoch=STEPS_A_ROUND, shuffle=False, verbose=0, callbacks=[clock])
    return np.diff(ends).tolist()


def streaming_inference(context, frames_a_round=50) -> list[tuple]:
    """Return the rows of scoring one frame at a time, against three limits of its matrix products."""
    models, batch, options = paper_models(context)
    streams = {dtype: streamed(model, batch[:REGIONS], frames_a_round) for dtype, model in models.items()}
    square, square_operations = square_product()
    narrow, read, n_elements = narrow_products(REGIONS)
    taken = median_seconds(*streams.values(), square, narrow, read)
    rates = {dtype: frames_a_round / seconds for dtype, seconds in zip(streams, taken, strict=False)}
    square_seconds, narrow_seconds, read_seconds = taken[len(streams) :]
    weights = weights_read(batch.shape[-1], options.n_atoms, options.similarity_units, options.depth)
    limits = {
        "streaming_inference": square_operations / square_seconds / (2 * REGIONS * weights),
        "streaming_21_rows": n_elements / narrow_seconds / weights,
        "streaming_bytes": n_elements / read_seconds / weights,
    }
    rate = rates["float32"]
    lines = [(name, rate, limit, rate / limit, "frames/s") for name, limit in limits.items()]
    if "bfloat16" in rates:
        low = rates["bfloat16"]
        lines.append(("streaming_bfloat16", low, rate, low / rate, "frames/s"))
    return lines


def narrow_products(n_rows: int) -> tuple[Callable[[], object], Callable[[], object], int]:
    """Return (products, read, n): the work of two passes over n float32 elements that no cache holds.

    `products` multiplies the elements, as square matrices, with `n_rows` rows each; `read` with one vector,
    which takes as long as to read them.
    """
    import tensorflow as tf

    rng = np.random.default_rng(0)
    matrices = rng.random((UNCACHED_MATRICES, MATRIX_SIZE, MATRIX_SIZE), np.float32)
    rows, vector = (rng.random((n, MATRIX_SIZE), np.float32) for n in (n_rows, 1))
    constants, x = [tf.constant(matrix) for matrix in matrices], tf.constant(rows)
    products = tf.function(lambda: [tf.matmul(x, matrix) for matrix in constants])
    return products, lambda: matrices.reshape(-1, MATRIX_SIZE) @ vector[0], matrices.size


def feature_extraction(context) -> list[tuple]:
    """Return the rows of the CNN with decoding: against onnxruntime on the same, and in float16."""
    import onnxruntime

    from data_prep.backbones import load_backbone
    from data_prep.extraction import READ_AHEAD_BATCHES
    from data_prep.network_features import BATCH_FRAMES, feature_function, frame_batches
    from data_prep.pretrained_weights import THIN, packaged_onnx_file
    from data_prep.processor import is_fast
    from data_prep.read_ahead import read_ahead

    dtypes = ("float32", "float16") if is_fast("float16") else ("float32",)
    networks = [load_backbone(THIN, compute_dtype=dtype) for dtype in dtypes]
    input_size_px = networks[0].input_size_px
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count()
    session = onnxruntime.InferenceSession(str(packaged_onnx_file()), options)
    input_name = session.get_inputs()[0].name
    mean_bgr = np.array([104, 117, 123], np.float32)
    source = next(iter(context.datasets.values())).split("train")[0].source

    def batches():
        return frame_batches(source, input_size_px, BATCH_FRAMES)

    def extract(features_of):
        for frames in read_ahead(batches(), READ_AHEAD_BATCHES):
            features_of(frames)

    def extract_by_onnxruntime():
        prepared = (frames[..., ::-1] - mean_bgr for frames in batches())
        for frames in read_ahead(prepared, READ_AHEAD_BATCHES):
            session.run(None, {input_name: frames})

    n_frames = sum(len(frames) for frames in batches())
    works = [partial(extract, feature_function(network)) for network in networks]
    theirs, rate, *low = [n_frames / seconds for seconds in median_seconds(extract_by_onnxruntime, *works)]
    lines = [("feature_extraction", rate, theirs, rate / theirs, "frames/s")]
    lines += [("feature_float16", fast, rate, fast / rate, "frames/s") for fast in low]
    return lines


def memory_tenfold(context) -> tuple:
    """Return the row of peak memory: training on the dataset once, and on ten copies of its clips."""
    from data_prep.shards import list_shards

    shards = context.shards(next(iter(context.datasets)))
    n_atoms = context.settings.model.n_atoms
    with tempfile.TemporaryDirectory(dir=shards) as folder:
        tenfold = Path(folder) / "train"
        tenfold.mkdir()
        for path in list_shards(shards, "train"):
            for copy in range(MEMORY_COPIES):
                os.link(path, tenfold / f"{path.stem}-{copy}.h5")
        once, many = (peak_training_megabytes(root, n_atoms) for root in (shards, Path(folder)))
    return "memory_tenfold", many, once, once / many, "MB"


def peak_training_megabytes(shards: Path, n_atoms: int) -> float:
    """Return the peak resident memory of a process that trains a few steps on these shards."""
    # VmHWM, not getrusage: the latter starts from the memory of the process that forked.
    script = (
        "import re, sys; from pathlib import Path; from experiments.benchmark import train_a_little;"
        "train_a_little(Path(sys.argv[1]), int(sys.argv[2]));"
        "print(int(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1]) / 1024)"
    )
    command = [sys.executable, "-c", script, str(shards), str(n_atoms)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    if done.returncode:
        raise RuntimeError(f"training on {shards} ended with {done.returncode}: {done.stderr[-2000:]}")
    return float(done.stdout.splitlines()[-1])


def train_a_little(shards: Path, n_atoms: int) -> None:
    """Train for `MEMORY_STEPS` steps as `make_run` does, without its files."""
    from data_prep.windows import batches
    from experiments.lab.settings.schema import PAPER
    from experiments.lab.systems.features import ShardFeatures
    from experiments.lab.systems.srnn_ae import build_srnn_ae
    from experiments.lab.training.freed_memory import freed_memory_kept

    settings = PAPER.override(n_atoms=n_atoms)
    train = settings.train
    batch = ShardFeatures(shards, "spatial", settings).sampler(train.window_frames, train.batch_clips, 0)
    sample = batch(0)
    model = build_srnn_ae(sample.shape[-1], len(sample), settings, seed=0)
    with freed_memory_kept():
        model.fit(batches(batch), steps_per_epoch=MEMORY_STEPS, epochs=1, shuffle=False, verbose=0)


if __name__ == "__main__":
    cli.main(__spec__.name, cli.parser(__doc__))
