"""Declare the verbs: purpose, usage, and the state after Ctrl-C."""

from typing import NamedTuple


class Verb(NamedTuple):
    """One verb of the command line.

    Attributes:
        purpose: a description of half a line.
        usage: its arguments.
        after_ctrl_c: the state that an interrupted verb leaves.
    """

    purpose: str
    usage: str
    after_ctrl_c: str


VERBS = {
    "train": Verb(
        "train paired encoders and measure them",
        "[group=choice …] [key=value …] [--multirun key=a,b,c]",
        "the same command resumes from the last checkpoint",
    ),
    "measure": Verb(
        "measure embeddings: how many dimensions they use, and how few would do",
        "x=FILE [y=FILE] | data=CHOICE [encoder=open_clip] | run=FOLDER [key=value …] [--check RULES.yaml]",
        "nothing was written",
    ),
    "apply": Verb(
        "reduce other embeddings by a projection that `measure export=…` wrote",
        "FILE x=FILE output=FILE [y=FILE output_y=FILE] [key=value …]",
        "nothing was written",
    ),
    "shared": Verb(
        "estimate how many dimensions two views of the same things share",
        "x=FILE y=FILE | data=CHOICE [encoder=open_clip] [key=value …]",
        "nothing was written",
    ),
    "figures": Verb(
        "draw the paper's figures from the runs that are finished",
        "[NAME …] [output_dir=outputs] [to=outputs/figures] [size=smoke|laptop|paper]",
        "figures drawn so far are complete",
    ),
    "dashboard": Verb(
        "make a workspace in W&B that shows the runs of a project",
        "[key=value …] [--dry-run]",
        "the workspace may exist already",
    ),
    "report": Verb(
        "make a web page of finished runs, to read and to share",
        "FOLDER [output=FILE] [open=true]",
        "nothing was written",
    ),
}

FORMER_NAMES = {"probe": "measure"}
