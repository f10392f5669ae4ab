"""Table 1 of some systems and anomalies: rows that join, settings that are refused."""

import pytest

from experiments import figure_04_moving_mnist, moving_mnist_sizes, table_01_moving_mnist
from experiments.lab import cli
from experiments.lab.context import Context
from experiments.lab.publishing.results import read_rows
from experiments.lab.settings.profiles import PROFILES
from experiments.lab.systems.catalogue import systems_of
from experiments.lab.systems.moving_mnist import idle_settings
from tests.synthetic_mnist import TINY, noise_files

OF_TSC = {f"mnist_tsc_{name}" for name in ("lambda1", "lambda2", "alternations", "update_steps")}
OF_SRNN_AE = {
    f"mnist_{name}"
    for name in (
        *("similarity_units", "iterations", "checkpoint_every", "batch_sequences"),
        *("learning_rate", "lambda1", "weight_decay"),
    )
}


def test_systems_and_anomalies_asked_for_are_run_alone_and_join_the_table(tmp_path, monkeypatch):
    """The rest reads "not run"; what a call before has measured stays."""
    context, files = Context("smoke", TINY, tmp_path / "out"), noise_files(tmp_path)
    monkeypatch.setattr(table_01_moving_mnist, "files_of", lambda *_: files)
    rows = []
    for system in ("TSC", "sRNN-AE"):
        table_01_moving_mnist.run(context, [system], ["spatial"])
        rows.append(read_rows(context.results_dir))
        name = f"{system} --anomalies spatial"
        assert next(row for row in rows[-1] if row.row == system).command.endswith(f"--systems {name}")
    measured = [[row for row in found if row.measured] for found in rows]
    assert {row.row.split(",")[0] for row in measured[0]} == {"TSC"}
    assert {row.row.split(",")[0] for row in measured[1]} == {"TSC", "sRNN-AE"}
    assert {row.column for row in measured[1]} == {"Spatial Anomaly"}
    assert [row for row in measured[1] if "TSC" in row.row] == measured[0]
    table = (context.results_dir / "table_01.md").read_text()
    assert "Spatial Anomaly: " in table
    assert "Temporal Anomaly: " not in table
    assert "S of TSC is never below" in table


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--systems", "SVM"], "--systems SVM: unknown, expected some of Conv-AE"),
        (["--anomalies", "both"], "--anomalies both: unknown, expected spatial or temporal"),
        (["--systems", "TSC", "--set", "mnist_iterations=20"], "--set mnist_iterations: acts on nothing"),
        (
            ["--systems", "sRNN-AE", "--set", "mnist_held_out_sequences=2"],
            "--set mnist_held_out_sequences: acts",
        ),
        (["--systems", "Conv-AE", "--set", "mnist_start=own"], "--set mnist_start: acts on nothing"),
        (["--systems", "sRNN-AE", "--set", "gamma=2"], "--set gamma: acts on nothing"),  # set by the start
    ],
)
def test_what_a_call_for_some_systems_does_not_read_is_refused(flags, message, tmp_path, run_main):
    command = "experiments.table_01_moving_mnist"
    code, _, errors = run_main(command, "--profile", "smoke", *flags, "--out", tmp_path)
    assert code == 2
    assert message in errors
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("systems", "idle"),
    [
        (["sRNN-AE"], {"mnist_held_out_sequences", "mnist_conv_ae_iterations"} | OF_TSC),
        (["TSC"], {"mnist_held_out_sequences", "mnist_conv_ae_iterations"} | OF_SRNN_AE),
        (["Conv-AE"], {"mnist_start", "mnist_n_atoms"} | OF_TSC | OF_SRNN_AE),
        (systems_of("table_01"), set()),
    ],
)
def test_settings_that_act_on_none_of_the_systems(systems, idle):
    assert set(idle_settings(systems)) == idle


def test_gamma_acts_where_the_start_is_the_systems_own(tmp_path):
    for start, acts in (("principal", False), ("own", True)):
        context = Context("smoke", PROFILES["smoke"].override(mnist_start=start), tmp_path)
        for command in (table_01_moving_mnist, moving_mnist_sizes, figure_04_moving_mnist):
            assert ("gamma" in cli.reads_of(command, context).names(context.settings)) == acts
