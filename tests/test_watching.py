"""What watching writes: intervals, the overview, tables, the annotated video."""

from types import SimpleNamespace

import av
import numpy as np
import pytest

from data_prep.errors import InputError
from experiments.lab.publishing import plots
from experiments.lab.scoring.calibration import cell_boxes
from experiments.lab.watching import outputs as watching
from experiments.lab.watching.annotated_video import VERMILLION, AnnotatedVideo, Annotator
from experiments.lab.watching.live import FrameScore
from tests.videos import lines_of


def box_of(cell):
    return tuple(cell_boxes(7)[cell].tolist())


def frames_of(scores, threshold=0.0, seconds_a_frame=0.25):
    return [
        FrameScore(number, (number - 1) * seconds_a_frame, score, score < threshold, box_of(number % 16))
        for number, score in enumerate(scores, start=1)
    ]


def test_intervals_join_what_is_less_than_a_second_apart():
    found = []
    intervals = watching.Intervals(lambda *values: found.append(values), 0.25)
    #         1   2   3  4   5   6..9 within a second  10       then longer
    scores = [1, -1, -3, 1, -2, 1, 1, 1, -1, 1, 1, 1, 1, 1, -4, 1]
    begins = [intervals.add(frame) for frame in frames_of(scores)]
    assert [number for number, begin in enumerate(begins, start=1) if begin] == [2, 15]
    assert len(found) == 1  # the other is still open
    intervals.close()
    intervals.close()
    assert found == [
        ("0.250", "2.250", 2, 9, 4, "-3.0000", 1, 4),
        ("3.500", "3.750", 15, 15, 1, "-4.0000", 4, 4),
    ]


def test_overview_keeps_the_extremes_of_a_video_of_any_length():
    scores = np.random.default_rng(0).normal(size=20_011)
    overview = watching.Overview()
    abnormal = scores < -3
    for index, score in enumerate(scores):
        overview.add(FrameScore(index + 1, index / 10, score, abnormal[index], box_of(0)))
    seconds, low, high, marked = overview.curves()
    assert watching.N_BINS <= len(seconds) <= 2 * watching.N_BINS
    width = round(10 * (seconds[1] - seconds[0]))
    starts = range(0, len(scores), width)
    np.testing.assert_allclose(seconds, np.array(starts) / 10)
    np.testing.assert_array_equal(low, [scores[start : start + width].min() for start in starts])
    np.testing.assert_array_equal(high, [scores[start : start + width].max() for start in starts])
    np.testing.assert_array_equal(marked, [abnormal[start : start + width].any() for start in starts])
    assert 0 < marked.sum() < len(marked)


def test_overview_shades_what_is_below_the_threshold(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: drawn.append(figure) or path)
    seconds, low = np.arange(5.0), np.array([1.0, -1.0, -2.0, 1.0, -1.0])
    plots.score_overview(tmp_path / "o.png", seconds, low, low + 0.5, low < 0, 0.0, "title")
    (axes,) = drawn[0].axes
    spans = [patch.get_extents().transformed(axes.transData.inverted()) for patch in axes.patches]
    np.testing.assert_allclose([(span.x0, span.x1) for span in spans], [(1, 3), (4, 5)])
    assert axes.get_xlabel() == "time (s)"
    plots.score_overview(tmp_path / "o.png", seconds[:1], low[:1], low[:1], low[:1] < 0, 0.0, "of one frame")


def test_table_is_valid_at_any_moment(tmp_path):
    path = tmp_path / "t.csv"
    table = watching.Table(path, ("a", "b"))
    for n_lines in range(5):
        assert path.read_text() == "a,b\n" + "".join(f"{i},x{i}\n" for i in range(n_lines))
        table.add(n_lines, f"x{n_lines}")
    table.close()


@pytest.mark.parametrize("abnormal", [False, True])
def test_the_outline_is_around_the_cell(abnormal):
    calibration = SimpleNamespace(threshold=0.0, highest=1.5)
    annotator = Annotator(calibration)
    picture = np.full((70, 140, 3), 90, np.uint8)
    canvas = annotator.draw(picture, FrameScore(1, 0.0, -1.0 if abnormal else 1.0, abnormal, box_of(6)))
    assert canvas.shape[0] > 70
    changed = (canvas[:70] != 90).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == (10, 40, 60, 120)  # row 1, column 2 of 4
    assert not changed[20:30, 70:110].any()
    assert (canvas[:70] == VERMILLION).all(axis=2).any() == abnormal
    assert (picture == 90).all()


