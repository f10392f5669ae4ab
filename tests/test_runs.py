"""What a run's folder says: the commits that made it; one line for a file that is missing or damaged."""

import itertools
import shutil

import numpy as np
import pytest
from synthetic import write_clip, write_dataset

from data_prep.errors import InputError
from data_prep.provenance import git_commit
from data_prep.shards import Shard
from experiments.lab.publishing.rows import identity
from experiments.lab.scoring.score import ClipScores
from experiments.lab.scoring.score_files import clips_of, load_scores, save_scores
from experiments.lab.settings.schema import PAPER
from experiments.lab.systems.catalogue import run_system
from experiments.lab.training.model_card import CARD
from experiments.lab.training.run_files import MODEL_FILE
from experiments.lab.training.runs import Run, commits_of


def test_a_row_names_every_commit_behind_it_once_and_in_order():
    plain, begun_elsewhere = {"commit": "bbb"}, {"commit": "ccc-dirty", "earlier": [{"commit": "aaa"}]}
    assert commits_of([plain]) == "bbb"
    assert commits_of([begun_elsewhere, plain, plain]) == "aaa + ccc-dirty + bbb"


def test_a_rows_hash_is_of_what_the_weights_depend_on_alone():
    here = {"seed": 0, "commit": "aaa", "versions": {"keras": "3"}}
    there = {"seed": 0, "commit": "bbb", "versions": {"keras": "4"}, "earlier": [here]}
    assert identity([here])["config_hash"] == identity([there])["config_hash"]
    assert identity([here])["config_hash"] != identity([here | {"seed": 1}])["config_hash"]
    now = git_commit()  # the last is of what computes the number
    assert identity([there])["commit"] == f"aaa + bbb + {now}"
    assert identity([{"commit": "ccc"}, {"commit": now}, {"commit": "aaa"}])["commit"] == f"ccc + aaa + {now}"


SMALL = PAPER.override(
    n_atoms=8,
    similarity_units=4,
    iterations=4,
    checkpoint_every=2,
    log_every=1,
    tsc_n_atoms=8,
    tsc_depth=3,
    tsc_lambda1=0.01,
    tsc_alternations=2,
    tsc_windows=4,
    n_subspace_atoms=3,
)
SYSTEMS = ("sRNN-AE", "TSC", "OC-SVM")
TRAINED = SYSTEMS[:2]  # those that keep a model


def made(system, shards, out):
    return run_system(system, shards, "spatial", SMALL, 0, out)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folder of each system's finished run, and the shards that both were made on; never changed."""
    shards, out = write_dataset(tmp_path_factory.mktemp("shards")), tmp_path_factory.mktemp("out")
    return shards, out, {system: made(system, shards, out).folder for system in SYSTEMS}


@pytest.fixture
def copied(folders, tmp_path):
    """A copy of shards and runs that a test may change: (shards, out, {system: folder})."""
    shards, out, runs = folders
    shutil.copytree(shards, tmp_path / "shards")
    shutil.copytree(out, tmp_path / "out")
    return (
        tmp_path / "shards",
        tmp_path / "out",
        {system: tmp_path / "out" / folder.relative_to(out) for system, folder in runs.items()},
    )


def model_of(folder):
    path = folder / MODEL_FILE
    return path.read_bytes() if path.exists() else None


def rewrite(shards, clip, change=lambda features: features, invert=False):
    """Write a test clip again with other features, or inverted labels."""
    with Shard(shards / "test" / f"{clip}.h5") as shard:
        features, labels = shard.features(), shard.labels
    write_clip(shards, "test", clip, change(features), 1 - labels if invert else labels)


def invert_labels(shards):
    for clip in ("01", "02"):
        rewrite(shards, clip, invert=True)


def other_features(shards):
    rewrite(shards, "01", lambda features: features[::-1])


def more_clips(shards):
    with Shard(shards / "test" / "01.h5") as shard:
        write_clip(shards, "test", "00", 2 * shard.features(), shard.labels)


def fewer_clips(shards):
    (shards / "test" / "02.h5").unlink()


