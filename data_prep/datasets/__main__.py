"""List the datasets on disk, and where to get those that are missing.

python -m data_prep.datasets --data DIR
"""

import sys
from pathlib import Path

from data_prep.arrays import read_npy
from data_prep.datasets import (
    LABELS_FOLDER,
    RECORDS,
    Dataset,
    Record,
    advice,
    compare_with_masks,
    dataset_counts,
    near_misses,
    read_datasets,
    where_to_get,
)
from data_prep.labels import MaskLabels, read_frame_labels, read_mat_intervals
from data_prep.terminal import Parser, exit_code, given_path


def describe(dataset: Dataset) -> str:
    """Return what is on disk of a dataset, in lines: folder, counts, size, labels, licence."""
    counts = dataset_counts(dataset)
    size_bytes = sum(path.stat().st_size for path in dataset.root.rglob("*") if path.is_file())
    n_masked, per_second = len(dataset.mask_sources), dataset.record.frames_per_second

    def extent(n_frames: int) -> str:
        length = f" ({n_frames / per_second / 60:.1f} min at {per_second:g} frames/s)" if per_second else ""
        return f"{n_frames:,} frames{length}"

    lines = [
        f"{dataset.record.title}: {dataset.layout} layout in {dataset.root}, {size_bytes / 1e6:,.1f} MB",
        f"  train: {counts['n_train_clips']} clips, {extent(counts['n_train_frames'])}",
        f"  test: {counts['n_test_clips']} clips, {extent(counts['n_test_frames'])}, "
        f"{counts['n_abnormal_frames']:,} abnormal",
        f"  frame labels: {dataset.label_source}; pixel masks: {n_masked} clips{_agreement(dataset)}",
        f"  licence: {dataset.record.licence}",
    ]
    if dataset.own:
        source = f"; source: {dataset.record.url}" if dataset.record.url else ""
        lines[-1] += f"{source}; a set of your own: --datasets {dataset.name}"
    if dataset.partial:
        lines.insert(1, f"  PARTIAL, no benchmark: {dataset.partial}")
    return "\n".join(lines)


def _agreement(dataset: Dataset) -> str:
    """Return how far the frame labels agree with the pixel masks; empty where they are not two sources."""
    if not dataset.mask_sources or isinstance(dataset.test_labels, MaskLabels):
        return ""
    compared = compare_with_masks(dataset)
    n_frames = sum(len(dataset.test_labels[name]) for name in compared)
    differing = {name: both for name, both in compared.items() if any(both)}
    if not differing:
        return f", which agree with the labels on all {n_frames:,} frames"
    n_differing = sum(map(sum, differing.values()))
    clips = ", ".join(
        f"clip {name} {by_labels} by labels alone and {by_masks} by masks alone"
        for name, (by_labels, by_masks) in differing.items()
    )
    return f", which DISAGREE with the labels on {n_differing:,} of {n_frames:,} frames: {clips}"


def released_labels(record: Record, data_dir: Path) -> str:
    """Return what frame labels of a dataset are in the folder of labels, in words; empty for none."""
    places = [data_dir / LABELS_FOLDER / name for name in record.label_files]
    source = next((place for place in places if place.exists()), None)
    if source is None:
        return ""
    if source.is_dir():
        n_frames = {path.stem: read_npy(path).size for path in sorted(source.glob("[!.]*.npy"))}
    else:
        ends = [int(intervals.max(initial=1)) for intervals in read_mat_intervals(source)]
        n_frames = {f"{number:02d}": end for number, end in enumerate(ends, start=1)}
    n_abnormal = sum(int(labels.sum()) for labels in read_frame_labels(source, n_frames).values())
    official = record.n_abnormal_frames
    verdict = (
        "" if official is None else ", as published" if official == n_abnormal else f", not {official:,}"
    )
    return f"labels alone: {source}, {len(n_frames)} clips, {n_abnormal:,} abnormal frames{verdict}"


def main(arguments: list[str] | None = None) -> int:
    """Print what is under --data and where to get the rest; return the exit code, see `exit_code`."""
    parser = Parser(prog="python -m data_prep.datasets", description="List the datasets on disk.")
    parser.add_argument(
        "--data", type=given_path, metavar="DIR", help="folder of datasets, official or re-packed"
    )
    data_dir = parser.parse_args(arguments).data
    return exit_code(lambda: _list(data_dir))


def _list(data_dir: Path | None) -> None:
    """Print what is in a folder of datasets, and where to get the rest.

    Raises InputError, after all that can be read is listed: a dataset that cannot.
    """
    found, faults = read_datasets(data_dir) if data_dir else ({}, {})
    missed = near_misses(data_dir) if data_dir else {}
    none = f"none found. {advice(data_dir)}" if data_dir and not faults else "none found"
    print("found:" if found else none)
    for dataset in found.values():
        print(describe(dataset), flush=True)
    print("\nmissing:")
    for name, record in RECORDS.items():
        if name not in faults and (name not in found or found[name].partial):
            print(f"{'the rest of ' if name in found else ''}{where_to_get(name)}")
            if name not in found and data_dir and (labels := released_labels(record, data_dir)):
                print(f"  {labels}")
    if missed:  # last, where a reader looks first
        print("\nnot read, though it looks like a labelled set:")
    for folder, lack in missed.items():
        print(f"{folder}: {lack}")
    if faults:
        *others, last = faults.values()
        for fault in others:
            print(f"error: {fault}", file=sys.stderr)
        raise last


if __name__ == "__main__":
    sys.exit(main())
