"""Give the program malformed command lines, and count what it does with each.

A line must be accepted, or show something, or be refused in one line on stderr with exit code 2; and nothing may be
written. Accepted lines stop before data are read.
"""

import contextlib
import io
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import hydra
from omegaconf import OmegaConf

from intrinsic_clip import config
from intrinsic_clip.cli import program
from intrinsic_clip.measurement import command as measure_command
from intrinsic_clip.measurement.projections.reduce import Reduce
from intrinsic_clip.runs.tidy_table import flatten
from intrinsic_clip.shared_dimension import command as shared_command
from intrinsic_clip.sweeps import table
from intrinsic_clip.training import train

SECONDS = 60  # that a line may take
SMALL = ["data.n_train=512", "data.n_append=64", "data.n_test=100", "data.batch_size=64", "logger=csv"]
CHOICES = {
    "train": [
        [*SMALL, "trainer.max_epochs=1"],
        [*SMALL, "probes=full", "objective/temperature=fixed"],
        [*SMALL, "encoder=transformer", "objective/similarity=cosine", "logger=both"],
        ["data=embeddings", "data.x=x.npy", "data.y=y.npy", "logger=csv"],
        ["data=captions_folder", "data.folder=photos", "encoder=pixels_and_tokens"],
        [
            "data=webdataset",
            "data.shards=s.tar",
            "encoder=pixels_and_tokens",
            "trainer=ddp",
            "trainer.accelerator=cpu",
        ],
        ["experiment=demo", "size=smoke"],
    ],
    "measure": [["x=x.npy"], ["x=x.npy", "y=y.npy", "logger=csv"], ["data=openclipart"], ["run=outputs/a/b"]],
    "shared": [["x=x.npy", "y=y.npy"], ["data=openclipart"], ["run=outputs/a/b"]],
    "apply": [["cut.safetensors", "x=x.npy", "output=small.npy"]],
    "dashboard": [["--dry-run"], []],
    "figures": [[], ["output_dir=."]],
    "report": [["."], ["outputs"]],
}
VALUES = [
    "inf", "-inf", "nan", "-1", "0", "1", "2", "-0.5", "0.5", "2.5", "1e400", "1e-400", "1e12", "1000000000000",
    "99999999999999999999999", "-99999999999999999999999", "true", "false", "null", "", "[]", "{}", "[1,2]", "[0]",
    "[-1]", "[nan]", "[null]", "[a,b]", "[[1]]", "{a: 1}", "{a: {b: []}}", "abc", "'abc'", '""', "ten", "1_000", "0x10",
    "None", "True", "${seed}", "${nowhere}", "${oc.env:HOME}", "${oc.env:NOWHERE}", "${", "$", "???", "é", "a b", "a=b",
    "(", ")", "}", "{", "[", "~", "~/x", "~nobody/x", "\\", "'", '"', "a,b", "1,2", "range(0,5,0)", "range(0,3)",
    "range(3)", "choice()", "choice(1,2)", "interval(0,1)", "glob(*)", "sort(2,1)", "shuffle(1,2)", "int(3)", "str(3)",
    "x" * 5000, "a\nb", "\t", "../..", "/", ".", "/dev/null", "/dev/full", "/proc/1/mem", "!!python/object:os.system",
    "{_target_: os.system}", "{_target_: builtins.dict}", "os.system", "torch.nn.Linear", "math.pi", "[[[[[[[[]]]]]]]]",
    "日本", "\u202e", "\udce9", "%", "#", "@", ";", "&", "*", "?", "!", "cuda", "gpu", "tpu", "mps", "auto", "16-mixed",
    "64-true", "bf16", "ddp", "fsdp", "deepspeed", "chunks", "measure", "2024", "1" * 400,
]  # fmt: skip
LINES = [
    "--nonsense", "--", "-", "-x", "-5", "--cfg", "--cfg=job", "--cfg=nonsense", "-c", "--multirun", "-m", "--resolve",
    "--info", "--info=nonsense", "--info=defaults", "--config-name=nonsense", "--config-dir=nowhere", "--config-path=x",
    "--package=data", "--experimental-rerun=x", "--run", "--help", "--version", "--hydra-help", "--shell-completion",
    "experiment=3", "experiment=", "experiment=[]", "experiment=[demo,citeseq]", "experiment=null", "~experiment",
    "size=3", "+foo=1", "++a.b.c=1", "++a=1", "+a.b=1", "~foo", "~", "=", "=1", "+=1", "a", "a.b", ".=1", "a..b=1",
    "data=", "data=3", "data=[]", "data=[synthetic_linear,coco]", "data=synthetic_linear,coco", "data=../train",
    "~data", "~trainer", "~loss", "~encoder", "~optimizer", "~probes", "~logger", "~seed", "~name", "~output_dir",
    "~data._target_", "~optimizer._partial_", "~encoder._partial_", "~objective.temperature", "~probes.dimension",
    "probes=null", "probes=[]", "probes=[default,full]", "logger=null", "logger=[]", "logger=[csv,wandb]",
    "logger={}", "probes={}", "trainer={}", "trainer=5", "trainer=[cpu,gpu]", "+trainer.callbacks=[]",
    "+trainer.callbacks=[{_target_: builtins.dict}]", "+trainer.logger=true", "+trainer.plugins=3",
    "+trainer.fast_dev_run=true", "+trainer.limit_train_batches=0", "+trainer.accumulate_grad_batches=2",
    "+trainer.gradient_clip_val=1", "+trainer.max_steps=-5", "+trainer.max_time=abc", "+trainer.strategy=nonsense",
    "+trainer.num_nodes=0", "+trainer.profiler=nonsense", "+trainer.val_check_interval=-1", "+trainer.barebones=true",
    "+trainer.inference_mode=3", "+trainer.min_epochs=-1", "+trainer.benchmark=abc", "+trainer.num_nodes=2",
    "+optimizer.betas=[2,2]", "+optimizer.betas=[0.9]", "+optimizer.betas=0.9", "+optimizer.eps=-1",
    "+optimizer.capturable=true", "+optimizer.foreach=true", "+optimizer.amsgrad=maybe", "+optimizer.momentum=1",
    "optimizer._target_=torch.optim.LBFGS", "optimizer._target_=torch.optim.SGD", "+optimizer.params=[1]",
    "optimizer={_target_: torch.optim.SparseAdam}", "encoder._target_=torch.nn.Linear", "+encoder._args_=[1]",
    "+encoder._recursive_=3", "+encoder._convert_=nonsense", "data._target_=os.system", "+data._partial_=true",
    "hydra.mode=MULTIRUN", "hydra.mode=3", "hydra/launcher=nonsense", "launcher=nonsense", "hydra.sweeper.params=3",
    "hydra.sweeper.max_batch_size=0", "hydra.nonsense=1", "hydra/sweeper=basic", "seed=range(0,5,0)", "seed=choice()",
    "seed=range(0,1000000000)", "seed=1,2,2", "seed=interval(0,1)", "replicates=1000000000", "threads=100000000",
    "encoder.output_dim=1000000000000", "encoder.hidden_layers=1000000000", "data.d_x=1000000000000",
    "data@x=coco", "data@data2:data=coco", "+data@other=coco", "objective/temperature=",
    "objective/similarity@objective=cosine",
    "\udcff\udcfe", "a\0b=1", "", " ", "é=1", "=" * 50, "(" * 300, "[" * 300, "a=" + "[" * 300, "a" * 5000,
]  # fmt: skip


