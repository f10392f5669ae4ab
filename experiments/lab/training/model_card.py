"""The card beside a trained model: what it is, how to load it, what it was made from, what it cannot do."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from data_prep.files import write_atomic
from data_prep.pooling import PYRAMIDS
from experiments.lab.scoring.metrics import frame_error
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.regularity import micro_auc
from experiments.lab.scoring.score import ClipScores
from experiments.lab.scoring.score_files import load_scores
from experiments.lab.systems.catalogue import SYSTEMS
from experiments.lab.training.run_files import read_config, read_metrics, scores_path

CARD = "model_card.md"
LIMITS = {
    "per_clip": "limits of each clip, Eq. (14): looks ahead",
    "global": "limits of all test clips: looks ahead",
    "train": "limits of the training errors: can run live",
}


def write_model_card(folder: Path, metrics: Mapping | None = None) -> Path:
    """Write `model_card.md` beside a trained model, atomically; return its path.

    Args:
        folder: of the run: `config.json`, the scores of its test clips, `train_errors.npz`.
        metrics: the run's final metrics; None for those of its `metrics.json`.
    """
    config = read_config(folder)
    metrics = read_metrics(folder) if metrics is None else metrics
    test = load_scores(scores_path(folder, metrics["steps"]))
    train = load_scores(folder / "train_errors.npz")
    title = f"{config['system']}, {config['stream']} stream, {config['dataset']}, seed {config['seed']}"
    parts = [
        f"# {title}",
        f"{SYSTEMS[config['system']].idea} "
        "Luo et al., *Video Anomaly Detection With Sparse Coding Inspired Deep Neural Networks*, TPAMI 2019.",
        "## Use",
        usage(config),
        "## Data",
        data(config, train, test),
        "## Result",
        results(config, metrics, train, test),
        "## Settings",
        settings_table(config),
        "## Limits",
        limits(config),
        "## Made with",
        *(f"Begun with: {provenance(before)}" for before in config.get("earlier", ())),
        provenance(config),
    ]
    path = folder / CARD
    write_atomic(path, ("\n\n".join(parts) + "\n").encode())
    return path


def usage(config: Mapping) -> str:
    """Return how the model is loaded and called; the package `models` is all that it needs."""
    entry = SYSTEMS[config["system"]]
    if entry.rule:
        return "It is a rule: there is no model."
    if entry.use is None:
        return f"No model is kept: {entry.made_again}."
    return (
        f"```python\nimport keras\nimport {entry.use.module}  # registers the classes\n\n"
        'model = keras.saving.load_model("last.keras")\noutputs = model(x)\n```\n\n'
        f"`x`: {entry.use.takes}; returns {entry.use.returns}. Needs the folder `models/` of the repository, "
        "nothing else of it."
    )


def data(config: Mapping, train: list[ClipScores], test: list[ClipScores]) -> str:
    """Return what was trained and scored on, and through which network."""
    n_abnormal = sum(int(clip.labels.sum()) for clip in test)
    entry, trained_on = SYSTEMS[config["system"]], f"trained on {extent(train)}, all taken for normal"
    if entry.rule:
        trained_on = f"trained on nothing, limits of scores from {extent(train)}"
    elif not entry.fitted:
        trained_on = "trained on nothing, a test clip is compared with itself"
    return (
        f"{config['dataset']}: {trained_on}; scored on {extent(test)}, "
        f"{n_abnormal:,} of them abnormal. Features: {feature_source(config)}."
    )


def feature_source(config: Mapping) -> str:
    """Return which network the features come from; Moving-MNIST has pixels and no network."""
    features = config["features"]
    if not config["backbone"]:
        return "the frames' pixels"
    return (
        f"{config['backbone']}, layer {features['layer']}, {features['input_size_px']} px, pooling "
        f"{features['pooling']} over the pyramid {features['pyramid']}, normalization "
        f"{features['normalization']}, weights SHA-256 {features['weights_sha256'][:16] or 'none'}"
    )


def extent(clips: list[ClipScores]) -> str:
    """Return the number of clips and of frames in words."""
    return f"{len(clips)} clips with {sum(len(clip.labels) for clip in clips):,} frames"


def results(config: Mapping, metrics: Mapping, train: list[ClipScores], test: list[ClipScores]) -> str:
    """Return the final numbers, the AUC under every normalization where there is one."""
    lines = [
        f"| {name.replace('_', ' ')} | {value if isinstance(value, str) else format(value, ',.5g')} |"
        for name, value in sorted(metrics.items())
        if name != "auc_per_clip"  # below, beside the other normalizations
    ]
    table = "\n".join(["| at the step that is kept | |", "|---|---|", *lines])
    if len(np.unique(np.concatenate([clip.labels for clip in test]))) < 2:
        return f"{table}\n\nNo AUC: the scored frames are of one class."
    errors = np.concatenate([frame_error(clip.error) for clip in train])
    stream = config["stream"]
    rows = []
    for name, meaning in LIMITS.items():
        if name == "train" and not (SYSTEMS[config["system"]].fitted and np.ptp(errors)):
            continue  # a nearest neighbour is its own: training errors give no limits
        auc = micro_auc({stream: test}, Protocol((stream,), normalization=name), {stream: errors})
        rows.append(f"| {name} | {meaning} | {100 * auc:.2f} |")
    head = "| normalization | | frame-level micro AUC, per cent |"
    return "\n".join([table, "", head, "|---|---|---|", *rows, "", "This stream alone, one seed."])


def provenance(config: Mapping) -> str:
    """Return the commit, the libraries and the device of a configuration as a sentence."""
    return f"Commit {config['commit']}; " + ", ".join(f"{k} {v}" for k, v in config["versions"].items()) + "."


def settings_table(config: Mapping) -> str:
    """Return every setting that the weights depend on, as a table."""
    groups = {key: value for key, value in config.items() if isinstance(value, dict)}
    rows = [
        f"| `{name}` | {value} |"
        for group, values in groups.items()
        if group not in ("features", "versions")
        for name, value in values.items()
    ]
    return "\n".join(["| setting | value |", "|---|---|", *rows])


def limits(config: Mapping) -> str:
    """Return what the model cannot do."""
    entry = SYSTEMS[config["system"]]
    if entry.rule:
        return "- It is a control: what it finds, no model need be credited with."
    lines = [
        "It knows the normal footage above and its camera: another scene, light or season is abnormal to it.",
        "An error says that features are unusual, not what happens or how bad it is; a person has to look.",
        "What also occurs in the training footage is normal to it, whatever it is.",
        "A score has a meaning only beside those of the same model; thresholds are per model and camera.",
    ]
    if entry.reads.of_network and config["backbone"]:
        lines.append(f"Features of another network than {config['backbone']} are not what it was trained on.")
    levels = PYRAMIDS.get(config["features"].get("pyramid"), ())
    if entry.has_regions and len(levels) > 1:
        lines.append(
            f"Regions overlap and are large: the finest is about 1/{levels[-1]} of each side of the frame."
        )
    if config.get("train", config.get("sampling", {})).get("alignment") == "centered":
        lines.append("Its temporal maximum looks at later frames: it cannot run live.")
    return "\n".join(f"- {line}" for line in lines)
