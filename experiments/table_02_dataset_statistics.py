"""Table 2: frames, abnormal events and scenes of the datasets, counted from the files on disk.

    python -m experiments.table_02_dataset_statistics --data DIR

Paper: Table 2, Sec. 4.3. The embedded walkway has a column of its own; absent datasets read "no data".
"""

if __name__ == "__main__":  # before what runs is imported: --help does not wait for TensorFlow
    from experiments.lab import cli

    cli.main(__spec__.name, cli.exhibit_parser(__doc__))

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep.datasets import RECORDS, Dataset, dataset_counts, where_to_get
from experiments.lab.context import Context
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import Row
from experiments.lab.settings.schema import config_hash
from experiments.lab.systems.reads import Reads

EXHIBIT = "table_02"
READS = Reads()
PROTOCOLS = {
    "frames": "counted on disk; frame labels: {labels}",
    "events": "maximal runs of abnormal frames; frame labels: {labels}",
    "scenes": "cameras, by the names of the clips",
}


def run(context: Context) -> None:
    """Count every dataset at hand and write the table and a note on what differs from the paper."""
    command = context.command("experiments.table_02_dataset_statistics")
    counted = [row for name in context.datasets for row in dataset_rows(context, name, command)]
    publish(
        context, EXHIBIT, counted, command, note(counted, absent=RECORDS.keys() - context.datasets.keys())
    )


def dataset_rows(context: Context, name: str, command: str) -> list[Row]:
    """Return the counts of one dataset as rows; no backbone and no seed has a part in them."""
    dataset = context.datasets[name]
    clips = [[clip.split, clip.name] for clip in dataset.clips]
    return [
        Row(
            exhibit=EXHIBIT,
            row=row,
            column=context.heading(name),
            metric=metric,
            ours=count,
            protocol=PROTOCOLS[metric].format(labels=Path(dataset.label_source).name),
            dataset=context.heading(name),
            command=command,
            config_hash=config_hash({"dataset": name, "layout": dataset.layout, "clips": clips}),
            commit=context.commit,
        )
        for (row, metric), count in statistics(dataset).items()
    ]


def statistics(dataset: Dataset) -> dict[tuple[str, str], int]:
    """Return (row of Table 2, metric) -> count. Regular frames are all, of both splits, but the abnormal."""
    counts = dataset_counts(dataset)
    total = counts["n_train_frames"] + counts["n_test_frames"]
    return {
        ("Total", "frames"): total,
        ("Training", "frames"): counts["n_train_frames"],
        ("Testing", "frames"): counts["n_test_frames"],
        ("Regularity", "frames"): total - counts["n_abnormal_frames"],
        ("Irregularity", "frames"): counts["n_abnormal_frames"],
        ("#Abnormal Events", "events"): sum(map(n_events, dataset.test_labels.values())),
        ("#Scenes", "scenes"): n_scenes(dataset.name, [clip.name for clip in dataset.clips]),
    }


def n_events(labels: np.ndarray) -> int:
    """Return the number of maximal runs of 1 in one clip's labels, (n_frames,)."""
    return int(np.count_nonzero(np.diff(labels.astype(int), prepend=0) == 1))


def n_scenes(dataset: str, clips: Sequence[str]) -> int:
    """Return the number of cameras: ShanghaiTech's clips are named SS_CCCC, SS being the camera; LV's are
    each filmed by another one; the other datasets have one.
    """
    if dataset == "shanghaitech":
        return len({clip.split("_")[0] for clip in clips})
    return len(set(clips)) if dataset == "lv" else 1


def note(rows: Sequence[Row], absent) -> str:
    """Return what is counted, where it is not what the paper prints, and where to get the absent datasets."""
    other = [
        f"{row.column} {row.row} {row.ours:,.0f} (paper: {row.paper:,.0f})"
        for row in rows
        if row.paper is not None and row.paper != row.ours
    ]
    sources = [" ".join(where_to_get(name).split()) for name in RECORDS if name in absent]
    sentences = [
        "Frames are counted on disk, irregular ones in the frame labels; an abnormal event is a "
        "maximal run of abnormal frames in a clip's labels, and regular frames are all the others",
        f"Not as in the paper: {'; '.join(other)}" if other else "",
        f"Not at hand: {'; '.join(sources)}" if sources else "",
    ]
    return ". ".join(filter(None, sentences)) + "."
