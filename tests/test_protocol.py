"""The protocol as a value: its words say what is computed, and every part of it changes number or words."""

import math
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest

from data_prep.errors import InputError
from experiments.lab.scoring.measure import protocols_of
from experiments.lab.scoring.protocol import Protocol
from experiments.lab.scoring.regularity import regularity
from experiments.lab.scoring.score import ClipScores
from experiments.lab.settings.schema import PAPER

PAPERS = Protocol.of(PAPER.score)


def test_the_headline_is_what_the_settings_say():
    assert PAPERS == Protocol()
    changed = PAPER.override(motion="temporal+flow", smoothing_frames=5, normalization="train", fusion="log")
    headline = Protocol.of(changed.score)
    assert headline.streams == ("spatial", "temporal", "flow")
    assert (headline.smoothing_frames, headline.normalization, headline.fusion) == (5, "train", "log")
    assert Protocol.of(changed.score, ["flow"]) == replace(headline, streams=("flow",))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "spatial + 0.5 temporal, per_clip normalization, last checkpoint, max over regions"),
        ({"streams": ("flow",)}, "flow alone, per_clip normalization, last checkpoint, max over regions"),
        (
            {"streams": ("frames",), "frame_error": "one"},
            "gray frames, per_clip normalization, last checkpoint, one error a frame",
        ),
        (
            {"normalization": "train"},
            "spatial + 0.5 temporal, train normalization, last checkpoint, max over regions, no look ahead",
        ),
        (
            {"normalization": "train", "smoothing_frames": 5},
            "spatial + 0.5 temporal, train normalization, last checkpoint, max over regions, "
            "mean of 5 frames, 2 ahead",
        ),
        (
            {"normalization": "train", "smoothing_frames": 4, "smoothing": "causal"},
            "spatial + 0.5 temporal, train normalization, last checkpoint, max over regions, "
            "mean of the last 4 frames, no look ahead",
        ),
        (
            {"normalization": "train", "ahead_frames": 9},
            "spatial + 0.5 temporal, train normalization, last checkpoint, max over regions, "
            "errors up to 9 frames ahead",
        ),
        (
            {"fusion": "calibrated", "normalization": "global", "temporal_weight": 0.3},
            "spatial + temporal, calibrated against training errors, last checkpoint, max over regions, "
            "no look ahead",
        ),
        (
            {"fusion": "log", "streams": ("spatial", "temporal", "flow"), "checkpoint": "best_on_test"},
            "temporal + flow + 0.25 spatial, log of errors calibrated against training errors, "
            "best_on_test checkpoint (chosen on the test set), max over regions",
        ),
        (
            {"overlap": 0.2, "remark": "a sweep"},
            "pixel level, 20 % covered, spatial + 0.5 temporal, per_clip normalization, last checkpoint, "
            "max over regions; a sweep",
        ),
    ],
)
def test_the_words_of_a_protocol(changed, words):
    assert str(replace(PAPERS, **changed)) == words


def test_no_look_ahead_is_said_only_where_it_is_so():
    """Of all combinations: a score whose words say so does not change when later frames change."""
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 2

    def clips(after):
        errors = np.random.default_rng(1).gamma(2.0, size=(12, 21))
        errors[6:] *= after
        return {stream: [ClipScores("1", labels, errors)] for stream in ("spatial", "temporal")}

    train = {stream: rng.gamma(4.0, size=99) for stream in ("spatial", "temporal")}
    n_said = 0
    for kind in ("paper", "calibrated", "log"):
        for normalization in ("per_clip", "global", "train"):
            for n_frames, smoothing in ((1, "centered"), (3, "centered"), (3, "causal")):
                protocol = replace(
                    PAPERS,
                    fusion=kind,
                    normalization=normalization,
                    smoothing_frames=n_frames,
                    smoothing=smoothing,
                )
                one, other = (regularity(clips(after), protocol, train)[0][:6] for after in (1, 50))
                said = "no look ahead" in str(protocol)
                assert said == (protocol.look_ahead_frames == 0) == np.array_equal(one, other), protocol
                n_said += said
    assert n_said == 2 * 3 * 2 + 2


