"""Extract the features of optical flow of every clip of the datasets on disk, one HDF5 shard per clip.

    python -m data_prep.optical_flow --data DIR --out DIR [--flow-size 112] [--flow-input picture] [--jobs N]

Paper: Sec. 4.7, Table 7.
"""

import sys

from data_prep.backbones import FLOW_INPUTS, Backbone
from data_prep.command_line import command_line, run_command
from data_prep.optical_flow import WARPS, FlowOptions, FlowRecipe
from data_prep.terminal import given_int


def main(arguments: list[str] | None = None) -> int:
    """Extract what the command line asks for; return the exit code, 2 for bad input."""
    parser = command_line("data_prep.optical_flow", "Extract optical flow features into HDF5 shards.")
    add = parser.add_argument
    add(
        "--flow-size",
        type=given_int,
        metavar="PX",
        help="side of the frames for TV-L1 (default: the input size)",
    )
    add("--flow-input", default=FLOW_INPUTS[0], choices=FLOW_INPUTS, help="(default: %(default)s)")
    add("--flow-warps", type=given_int, default=WARPS, metavar="N", help="of TV-L1 (default: %(default)s)")
    options = parser.parse_args(arguments)

    def recipe_of(backbone: Backbone, *how: str) -> FlowRecipe:
        flow = FlowOptions.of(backbone, options.flow_size, options.flow_warps)
        return FlowRecipe(backbone, *how, options=flow)

    return run_command(options, recipe_of, flow=options.flow_input)


if __name__ == "__main__":
    sys.exit(main())
