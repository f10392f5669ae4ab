"""What is published of each dataset of the paper: names, counts, licence, where its files and labels are.

A new dataset needs a `Record` here and, if it is stored in a new way, a layout; a labelled set of one's own
needs neither, see `datasets.own`. Paper: Table 2, Sec. 4.3.
"""

from data_prep.layouts import LV, REPACKED, SHANGHAITECH, UCSD, VIDEOS, Record, one_video_layout

_UCSD_URL = "http://www.svcl.ucsd.edu/projects/anomaly/dataset.htm"
_SUBWAY_URL = "from the authors of https://doi.org/10.1109/TPAMI.2007.70825"

# Frame counts: the paper's Table 2, but for the ShanghaiTech test set, where the released ground truth has
# 40,791 frames and the paper 42,883, and for Subway: its Entrance labels reach frame 143,000, and the paper
# counts 136,524 in all. Abnormal frames: counted in the released ground truth; the paper's Table 2 has 1,636
# for Ped2, 4,005 for Ped1, 3,820 for Avenue, 17,090 for ShanghaiTech, and for Subway a sixteenth of what
# the labels in circulation mark, so that no count of theirs is called official.
RECORDS: dict[str, Record] = {
    record.name: record
    for record in (
        Record(
            name="ped2",
            title="UCSD Ped2",
            column="Ped2",
            url=_UCSD_URL,
            licence="no licence stated, for research",
            folders=("UCSDped2", "ped2"),
            layouts=(UCSD, REPACKED),
            label_files=("ped2.mat",),
            n_train_clips=16,
            n_test_clips=12,
            n_train_frames=2550,
            n_test_frames=2010,
            n_abnormal_frames=1648,
        ),
        Record(
            name="ped1",
            title="UCSD Ped1",
            column="Ped1",
            url=_UCSD_URL,
            licence="no licence stated, for research",
            folders=("UCSDped1", "ped1"),
            layouts=(UCSD, REPACKED),
            label_files=("ped1.mat",),
            all_masked=False,  # the archive has masks of 10 of the 36 test clips
            n_train_clips=34,
            n_test_clips=36,
            n_train_frames=6800,
            n_test_frames=7200,
            n_abnormal_frames=4045,
        ),
        Record(
            name="avenue",
            title="CUHK Avenue",
            column="Avenue",
            url="http://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal/dataset.html",
            licence="no licence stated, for research",
            folders=("Avenue Dataset", "Avenue_Dataset", "avenue"),
            layouts=(VIDEOS, REPACKED),
            label_files=("avenue.mat",),
            masks_are_labels=True,
            n_train_clips=16,
            n_test_clips=21,
            n_train_frames=15328,
            n_test_frames=15324,
            n_abnormal_frames=3867,
        ),
        Record(
            name="entrance",
            title="Subway Entrance",
            column="Entrance",
            url=_SUBWAY_URL,
            licence="on request",
            folders=("entrance", "enter"),
            layouts=(one_video_layout("subway_entrance_turnstiles.AVI", 20_000, 20_000), VIDEOS, REPACKED),
            label_files=("entrance.mat", "enter.mat"),
            n_test_clips=6,
            n_train_frames=20000,
        ),
        Record(
            name="exit",
            title="Subway Exit",
            column="Exit",
            url=_SUBWAY_URL,
            licence="on request",
            folders=("exit",),
            layouts=(one_video_layout("subway_exit_turnstiles.AVI", 7_500, 15_000), VIDEOS, REPACKED),
            label_files=("exit.mat",),
            n_test_clips=4,
            n_train_frames=7500,
        ),
        Record(
            name="shanghaitech",
            title="ShanghaiTech Campus",
            column="ShanghaiTech",
            url="https://svip-lab.github.io/dataset/campus_dataset.html",
            licence="for research; labels CC BY-NC 4.0",
            folders=("shanghaitech",),
            layouts=(SHANGHAITECH, REPACKED),
            label_files=("shanghaitech", "shanghaitech.mat"),
            n_train_clips=330,
            n_test_clips=107,
            n_train_frames=274515,
            n_test_frames=40791,
            n_abnormal_frames=17326,
        ),
        Record(
            name="lv",
            title="LV",
            url="https://cvrleyva.wordpress.com/2017/04/08/lv-dataset/",
            licence="for research",
            folders=("lv",),
            layouts=(LV, REPACKED),
            label_files=("lv.mat",),
            masks_are_labels=True,
            n_train_frames=127500,
            n_test_frames=182440,
        ),
        Record(
            name="walkway",
            title="Walkway (rendered)",
            column="Walkway",
            url="",
            licence="the project's own",
            folders=("walkway",),
            layouts=(REPACKED,),
            label_files=("walkway.mat",),
        ),
    )
}