@pytest.mark.parametrize(
    ("changed", "frames"),
    [
        ({}, math.inf),
        ({"normalization": "train"}, 0),
        ({"normalization": "train", "checkpoint": "best_on_test"}, math.inf),
        ({"fusion": "log", "smoothing_frames": 5}, 2),
        ({"fusion": "log", "smoothing_frames": 5, "smoothing": "causal", "ahead_frames": 1}, 1),
        ({"fusion": "log", "smoothing_frames": 5, "ahead_frames": 1}, 3),
    ],
)
def test_look_ahead_in_frames(changed, frames):
    assert replace(PAPERS, **changed).look_ahead_frames == frames


def test_beside_the_headline_stand_streams_normalizations_and_the_other_checkpoint():
    beside = list(PAPERS.beside())
    changes = [
        {f.name for f in fields(Protocol) if getattr(one, f.name) != getattr(PAPERS, f.name)}
        for one in beside
    ]
    assert changes == [{"streams"}] * 2 + [{"normalization"}] * 2 + [{"checkpoint"}]
    assert len({str(one) for one in [PAPERS, *beside]}) == 6
    of_log = list(replace(PAPERS, fusion="log", checkpoint="best_on_test").beside())
    assert [one.fusion for one in of_log] == ["log", "log", "paper", "log"]
    assert of_log[-1].checkpoint == "last"
    alone = list(replace(PAPERS, streams=("flow",)).beside())
    assert [one.normalization for one in alone] == ["global", "train", "per_clip"]


def test_a_stream_alone_looks_as_far_ahead_as_its_own_run():
    """Flow windows look four frames ahead, the spatial stream beside them at none."""

    def run(ahead_frames):
        clips = [ClipScores("1", np.zeros(3, np.uint8), np.zeros((3, 21)))]
        return SimpleNamespace(scores=lambda: clips, steps=[10, 20], ahead_frames=ahead_frames)

    runs = {"spatial": run(0), "flow": run(4)}
    protocol = replace(PAPERS, streams=("spatial", "flow"), fusion="calibrated")
    headline, *others = protocols_of(runs, protocol)
    alone = {one.streams[0]: one.look_ahead_name for one in others if len(one.streams) == 1}
    assert headline.look_ahead_name == "errors up to 4 frames ahead"
    assert alone == {"spatial": "no look ahead", "flow": "errors up to 4 frames ahead"}


def test_the_words_differ_where_the_numbers_do():
    """Two protocols of one text would be two numbers for one row of results.csv."""
    rng = np.random.default_rng(0)
    labels = [np.arange(15) % 3 == 0, np.arange(20) % 4 == 0]
    streams = {
        stream: [
            ClipScores(str(i), y.astype(np.uint8), rng.gamma(2.0, size=(len(y), 21)))
            for i, y in enumerate(labels)
        ]
        for stream in ("spatial", "temporal", "flow")
    }
    train = {stream: rng.gamma(2.0, size=99) for stream in streams}
    changes = [
        {"streams": ("spatial", "flow")}, {"fusion": "calibrated"}, {"fusion": "log"},
        {"fusion": "log", "spatial_weight": 0.75}, {"temporal_weight": 0.3}, {"normalization": "global"},
        {"normalization": "train"}, {"frame_error": "frame"}, {"frame_error": "scale_mean"},
        {"smoothing_frames": 3}, {"smoothing_frames": 5}, {"smoothing_frames": 3, "smoothing": "causal"},
    ]  # fmt: skip
    protocols = [PAPERS, *(replace(PAPERS, **changed) for changed in changes)]
    scores = [np.concatenate(regularity(streams, protocol, train)).tobytes() for protocol in protocols]
    assert len(set(scores)) == len(set(map(str, protocols))) == len(protocols)


def test_centered_smoothing_takes_an_odd_number():
    assert PAPER.override(smoothing_frames=4, smoothing="causal").score.smoothing_frames == 4
    with pytest.raises(InputError, match="smoothing_frames: expected an odd number of frames, got 4"):
        PAPER.override(smoothing_frames=4)
