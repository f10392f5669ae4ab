"""A setting that a command does not honour is refused in one line, before anything runs."""

import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from data_prep.errors import InputError
from experiments import run
from experiments.lab import cli, durations
from experiments.lab.context import Context
from experiments.lab.systems.reads import Reads, refuse_unread
from tests.settings_recorder import COMMANDS, NAMES, SMOKE


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_not_read_is_refused_in_one_line(lab, name):
    module = importlib.import_module(COMMANDS[name])
    context, unread = Context("smoke", SMOKE, Path("nowhere")), set(NAMES) - module.READS.names(SMOKE)
    assert unread
    for one in unread:
        with pytest.raises(InputError, match=rf"^--set {one}: acts on nothing that {name} does.*$"):
            refuse_unread([one], [module.READS], SMOKE, name, context)
    refuse_unread(module.READS.names(SMOKE), [module.READS], SMOKE, name, context)


@pytest.mark.parametrize(
    ("module", "flags", "message"),
    [
        ("table_03_methods", "--set mnist_step_px=2", 'mnist_step_px: .* it is of "Moving-MNIST'),
        ("table_03_methods", "--set temporal_weight=0.3 --set fusion=log", "temporal_weight: .*fusion paper"),
        (
            "table_03_methods",
            "--set normalization=global --set fusion=calibrated",
            "normalization: .*training",
        ),
        ("table_03_methods", "--set smoothing=causal", "smoothing: .*smoothing_frames is 1"),
        ("table_03_methods", "--set flow_warps=1", "flow_warps"),
        ("table_03_methods", "--set delta_squared=9", "delta_squared: .*similarity is learned"),
        (
            "figure_08_depth",
            "--set similarity_units=9 --set similarity=gaussian",
            "similarity_units: .*gaussian",
        ),
        ("table_03_methods", "--systems OC-SVM --set depth=5", "depth"),
        ("table_10_running_time", "--set checkpoint=best_on_test", "checkpoint"),
        ("figure_08_depth", "--set depth=5", "depth"),
        ("figure_08_depth", "--set sweep_iterations=4 --set iterations=40", "iterations"),
        ("figure_11_temporal_weight", "--set temporal_weight=0.3", "temporal_weight"),
        ("benchmark", "--set iterations=4", "iterations"),
    ],
)
def test_commands_refuse_before_they_run(lab, monkeypatch, capsys, tmp_path, module, flags, message):
    command = importlib.import_module(f"experiments.{module}")
    monkeypatch.setattr(command, "run", lambda *_, **__: pytest.fail("ran"))
    parser = cli.sweep_parser("") if module.startswith("figure_08") else cli.parser("")
    if module.startswith("table_03"):
        parser.add_argument("--systems", type=cli.listed)
    arguments = [*flags.split(), "--profile", "smoke", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [module, *arguments])
    with pytest.raises(SystemExit, match="2"):
        cli.main(f"experiments.{module}", parser)
    told = capsys.readouterr().err
    assert re.search(f"error: --set {message}", told)
    assert told.count("\n") == 1


def test_the_run_of_all_takes_what_any_exhibit_reads(lab, monkeypatch, capsys, tmp_path):
    def refused(*flags):
        arguments = ["run", "--profile", "smoke", "--out", str(tmp_path), *flags]
        monkeypatch.setattr("sys.argv", arguments)
        with pytest.raises(SystemExit) as done:
            run.main()
        return done.value.code, capsys.readouterr().err

    monkeypatch.setattr(run, "print_plan", lambda *_: sys.exit("goes on"))
    monkeypatch.setattr(durations, "n_frames", lambda dataset: 100)
    assert refused("--only", "table_02,figure_02", "--set", "depth=5") == ("goes on", "")
    assert refused("--set", "mnist_step_px=2")[0] == "goes on"
    code, told = refused("--only", "table_02,figure_05", "--set", "depth=5")
    assert code == 2
    assert "--set depth: acts on nothing that experiments.run does" in told


def test_commands_without_exhibits_say_what_they_read():
    from experiments import choose_tsc_lambda1, train
    from experiments.lab.watching import session

    assert {"tsc_depth", "layer"} <= choose_tsc_lambda1.READS.names(SMOKE)
    assert not {"tsc_lambda1", "depth", "alignment"} & choose_tsc_lambda1.READS.names(SMOKE)
    there, footage = (
        session.reads(SimpleNamespace(train=train, system="sRNN-AE")).names(SMOKE)
        for train in (None, Path("a"))
    )
    quoted = session.reads(SimpleNamespace(train=Path("a"), system="Reddy et al.")).names(SMOKE)
    assert "reddy_known" in quoted
    assert "slot_start" not in Reads(("LSTM-AE",)).names(SMOKE)  # its optimizer is Keras's own
    assert not {"n_atoms", "normalization"} & quoted
    assert {"n_atoms", "motion"} <= footage
    assert not {"n_atoms", "motion", "normalization", "checkpoint"} & there
    assert {"layer", "temporal_weight", "frame_error"} <= there
    with pytest.raises(InputError, match=r"--set layer: acts on nothing that experiments\.train does"):
        train.run(
            SimpleNamespace(
                set=["layer=conv4"],
                profile="smoke",
                chosen=False,
                shards=Path("."),
                out=Path("."),
                seed=[0],
                system="TSC",
                stream=None,
            )
        )


def test_early_fusion_stacks_the_rolling_maximum_whatever_is_fused_late(tmp_path):
    from experiments import table_09_fusion

    of_flow = SMOKE.override(motion="flow")
    assert {"alignment", "temporal_window_frames"} <= table_09_fusion.READS.names(of_flow)
    alone = Context("smoke", SMOKE.override(appearance="none", motion="flow"), tmp_path, ("walkway",))
    with pytest.raises(InputError, match="expected two streams or more, got flow alone"):
        table_09_fusion.row_points(alone, "walkway")


def test_a_checkpoint_is_chosen_among_several_alone():
    from experiments import table_07_motion_features, table_08_streams, table_09_fusion

    for system in ("TSC", "OC-SVM"):
        assert "checkpoint" not in Reads((system,)).names(SMOKE)
    assert "checkpoint" in Reads(("sRNN-AE",)).names(SMOKE)
    windows = SMOKE.override(appearance="none", motion="flow", flow_input="windows")
    assert "checkpoint" not in Reads(("sRNN-AE",)).names(windows)
    beside = SMOKE.override(motion="flow", flow_input="windows")  # some rows are of network features alone
    for command in (table_07_motion_features, table_08_streams, table_09_fusion):
        assert "checkpoint" in command.READS.names(beside)
