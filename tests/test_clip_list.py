"""The list of clips in a folder of shards: order, what is gone, what is missing, names that are refused."""

import json

import numpy as np
import pytest
from synthetic import write_clip

from data_prep import shards
from data_prep.clip_list import FILE, ClipList, read_clip_list, write_clip_list
from data_prep.errors import InputError
from data_prep.normalization import normalize_shards
from data_prep.shards import list_shards

NUMBERS = tuple(str(number) for number in range(1, 13))


@pytest.fixture
def folder(tmp_path):
    """Shards of clips 1..12 in both splits, written in another order."""
    for name in sorted(NUMBERS):
        features = np.random.default_rng(int(name)).normal(size=(3, 21, 2)).astype(np.float32)
        for split in ("train", "test"):
            write_clip(tmp_path, split, name, features)
    return tmp_path


def stems(folder, split):
    return [path.stem for path in list_shards(folder, split)]


def test_round_trip(tmp_path):
    assert read_clip_list(tmp_path) is None
    clips = ClipList("größer", ("b", "a.x", "10"), ())
    write_clip_list(tmp_path, clips)
    assert read_clip_list(tmp_path) == clips
    assert json.loads((tmp_path / FILE).read_text()) == {
        "dataset": "größer",
        "train": ["b", "a.x", "10"],
        "test": [],
    }
    before = (tmp_path / FILE).stat().st_mtime_ns
    write_clip_list(tmp_path, clips)
    assert (tmp_path / FILE).stat().st_mtime_ns == before


def test_the_list_decides_which_shards_there_are_and_their_order(folder):
    write_clip_list(folder, ClipList("synthetic", ("10", "9", "2"), NUMBERS))
    assert stems(folder, "train") == ["10", "9", "2"]
    assert stems(folder, "test") == list(NUMBERS)


def test_without_a_list_shards_come_in_natural_order_and_it_is_said_once(folder, capsys):
    shards._say_unlisted.cache_clear()
    for split in ("train", "test", "train"):
        assert stems(folder, split) == list(NUMBERS)
    assert capsys.readouterr().err.count(f"{folder}: no clips.json in it") == 1
    assert not (folder / FILE).exists()


def test_clips_that_are_still_to_be_extracted_are_named(folder):
    write_clip_list(folder, ClipList("synthetic", (*NUMBERS, "13"), tuple(map(str, range(30)))))
    with pytest.raises(InputError, match=r"train: 1 of 13 clips still to be extracted, 13; the command"):
        list_shards(folder, "train")
    with pytest.raises(InputError, match=r"test: 18 of 30 clips still to be extracted, 0, 13, 14, 15, 16, "):
        list_shards(folder, "test")


def test_normalized_shards_are_those_of_the_list_too(folder):
    write_clip_list(folder, ClipList("synthetic", ("2", "10"), ("3",)))
    done = normalize_shards(folder, "standardized")
    assert stems(done, "train") == ["2", "10"]
    assert {path.stem for path in done.rglob("*.h5")} == {"2", "10", "3"}
    write_clip_list(folder, ClipList("synthetic", ("2",), ("3",)))
    assert stems(normalize_shards(folder, "standardized"), "train") == ["2"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", "a\nb", "a\0b", "\udcff", ".x", 7])
def test_names_that_lead_elsewhere_are_refused(folder, name):
    content = {"dataset": "synthetic", "train": [name], "test": []}
    (folder / FILE).write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"clips\.json: damaged list of clips, expected names that can name"):
        list_shards(folder, "train")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"dataset": "a", "train": 3, "test": []}', "\x00"])
def test_damaged_list_is_one_line(folder, content):
    (folder / FILE).write_text(content)
    with pytest.raises(InputError, match=r"clips\.json: damaged list of clips") as caught:
        list_shards(folder, "train")
    assert "\n" not in str(caught.value)


def test_clip_that_repeats_is_refused():
    with pytest.raises(ValueError, match="expected every test clip once, got 'a' again"):
        ClipList("synthetic", (), ("a", "b", "a"))
