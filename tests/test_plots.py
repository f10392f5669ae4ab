"""The figures: valid PNG files, what is drawn, and what is refused."""

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

from experiments.lab.publishing import pictures, plots

VERMILLION_RGB = np.array([0xD5, 0x5E, 0x00])


@pytest.fixture
def frames():
    """Return four grey frames, uint8 (4, 24, 36, 3), of brightness 10, 70, 130 and 190."""
    return np.stack([np.full((24, 36, 3), 10 + 60 * k, dtype=np.uint8) for k in range(4)])


def has_vermillion(image):
    return bool((np.abs(image.astype(int) - VERMILLION_RGB).max(axis=-1) <= 2).any())


def pixels(path):
    return (imread(path)[..., :3] * 255).round().astype(np.uint8)


def test_draw_lines_draws_the_numbers_given():
    _, axes = plots.new_figure()
    panel = axes[0, 0]
    x, series = [1, 3, 30], {"Avenue": [80.0, 83.0, 79.0], "Ped2": [90.0, 92.0, 88.0]}
    std, published = {"Ped2": [1.0, 2.0, 0.5]}, {"Avenue": {3: 83.48}}
    plots.draw_lines(panel, x, series, std, published, log_x=True)
    for container, y in zip(panel.containers, series.values(), strict=True):
        assert container.lines[0].get_xydata().tolist() == [list(point) for point in zip(x, y, strict=True)]
    (star,) = [line for line in panel.lines if line.get_label() == "Avenue, paper"]
    assert star.get_xydata().tolist() == [[3, 83.48]]
    assert star.get_color() == panel.containers[0].lines[0].get_color()
    assert panel.get_xscale() == "log"
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["1", "3", "30"]
    legend = [text.get_text() for text in panel.get_legend().get_texts()]
    assert legend == ["Avenue", "Ped2", "Avenue, paper"]
    bars = panel.containers[1].lines[2][0].get_segments()
    assert [segment[:, 1].tolist() for segment in bars] == [[89, 91], [90, 94], [87.5, 88.5]]


def test_draw_lines_refuses_what_it_cannot_draw():
    _, axes = plots.new_figure()
    with pytest.raises(ValueError, match=r"Ped2.*expected 3 values like x, got 2"):
        plots.draw_lines(axes[0, 0], [1, 2, 3], {"Ped2": [1, 2]})
    with pytest.raises(ValueError, match="logarithmic"):
        plots.draw_lines(axes[0, 0], [0, 2], {"Ped2": [1, 2]}, log_x=True)


def test_a_series_may_lack_some_x():
    _, axes = plots.new_figure()
    plots.draw_lines(axes[0, 0], [1, 3, 10], {"Ped2": [80.0, np.nan, 82.0]}, {"Ped2": [1.0, np.nan, 2.0]})
    (line,) = axes[0, 0].containers
    assert line.lines[0].get_xydata().tolist() == [[1, 80], [10, 82]]


def test_a_point_of_one_seed_has_no_bar():
    _, axes = plots.new_figure()
    plots.draw_lines(axes[0, 0], [1, 3], {"Ped2": [80.0, 82.0]}, {"Ped2": [np.nan, 2.0]})
    segments = axes[0, 0].containers[0].lines[2][0].get_segments()
    assert [segment.tolist() for segment in segments if len(segment)] == [[[3, 80], [3, 84]]]
    assert np.isfinite(axes[0, 0].get_ylim()).all()


@pytest.mark.parametrize(("values", "span"), [([83.0, 83.2], 5.0), ([60.0, 80.0], 22.0)])
def test_a_small_difference_does_not_fill_the_axis(values, span):
    _, axes = plots.new_figure()
    panel = axes[0, 0]
    plots.draw_lines(panel, [1, 2], {"Ped2": values})
    plots.widen(panel)
    low, high = panel.get_ylim()
    assert high - low == pytest.approx(span)
    assert low < min(values) < max(values) < high
    assert (low + high) / 2 == pytest.approx(np.mean(values))


def test_sweep_curves_writes_one_png_with_metadata(tmp_path):
    panels = {"AUC (%)": {"Ped2": [1, 2, 3]}}
    path = plots.sweep_curves(tmp_path / "figure_11.png", [0, 0.5, 1], panels, "weight", "t")
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.info["Title"] == "figure_11"
        assert image.info["Commit"]
    assert [file.name for file in tmp_path.iterdir()] == ["figure_11.png"]


@pytest.mark.parametrize(("losses", "log"), [([100.0, 20.0, 5.0], True), ([9.0, 8.0, 7.5], False)])
def test_training_loss_is_logarithmic_when_it_spans_a_decade(tmp_path, monkeypatch, losses, log):
    saved = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: saved.append(figure) or path)
    plots.training_loss(tmp_path / "figure_09.png", {"spatial": ([0, 100, 200], losses)})
    (panel,) = saved[0].axes
    assert (panel.get_yscale() == "log") == log
    assert ("log scale" in panel.get_ylabel()) == log
    assert panel.lines[0].get_ydata().tolist() == losses


def test_more_runs_than_colours_are_all_drawn(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: saved.append(figure) or path)
    plots.training_loss(tmp_path / "a.png", {f"seed {k}": ([0, 1], [2.0, 1.0]) for k in range(9)})
    assert len(saved[0].axes[0].lines) == 9


