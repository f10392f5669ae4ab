"""The catalogue's entries of the systems that the paper quotes, and of parts of them.

A row that is not the published system itself is named "after" its authors, or "-style"; what is source and
what is our inference stands in `models.quoted`.
"""

from functools import partial

from experiments.lab.systems.entry import System
from experiments.lab.systems.quoted.inputs import Cells, VideoFrames

_HERE = "experiments.lab.systems.quoted"
_SCORE = ("smoothing_frames", "smoothing")  # their limits are those of all clips, see `quoted_rows`
_REPEATED = "the command that made the run fits it again, from `models/quoted`"
_TABLE_04 = ("table_03", "table_04", "table_10")
_System = partial(System, stream="cells", made_again=_REPEATED, unit="fit", quoted=True)
_Maps = partial(_System, has_regions=True)

QUOTED = (
    _Maps(
        "MPPCA",
        f"{_HERE}.mppca:mppca_task",
        Cells(f"{_HERE}.mppca"),
        "Takes for abnormal a flow that is improbable at its place.",
        ("mppca_latent", *_SCORE),
        remark="as Mahadevan et al. 2010 ran it, without its Markov field",
        has_published_eer=True,
    ),
    _Maps(
        "SF",
        f"{_HERE}.mppca:force_task",
        Cells(f"{_HERE}.mppca"),
        "Takes for abnormal flow that differs from what is around it, and that changes.",
        _SCORE,
        remark="as Mahadevan et al. 2010 ran it, without LDA",
        has_published_eer=True,
        drawn=False,
    ),
    _Maps(
        "MPPC+SFA",
        f"{_HERE}.mppca:sum_task",
        Cells(f"{_HERE}.mppca"),
        "Adds the scores of MPPCA and of social force.",
        ("mppca_latent", *_SCORE),
        remark="as Mahadevan et al. 2010 ran both",
        has_published_eer=True,
    ),
    _Maps(
        "HOFM",
        f"{_HERE}.hofm:hofm_task",
        Cells(f"{_HERE}.hofm"),
        "Takes for abnormal a histogram of flow that is far from all that its place had in training.",
        _SCORE,
        has_published_eer=True,
    ),
    _Maps(
        "HOFME",
        f"{_HERE}.hofm:hofme_task",
        Cells(f"{_HERE}.hofm"),
        "HOFM with the entropy of the flow around each pixel.",
        _SCORE,
        remark="the entropy is our inference",
        has_published_eer=True,
    ),
    _System(
        "Del et al.",
        f"{_HERE}.del_giorno:task",
        VideoFrames(),
        "Takes for abnormal what a classifier tells from the frames before it, in many orders of frames.",
        ("del_giorno_frame", *_SCORE),
        fitted=False,
    ),
    _System(
        "Unmasking",
        f"{_HERE}.unmasking:motion_task",
        VideoFrames(),
        "Takes for abnormal what is told from the frames before it even without its strongest features.",
        ("unmasking_regularization", *_SCORE),
        remark="motion",
        fitted=False,
        drawn=False,
    ),
    _System(
        "Unmasking (appearance)",
        f"{_HERE}.unmasking:appearance_task",
        VideoFrames(backbone_px=224),
        "Unmasking on the last map of the backbone.",
        ("backbone", "feature_compute_dtype", "unmasking_regularization", *_SCORE),
        fitted=False,
        drawn=False,
        paper_profile_alone=True,
    ),
    _Maps(
        "Hinami-style",
        f"{_HERE}.hinami:task",
        VideoFrames(backbone_px=448),  # a person is more than one entry of the last map
        "Takes for abnormal an object whose features are unusual at its place.",
        ("backbone", "feature_compute_dtype", "hinami_detector", "hinami_step_frames", *_SCORE),
        remark="an ImageNet network, no learned attributes",
    ),
    _Maps(
        "after Lu et al.",
        f"{_HERE}.lu:task",
        VideoFrames(),
        "Takes for abnormal gradients that are far from every combination learned.",
        ("lu_threshold", *_SCORE),
        tables=_TABLE_04,
        remark="one model, as released",
    ),
    _Maps(
        "after Biswas et al.",
        f"{_HERE}.biswas:task",
        Cells(f"{_HERE}.biswas"),
        "Takes for abnormal a length of motion vectors that is improbable at its place.",
        _SCORE,
        tables=_TABLE_04,
        remark="from the abstract",
        drawn=False,
    ),
    _Maps(
        "Reddy et al.",
        f"{_HERE}.reddy:task",
        Cells(f"{_HERE}.reddy"),
        "Takes for abnormal a speed or a size of the foreground that is improbable at its place.",
        ("reddy_known", "reddy_rule", *_SCORE),
        tables=_TABLE_04,
        remark="another foreground",
        has_published_eer=True,
        drawn=False,
    ),
    _Maps(
        "after Javan et al.",
        f"{_HERE}.javan:task",
        VideoFrames(),
        "Takes for abnormal small volumes that are improbable around one another.",
        ("javan_update", *_SCORE),
        tables=_TABLE_04,
        remark="from what is recalled",
        has_published_eer=True,
    ),
)
