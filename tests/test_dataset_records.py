import pytest

from data_prep.datasets import RECORDS, where_to_get


def test_records_cover_the_paper():
    assert set(RECORDS) == {"ped2", "ped1", "avenue", "entrance", "exit", "shanghaitech", "lv", "walkway"}
    assert all(name == record.name for name, record in RECORDS.items())


# Paper: Table 2, total and training frames; SPEC: the released ShanghaiTech test set has 40,791 frames.
@pytest.mark.parametrize(
    ("name", "total", "train"),
    [
        ("avenue", 30652, 15328),
        ("ped2", 4560, 2550),
        ("ped1", 14000, 6800),
        ("lv", 309940, 127500),
        ("shanghaitech", 274515 + 40791, 274515),
    ],
)
def test_official_frame_counts(name, total, train):
    assert RECORDS[name].n_train_frames == train
    assert RECORDS[name].n_train_frames + RECORDS[name].n_test_frames == total


def test_subway_counts_are_open_but_for_what_its_labels_fix():
    """Entrance's labels reach beyond Table 2's 136,524 frames; Exit's 64,901 fit the whole video as well."""
    counts = {
        name: (RECORDS[name].n_train_frames, RECORDS[name].n_test_clips) for name in ("entrance", "exit")
    }
    assert counts == {"entrance": (20000, 6), "exit": (7500, 4)}
    assert RECORDS["entrance"].n_test_frames is RECORDS["exit"].n_test_frames is None


@pytest.mark.parametrize("name", list(RECORDS))
def test_where_to_get(name):
    text = where_to_get(name)
    assert RECORDS[name].title in text
    assert len(text.splitlines()) == 2
    assert ("http" in text) or name == "walkway"
