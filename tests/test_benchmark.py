"""The benchmark: its solvers against each other and NumPy, its counts by hand, its files."""

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import write_clip

from experiments import benchmark
from experiments.lab.benchmarks import costs, solvers, sparse_coding, training_parts
from experiments.lab.benchmarks.solvers import EXACT, lower_bound
from experiments.lab.benchmarks.sparse_coding import Line
from experiments.lab.context import Context
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.srnn_ae import build_srnn_ae
from models import products
from models.sequence import cheapest_form
from models.sparse_solver import Problem, solve_codes

ROOT = Path(__file__).parents[1]
C, N, ROWS = 20, 40, 12
LAMBDA1 = 0.05


@pytest.fixture
def problem(monkeypatch) -> Problem:
    """Atoms as alike as those of features are, one of them twice, and rows near the span of a few."""
    monkeypatch.setattr(solvers.os, "cpu_count", lambda: 1)  # starts no processes
    rng = np.random.default_rng(0)
    A = rng.uniform(0, 1, (C, N)) + 1
    A[:, 7] = A[:, 3]
    A /= np.linalg.norm(A, axis=0)
    x = rng.uniform(0, 2, (ROWS, 5)) @ A[:, :5].T + 0.05 * rng.standard_normal((ROWS, C))
    return Problem(x, A, LAMBDA1)


def test_solvers_agree_on_the_minimum_and_sista_stops_short_of_it(problem):
    lines = {line.solver: line for line in sparse_coding.compare("rows", problem)}
    sista = [lines[f"SISTA, K = {depth}"] for depth in (3, 30, 300)]
    assert sista[0].excess > 0.1
    assert sista[0].objective > sista[1].objective > sista[2].objective
    assert 0 < lines["FISTA, K = 300"].excess < sista[2].excess
    assert 0 <= lines[EXACT].excess <= solvers.ACCURACY
    (descent,) = (line for name, line in lines.items() if name.startswith("scikit-learn lasso_cd"))
    assert -1e-9 < descent.excess <= solvers.ACCURACY
    assert -1e-9 < lines["scikit-learn lasso_lars"].excess < 1e-2  # it loses accuracy where atoms are equal
    assert all(line.seconds > 0 for line in lines.values() if line.objective is not None)
    assert lines[EXACT].non_zeros < N / 2 < sista[0].non_zeros


def test_spams_is_measured_where_it_is_installed(problem):
    pytest.importorskip("spams")
    line = {line.solver: line for line in sparse_coding.compare("rows", problem)}["SPAMS"]
    assert -1e-9 < line.excess < 1e-6


def test_spams_reads_not_installed_where_it_is_not(problem, monkeypatch):
    monkeypatch.setitem(sys.modules, "spams", None)
    line = sparse_coding.compare("rows", problem)[-1]
    assert line == Line("rows", "SPAMS", ROWS, 0.0)
    assert str(line).endswith("not installed")


def test_bound_is_below_every_point_and_close_to_the_best(problem):
    bound = lower_bound(problem)
    best = problem.objective(solve_codes(problem, 1e-9).codes).mean()
    assert bound <= best <= bound * (1 + 1e-6)
    for codes in np.random.default_rng(1).exponential(0.2, (20, ROWS, N)):
        assert problem.objective(codes).mean() > bound


def test_sista_and_fista_are_the_textbook_iterations(problem, monkeypatch):
    monkeypatch.setattr(solvers, "PIECE_STEPS", 4)
    A, x = problem.dictionary, problem.x
    gamma = np.linalg.norm(A, 2) ** 2 * 1.01

    def step(a):
        return np.maximum(a - (A.T @ (A @ a - x.T) + LAMBDA1) / gamma, 0)

    a, ahead, fast, t = np.zeros((N, ROWS)), np.zeros((N, ROWS)), np.zeros((N, ROWS)), 1.0
    for _ in range(10):
        a = step(a)
        before, fast, t_before, t = fast, step(ahead), t, (1 + np.sqrt(1 + 4 * t * t)) / 2
        ahead = fast + (t_before - 1) / t * (fast - before)
    np.testing.assert_allclose(solvers.sista_codes(problem, gamma, 10), a.T, atol=1e-5)
    np.testing.assert_allclose(solvers.fista_codes(problem, gamma, 10), fast.T, atol=1e-5)


