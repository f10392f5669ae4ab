"""A place is learned from normal video, within limits, kept with the features and taken along by runs."""

import numpy as np
import pytest

from data_prep.errors import InputError
from data_prep.files import keep_beside
from data_prep.flow_windows import place as place_module
from data_prep.flow_windows.options import N_CHANNELS, FlowWindowOptions
from data_prep.flow_windows.place import FILE, learn_place, learned_place, load_place
from data_prep.flow_windows.rows import clip_flows
from data_prep.frames import iter_frames
from data_prep.read_ahead import stack_batches
from tests.walkers import SINGLE, rows_of, walkers, write_clip


def test_nothing_that_moves_is_an_error_in_one_line(tmp_path):
    still = [next(walkers())] * 20
    folder = write_clip(tmp_path / "01", still)
    with pytest.raises(
        InputError, match=r"01 and the other training clips: .* something moves, got 0 pixels"
    ) as caught:
        learn_place([folder], SINGLE)
    assert "\n" not in str(caught.value)


def test_a_place_is_learned_kept_and_taken_along(tmp_path):
    clips = [write_clip(tmp_path / "clips" / "01", walkers(n_frames=20))]
    options = FlowWindowOptions(flow_frames=1, row_frames=3)
    place = learn_place(clips, options)
    assert place.unit.at_bottom > 0.35
    rows = rows_of(walkers(n_frames=16), place.unit, options, place.factor)
    active = rows[rows.any(axis=2)]
    assert rows.shape[2] == N_CHANNELS
    assert np.square(active).sum(axis=1).mean() == pytest.approx(1, abs=0.1)

    folder = tmp_path / "features"
    assert learned_place(folder, clips, options) == place == load_place(folder)
    written = (folder / FILE).stat().st_mtime_ns
    learned_place(folder, clips, options)
    assert (folder / FILE).stat().st_mtime_ns == written
    keep_beside(FILE, folder, tmp_path / "run")
    assert load_place(tmp_path / "run") == place
    write_clip(tmp_path / "clips" / "02", walkers(n_frames=4, speed=2))
    more = learned_place(folder, [*clips, tmp_path / "clips" / "02"], options)
    assert more.source != place.source
    assert load_place(folder) == more


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"options": 1, "unit": 2, "factor": 3}', b"\xff"])
def test_a_damaged_place_is_named(tmp_path, content):
    with pytest.raises(InputError, match=r"flow_windows\.json: no such file"):
        load_place(tmp_path)
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError, match=r"flow_windows\.json: damaged"):
        load_place(tmp_path)


def test_the_sample_is_of_the_whole_video_and_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(place_module, "SAMPLE_FRAMES", 16)
    monkeypatch.setattr(place_module, "RUN_FRAMES", 4)
    clips = [write_clip(tmp_path / f"{n}", walkers(n_frames=10, start=100 * n)) for n in range(4)]
    sampled = [np.stack(run) for run in place_module.sampled_flows(clips, SINGLE)]
    assert sum(map(len, sampled)) <= 16
    everything = [
        list(clip_flows(run, SINGLE)) for clip in clips for run in stack_batches(iter_frames(clip), 4)
    ]
    for found, expected in zip(sampled, everything[::3], strict=True):
        np.testing.assert_array_equal(found, expected)