def test_a_threshold_above_which_no_frame_is_lies_across_the_middle():
    annotator = Annotator(SimpleNamespace(threshold=0.0, highest=0.0))  # most training frames are at rest
    canvas = annotator.draw(np.full((70, 140, 3), 90, np.uint8), FrameScore(1, 0.0, 0.0, False, box_of(6)))
    assert canvas.shape[0] > 70


def test_a_small_region_has_an_outline_that_is_seen():
    annotator = Annotator(SimpleNamespace(threshold=0.0, highest=1.5))
    picture = np.full((300, 400, 3), 90, np.uint8)
    canvas = annotator.draw(picture, FrameScore(1, 0.0, -1.0, True, (0.99, 0.5, 1.0, 0.51)))[:300]
    marked = (canvas == VERMILLION).all(axis=2)
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    assert rows[-1] - rows[0] >= 40
    assert columns[-1] < 400
    assert ((canvas != 90).any(axis=2) & ~marked).any()  # on black


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0, 0, 0.1, 0.1), "top left"),
        ((0.8, 0.9, 1, 1), "bottom right"),
        ((0.3, 0.3, 0.4, 0.4), "above the middle, left of the middle"),
        ((0.9, 0.6, 1.0, 0.7), "below the middle, right"),
    ],
)
def test_a_place_is_told_in_words(box, words):
    assert FrameScore(1, 0.0, 0.0, True, box).place_in_words == words


def test_what_was_trained_on_is_never_abnormal(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: drawn.append(figure) or path)
    calibration = SimpleNamespace(threshold=0.0, highest=1.5)
    with watching.Outputs(tmp_path, "", calibration, 4, live=False, n_trained=6) as outputs:
        begins = [
            outputs.add(np.zeros((32, 32, 3), np.uint8), frame)
            for frame in frames_of([-1] * 5 + [1] * 2 + [-1])
        ]
    assert begins == [False] * 7 + [True]
    assert (outputs.n_frames, outputs.n_trained, outputs.n_abnormal, outputs.n_intervals) == (8, 6, 1, 1)
    lines = lines_of(tmp_path / "scores.csv")
    assert [line["abnormal"] for line in lines] == ["0"] * 7 + ["1"]
    assert [line["trained_on"] for line in lines] == ["1"] * 6 + ["0"] * 2
    assert lines_of(tmp_path / "intervals.csv")[0]["first_frame"] == "8"
    (axes,) = drawn[0].axes
    spans = [patch.get_extents().transformed(axes.transData.inverted()) for patch in axes.patches]
    np.testing.assert_allclose([(span.x0, span.x1) for span in spans], [(0, 1.25), (1.75, 2.0)])


def test_the_overview_marks_what_the_table_does(tmp_path, monkeypatch):
    """One frame of footage, below the threshold: neither calls it abnormal."""
    drawn = []
    monkeypatch.setattr(plots, "score_overview", lambda *arguments: drawn.append(arguments))
    calibration = SimpleNamespace(threshold=0.0, highest=1.5)
    with watching.Outputs(tmp_path, "", calibration, 4, live=False, n_trained=1) as outputs:
        for frame in frames_of([-1, -1, 1]):
            outputs.add(np.zeros((32, 32, 3), np.uint8), frame)
    marked, trained_seconds = drawn[0][4], drawn[0][7]
    assert marked.tolist() == [False, True, False]
    assert [line["abnormal"] for line in lines_of(tmp_path / "scores.csv")] == ["0", "1", "0"]
    assert trained_seconds == 0