class Accepted(BaseException):
    """Line that passed all checks; raised where data would be read."""


def campaign(n: int, seed: int) -> Counter[str]:
    """Try `n` command lines; return how many were accepted, refused, shown and faulty, and print the faulty ones."""
    rng, counts = random.Random(seed), Counter[str]()
    with _stopping_before_data(), tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        make = line_maker(rng)
        for _ in range(n):
            arguments = make()
            outcome, fault = try_line(arguments)
            counts.update(["command lines", outcome])
            if fault:
                counts["faults"] += 1
                print(f"command line {arguments!r:.300} (seed {seed}): {fault}", flush=True)
    return counts


def line_maker(rng: random.Random) -> Callable[[], list[str]]:
    """Return a function that makes a new command line at each call."""
    starts = [(verb, choices) for verb in CHOICES for choices in CHOICES[verb]]
    weights = [{"train": 10, "measure": 5, "shared": 3, "apply": 3}.get(verb, 1) for verb, _ in starts]
    keys = {(verb, *choices): _keys(verb, choices) for verb, choices in starts}

    def make() -> list[str]:
        verb, choices = rng.choices(starts, weights)[0]
        wrong = [_wrong(rng, keys[(verb, *choices)]) for _ in range(rng.choice([1, 1, 1, 2]))]
        sweep = ["--multirun"] if verb == "train" and rng.random() < 0.15 else []
        line = [*choices, *sweep, *wrong]
        if rng.random() < 0.1:
            rng.shuffle(line)
        return [_misspelt(rng, verb), *line]

    return make


