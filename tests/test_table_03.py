"""Table 3 on a small walkway: the systems asked for alone, rows of the chosen settings beside them."""

from dataclasses import replace

from experiments import table_03_methods
from experiments.lab import context as context_module
from experiments.lab.context import Context
from experiments.lab.publishing import results
from experiments.lab.publishing.published import published
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.systems.catalogue import systems_of

TINY = {"input_size_px": 32, "iterations": 4, "checkpoint_every": 4, "log_every": 2, "n_atoms": 8}
SMALL_NETWORK = {"similarity_units": 8, "n_subspace_atoms": 4}


def test_systems_asked_for_have_a_chosen_row_beside_them(tmp_path, monkeypatch):
    settings = PROFILES["smoke"].override(**TINY, **SMALL_NETWORK)
    context = Context("paper", settings, tmp_path, only_datasets=("walkway",))
    chosen = {**TINY, "layer": "conv2", "feature_normalization": "standardized"}
    monkeypatch.setattr(context_module, "CHOSEN", chosen)
    table_03_methods.run(context, ("Nearest Subspace", "sRNN-AE"))
    rows = [row for row in results.read_rows(context.results_dir) if row.column == "Walkway"]
    names = ["Nearest Subspace", "sRNN-AE"]
    names += [f"{name}, chosen settings" for name in names]
    assert list(dict.fromkeys(row.row for row in rows)) == names
    hashes = {name: {row.config_hash for row in rows if row.row == name} for name in names}
    assert all(len(found) == 1 for found in hashes.values())
    assert len(set.union(*hashes.values())) == 4  # other features, other configuration
    assert rows[0].command.endswith("--systems 'Nearest Subspace,sRNN-AE'")
    table = (context.results_dir / "table_03.md").read_text()
    assert "sRNN-AE, chosen settings" in table
    assert "Profile: paper, " in table
    own, of_chosen = table.split('Rows "..., chosen settings": ')
    assert "iterations 4 (paper: 20,000)" in own
    assert "layer conv2 (choice of ours at full size: last)" not in own
    assert "layer conv2 (choice of ours at full size: last)" in of_chosen
    assert replace(context, chosen=True).profile_name.startswith("paper, chosen settings, ")
    # A call that asks for less leaves the rest as it was, commands and all; the table has all of it.
    table_03_methods.run(context, ("sRNN-AE",), with_chosen=False)
    again = [row for row in results.read_rows(context.results_dir) if row.column == "Walkway"]
    assert [(row.row, row.protocol, row.ours) for row in again] == [
        (row.row, row.protocol, row.ours) for row in rows
    ]
    commands = {row.row: row.command for row in again}
    assert commands.pop("sRNN-AE").endswith("--systems sRNN-AE --without-chosen")
    assert set(commands.values()) == {rows[0].command}
    table = (context.results_dir / "table_03.md").read_text()
    assert all(f"| {name} |" in table for name in names)


def test_unknown_system_is_refused(tmp_path, run_main):
    flags = ("--systems", "SVM", "--profile", "smoke", "--out", tmp_path)
    code, _, errors = run_main("experiments.table_03_methods", *flags)
    assert code == 2
    assert "--systems SVM: unknown, expected some of Nearest Subspace, OC-SVM" in errors


def test_every_system_that_the_authors_ran_is_known():
    ran = {"Nearest Subspace", "OC-SVM", "Conv-AE", "ConvLSTM-AE", "TSC", "sRNN-AE"}
    assert ran <= {row for row, _, _ in published("table_03")}
    assert ran <= set(systems_of("table_03"))


def numbers_of(context):
    """The rows of Table 3 but for those of the best checkpoint: only the last one is scored again."""
    return {
        (row.row, row.metric, row.protocol): row.ours
        for row in results.read_rows(context.results_dir)
        if row.measured and "best_on_test" not in row.protocol
    }


def test_more_and_fewer_test_clips_in_one_folder_are_those_of_a_clean_one(tmp_path):
    """One trained run serves all of them: its weights stay and its scores do not."""
    systems = ("OC-SVM", "TSC")
    small = {"tsc_n_atoms": 8, "tsc_depth": 2, "tsc_windows": 2, "tsc_alternations": 1, "clip_frames": 20}

    def run(folder, n_test_clips):
        settings = PROFILES["smoke"].override(**TINY, **small, n_test_clips=n_test_clips)
        context = Context("smoke", settings, tmp_path / folder, only_datasets=("walkway",))
        table_03_methods.run(context, systems, with_chosen=False)
        return numbers_of(context)

    clean = {2: run("one", 2), 3: run("clean", 3)}
    assert clean[2] != clean[3]
    for n in (3, 2):
        assert run("one", n) == clean[n]
    assert len(list((tmp_path / "one" / "checkpoints" / "walkway").iterdir())) == 3