def test_coherent_codes_equal_scikit_learns_and_differ_from_incoherent_ones(problem):
    options = SimpleNamespace(tsc_lambda1=LAMBDA1, tsc_lambda2=2.0, tsc_delta_squared=1.0)
    before = np.roll(problem.x, 1, 0)
    ours, rival = sparse_coding.coherent_lines(problem.x, before, problem.dictionary, options)
    assert (ours.solver, ours.rows, ours.lambda2) == (EXACT, ROWS, 2.0)
    assert 0 <= ours.excess <= solvers.ACCURACY
    assert -1e-9 < rival.excess <= solvers.ACCURACY
    assert ours.objective > lower_bound(problem) * 1.001


def test_clip_lines_approach_the_exact_one_as_k_grows():
    """Without coherence each frame has a minimum of its own, which many steps reach from any start."""
    rng = np.random.default_rng(0)
    A, clip = rng.standard_normal((C, 9)) / np.sqrt(C), rng.standard_normal((ROWS, 12, C))
    lines = sparse_coding.clip_lines(clip, A, LAMBDA1, 0.0, depths=(1, 5, 100))
    objectives = [line.objective for line in lines]
    assert objectives[0] > 1.01 * objectives[1] > objectives[2]
    assert objectives[2] == pytest.approx(objectives[3], rel=1e-4)
    exact = Problem(clip.reshape(-1, C), A, LAMBDA1)
    codes = solve_codes(exact, 1e-6).codes
    assert objectives[3] == pytest.approx(exact.objective(codes).mean(), rel=1e-4)
    assert lines[3].non_zeros == pytest.approx((codes != 0).sum(1).mean(), rel=0.02)
    assert {line.rows for line in lines} == {12 * ROWS}


def test_sampled_rows_are_pairs_of_consecutive_frames(tmp_path):
    def clip(number, n_frames):
        """Features that tell clip, frame and region."""
        place = np.stack(np.broadcast_arrays(number, np.arange(n_frames)[:, None], np.arange(21)), -1)
        return write_clip(tmp_path, "test", f"{number:02d}", place.astype(np.float32))

    shards = [clip(0, 3), clip(1, 5), clip(2, 2)]
    n_pairs = 21 * (2 + 4 + 1)
    x, before = sparse_coding.sample_rows(shards, n_pairs, seed=0)
    np.testing.assert_array_equal(x - before, [[0, 1, 0]] * n_pairs)
    assert len(np.unique(x, axis=0)) == n_pairs
    assert (np.diff(x[:, 0]) < 0).any()
    few, _ = sparse_coding.sample_rows(shards, 9, seed=1)
    assert not np.array_equal(few, sparse_coding.sample_rows(shards, 9, seed=2)[0])


def test_ratio_is_to_the_faster_rival_that_is_accurate():
    def line(solver, excess, seconds, case="rows"):
        return Line(case, solver, 1, 0.0, 1.0, excess, 1.0, seconds)

    lines = [
        line("SISTA, K = 3", 0.5, 0.1),
        line(EXACT, 1e-5, 2.0),
        line("scikit-learn lasso_cd", 9e-4, 6.0),
        line("scikit-learn lasso_lars", 2e-3, 1.0),
        line(EXACT, 0.0, 9.0, "coherent"),
    ]
    assert sparse_coding.benchmark_row(lines) == ("sparse_coding", 2.0, 6.0, 3.0, "s")


def test_written_lines_hold_every_fact(tmp_path):
    lines = [Line("clip", EXACT, 3, 2.0, 1.5, None, 4.0), Line("rows", "SPAMS", 3, 0.0)]
    sparse_coding.write_lines(tmp_path / "sparse_coding.csv", lines, {"seed": 0, "dataset": "ped2"})
    with (tmp_path / "sparse_coding.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        **{"case": "clip", "solver": EXACT, "rows": "3", "lambda2": "2.0", "objective": "1.5"},
        **{"excess": "", "non_zeros": "4.0", "seconds": "", "seed": "0", "dataset": "ped2"},
    }
    assert (rows[1]["objective"], rows[1]["non_zeros"]) == ("not installed", "")