# All changes of a system that takes no time; of those that are trained a change of labels, and of clips.
@pytest.mark.parametrize(
    ("system", "change"),
    [
        *(("OC-SVM", change) for change in (invert_labels, other_features, more_clips, fewer_clips)),
        *itertools.product(TRAINED, (invert_labels, more_clips)),
    ],
)
def test_other_test_clips_are_scored_anew_with_the_same_weights(system, change, copied, tmp_path, capsys):
    """What a changed folder says must be what a clean one says; going back brings all of it back."""
    shards, out, folders = copied
    before = model_of(folders[system])
    run = Run(folders[system])
    numbers, first = run.metrics, [clip for step in run.steps for clip in run.scores(step)]
    shutil.copytree(shards, tmp_path / "as_it_was")
    change(shards)
    run, clean = made(system, shards, out), made(system, shards, tmp_path / "clean")
    assert run.folder == folders[system]
    assert model_of(run.folder) == before
    assert "set aside" in capsys.readouterr().out
    for one, other in zip(run.scores(), clean.scores(), strict=True):
        assert one.clip == other.clip
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.error, other.error)
    assert run.metrics["auc_per_clip"] == clean.metrics["auc_per_clip"]
    assert run.steps == [clean.steps[-1]]  # no checkpoint of the old clips stands beside it
    cards = [(folder / CARD).read_text() for folder in (run.folder, clean.folder)]
    assert len({card.split("## Data")[1].split("\n\n")[1] for card in cards}) == 1
    assert len({card.split("| normalization |")[1].split("This stream")[0] for card in cards}) == 1
    again = made(system, tmp_path / "as_it_was", out)
    assert again.metrics == numbers
    back = [clip for step in again.steps for clip in again.scores(step)]
    for one, other in zip(back, first, strict=True):
        np.testing.assert_array_equal(one.error, other.error)


@pytest.mark.parametrize(
    ("system", "missing"),
    [
        *itertools.product(("sRNN-AE", "OC-SVM"), ("last", "train_errors.npz", "metrics.json", "all scores")),
        ("TSC", "last"),
        ("TSC", "all scores"),
    ],
)
def test_what_is_missing_of_a_finished_run_is_made_again(system, missing, copied):
    shards, out, folders = copied
    run = Run(folders[system])
    numbers, errors = run.metrics, [clip.error for clip in run.scores()]
    model = model_of(run.folder)
    if missing == "last":
        (run.folder / "scores" / f"step_{run.steps[-1]:06d}.npz").unlink()
    elif missing == "all scores":
        shutil.rmtree(run.folder / "scores")
    else:
        (run.folder / missing).unlink()
    again = made(system, shards, out)
    assert again.metrics == numbers
    for one, other in zip(again.scores(), errors, strict=True):
        np.testing.assert_array_equal(one.error, other)
    assert model_of(run.folder) == model
    assert len(again.train_errors()) == 3 * 24


def test_scores_of_a_checkpoint_that_was_none_are_removed(copied):
    """A kill between scores and model; gone on with, training kept an earlier step (`held_out`)."""
    shards, out, folders = copied
    folder = folders["sRNN-AE"]
    steps = Run(folder).steps
    shutil.copy(folder / "scores" / f"step_{steps[-1]:06d}.npz", folder / "scores" / "step_000009.npz")
    (folder / "metrics.json").unlink()
    assert made("sRNN-AE", shards, out).steps == steps


def test_of_training_clips_errors_alone_are_kept(folders):
    for system, folder in folders[2].items():
        (kept, *_), tested = load_scores(folder / "train_errors.npz"), Run(folder).scores()[0]
        assert kept.similarity is kept.code_distance is kept.sparsity is None
        assert (tested.sparsity is None) == (system == "OC-SVM")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def written(text):
    return lambda path: path.write_text(text)


