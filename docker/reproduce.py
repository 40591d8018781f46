"""Run a verb or, without arguments, do at size=smoke what the command of docs/results.md trains, and draw.

Everything runs in this one process: as the first process of its container it receives Ctrl-C, which a shell in its
place would not pass on.
"""

import sys

from intrinsic_clip.cli.program import main

# As the command of docs/results.md does: what no figure shows, what needs files, and studies several times as long.
LEFT_OUT = "demo,citeseq*,imagenetv2,yfcc,openclipart_pixels,ladder*,*_search,objectives*,temperature*,three*"
SMOKE = (
    ["train", "--multirun", f"experiment=glob(*,exclude=[{LEFT_OUT}])", "size=smoke"],
    ["figures"],
)

if __name__ == "__main__":
    for arguments in [sys.argv[1:]] if sys.argv[1:] else SMOKE:
        sys.argv[1:] = arguments
        main()
