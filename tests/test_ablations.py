"""Ablations: one setting at a time, differences taken seed by seed."""

import csv

import pytest

from experiments import ablations
from experiments.lab.context import Context
from experiments.lab.settings.profiles import PROFILES


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    settings = PROFILES["smoke"].override(
        input_size_px=32, iterations=4, checkpoint_every=4, log_every=2, n_atoms=8, similarity_units=8
    )
    return Context("smoke", settings, tmp_path_factory.mktemp("out"), n_seeds=1, n_ablation_seeds=1)


def test_ablations_change_one_setting_at_a_time(context, monkeypatch):
    monkeypatch.setattr(ablations, "TRAINED", [{"threshold": "two_sided"}])
    ablations.run(context)
    made = {path.parent for path in context.out.glob("checkpoints/*/*/metrics.json")}
    assert made == {point.run().folder for point in ablations.points(context)}
    with (context.results_dir / "ablations.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["setting"] for line in lines] == [
        "default",
        *(name for changed in ablations.SCORES for name in changed),
        "threshold",
    ]
    assert (lines[0]["difference"], lines[0]["difference_std"]) == ("+0.00", "")
    for line in lines:
        assert float(line["auc"]) - float(lines[0]["auc"]) == pytest.approx(
            float(line["difference"]), abs=0.011
        )
    assert {line["dataset"] for line in lines} == {"Walkway"}
    assert "| Walkway | threshold | two_sided |" in (context.results_dir / "ablations.md").read_text()


def test_what_does_not_act_on_flow_windows_is_left_out_with_its_reason():
    """Before anything is trained: a frame error that windows have not, settings of a network's features."""
    settings = PROFILES["smoke"].override(appearance="none", motion="flow", flow_input="windows")
    reasons = {
        name: reason
        for changed, reason in ablations.variants(Context("smoke", settings, None))
        for name in changed
    }
    assert "expected max beside flow_input windows" in reasons["frame_error"]
    for name in ("pooling", "feature_dtype", "temporal_weight", "alignment", "checkpoint"):
        assert reasons[name].startswith("acts on nothing"), name
    for name in ("threshold", "first_layer", "smoothing_frames", "normalization", "slot_start"):
        assert not reasons[name], name


def test_what_the_settings_have_already_is_left_out():
    context = Context("smoke", PROFILES["smoke"].override(threshold="two_sided"), None)
    reasons = {name: reason for changed, reason in ablations.variants(context) for name in changed}
    assert reasons["threshold"] == "is so already"
    assert not reasons["checkpoint"]


def test_differences_are_taken_seed_by_seed():
    one = ablations.line("ped2", "threshold", "two_sided", [0.72, 0.82, 0.92], [0.7, 0.8, 0.9])
    assert (one["auc"], one["auc_std"]) == ("82.00", "10.00")
    assert (one["difference"], one["difference_std"], one["seeds"]) == ("+2.00", "0.00", 3)
