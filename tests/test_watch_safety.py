"""Watching writes no secret, replaces nothing of others, and keeps what came when something fails."""

import errno
import itertools
import os
import re
import shutil
import subprocess
import sys

import imageio.v3 as iio
import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.live_frames import FrameStream
from experiments import watch
from experiments.lab.watching import live, session
from experiments.lab.watching import outputs as watching
from tests.videos import N_FRAMES, lines_of, pictures, write_video
from tests.watched import FEATURES, OF_RUNS, call, refused, results_folder


def bytes_under(folder):
    """All that is there: names and contents."""
    paths = [path for path in folder.rglob("*") if not path.name.endswith(".ts")]
    return b"".join(str(path).encode() + (path.read_bytes() if path.is_file() else b"") for path in paths)


def test_no_byte_of_what_a_run_writes_or_prints_holds_a_password(
    camera, trained, tmp_path, monkeypatch, capfd
):
    """One camera by two addresses, which are the same without their secrets: nothing is replaced."""
    titles = []
    monkeypatch.setattr(watching.plots, "score_overview", lambda *arguments: titles.append(arguments[6]))
    options = ["--run", *trained.runs, *OF_RUNS, "--out", tmp_path / "out"]
    for address in (f"http://ann:s3cret@{camera}/live", f"http://{camera}/live?user=ann&password=s3cret"):
        assert call(monkeypatch, address, *options) == 0
    printed = "".join(capfd.readouterr())
    assert printed.count(" frames, ") == 2
    shown = f"http://{camera}/live"
    name = re.sub("[:/]+", "_", shown)
    folders = [results_folder(tmp_path / "out", each, FEATURES) for each in (name, f"{name}-2")]
    assert set(folders[0].parent.iterdir()) == set(folders)
    for folder in folders:
        assert (folder / "source.txt").read_text() == f"{shown}\n"
        assert lines_of(folder / "scores.csv")
    everything = bytes_under(tmp_path / "out") + printed.encode() + "".join(titles).encode()
    assert [name in title for title in titles] == [True, True]
    assert b"s3cret" not in everything
    assert b"ann" not in everything.replace(b"annotated", b"")


@pytest.mark.parametrize(
    "arguments",
    [
        ["rtsp://ann:s3cret@camera/live"],
        ["rtsp://ann:s3 cret@camera/live", "--train-until", "0.3", "--run", "x"],
        ["x.avi", "--train", "rtsp://ann:s3cret@camera/live"],
        ["x.avi", "--run", "rtsp://ann:s3cret@camera/live"],
        ["x.avi", "--train", "y.avi", "--rate", "rtsp://ann:s3cret@camera/live"],
        ["x.avi", "rtsp://ann:s3cret@camera/live", "--train", "y.avi"],
    ],
)
def test_no_error_holds_a_password(arguments, monkeypatch, capsys):
    assert "cret" not in refused(monkeypatch, capsys, *arguments)


@pytest.mark.parametrize("scheme", ["tcp", "rtsp", "http", "rtmp", "nosuch"])
def test_an_address_that_does_not_answer_is_named_without_its_secrets(scheme, capfd):
    """Nor does FFmpeg print it."""
    with pytest.raises(InputError, match=rf"^{scheme}://127\.0\.0\.1:1: cannot be read as a video") as fault:
        list(FrameStream(f"{scheme}://ann:s3cret@127.0.0.1:1?password=s3cret"))
    assert "s3cret" not in str(fault.value) + "".join(capfd.readouterr())


def test_files_of_one_name_have_a_folder_each_and_none_replaces_what_it_reads(trained, tmp_path, monkeypatch):
    options = ["--run", *trained.runs, *OF_RUNS, "--out", tmp_path]
    for camera in ("a", "b"):
        (tmp_path / camera).mkdir()
        write_video(tmp_path / camera / "today.avi", pictures(20 if camera == "a" else 12))
        assert call(monkeypatch, tmp_path / camera / "today.avi", *options) == 0
    first, second = (results_folder(tmp_path, name, FEATURES) for name in ("today", "today-2"))
    assert [len(lines_of(folder / "scores.csv")) for folder in (first, second)] == [20, 12]
    assert call(monkeypatch, tmp_path / "a" / "today.avi", *options) == 0  # its own are replaced
    assert set(first.parent.iterdir()) == {first, second}
    ended = subprocess.Popen(["true"])  # as a command that was killed while it wrote
    ended.wait()
    left, living = (first / f".{number}-annotated.mp4" for number in (ended.pid, os.getppid()))
    for path in (left, living):
        path.touch()
    assert call(monkeypatch, tmp_path / "a" / "today.avi", *options) == 0
    assert not left.exists()
    living.unlink()  # there still: another command may be writing it
    video = first.with_name("annotated") / "annotated.mp4"
    video.parent.mkdir()
    shutil.copy(first / "annotated.mp4", video)
    assert call(monkeypatch, video, *options) == 0
    assert video.read_bytes() == (first / "annotated.mp4").read_bytes()
    assert len(lines_of(first.with_name("annotated-2") / "scores.csv")) == 20


def test_a_model_that_diverges_keeps_what_came(trained, tmp_path, monkeypatch, capsys):
    usual, n_calls = live.RegionErrors.__call__, itertools.count(1)

    def diverging(self, features):
        errors = usual(self, features)
        return errors if next(n_calls) <= 30 else {name: np.inf * values for name, values in errors.items()}

    monkeypatch.setattr(live.RegionErrors, "__call__", diverging)
    error = refused(monkeypatch, capsys, trained.video, "--run", *trained.runs, *OF_RUNS, "--out", tmp_path)
    assert re.search(r"yard\.avi: the model of the spatial stream diverges: .* not finite; what came", error)
    folder = results_folder(tmp_path, beside=FEATURES)
    assert {path.name for path in folder.iterdir()} == set(watching.FILES)
    assert len(lines_of(folder / "scores.csv")) == 30
    assert len(list(iio.imiter(folder / "annotated.mp4", plugin="pyav"))) == 30


def test_a_reader_that_goes_away_costs_no_recording(trained, tmp_path, monkeypatch):
    def gone(*text, **options):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(session, "announcement", gone)
    options = ["--run", *trained.runs, *OF_RUNS, "--out", tmp_path]
    monkeypatch.setattr(sys, "argv", ["watch", *map(str, [trained.video, *options])])
    with pytest.raises(BrokenPipeError):  # `exit_code` looks whether it is stdout that nobody reads
        watch.main()
    folder = results_folder(tmp_path, beside=FEATURES)
    n_frames = len(lines_of(folder / "scores.csv"))
    assert 0 < n_frames < N_FRAMES
    assert len(lines_of(folder / "intervals.csv")) == 1
    assert len(list(iio.imiter(folder / "annotated.mp4", plugin="pyav"))) == n_frames