def test_weights_of_a_streamed_frame_are_those_that_the_model_holds():
    """At K = 1 each matrix is read once: A, Z, phi's kernel and A^T A."""
    from models.srnn_ae import SRNNAE, Streaming

    streaming = Streaming(SRNNAE(7, n_atoms=5, similarity_units=3))
    held = sum(
        np.prod(w.shape) for w in streaming.weights if w.name in ("dictionary", "decoder", "kernel", "gram")
    )
    assert costs.weights_read(7, 5, 3, 1) == held
    assert costs.weights_read(7, 5, 3, 4) == held + 3 * 5 * 5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_parts_of_a_training_step_are_timed(dtype):
    settings = PAPER.override(n_atoms=5, similarity_units=3, compute_dtype=dtype)
    model = build_srnn_ae(7, 6, settings, seed=0)
    batch = np.ones((6, 2, 7), np.float32)
    parts = training_parts.parts_of(model, batch)
    assert set(parts) == {"step", "forward", "products", "optimizer", "weight decay"}
    assert all(seconds > 0 for seconds in parts.values())


@pytest.mark.parametrize("columns", [16, 1024])
@pytest.mark.parametrize(
    ("form", "size"),
    [
        ("gram", {"n_features": 64, "n_atoms": 64, "depth": 3, "rows": 84, "frames": 2}),
        ("dictionary", {"n_features": 8, "n_atoms": 64, "depth": 1, "rows": 84, "frames": 3}),
        ("both", {"n_features": 200, "n_atoms": 32, "depth": 3, "rows": 1, "frames": 1}),
    ],
)
def test_products_that_are_counted_are_those_that_are_taken(form, size, columns, monkeypatch):
    """All products of a step in bfloat16 go through one function, of which a spy is told."""
    import tensorflow as tf

    monkeypatch.setattr(products, "SELF_PRODUCT_COLUMNS", columns)
    taken = []

    def spied(transposed=False):
        def multiply(a, b):
            taken.append((tuple(a.shape), tuple(b.shape)[:: -1 if transposed else 1]))
            return tf.cast(tf.matmul(a, b, transpose_b=transposed), "float32")

        return multiply

    monkeypatch.setattr(products, "bfloat16_multiply", spied)
    rows, frames, C, N = (size[name] for name in ("rows", "frames", "n_features", "n_atoms"))
    assert cheapest_form(C, N, rows, frames * size["depth"]) == form
    sizes = {"n_atoms": N, "depth": size["depth"], "similarity_units": 3}
    model = build_srnn_ae(C, rows, PAPER.override(**sizes, compute_dtype="bfloat16"), seed=0)
    tf.function(lambda: model.train_step((tf.ones((rows, frames, C)),))).get_concrete_function()
    counted = list(costs.training_products(C, N, 3, size["depth"], rows, frames))
    assert all(a[1] == b[0] for a, b in counted)
    # The gradients of the input, of x A and phi, are traced too; nobody asks for them: they are not taken.
    n = rows * frames
    assert Counter(taken) == Counter([*counted, ((n, N), (N, C)), ((n, 3), (3, C))])
    assert costs.training_operations(C, N, 3, size["depth"], rows, frames) == sum(
        2 * a[0] * a[1] * b[1] for a, b in counted
    )


def test_costs_are_measured_as_one_size_grows_and_products_are_those_counted(monkeypatch):
    """Slopes of products by hand: depth touches A^T A alone; rows and frames all but A^T A's own making."""
    monkeypatch.setattr(costs, "STREAMED_FRAMES", 2)
    settings = PAPER.override(n_atoms=5, similarity_units=3, depth=2, window_frames=2)
    lines = {(line["work"], line["axis"]): line for line in costs.costs(settings, 7, regions=2)}
    assert set(lines) == {(work, axis) for work, axes in costs.GROWN.items() for axis in axes}
    assert all(float(line["ratio"]) > 0 for line in lines.values())
    step, frame = ({axis: line for (work, axis), line in lines.items() if work == w} for w in costs.GROWN)
    read = 2 * 7 * 5 + 2 * 5 * 5 + 7 * 3
    assert float(frame["depth"]["products"]) == pytest.approx((read + 2 * 25) / read, abs=1e-3)
    assert (frame["rows"]["from"], frame["rows"]["to"], float(frame["rows"]["products"])) == (2, 32, 16)
    n = 4 * 2 * 2
    products = 2 * 7 * 25 + n * (3 * 2 * 25 + 5 * 35 + 2 * 21)
    for axis, own in {"rows": 8, "frames": 2}.items():
        assert step[axis]["from"] == own
        assert float(step[axis]["products"]) == pytest.approx(
            (2 * products - 2 * 7 * 25) / products, abs=1e-3
        )


