"""Raw video to shards of features."""

import os

from data_prep.libraries import start_as_expected
from data_prep.memory import machine_bytes

start_as_expected()

# OpenCV reads this limit when it is loaded, and refuses a larger picture by its header. Its own default is
# 2 ** 30 pixels; a color picture has 3 bytes a pixel, and a copy is made of it.
_LARGEST_PICTURE_PX = min(2**30, machine_bytes() // 6)
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(_LARGEST_PICTURE_PX))

# Files of HDF5 appear whole and never change where they are, so none is locked: network file systems may have
# no locks. HDF5 reads this when it is loaded.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
