"""Extract the features of optical flow of every clip of the datasets on disk, one HDF5 shard per clip.

    python -m data_prep.optical_flow --data DIR --out DIR [--flow-size 112] [--flow-input picture]

Paper: Sec. 4.7, Table 7.
"""

import sys

from data_prep.backbones import FLOW_INPUTS
from data_prep.command_line import command_line, run_command
from data_prep.optical_flow import WARPS, extract_flow_dataset


def main(arguments: list[str] | None = None) -> int:
    """Extract what the command line asks for; return the exit code, 2 for bad input."""
    parser = command_line("data_prep.optical_flow", "Extract optical flow features into HDF5 shards.")
    add = parser.add_argument
    add("--flow-size", type=int, metavar="PX", help="side of the frames for TV-L1 (default: the input size)")
    add("--flow-input", default=FLOW_INPUTS[0], choices=FLOW_INPUTS, help="(default: %(default)s)")
    add("--flow-warps", type=int, default=WARPS, metavar="N", help="of TV-L1 (default: %(default)s)")
    options = parser.parse_args(arguments)
    return run_command(
        options,
        extract_flow_dataset,
        flow=options.flow_input,
        flow_size_px=options.flow_size,
        flow_warps=options.flow_warps,
    )


if __name__ == "__main__":
    sys.exit(main())