def test_works_take_turns():
    order = []
    seconds = benchmark.median_seconds(lambda: order.append("a"), lambda: order.append("b"), rounds=2)
    assert order == ["a", "b"] * 3
    assert all(value >= 0 for value in seconds)


def test_every_measurement_of_a_model_runs(tmp_path, monkeypatch):
    """On a model of a few atoms: what is measured, and that each number is one."""
    sizes = {"ROUNDS": 1, "STEPS_A_ROUND": 2, "MATRIX_SIZE": 8, "UNCACHED_MATRICES": 1}
    for name, size in sizes.items():
        monkeypatch.setattr(benchmark, name, size)
    tiny = {"n_atoms": 6, "similarity_units": 3, "batch_clips": 1, "window_frames": 2}
    context = Context("smoke", PROFILES["smoke"].override(**tiny), tmp_path)
    lines = [*benchmark.train_step(context), *benchmark.streaming_inference(context, frames_a_round=2)]
    dtypes = benchmark.dtypes_measured()
    low = ["train_step_bfloat16", "streaming_bfloat16"] if "bfloat16" in dtypes else []
    names = ["train_step", "streaming_inference", "streaming_21_rows", "streaming_bytes", *low]
    assert sorted(name for name, *_ in lines) == sorted(names)
    assert all(0 < number < np.inf for line in lines for number in line[1:4])
    benchmark.write_training_parts(context)
    with (context.results_dir / "training_parts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"part", *(f"{dtype}_processor_seconds" for dtype in dtypes)}
    assert all(float(row["float32_processor_seconds"]) >= 0 for row in rows)


@pytest.mark.slow
def test_the_command_measures_all_of_it(tmp_path):
    flags = ["--profile", "smoke", "--out", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "experiments.benchmark", *flags], cwd=ROOT, check=True)
    with (tmp_path / "results" / "smoke" / "benchmark.csv").open(newline="") as file:
        ratios = {row["name"]: float(row["ratio"]) for row in csv.DictReader(file)}
    assert {"train_step", "feature_extraction", "sparse_coding", "memory_tenfold"} <= set(ratios)
    assert all(ratio > 0 for ratio in ratios.values())


def test_ratios_are_printed_and_written(tmp_path, monkeypatch, capsys):
    rows = [
        ("streaming_inference", 50.0, 100.0, 0.5, "frames/s"),
        ("streaming_bytes", 50.0, 200.0, 0.25, "frames/s"),
    ]
    monkeypatch.setattr(benchmark, "train_step", lambda _: [("train_step", 1.0, 0.8, 0.8, "s")])
    monkeypatch.setattr(benchmark, "write_training_parts", lambda _: None)
    monkeypatch.setattr(benchmark, "write_costs", lambda _: None)
    monkeypatch.setattr(benchmark, "streaming_inference", lambda _: rows)
    monkeypatch.setattr(
        benchmark, "feature_extraction", lambda _: [("feature_extraction", 2, 1, 2, "frames/s")]
    )
    monkeypatch.setattr(benchmark, "memory_tenfold", lambda _: ("memory_tenfold", 3, 3, 1, "MB"))
    monkeypatch.setattr(sparse_coding, "sparse_coding", lambda _: ("sparse_coding", 2.0, 8.0, 4.0, "s"))
    benchmark.run(SimpleNamespace(results_dir=tmp_path))
    with (tmp_path / "benchmark.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["name"] for row in written][1:5] == [
        "streaming_inference",
        "streaming_bytes",
        "feature_extraction",
        "sparse_coding",
    ]
    assert written[4] == {
        **{"name": "sparse_coding", "ours": "2", "reference": "8", "ratio": "4.000", "unit": "s"}
    }
    assert "sparse_coding" in capsys.readouterr().out
