"""The verbs: what each does, its usage, and what holds after Ctrl-C."""

VERBS = {
    "train": "train paired encoders and measure them",
    "measure": "measure embeddings: how many dimensions they use, and how few would do",
    "figures": "draw the paper's figures from the runs that are finished",
    "dashboard": "make a workspace in W&B that shows the runs of a project",
    "report": "make a web page of finished runs, to look at and to pass on",
}

FORMER_NAMES = {"probe": "measure"}


AFTER_CTRL_C = {
    "train": "the same command goes on from the last checkpoint",
    "measure": "nothing was written",
    "figures": "figures drawn so far are whole",
    "dashboard": "it may be there already",
    "report": "nothing was written",
}


USAGE = {
    "train": "[group=choice …] [key=value …] [--multirun key=a,b,c]",
    "measure": "x=FILE [y=FILE] | data=CHOICE [encoder=open_clip] | run=FOLDER [key=value …]",
    "figures": "[NAME …] [output_dir=outputs] [to=outputs/figures] [size=smoke|laptop|paper]",
    "dashboard": "[key=value …] [--dry-run]",
    "report": "FOLDER [output=FILE] [open=true]",
}
