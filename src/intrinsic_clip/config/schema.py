"""Top-level settings of each verb, with their types."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

Node = dict[str, Any]

# Names in a folder that runs write to: below it, and in the folder of a run.
OURS = frozenset({
    "measure", "shared", "figures", "features", "chunks", "wandb", "multirun", "lock", "report.html",
    "results.json", "config.yaml", "metrics.csv", "failed.txt", "last.ckpt", "run.png", "examples.png",
})  # fmt: skip


def _check_name(name: str) -> str:
    if name in OURS:
        raise ValueError(f"{name} is the name of a file or folder that intrinsic-clip writes; choose another")
    return name


RunName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100), AfterValidator(_check_name)
]
Replicate = Annotated[int, Field(ge=0, lt=2**32)]
Threads = Annotated[
    int, Field(gt=0, le=1024)
]  # OpenMP ends the process where it cannot start as many as it is told

SharedOutputDim = Annotated[int, Field(ge=4, le=512)]
SharedTrainings = Annotated[int, Field(ge=1, le=100)]
SharedSteps = Annotated[int, Field(ge=1)]
SharedWidest = Annotated[int, Field(ge=2, le=1000)]


class TrainConfig(BaseModel):
    """Top level of a training run's config."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: RunName
    size: Literal["smoke", "laptop", "paper"] | None
    recipe: Literal["paper", "fast"] | None
    seed: NonNegativeInt
    replicates: (
        Annotated[int, Field(gt=0, le=100_000)]
        | Annotated[list[Replicate], Field(min_length=1, max_length=100_000)]
        | None
    )
    output_dir: Annotated[str, Field(min_length=1)]
    threads: Threads | None
    kernel: Literal["auto", "cpp", "triton", "none"] = "auto"
    compile: bool | None
    cuda_graph: bool = False
    replicates_per_chunk: PositiveInt | None
    checkpoint_seconds: NonNegativeFloat
    data: Node
    features: Node | None = None
    encoder: Node
    objective: Node
    optimizer: Node
    schedule: Node | None = None
    shuffle: bool
    regularisation: Node | None = None
    trainer: Node
    probes: Node
    logger: Node
    progress: bool


class RegularisationConfig(BaseModel):
    """Group `regularisation`: what keeps a training from overfitting."""

    model_config = ConfigDict(extra="forbid", strict=True)

    input_noise: NonNegativeFloat
    validate_every_n_epochs: PositiveInt | None


class PairsConfig(BaseModel):
    """Settings of the verbs that read embeddings: their source, the rows taken, and the folder of results."""

    model_config = ConfigDict(extra="forbid", strict=True)

    x: str | None
    y: str | None
    x_key: str | None
    y_key: str | None
    columns: str | int | list[str | int] | None
    drop: str | int | list[str | int] | None
    split: Literal["all", "train", "test"]
    nan: Literal["refuse", "drop"]
    subsample: Annotated[int, Field(ge=200)] | None
    seed: NonNegativeInt
    output_dir: Annotated[str, Field(min_length=1)]
    threads: Threads | None
    progress: bool
    data: Node | None
    encoder: Node | None
    replicates: None


class MeasureConfig(PairsConfig):
    """Top level of the config of `intrinsic-clip measure`."""

    run: str | None
    groups: str | list[str] | None
    groups_key: str | None
    labels: str | None
    labels_key: str | None
    estimators: Annotated[
        list[str], Field(min_length=1)
    ]  # names are checked before measuring: it takes PyTorch
    k: Annotated[int, Field(ge=2)]
    max_points: Annotated[int, Field(ge=200)]
    queries: Literal["auto", "all"] | Annotated[int, Field(ge=100)]
    device: Annotated[str, Field(min_length=1)] | None
    memory_gb: PositiveFloat | None
    against: Annotated[str, Field(min_length=1)] | None
    against_y: Annotated[str, Field(min_length=1)] | None
    against_key: str | None
    against_y_key: str | None
    check: Annotated[str, Field(min_length=1)] | None
    check_junit: Annotated[str, Field(min_length=1)] | None
    check_json: Annotated[str, Field(min_length=1)] | None
    export: Annotated[str, Field(min_length=1)] | None
    export_dims: PositiveInt | None
    export_basis: Literal["principal", "canonical"] | None
    export_whiten: bool
    logger: Node | None


class ApplyConfig(BaseModel):
    """Top level of the config of `intrinsic-clip apply`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    projection: Annotated[str, Field(min_length=1)] | None
    x: str | None
    y: str | None
    x_key: str | None
    y_key: str | None
    columns: str | int | list[str | int] | None
    drop: str | int | list[str | int] | None
    output: Annotated[str, Field(min_length=1)] | None
    output_y: Annotated[str, Field(min_length=1)] | None
    nan: Literal["refuse", "drop"]
    precision: Literal["float16", "float32", "float64"]
    overwrite: bool
    threads: Threads | None


class SharedConfig(PairsConfig):
    """Top level of the config of `intrinsic-clip shared`."""

    run: str | None
    read_encoder: bool
    output_dim: SharedOutputDim
    trainings: SharedTrainings
    steps: SharedSteps
    widest: SharedWidest
    alternatives: bool
    budget: Annotated[float, Field(gt=0)] | None


class DashboardConfig(BaseModel):
    """Top level of the config of `intrinsic-clip dashboard`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    project: Annotated[str, Field(min_length=1)]
    entity: str | None
    name: Annotated[str, Field(min_length=1)]
    output_dims: Annotated[list[PositiveInt], Field(min_length=1)] | None
    modalities: Annotated[int, Field(ge=2, le=6)]
    dry_run: bool
    file: Annotated[str, Field(min_length=1)]
