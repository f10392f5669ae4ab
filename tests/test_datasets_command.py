import shutil

import numpy as np
import pytest
from PIL import Image
from ucsd_copies import HEIGHT, WIDTH, make_repacked

from data_prep.datasets import RECORDS, compare_with_masks, find_datasets
from data_prep.datasets.__main__ import main


def test_command_prints_found_and_missing(tmp_path, capsys, monkeypatch):
    make_repacked(tmp_path, "walkway")
    assert main(["--data", str(tmp_path)]) == 0
    found, missing = capsys.readouterr().out.split("missing:")
    size_bytes = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert (
        f"Walkway (rendered): re-packed layout in {tmp_path / 'walkway'}, {size_bytes / 1e6:.1f} MB" in found
    )
    assert "train: 2 clips, 7 frames" in found
    assert "test: 2 clips, 9 frames, 5 abnormal" in found
    assert "walkway.mat; pixel masks: 2 clips, which agree with the labels on all 9 frames" in found
    assert f"licence: {RECORDS['walkway'].licence}" in found
    assert RECORDS["avenue"].url in missing
    assert RECORDS["avenue"].licence in missing
    assert "Walkway" not in missing


def test_command_without_data(capsys):
    assert main([]) == 0
    assert "none found" in capsys.readouterr().out


def test_command_reads_labels_that_have_no_frames(tmp_path, capsys):
    make_repacked(tmp_path, "ped1")
    (tmp_path / "ground_truth").mkdir()
    (tmp_path / "ped1" / "ped1.mat").rename(tmp_path / "ground_truth" / "ped1.mat")
    shutil.rmtree(tmp_path / "ped1")
    assert main(["--data", str(tmp_path)]) == 0
    assert "ped1.mat, 2 clips, 5 abnormal frames, not 4,045" in capsys.readouterr().out


def test_disagreement_of_labels_and_masks_is_counted_and_printed(tmp_path, capsys):
    root = make_repacked(tmp_path, "walkway")
    Image.fromarray(np.ones((HEIGHT, WIDTH), np.uint8)).save(root / "testing/masks/01/000.png")
    for name in ("000.png", "001.png"):
        Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(root / "testing/masks/02" / name)
    assert compare_with_masks(find_datasets(tmp_path)["walkway"]) == {"01": (0, 1), "02": (2, 0)}
    assert main(["--data", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "DISAGREE with the labels on 3 of 9 frames: clip 01 0 by labels alone and 1 by masks" in printed
    assert "clip 02 2 by labels alone and 0 by masks alone" in printed


def test_command_exits_with_2(tmp_path, capsys):
    make_repacked(tmp_path)
    assert main(["--data", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "expected 16 train clips, got 2" in captured.err
    with pytest.raises(SystemExit) as stop:
        main(["--dta", str(tmp_path)])
    assert stop.value.code == 2