def test_video_left_by_an_exception_leaves_no_file(tmp_path):
    picture = np.zeros((32, 32, 3), np.uint8)

    def broken_off():
        with AnnotatedVideo(tmp_path / "v.mp4", 10, live=False) as video:
            video.write(picture, 0.0)
            raise KeyError

    with pytest.raises(KeyError):
        broken_off()
    assert list(tmp_path.iterdir()) == []
    with AnnotatedVideo(tmp_path / "v.mp4", 10, live=True) as video:
        for seconds in (0.0, 0.1, 0.1, 0.7):  # a clock that stands still
            video.write(picture, seconds)
    with av.open(str(tmp_path / "v.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(times, [0, 0.1, 0.1, 0.7], atol=1e-3)


@pytest.mark.parametrize("live", [True, False])
def test_a_full_disk_costs_no_live_recording(tmp_path, small_files, live):
    rng, written = np.random.default_rng(0), 0

    def record():
        nonlocal written
        with AnnotatedVideo(tmp_path / "v.mp4", 2, live) as video:
            for written in range(1000):
                video.write(rng.integers(0, 255, (32, 32, 3), np.uint8), written / 2)

    with pytest.raises(InputError, match=r"v\.mp4: cannot be written, File too large"):
        record()
    assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"] * live
    if live:
        with av.open(str(tmp_path / "v.mp4")) as container:
            times = [frame.time for frame in container.decode(video=0)]
        assert 0 < len(times) <= written
        np.testing.assert_allclose(times, np.arange(len(times)) / 2)


def stream_of(path, is_live=False):
    return SimpleNamespace(name=str(path), source=str(path), is_live=is_live, is_address=False)


def folder_for(*arguments, **options):
    """The folder that a command had, which has ended since."""
    with watching.folder_for(*arguments, **options) as folder:
        return folder


def test_two_commands_on_one_video_have_a_folder_each(tmp_path):
    stream, out = stream_of(tmp_path / "v.mp4"), tmp_path / "out"
    with watching.folder_for(out, stream) as first:
        (first / "scores.csv").write_text("a line")
        with watching.folder_for(out, stream) as second:
            assert second == out / "v-2"
        assert (first / "scores.csv").read_text() == "a line"
    assert folder_for(out, stream) == first


def test_a_file_has_one_folder_whose_results_it_replaces(tmp_path):
    file, other = tmp_path / "a" / "v.mp4", tmp_path / "b" / "v.mp4"
    folder = folder_for(tmp_path / "out", stream_of(file))
    assert folder == tmp_path / "out" / "v"
    (folder / "scores.csv").write_text("old")
    (folder / "notes.txt").write_text("the user's own")
    assert folder_for(tmp_path / "out", stream_of(other)) == tmp_path / "out" / "v-2"
    assert (folder / "scores.csv").exists()
    assert folder_for(tmp_path / "out", stream_of(tmp_path / "b" / ".." / "a" / "v.mp4")) == folder
    assert {path.name for path in folder.iterdir()} == {"source.txt", "notes.txt", ".lock"}


def test_what_is_read_is_not_replaced(tmp_path):
    file = tmp_path / "v.mp4"
    folder = folder_for(tmp_path / "out", stream_of(file))
    (folder / "annotated.mp4").write_text("normal footage")
    folder_for(tmp_path / "out", stream_of(file), footage=folder / "annotated.mp4")
    assert (folder / "annotated.mp4").exists()
    (tmp_path / "link.mp4").symlink_to(folder / "annotated.mp4")
    folder_for(tmp_path / "out", stream_of(file), footage=tmp_path / "link.mp4")
    assert (folder / "annotated.mp4").exists()


def test_a_live_source_and_a_folder_that_says_nothing_are_never_replaced(tmp_path):
    taken = tmp_path / "camera"
    taken.mkdir()
    (tmp_path / "camera-2").write_text("a file")
    for number in (3, 4):
        folder = folder_for(tmp_path, stream_of(tmp_path / "camera", is_live=True))
        assert folder == tmp_path / f"camera-{number}"
    assert list(taken.iterdir()) == []


def test_a_long_name_is_cut(tmp_path):
    folder = folder_for(tmp_path, stream_of(tmp_path / ("ü" * 120 + ".mp4")))
    assert folder.name == "ü" * 50


def test_outputs_left_by_an_exception_are_the_tables(tmp_path):
    calibration = SimpleNamespace(threshold=0.0, highest=1.5)

    def broken_off():
        with watching.Outputs(tmp_path, "", calibration, 10, live=False) as outputs:
            outputs.add(np.zeros((32, 32, 3), np.uint8), FrameScore(1, 0.0, -1.0, True, box_of(0)))
            raise KeyError

    with pytest.raises(KeyError):
        broken_off()
    assert {path.name for path in tmp_path.iterdir()} == {"scores.csv", "intervals.csv"}
    assert len(lines_of(tmp_path / "intervals.csv")) == 1
