"""What is said of a --data in which there is no dataset: which one would work, or what was looked for."""

from pathlib import Path

import pytest

from data_prep.datasets import advice, near_misses, refuse_empty
from data_prep.datasets.__main__ import main
from data_prep.errors import InputError


@pytest.fixture
def data(tmp_path):
    """A folder with Ped2's layout and a set of one's own, without a frame: nothing is read."""
    for name in ("ped2", "yard"):
        for split in ("training", "testing"):
            (tmp_path / "data" / name / split / "frames" / "01").mkdir(parents=True)
    (tmp_path / "data/yard/labels.csv").touch()
    return tmp_path / "data"


def refusal(folder) -> str:
    with pytest.raises(InputError) as fault:
        refuse_empty(folder)
    assert "\n" not in str(fault.value)
    return str(fault.value)


def test_a_folder_of_datasets_is_taken(data):
    refuse_empty(data)
    (data.parent / "digits").mkdir()
    (data.parent / "digits/mnist.npz").touch()
    refuse_empty(data.parent / "digits")
    (data.parent / "samples/avenue_sample/training_videos").mkdir(parents=True)
    (data.parent / "samples/avenue_sample/testing_videos").mkdir()
    refuse_empty(data.parent / "samples")


def test_one_level_up_and_down(data):
    assert refusal(data.parent).endswith(f"One level down there is ped2, yard: --data {data}")
    (data / "video").mkdir()
    assert refusal(data / "video").endswith(f"One level up there is ped2, yard: --data {data}")


@pytest.mark.parametrize("name", ["ped2", "yard"])
def test_a_dataset_itself(data, name):
    assert refusal(data / name).endswith(f"expected the folder that it is in: --data {data}")


def test_a_dataset_itself_given_from_inside_it(data, monkeypatch):
    monkeypatch.chdir(data / "yard")
    assert refusal(Path(".")).endswith(f"--data {data}")
    monkeypatch.chdir(data)
    assert refusal(Path("yard")).endswith(f"--data {data}")


def test_nothing_at_all(tmp_path):
    assert "Looked for UCSDped2" in refusal(tmp_path)


def test_what_looks_like_a_set_says_what_it_lacks(data):
    (data / "yard/labels.csv").unlink()
    (data / "cellar/Train").mkdir(parents=True)
    (data / "notes").mkdir()
    faults = {folder.name: fault for folder, fault in near_misses(data).items()}
    assert list(faults) == ["cellar", "yard"]
    assert "no training/frames/<clip>/" in faults["cellar"]
    assert faults["yard"] == (
        "no frame labels, expected testing/test_frame_mask/<clip>.npy, yard.mat or labels.csv"
    )
    assert "It is stored as a dataset is" in refusal(data / "yard")
    assert "no frame labels" in advice(data / "yard")


def test_the_command_explains(data, capsys):
    assert main(["--data", str(data / "ped2")]) == 0
    assert (
        f"It is a dataset itself, expected the folder that it is in: --data {data}" in capsys.readouterr().out
    )


def test_the_command_describes_a_set_of_ones_own(data, capsys):
    (data / "ped2").rename(data.parent / "ped2")
    root = data / "yard"
    for split, clip in (("training", "01"), ("testing", "01")):
        (root / split / "frames" / clip / "1.png").write_bytes(b"not decoded")
        (root / split / "frames" / clip / "2.png").write_bytes(b"not decoded")
    (root / "labels.csv").write_text("clip,first,last\n01,2,2\n")
    (root / "dataset.toml").write_text('title = "Yard"\nframes_per_second = 2\nlicence = "CC0"')
    assert main(["--data", str(data)]) == 0
    told = capsys.readouterr().out
    assert "Yard: re-packed layout" in told
    assert "test: 1 clips, 2 frames (0.0 min at 2 frames/s), 1 abnormal" in told
    assert "licence: CC0; a set of your own: --datasets yard" in told