def try_line(arguments: Sequence[str]) -> tuple[str, str]:
    """Run one command line in this process; return its outcome, and its fault or nothing."""
    out, err = io.StringIO(), io.StringIO()
    before = _files()
    code: Any = 0
    with (
        mock.patch.object(sys, "argv", ["intrinsic-clip", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        _time_limit(),
    ):
        try:
            program.main()
        except Accepted:
            code = None
        except SystemExit as end:
            code = end.code or 0
        except BaseException as error:
            return "refused", f"{type(error).__name__}: {error}"[:300]
    written = sorted(_files() - before)
    for path in reversed(written):
        Path(path).rmdir() if Path(path).is_dir() else Path(path).unlink()
    outcome = {None: "accepted", 0: "shown"}.get(code, "refused")
    return outcome, _fault(code, err.getvalue(), written)


def _fault(code: Any, err: str, written: list[str]) -> str:
    if written and code != 0:
        return f"wrote {written[:3]}"
    if "Traceback" in err:
        return f"traceback: {err[-300:]}"
    if code not in (None, 0, 2):
        return f"exit code {code}: {err[-300:]}"
    if code == 2 and not (err.startswith("intrinsic-clip: ") and err.count("\n") == 1 and len(err) < 3000):
        return f"not one line: {err[:500]!r}"
    return ""


def _wrong(rng: random.Random, keys: list[str]) -> str:
    kind = rng.random()
    if kind < 0.25:
        return rng.choice(LINES)
    key, value = rng.choice(keys), rng.choice(VALUES)
    if kind < 0.85:
        return f"{key}={value}"
    prefix = rng.choice(["+", "++", "~", "-", "--", " ", ""])
    mangled = rng.choice(
        [key, key.upper(), f"{key}.x", f"{key}[0]", key[:-1], f"{key}.", key.replace(".", "/")]
    )
    return f"{prefix}{mangled}{rng.choice(['=', '', '==', ':', ' = '])}{value}"


def _misspelt(rng: random.Random, verb: str) -> str:
    return (
        verb if rng.random() < 0.98 else rng.choice([verb[:-1], verb.upper(), "", "-x", "--cfg", f"{verb}=1"])
    )


def _keys(verb: str, choices: Sequence[str]) -> list[str]:
    """Return the settings that a verb has with these choices, by their dotted names."""
    if not (config.conf_folder() / f"{verb}.yaml").exists():
        return ["output_dir", "to", "size", "output", "open", "nonsense"]
    overrides = [choice for choice in choices if "=" in choice]
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        cfg = hydra.compose(verb, overrides=overrides)
    plain: Any = OmegaConf.to_container(cfg)
    return [*flatten(plain), *(key for key, value in plain.items() if isinstance(value, dict))]


def _files() -> set[str]:
    return {os.path.join(root, name) for root, folders, names in os.walk(".") for name in [*folders, *names]}


@contextlib.contextmanager
def _stopping_before_data() -> Iterator[None]:
    def stop(*args: Any, **kwargs: Any) -> None:
        raise Accepted

    environment = {"WANDB_MODE": "offline", "WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://localhost:1"}
    with (
        mock.patch.object(train, "build", stop),
        mock.patch.object(measure_command, "_load_and_measure", stop),
        mock.patch.object(shared_command, "_load_and_estimate", stop),
        mock.patch.object(Reduce, "load", stop),
        mock.patch.object(table, "announce", stop),
        mock.patch.dict(os.environ, environment),
    ):
        yield


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def stop(*args: Any) -> None:
        raise TimeoutError(f"took more than {SECONDS} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
