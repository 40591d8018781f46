"""Run a verb or, without arguments, train and draw at size=smoke every figure that needs no files.

Everything runs in this one process: as the first process of its container it receives Ctrl-C, which a shell in its
place would not pass on.
"""

import sys

from intrinsic_clip.cli.program import main

LEFT_OUT = "demo,citeseq*,imagenetv2,yfcc,openclipart_pixels,ladder*"  # not shown in a figure, or needs files
SMOKE = (
    ["train", "--multirun", f"experiment=glob(*,exclude=[{LEFT_OUT}])", "size=smoke"],
    ["figures"],
)

if __name__ == "__main__":
    for arguments in [sys.argv[1:]] if sys.argv[1:] else SMOKE:
        sys.argv[1:] = arguments
        main()