TRAIN_IT = "to train the run again, delete its folder"
BACKWARDS = '[{"step": 2, "seconds": 1}, {"step": 1, "seconds": 1}]'
FAULTS = [
    ("config.json", lambda path: path.unlink(), "no such file", TRAIN_IT),
    ("config.json", cut, "damaged, expected JSON", TRAIN_IT),
    ("config.json", written("[]"), "expected it as dict, got []", TRAIN_IT),
    ("config.json", written('{"system": 3}'), "expected dataset, str, got none", TRAIN_IT),
    ("history.json", lambda path: path.unlink(), "no such file", TRAIN_IT),
    ("history.json", cut, "damaged, expected JSON", TRAIN_IT),
    (
        "history.json",
        written(BACKWARDS),
        "expected steps from 1",
        TRAIN_IT,
    ),
    ("history.json", written('[{"step": 1, "seconds": NaN}]'), "expected finite numbers, got NaN", TRAIN_IT),
    ("last.keras", lambda path: path.unlink(), "no such file", TRAIN_IT),
    ("last.keras", cut, "damaged", TRAIN_IT),
    ("metrics.json", cut, "damaged, expected JSON", "delete the file: the command that trains the run"),
    ("metrics.json", written("{}"), "expected steps, int, got none", "delete the file: the command"),
    (
        "train_errors.npz",
        cut,
        "damaged scores",
        "delete it: the command that trained the run scores",
    ),
]


@pytest.mark.parametrize("system", TRAINED)
@pytest.mark.parametrize(("name", "damage", "fault", "advice"), FAULTS)
def test_a_damaged_file_is_one_line_that_says_what_to_do(system, name, damage, fault, advice, copied):
    shards, out, folders = copied
    path = folders[system] / name
    damage(path)
    with pytest.raises(InputError) as told:
        made(system, shards, out)
    said = str(told.value)
    assert said.startswith(f"{path}: ")
    assert fault in said
    assert advice in said
    assert "\n" not in said
    if damage is cut and system == "TSC":  # the advice holds
        shutil.rmtree(path.parent) if advice == TRAIN_IT else path.unlink()
        assert made(system, shards, out).metrics["steps"]


def test_a_run_never_says_another_checkpoints_number(folders, tmp_path):
    folder = shutil.copytree(folders[2]["sRNN-AE"], tmp_path / "run")
    (folder / "scores" / "step_000004.npz").unlink()
    for read in (lambda run: run.scores(), lambda run: run.steps):
        with pytest.raises(InputError, match=r"step_000004\.npz: no such file"):
            read(Run(folder))


def test_scores_that_another_command_replaced_are_not_read(folders):
    run = Run(folders[2]["TSC"], test_clips="others")
    with pytest.raises(InputError, match="scores of other clips than the dataset has"):
        run.scores()


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"error": None}, "no array error"),
        ({"error": np.full((4, 2), np.nan, np.float32)}, "error: expected finite numbers"),
        ({"error": np.zeros((3, 2), np.float32)}, r"error: expected real numbers \(4, 2\)"),
        ({"error": np.zeros((4, 2), int)}, "error: expected real numbers"),
        ({"labels": np.full(4, 2, np.uint8)}, "labels: expected 4 times 0 or 1"),
        ({"labels": np.zeros(5, np.uint8)}, "labels: expected 4 times 0 or 1"),
        ({"n_frames": np.array([4])}, "n_frames: expected a number of frames for each of 2 clips"),
        ({"clips": np.array(["a", "a"])}, "clips: expected names, each once"),
        ({"similarity": np.zeros((4, 3), np.float32)}, "similarity: expected real numbers"),
    ],
)
def test_score_files_are_checked(changed, fault, tmp_path):
    path, error = tmp_path / "scores.npz", np.ones((2, 2), np.float32)
    save_scores(path, [ClipScores(name, np.zeros(2, np.uint8), error) for name in ("a", "b")], "these")
    assert clips_of(path) == "these"
    assert [clip.clip for clip in load_scores(path, "these")] == ["a", "b"]
    with np.load(path) as stored:
        arrays = {**stored, **changed}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(InputError, match=f"scores.npz: damaged scores, {fault}"):
        load_scores(path)
