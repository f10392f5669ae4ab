"""What the paper claims of its model, tried on development scenes.

    python -m experiments.claims --chosen --development DIR [DIR ...] [--seeds 3]
    python -m experiments.claims --chosen --data DIR --datasets NAME[,NAME] [--seeds 3]
        [--jobs N | --cluster tcp://HOST:PORT]

Each claim compares sRNN-AE with a variant of it, or with TSC, on the same features. With --chosen these are
flow windows, which see speed; without it, the paper's. AUC: frame-level, micro, against errors of training
frames, on every scene; differences are taken seed by seed and averaged over the real scenes. It selects
nothing. docs/choosing.md describes the scenes.

Writes results/<profile>/claims.csv, a line a model with its share of zero codes, and claims.md with a verdict
a claim.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.scenes_parser(__doc__))

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_prep.files import write_atomic
from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, Seeded, flat, late_fusion_points, runs_of
from experiments.lab.publishing.results import write_csv
from experiments.lab.publishing.rows import mean_and_std
from experiments.lab.scenes import Scene, SceneContext
from experiments.lab.scoring.measure import Runs, auc, held_by, zero_share
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.systems.reads import Reads

USUAL = "sRNN-AE"


@dataclass(frozen=True)
class Variant:
    """A model to compare with sRNN-AE as it is: its system, and the settings in which it differs."""

    name: str
    claim: str
    source: str
    settings: Mapping[str, object]
    system: str = USUAL


FIXED_ZERO = {"lambda2": 0.0, "trainable_lambda2": False}
VARIANTS = (
    Variant("lambda2 = 0", "the temporal term helps", "Eq. (2)", FIXED_ZERO),
    Variant("K = 1", "three layers are better than one", "Fig. 8", {"depth": 1}),
    Variant("K = 30", "three layers are better than thirty", "Fig. 8", {"depth": 30}),
    Variant(
        "Gaussian similarity, lambda2 fixed",
        "learned similarity is better than Gaussian",
        "Table 6",
        {"similarity": "gaussian", "trainable_lambda2": False},
    ),
    Variant("TSC", "sRNN-AE is better than TSC", "Table 3", {}, "TSC"),
)
READS = Reads(
    ("sRNN-AE", "TSC"),
    without=("depth", "similarity", "lambda2", "trainable_lambda2", "normalization"),
    walkway="always",
)


def points(context: Context, development: Sequence[Path]) -> list[Point]:
    """Return the runs that the claims need."""
    context = SceneContext.of(context, development)
    models = [(context, USUAL), *((context.changed(**one.settings), one.system) for one in VARIANTS)]
    return flat(scene_points(own, scene, system) for own, system in models for scene in context.scenes)


def scene_points(context: SceneContext, scene: Scene, system: str) -> Seeded:
    """Return the runs of a system on a scene under every seed."""
    return late_fusion_points(context, scene.name, system, context.n_ablation_seeds)


def run(context: Context, development: Sequence[Path]) -> None:
    """Train what is not there; write and print the table."""
    context = SceneContext.of(context, development)
    scenes, usual = context.scenes, measured(context, USUAL)
    lines, verdicts = [line_of(USUAL, usual)], []
    for variant in VARIANTS:
        changed = context.changed(**variant.settings)
        other = measured(changed, variant.system)
        lines.append(line_of(variant.name, other))
        verdicts.append((variant, *verdict(usual, other, scenes)))
        print(", ".join(f"{name} {value}" for name, value in lines[-1].items()), flush=True)
    write_csv(context.results_dir / "claims.csv", lines)
    text = markdown(context, lines, verdicts)
    write_atomic(context.results_dir / "claims.md", text.encode())
    print(f"{text}\nwrote {context.results_dir / 'claims.md'}")


def measured(context: SceneContext, system: str) -> dict[str, list[float]]:
    """Return the AUC of every seed on each scene, by its name.

    Under "zero codes" is their share, for every seed the mean over the real scenes.
    """
    found: dict[str, list[float]] = {}
    zeros = []
    for scene in context.scenes:
        points = scene_points(context, scene, system)
        seeded = [(runs, protocol_for(context, runs)) for runs in runs_of(points)]
        found[scene.name] = [auc(runs, protocol) for runs, protocol in seeded]
        if scene.is_real:
            zeros.append([zero_share(runs, protocol) for runs, protocol in seeded])
    return {**found, "zero codes": np.mean(zeros, axis=0).tolist()}


def protocol_for(context: Context, runs: Runs) -> Protocol:
    """Return the protocol: the settings', with limits of the training errors in place of those per clip."""
    return held_by(runs, replace(Protocol.of(context.settings.score), normalization="train"))


def line_of(name: str, values: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """Return a line of the table: mean and standard deviation over seeds, in per cent."""
    return {"model": name, **{scene: in_per_cent(numbers) for scene, numbers in values.items()}}


def in_per_cent(numbers: Sequence[float]) -> str:
    """Return `85.21 ± 0.30`, without a deviation for one number."""
    mean, std = mean_and_std([100 * number for number in numbers])
    return f"{mean:.2f}" if std is None else f"{mean:.2f} ± {std:.2f}"


def verdict(usual: Mapping, other: Mapping, scenes: Sequence[Scene]) -> tuple[str, str]:
    """Return the difference of sRNN-AE to another model on the real scenes, and what it says of the claim.

    A claim holds, or is refuted, where the mean difference is larger than its deviation over seeds.
    """
    real = [scene.name for scene in scenes if scene.is_real]
    differences = np.mean([np.subtract(usual[name], other[name]) for name in real], axis=0).tolist()
    mean, std = mean_and_std([100 * one for one in differences])
    if std is None:
        return f"{mean:+.2f}", "one seed says nothing"
    if abs(mean) <= std:
        return f"{mean:+.2f} ± {std:.2f}", "no difference beyond that of seeds"
    return f"{mean:+.2f} ± {std:.2f}", "holds" if mean > 0 else "refuted"


def command_of(context: SceneContext) -> str:
    """Return the command that makes the table."""
    folders = shlex.join(map(str, context.development))
    return context.command("experiments.claims") + (f" --development {folders}" if folders else "")


def markdown(context: SceneContext, lines: Sequence[Mapping], verdicts: Sequence[tuple]) -> str:
    """Return both tables for readers."""
    columns = list(lines[0])
    models = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    models += [f"| {' | '.join(line.values())} |" for line in lines]
    claims = ["| claim | source | sRNN-AE minus | points | on the real scenes |", f"|{'---|' * 5}"]
    claims += [
        f"| {variant.claim} | {variant.source} | {variant.name} | {points} | {said} |"
        for variant, points, said in verdicts
    ]
    title = f"# What the paper claims of its model: profile {context.profile_name}\n"
    told = f"AUC, and share of zero codes on the real scenes, in per cent, {context.n_ablation_seeds} seeds. "
    told += context.differences("sRNN-AE", "TSC")
    return "\n".join([title, *claims, "", *models, "", told, f"\n`{command_of(context)}`\n"])