def clip_arguments(frames, labels):
    n = len(labels)
    curves = {
        "score": np.linspace(1, 0, n),
        "similarity\nS": np.r_[np.nan, np.full(n - 1, 0.9)],
        "distance": np.r_[np.nan, np.full(n - 1, 2.0)],
    }
    return frames, [1, 4, 7, n], curves, np.array(labels), "clip 01"


def test_clip_curves_shade_the_abnormal_frames(tmp_path, monkeypatch, frames):
    saved = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path: saved.append(figure) or path)
    pictures.clip_curves(tmp_path / "a.png", *clip_arguments(frames, [0, 0, 1, 1, 1, 0, 0, 1, 0, 0]))
    panels = saved[0].axes[-3:]
    spans = [patch.get_extents().transformed(panels[0].transData.inverted()) for patch in panels[0].patches]
    assert [edge for span in spans for edge in (span.x0, span.x1)] == pytest.approx([2.5, 5.5, 7.5, 8.5])
    for panel, first in zip(panels, (1, 2, 2), strict=True):
        x, y = panel.lines[0].get_xydata()[~np.isnan(panel.lines[0].get_ydata())].T
        assert x.tolist() == list(range(first, 11))
        assert y.max() < 50


def test_clip_curves_of_normal_and_abnormal_clips(tmp_path, frames):
    normal = pictures.clip_curves(tmp_path / "normal.png", *clip_arguments(frames, [0] * 10))
    abnormal = pictures.clip_curves(tmp_path / "abnormal.png", *clip_arguments(frames, [0] * 6 + [1] * 4))
    strip_rows = slice(0, 250)
    assert not has_vermillion(pixels(normal)[strip_rows])
    assert has_vermillion(pixels(abnormal)[strip_rows])


def test_clip_curves_without_frames(tmp_path, monkeypatch, frames):
    saved = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path: saved.append(figure) or path)
    pictures.clip_curves(tmp_path / "a.png", None, *clip_arguments(frames, [0] * 6 + [1] * 4)[1:])
    assert len(saved[0].axes) == 3
    assert all(not panel.images for panel in saved[0].axes)


def test_clip_curves_refuse_other_lengths(tmp_path, frames):
    arguments = list(clip_arguments(frames, [0] * 10))
    arguments[2]["similarity\nS"] = np.zeros(9)
    with pytest.raises(ValueError, match="similarity: expected shape"):
        pictures.clip_curves(tmp_path / "a.png", *arguments)


def test_image_grid_takes_grey_and_colour_images(tmp_path, frames):
    rows = [list(frames[:2]), [frame[..., 0] for frame in frames[2:]]]
    captions = [["a", "b"], ["c", "d"]]
    path = pictures.image_grid(tmp_path / "figure_05.png", rows, captions, "Samples")
    seen = pixels(path)
    for brightness in (10, 70, 130, 190):  # grey images are not stretched to their own range
        assert (seen == brightness).all(axis=-1).sum() > 1000
    marked = pictures.image_grid(
        tmp_path / "b.png", rows, captions, "Samples", [[True, False], [False, False]]
    )
    assert has_vermillion(pixels(marked))
    assert not has_vermillion(seen)


def test_names_with_dollars_are_shown_as_they_are(tmp_path, monkeypatch, frames):
    names = "gate $^$", "from $5 to $6"  # the first is no formula, the second would be one
    captions = [[names[0], "b"]]
    saved = []
    save = plots.save_figure
    monkeypatch.setattr(pictures, "save_figure", lambda *shown: saved.append(shown[0]) or save(*shown))
    pictures.image_grid(tmp_path / "figure_05.png", [list(frames[:2])], captions, names[1])
    assert saved[0].get_suptitle() == names[1]
    panels = saved[0].axes
    assert [panel.get_title() for panel in panels] == captions[0]
    assert not any(text.get_parse_math() for text in saved[0].texts + [panel.title for panel in panels])


def test_ticks_of_a_logarithmic_axis_hold_no_formula():
    _, axes = plots.new_figure()
    x = [0.001 * 2**k for k in range(14)]  # too many for a tick each
    plots.draw_lines(axes[0, 0], x, {"a": x}, log_x=True)
    axes[0, 0].figure.canvas.draw()
    shown = {text.get_text() for minor in (False, True) for text in axes[0, 0].get_xticklabels(minor=minor)}
    assert {"0.001", "0.01", "0.1", "1"} <= shown
    assert not any("$" in text for text in shown)


def test_strip_image_is_an_rgb_array(frames):
    strip = pictures.figure_strip_image(frames, [1.0, 0.9, 0.2, 0.1], [0, 0, 1, 1])
    assert strip.dtype == np.uint8
    assert strip.ndim == 3
    assert strip.shape[2] == 3
    assert has_vermillion(strip)
    assert not has_vermillion(pictures.figure_strip_image(frames, [1.0, 0.9, 0.2, 0.1]))
    centre = strip[strip.shape[0] * 2 // 3]
    positions = [np.flatnonzero((centre == value).all(axis=-1)).mean() for value in (10, 70, 130, 190)]
    assert positions == sorted(positions)  # in the given order, left to right
