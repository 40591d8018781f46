"""What the image runs: a verb of intrinsic-clip, or, without one, every figure that needs no files, at size=smoke.

One process does it all. As the first of its container it takes Ctrl-C, which a shell there would not pass on.
"""

import sys

from intrinsic_clip.cli.program import main

NOT_HERE = "demo,citeseq*,imagenetv2,yfcc,openclipart_pixels"  # no figure's, or in need of files
SMOKE = (
    ["train", "--multirun", f"experiment=glob(*,exclude=[{NOT_HERE}])", "size=smoke"],
    ["figures"],
)

if __name__ == "__main__":
    for arguments in [sys.argv[1:]] if sys.argv[1:] else SMOKE:
        sys.argv[1:] = arguments
        main()
