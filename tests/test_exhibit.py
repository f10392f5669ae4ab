"""An exhibit as a command runs it: what it prints, the report that follows, earlier failures forgotten."""

import errno
import sys
from types import SimpleNamespace

import pytest

from data_prep.errors import InputError, NotApplicableError
from experiments import run
from experiments.lab.publishing import exhibit, notes, results
from experiments.lab.publishing.exhibit import publish_report, run_exhibit
from experiments.lab.publishing.publish import publish
from experiments.lab.publishing.results import Row


def context_in(folder):
    absent = {"Avenue": ("no data", "Avenue is not on disk")}
    return SimpleNamespace(results_dir=folder, profile_name="quick, depth=5", absent_datasets=absent)


def exhibit_of(name, system="sRNN-AE", ours=0.8012, writes=()):
    """Return a script that measures one number of a system on Ped2 and writes files."""

    def run(context):
        row = Row(name, system, "Ped2", "auc", ours, std=0.01, seeds=3, dataset="Ped2", command="python -m x")
        publish(context, name, [row], "python -m x", "A note.")
        for file in writes:
            (context.results_dir / file).write_bytes(b"new")

    return SimpleNamespace(EXHIBIT=name, run=run)


def test_the_table_and_what_was_written_are_printed(tmp_path, capsys):
    (tmp_path / "table_03_old.png").write_bytes(b"of an earlier call")
    (tmp_path / "table_03.csv").write_bytes(b"replaced now")
    run_exhibit(context_in(tmp_path), exhibit_of("table_03", writes=["table_03.csv"]))
    systems = ["MPPCA", "MPPC+SFA", "HOFME", "Conv-AE", "Entrance", "Exit", "ShanghaiTech", "ConvLSTM-AE"]
    systems += ["Unmasking", "Hinami-style", "Nearest Subspace", "OC-SVM", "TSC"]
    assert capsys.readouterr().out.splitlines() == [
        "",
        "Table 3. AUC of all methods on the real datasets, profile quick, depth=5: ours (the paper)",
        "                         Ped2",
        "sRNN-AE  80.12 ± 1.00 (92.21)",
        f"not run: {', '.join(systems)}; no data: Avenue",
        f"wrote {tmp_path / 'table_03.csv'}",
        f"wrote {tmp_path / 'table_03.md'}",
    ]


def test_scores_that_are_all_equal_are_warned_of(tmp_path):
    run_exhibit(context_in(tmp_path), exhibit_of("table_03", "OC-SVM", 0.5001))
    assert notes.read_notes(tmp_path)["table_03"] == "A note."
    run_exhibit(context_in(tmp_path), exhibit_of("table_03", "TSC", 0.5))
    warning = "Warning: an AUC of exactly 50, as scores that are all equal have: TSC on Ped2."
    assert notes.read_notes(tmp_path)["table_03"] == f"{warning} A note."


def test_the_table_has_the_rows_of_earlier_calls_too(tmp_path, capsys):
    for system, ours in (("OC-SVM", 0.68), ("sRNN-AE", 0.77)):
        run_exhibit(context_in(tmp_path), exhibit_of("table_03", system, ours))
    second = capsys.readouterr().out.split("Table 3.")[2]
    assert "OC-SVM   68.00 ± 1.00 (78.58)" in second
    assert "sRNN-AE  77.00 ± 1.00 (92.21)" in second
    text = (tmp_path / "table_03.md").read_text()
    assert "| OC-SVM | 68.00 ± 1.00 (78.58) |" in text
    assert {row.row for row in results.read_rows(tmp_path) if row.measured} == {"OC-SVM", "sRNN-AE"}


def test_the_report_follows_and_an_exhibit_that_runs_is_no_failure_any_more(tmp_path, capsys):
    context = context_in(tmp_path)
    run_exhibit(context, exhibit_of("table_03"))
    publish_report(context, {"table_05": "no such file", "table_03": ""})
    assert "no such file" in (tmp_path / "report.html").read_text()
    publish_report(context, {"table_05": ""})
    assert notes.read_summary(tmp_path)["failures"] == {}
    assert "no such file" not in (tmp_path / "report.html").read_text()
    assert capsys.readouterr().out.endswith(f"report: {tmp_path / 'report.html'}\n")


def test_an_exhibit_that_breaks_prints_no_table(tmp_path, capsys):
    def run(context):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        run_exhibit(context_in(tmp_path), SimpleNamespace(EXHIBIT="table_03", run=run))
    assert capsys.readouterr().out == ""


def run_two(faults, tmp_path, monkeypatch, capsys, only=True):
    """Run two exhibits that end by these faults, None for none; return exit code, output and errors.

    `only` says whether they are asked for by name; else they are all that there are.
    """
    ran, names = [], ("table_02", "figure_05")

    def end(context, module, where):
        ran.append(module.EXHIBIT)
        if fault := faults[len(ran) - 1]:
            raise fault

    monkeypatch.setattr(exhibit, "run_exhibit", end)
    kept = {}
    monkeypatch.setattr(exhibit, "publish_report", lambda _, outcomes: kept.update(outcomes))
    small = [f"--set={name}=1" for name in ("n_train_clips", "n_test_clips")]
    words = ["--profile", "smoke", "--out", str(tmp_path), *(["--only", ",".join(names)] if only else [])]
    if not only:
        known = run.exhibits()
        monkeypatch.setattr(run, "exhibits", lambda: {name: known[name] for name in names})
    monkeypatch.setattr(sys, "argv", ["run", *words, *small, "--set=clip_frames=20"])
    with pytest.raises(SystemExit) as end:
        run.main()
    assert ran == list(names)
    assert set(kept) == set(names)  # so that what was kept of an earlier call is replaced
    return end.value.code, *capsys.readouterr()


def test_a_full_disk_in_one_exhibit_is_one_line_and_the_others_run(tmp_path, monkeypatch, capsys):
    full = OSError(errno.ENOSPC, "No space left on device", "results.csv")
    code, said, errors = run_two([full, None], tmp_path, monkeypatch, capsys)
    assert code == 2
    assert errors.splitlines()[-1] == "error: table_02: results.csv: No space left on device"
    assert "Traceback" not in errors
    assert "FAILED table_02: results.csv: No space left on device" in said


@pytest.mark.parametrize(("then", "code"), [(None, 1), (InputError("figure: no clip"), 2)])
def test_a_fault_of_ours_is_exit_code_1_and_the_others_run(then, code, tmp_path, monkeypatch, capsys):
    found, said, errors = run_two([RuntimeError("broken"), then], tmp_path, monkeypatch, capsys)
    assert found == code
    assert "FAILED table_02: RuntimeError: broken" in said
    assert "Traceback" in errors
    assert ("FAILED figure_05: figure: no clip" in said) == (then is not None)


@pytest.mark.parametrize(("only", "code"), [(False, 0), (True, 2)])
def test_an_exhibit_that_does_not_apply_is_left_out_unless_it_is_asked_for(
    only, code, tmp_path, monkeypatch, capsys
):
    faults = [NotApplicableError("Table 2: nothing to count"), None]
    found, said, _ = run_two(faults, tmp_path, monkeypatch, capsys, only)
    assert found == code
    assert ("\nleft out table_02: Table 2: nothing to count\n" in said) == (not only)
    assert ("FAILED table_02: Table 2: nothing to count" in said) == only
