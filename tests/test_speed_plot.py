"""Accuracy against speed: which numbers are drawn, and labels that can be read."""

from itertools import combinations

import imageio.v3 as iio
import numpy as np
import pytest

from experiments import table_10_running_time as table_10
from experiments.lab.publishing import plots, speed_plot
from experiments.lab.publishing.results import Row, update_exhibit

WORD = "after Somebody et al."


def accuracy(row, auc, column="Ped2", protocol="first", metric="auc"):
    return Row("table_03", row, column, metric, auc, seeds=1, protocol=protocol, dataset="Ped2")


def speed(row, rate, column=table_10.END_TO_END, dataset="Ped2"):
    return Row("table_10", row, column, "fps", rate, seeds=1, protocol="timed", dataset=dataset)


def test_points_are_the_headlines_of_systems_with_both_numbers():
    rows = [
        accuracy("HOFM", 0.9),
        accuracy("HOFM", 0.5, protocol="second"),
        accuracy("HOFM", 0.1, "Ped2 EER", metric="equal_error_rate"),
        accuracy("TSC", 0.8),
        accuracy("SF", 0.7, "Walkway"),
    ]
    rates = [
        speed("HOFM", 25),
        speed("HOFM", 90, table_10.ALONE),
        speed("SF", 9),
        speed("TSC", 5, dataset="x"),
    ]
    assert speed_plot.points(rows, rates, "Ped2", table_10.END_TO_END) == {"HOFM": (25, 90)}


@pytest.mark.parametrize("seed", range(3))
def test_labels_cover_neither_one_another_nor_a_point(seed):
    rng = np.random.default_rng(seed)
    systems = {
        f"{WORD[: rng.integers(3, 22)]} {i}": (10 ** rng.uniform(1, 1.5), rng.uniform(70, 80))
        for i in range(18)
    }
    _, axes = plots.new_figure(size_inches=(9.0, 5.6))
    panel = axes[0, 0]
    panel.scatter(*np.transpose(list(systems.values())))
    panel.set_xscale("log")
    labels = speed_plot.place_labels(panel, systems)
    assert [label.get_text() for label in labels] == list(systems)
    assert len(panel.texts) == len(systems)  # those tried and left are gone
    boxes = [label.get_window_extent() for label in labels]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    markers = panel.transData.transform(list(systems.values()))
    assert not any(box.contains(*marker) for box in boxes for marker in markers)


def test_the_figure_is_drawn_where_table_3_was_made(tmp_path, capsys):
    context = type("Here", (), {"results_dir": tmp_path, "profile_name": "quick"})()
    rows = [speed("HOFM", 25), speed("TSC", 5)]
    update_exhibit(tmp_path, "table_10", rows)
    table_10.draw_speed(context, rows, "Ped2")
    assert "no row of Table 3 on Ped2" in capsys.readouterr().out
    assert not (tmp_path / "table_10_speed.png").exists()
    update_exhibit(tmp_path, "table_03", [accuracy("HOFM", 0.9), accuracy("TSC", 0.8)])
    table_10.draw_speed(context, rows, "Ped2")
    assert iio.imread(tmp_path / "table_10_speed.png").std() > 5


def test_the_legend_names_the_groups_that_have_systems(tmp_path, monkeypatch):
    systems = {"TSC": (10, 80), "HOFM": (100, 90), "Nearest Neighbor": (50, 70)}
    groups = {"run": {"TSC"}, "quoted": {"HOFM", "SF"}, "ours": {"Nearest Neighbor"}}
    shown = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: shown.append(figure) or path)
    speed_plot.draw(tmp_path / "speed.png", systems, groups, "title")
    speed_plot.draw(tmp_path / "speed.png", {"HOFM": (100, 90)}, groups, "title")
    legends = [[text.get_text() for text in figure.axes[0].get_legend().texts] for figure in shown]
    assert legends == [["run", "quoted", "ours"], ["quoted"]]
    points = {tuple(dots.get_offsets()[0]) for dots in shown[0].axes[0].collections}
    assert points == set(systems.values())
