"""What each choice that the paper leaves open does to the AUC of sRNN-AE, one changed at a time.

    python -m experiments.ablations --data DIR [--datasets ped2] [--seeds 3]

Each value below takes the place of the default; everything else stays as the profile has it. AUC:
frame-level, micro, spatial + temporal_weight x temporal. The differences are taken seed by seed, so that what
the seeds have in common falls out. On test AUC: it shows what a choice does and selects nothing.

Writes results/<profile>/ablations.csv and ablations.md.
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.runs_parser(__doc__))

from collections.abc import Mapping, Sequence
from dataclasses import replace

from data_prep.errors import InputError
from data_prep.files import write_atomic
from experiments.lab.context import Context
from experiments.lab.distributing.points import Point, Seeded, flat, late_fusion_points, runs_of
from experiments.lab.publishing.results import write_csv
from experiments.lab.publishing.rows import mean_and_std
from experiments.lab.scoring.measure import auc, held_by
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.systems.reads import Reads

READS = Reads(("sRNN-AE",))
# Only how errors become scores: no run is trained for these.
SCORES: Sequence[Mapping[str, object]] = [
    {"frame_error": "scale_mean"},
    {"frame_error": "frame"},
    {"normalization": "global"},
    {"normalization": "train"},
    {"checkpoint": "best_on_test"},
    {"temporal_weight": 0.0},
    {"temporal_weight": 1.0},
    {"smoothing_frames": 5},
]
TRAINED: Sequence[Mapping[str, object]] = [
    {"first_layer": "eq7"},
    {"threshold": "two_sided"},
    {"pooling": "mean"},
    {"weight_decay": 0.0},
    {"trainable_lambda2": False},
    {"trainable_initial_codes": False},
    {"positive_scalars": False},
    {"slot_start": 1.0},
    {"alignment": "centered"},
    {"feature_normalization": "standardized"},
    {"feature_normalization": "l2"},
    {"feature_dtype": "float32"},
]


def points(context: Context) -> list[Point]:
    """Return the runs that the table needs."""
    trained = [changed for changed, reason in variants(context) if changed in TRAINED and not reason]
    contexts = [context, *(context.changed(**changed) for changed in trained)]
    return flat(seeded_points_of(own, dataset) for dataset in context.datasets for own in contexts)


def variants(context: Context) -> list[tuple[Mapping[str, object], str]]:
    """Return every change, and why it is left out beside the context's settings: "" where it acts."""
    found = []
    for changed in (*SCORES, *TRAINED):
        try:
            other = context.settings.override(**changed)
            acts = READS.names(other) >= changed.keys()
            reason = "" if acts else "acts on nothing beside the other settings"
            found.append((changed, "is so already" if other == context.settings else reason))
        except InputError as refused:
            found.append((changed, str(refused)))
    return found


def seeded_points_of(context: Context, dataset: str) -> Seeded:
    """Return the runs of sRNN-AE under every seed."""
    return late_fusion_points(context, dataset, n_seeds=context.n_ablation_seeds)


def run(context: Context) -> None:
    """Train what is not there, write and print the table of every dataset at hand."""
    lines, changes = [], []
    for changed, reason in variants(context):
        if reason:
            print("left out:", *(f"{name} {value}: {reason}" for name, value in changed.items()))
        else:
            changes.append(changed)
    for dataset in context.datasets:
        seeded = runs_of(seeded_points_of(context, dataset))
        protocol = Protocol.of(context.settings.score)
        default = [auc(runs, held_by(runs, protocol)) for runs in seeded]
        lines.append(line(context.heading(dataset), "default", "", default, default))
        for changed in changes:
            ((name, value),) = changed.items()
            if changed in SCORES:
                values = [auc(runs, held_by(runs, replace(protocol, **changed))) for runs in seeded]
            else:
                values = trained_aucs(context, dataset, changed)
            lines.append(line(context.heading(dataset), name, value, values, default))
            print(", ".join(f"{key} {value}" for key, value in lines[-1].items()), flush=True)
    write_csv(context.results_dir / "ablations.csv", lines)
    write_atomic(context.results_dir / "ablations.md", markdown(context, lines).encode())
    print(f"wrote {context.results_dir / 'ablations.md'}")


def trained_aucs(context: Context, dataset: str, changed: Mapping[str, object]) -> list[float]:
    """Return the AUC of every seed, trained with some settings changed."""
    context = context.changed(**changed)
    seeded = runs_of(seeded_points_of(context, dataset))
    return [auc(runs, held_by(runs, Protocol.of(context.settings.score))) for runs in seeded]


def line(title: str, name: str, value, values: Sequence[float], default: Sequence[float]) -> dict:
    """Return one line of the table; AUC and differences in per cent."""
    differences = [100 * (ours - usual) for ours, usual in zip(values, default, strict=True)]
    mean, std = mean_and_std([100 * ours for ours in values])
    difference, difference_std = mean_and_std(differences)
    return {
        "dataset": title,
        "setting": name,
        "value": value,
        "auc": f"{mean:.2f}",
        "auc_std": spread(std),
        "difference": f"{difference:+.2f}",
        "difference_std": spread(difference_std),
        "seeds": len(values),
    }


def spread(std: float | None) -> str:
    """Return a standard deviation as text, empty for one seed."""
    return "" if std is None else f"{std:.2f}"


def markdown(context: Context, lines: Sequence[Mapping]) -> str:
    """Return the table for readers."""
    rows = [
        f"| {one['dataset']} | {one['setting']} | {one['value']} | {one['auc']}{pm(one['auc_std'])} "
        f"| {one['difference']}{pm(one['difference_std'])} |"
        for one in lines
    ]
    head = ["| dataset | setting | value | AUC, % | difference, points |", "|---|---|---|---|---|"]
    title = f"# One choice changed at a time: sRNN-AE, profile {context.profile_name}\n"
    told = f"{lines[0]['seeds']} seeds. {context.differences('sRNN-AE')}"
    return "\n".join([title, *head, *rows, "", told, f"\n`{context.command('experiments.ablations')}`\n"])


def pm(std: str) -> str:
    """Return a standard deviation as it follows its mean."""
    return f" ± {std}" if std else ""
