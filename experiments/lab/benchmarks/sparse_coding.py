"""How far K steps of SISTA stop short of the codes' minimum, and what the minimum costs in each solver.

Three cases, all on a dictionary of raw training rows scaled to norm <= 1, where TSC's learning starts:

    rows      rows of test clips, each coded alone, from a_0 = 0 and with lambda2 = 0, by every solver
    coherent  the first of these rows, lambda2 S > 0: held to the exact codes of the frame before
    clip      a test clip as TSC codes it, each frame from the codes of the frame before

The solvers stand in `experiments.lab.benchmarks.solvers`. The objective is F of `models.sparse_solver`, the
mean over rows; `excess` is F over a lower bound of its minimum, minus 1. The bound is F minus its duality gap
where the exact solver is told to be most exact.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter as now

import numpy as np

from data_prep.shards import Shard, list_shards
from experiments.lab.benchmarks.solvers import (
    ACCURACY,
    EXACT,
    SPAMS,
    TIGHT,
    lars_codes,
    lower_bound,
    solvers,
)
from experiments.lab.publishing.results import write_csv
from experiments.lab.systems.features import ShardFeatures
from experiments.lab.systems.tsc import training_blocks
from models.coding import Block, code_blocks
from models.sparse_solver import Problem, solve_codes
from models.tsc import TSC, Statistics, initial_dictionary

N_ATOMS, N_ROWS, N_COHERENT_ROWS, N_CLIP_FRAMES = 2048, 500, 50, 60
SEED = 0
CLIP_DEPTHS = (3, 30)
ROUNDS = 3
BLOCK_FRAMES = 10
NOT_INSTALLED = "not installed"


@dataclass(frozen=True)
class Line:
    """One solver on one case: mean objective F, excess over the bound, mean non-zeros a row, seconds for all.

    `rows` counts the codes, a row of a frame being one. All four numbers are None for a solver that is not
    installed; `excess` and `seconds` are where they were not measured.
    """

    case: str
    solver: str
    rows: int
    lambda2: float
    objective: float | None = None
    excess: float | None = None
    non_zeros: float | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        """Return the line as it is printed."""
        if self.objective is None:
            return f"{self.case:8} {self.rows:5} {self.solver:37} {NOT_INSTALLED}"
        excess = "" if self.excess is None else f"{self.excess:10.4%} above the minimum"
        seconds = "" if self.seconds is None else f"{self.seconds:9.3f} s"
        numbers = f"objective {self.objective:9.3f}  non-zeros {self.non_zeros:7.1f} {excess:29} {seconds}"
        return f"{self.case:8} {self.rows:5} {self.solver:37} {numbers}"


def sparse_coding(context) -> tuple:
    """Print and write all cases (`sparse_coding.csv`); return the benchmark's row, in seconds.

    Ours is the exact solver to `ACCURACY`, the reference the faster of scikit-learn's two at that accuracy.
    """
    shards = context.shards(next(iter(context.datasets)))
    options = context.settings.tsc
    smoke = context.profile == "smoke"
    n_atoms, n_rows = (options.tsc_n_atoms, 50) if smoke else (N_ATOMS, N_ROWS)
    blocks = training_blocks(ShardFeatures(shards, "spatial", context.settings), context.settings, SEED)
    dictionary = initial_dictionary(blocks, n_atoms, SEED).astype(np.float64)
    x, before = sample_rows(list_shards(shards, "test"), n_rows, SEED)
    lines = compare("rows", Problem(x, dictionary, options.tsc_lambda1))
    lines += coherent_lines(x[:N_COHERENT_ROWS], before[:N_COHERENT_ROWS], dictionary, options)
    with Shard(list_shards(shards, "test")[0]) as shard:
        clip = shard.features(0, N_CLIP_FRAMES).transpose(1, 0, 2)
    lines += clip_lines(clip, dictionary, options.tsc_lambda1, options.tsc_lambda2, options.tsc_delta_squared)
    facts = {
        "atoms": n_atoms,
        "lambda1": options.tsc_lambda1,
        "dataset": next(iter(context.datasets)),
        "backbone": context.backbone.name,
        "seed": SEED,
        "commit": context.commit,
    }
    print("sparse coding:", ", ".join(f"{name} {value}" for name, value in facts.items()))
    print(*lines, sep="\n")
    write_lines(context.results_dir / "sparse_coding.csv", lines, facts)
    return benchmark_row(lines)


def benchmark_row(lines: Sequence[Line]) -> tuple:
    """Return (name, ours, reference, ratio, unit) of the lines of the case "rows"."""
    rows = [line for line in lines if line.case == "rows"]
    ours = next(line.seconds for line in rows if line.solver == EXACT)
    rivals = [line for line in rows if line.solver.startswith("scikit-learn") and line.excess <= ACCURACY]
    reference = min(line.seconds for line in rivals)
    return "sparse_coding", ours, reference, reference / ours, "s"


def sample_rows(shards: Sequence[Path], n_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (x_t, x_{t-1}), float64 (n_rows, C) each, of random regions and frames, in random order."""
    pairs = []
    for path in shards:
        with Shard(path) as shard:
            pairs.append((shard.n_frames - 1) * shard.features(0, 1).shape[1])
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(sum(pairs), n_rows, replace=False))
    parts = []
    for path, first, n_pairs in zip(shards, np.cumsum([0, *pairs]), pairs, strict=False):
        index = chosen[(chosen >= first) & (chosen < first + n_pairs)] - first
        with Shard(path) as shard:
            for t, region in zip(*np.divmod(index, shard.n_regions), strict=True):
                parts.append(shard.features(t, t + 2)[:, region].astype(np.float64))
    before, x = np.stack(parts, axis=1)
    order = rng.permutation(n_rows)
    return x[order], before[order]


def compare(case: str, problem: Problem) -> list[Line]:
    """Return a line for each solver; they take turns, each is timed `ROUNDS` times."""
    bound = lower_bound(problem)
    works, n_rows = solvers(problem, bound), len(problem.x)
    seconds: dict[str, list[float]] = {name: [] for name in works}
    codes = {}
    for _ in range(ROUNDS):
        for name, work in works.items():
            start = now()
            codes[name] = work()
            seconds[name].append(now() - start)
    lines = [
        measured_line(case, name, problem, codes[name], bound, float(np.median(seconds[name])))
        for name in works
    ]
    return lines if SPAMS in works else [*lines, Line(case, SPAMS, n_rows, 0.0)]


def measured_line(case, solver, problem: Problem, codes, bound, seconds, lambda2=0.0) -> Line:
    """Return the line of these codes (n, N)."""
    objective = float(problem.objective(codes).mean())
    non_zeros = float((codes != 0).sum(1).mean())
    return Line(case, solver, len(codes), lambda2, objective, objective / bound - 1, non_zeros, seconds)


def coherent_lines(x, before, dictionary, options) -> list[Line]:
    """Return the exact solver and scikit-learn's LARS where lambda2 S > 0, with Gaussian S (Eq. 10).

    F is a lasso whose A^T A and A^T x are A^T A + m I and A^T x + m p, which `lars_path_gram` takes.
    """
    S = np.exp(-np.square(x - before).sum(1) / options.tsc_delta_squared)
    previous = solve_codes(Problem(before, dictionary, options.tsc_lambda1), TIGHT).codes
    problem = Problem(x, dictionary, options.tsc_lambda1, options.tsc_lambda2 * S, previous)
    bound = lower_bound(problem)
    start = now()
    codes = solve_codes(problem, ACCURACY).codes
    middle = now()
    by_lars = lars_codes(problem)
    end = now()
    return [
        measured_line("coherent", EXACT, problem, codes, bound, middle - start, options.tsc_lambda2),
        measured_line(
            "coherent",
            "scikit-learn lars_path_gram",
            problem,
            by_lars,
            bound,
            end - middle,
            options.tsc_lambda2,
        ),
    ]


def clip_lines(x, dictionary, lambda1, lambda2, delta_squared=100.0, depths=CLIP_DEPTHS) -> list[Line]:
    """Return TSC's mean objective and non-zeros on a clip: K steps a frame, then each frame's minimum.

    Every coding starts a frame at its own codes of the frame before, gamma = ||A||_2^2 + lambda2; so the
    exact one is not sure to have the lowest mean where lambda2 > 0.

    Args:
        x: features (rows, T, C) from the clip's start.
        dictionary: A, (C, N).
        lambda1, lambda2, delta_squared: as `models.tsc.TSC` takes them.
        depths: K of each line but the last, the exact one.
    """
    codings = [(f"SISTA, K = {depth}", "sista", depth) for depth in depths] + [(EXACT, "exact", 1)]
    lines = []
    for name, coding, depth in codings:
        model = TSC(x.shape[-1], dictionary.shape[1], depth, lambda1, lambda2, delta_squared)
        model.set_dictionary(dictionary)
        statistics = Statistics(model)
        for coded in code_blocks(model, blocks_of(x), coding):
            statistics.add(coded)
        summary = statistics.summary(model.dictionary, float(model.srnn.gamma))
        non_zeros = (1 - summary.zeros) * dictionary.shape[1]
        lines.append(Line("clip", name, statistics.n_frames, lambda2, summary.objective, None, non_zeros))
    return lines


def blocks_of(x: np.ndarray) -> Iterator[Block]:
    """Yield the frames of a clip, x (rows, T, C), in blocks."""
    for first in range(0, x.shape[1], BLOCK_FRAMES):
        yield Block(np.asarray(x[:, first : first + BLOCK_FRAMES], np.float32), starts=not first)


def write_lines(path: Path, lines: Sequence[Line], facts: Mapping) -> None:
    """Write the lines as CSV, the facts of all in every line; empty cells were not measured."""
    absent = {"objective": NOT_INSTALLED}
    write_csv(path, [{**asdict(one), **(absent if one.objective is None else {}), **facts} for one in lines])
