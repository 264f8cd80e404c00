"""Suite: what to run, as a YAML file says it.

Every field is documented where it is declared; `bench run` refuses what is not.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from benchbench.options import Count, Fraction, Natural, NotNegative, Positive
from benchbench.sampling import Sampling
from benchbench.suite.resources import Request, Shares
from benchbench.suite.section import Many, Named, Section, Some

Seed = Annotated[int, Field(ge=0, lt=2**30)]


LOSSES = {"mse": {"mse": 1.0}, "l1": {"l1": 1.0}, "l1+mse": {"mse": 1.0, "l1": 1.0}}
"""Names that are short for weights of the squared and the absolute error."""


def _sampling(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


def _loss(value: Any) -> Any:
    """Both weights, 0 where there is none."""
    weights = LOSSES.get(value) if isinstance(value, str) else value
    if not isinstance(weights, dict) or not weights.keys() <= {"mse", "l1"}:
        raise ValueError(f"one of {', '.join(LOSSES)}, or a mapping of weights for mse and l1")
    if not any(weights.values()):
        raise ValueError("a weight above 0 for mse or l1")
    return {"mse": 0.0, "l1": 0.0, **weights}


def _weights(value: Any) -> Any:
    step = value.get("step") if isinstance(value, dict) and len(value) == 1 else None
    if value not in ("best", "last") and type(step) is not int:
        raise ValueError("best, last or {step: N}")
    return value


class Train(Section):
    """How a model is trained: all of it decides the numbers, and is part of a run's key."""

    steps: Count
    """Training iterations of one batch each (with `reverse_clip`, two optimiser updates each), over
    which schedules extend."""
    batch: Count = 8
    """Clips a batch."""
    optimizer: Literal[
        "adam", "adamw", "adam_root", "adam_tensorflow", "rmsprop_tensorflow", "sgd"
    ] = "adam"
    """`adam_root` has epsilon inside the root (MIM, E3D-LSTM), `adam_tensorflow` adds it to the
    uncorrected root, `rmsprop_tensorflow` starts from a mean square of 1; the others are torch's,
    but `sgd` has the learning rate in its momentum."""
    lr: Positive = 1e-3
    """Learning rate, the peak one where the schedule varies it."""
    betas: Annotated[list[Fraction], Field(min_length=2, max_length=2)] = [0.9, 0.999]
    """Of Adam; the second is the decay of RMSProp's mean square too."""
    eps: Positive = 1e-8
    momentum: Fraction = 0.0
    """Of `sgd` and RMSProp."""
    clip_step: Positive | None = None
    """Largest element of `sgd`'s momentum, the step it makes; FC-LSTM's is 1e-4."""
    weight_decay: NotNegative = 0.0
    """Decoupled in AdamW (whose usual value is 0.01), an L2 term in the others."""
    schedule: Literal["constant", "cosine", "one_cycle", "multistep", "plateau"] = "constant"
    """`cosine` ends at `final_lr`; `one_cycle` is torch's OneCycleLR with its defaults; `multistep`
    multiplies the rate by `factor` after each of `milestones`, `plateau` whenever more than
    `patience` validations in a row did not lower the MSE."""
    final_lr: NotNegative = 0.0
    """Learning rate that `cosine` ends at."""
    milestones: list[Count] = []
    """Iterations after which `multistep` lowers the rate."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Of `multistep` and `plateau`."""
    patience: Natural = 10
    """Of `plateau`, in validations."""
    warmup: Natural = 0
    """Iterations over which the learning rate first rises linearly from 1 % of `lr`."""
    schedule_every: Count = 1
    """Iterations between two moves of the schedule; CMS-LSTM moves it every 200."""
    loss: Annotated[dict[str, NotNegative], BeforeValidator(_loss)] = _loss("mse")
    """`mse`, `l1`, `l1+mse`, or weights such as `{mse: 0.5, l1: 1.0}`."""
    reduction: Literal["mean", "sum"] = "mean"
    """Whether the loss is averaged or summed over batch, frames, channels and pixels."""
    sampling: Annotated[Sampling, BeforeValidator(_sampling)] = Sampling("none")
    """`none`, `scheduled`, `reverse`, or a mapping with its parameters."""
    reverse_clip: bool = False
    """A second optimiser step on every batch, played backwards, with the same random draws."""
    clip_norm: Positive | None = None
    """Largest L2 norm of the gradient of all parameters together."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """`bf16` runs forward passes under autocast; weights and optimiser stay in float32."""
    validate_every: Count = 1000
    """Iterations between two validations; there is one at the end always."""
    weights: Annotated[Literal["best", "last"] | dict[str, int], BeforeValidator(_weights)] = "best"
    """Which weights are tested: those of the lowest validation MSE, the last, or `{step: N}`, those
    of iteration N of a longer schedule, where training ends."""
    deterministic: bool = True
    """Deterministic kernels only; slower on some GPUs."""

    @property
    def iterations(self) -> int:
        """Iterations done: `steps`, or those up to the weights that are asked for."""
        return self.weights["step"] if isinstance(self.weights, dict) else self.steps

    @field_validator("warmup")
    @classmethod
    def _warms_up_in_no_other_way(cls, value: int, info: ValidationInfo) -> int:
        if value and (schedule := info.data.get("schedule")) in ("one_cycle", "plateau"):
            why = "which warms up by itself" if schedule == "one_cycle" else "which has no warm-up"
            raise ValueError(f"0 with {schedule}, {why}")
        return value

    @field_validator("weights")
    @classmethod
    def _within_the_steps(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, dict) and not 1 <= value["step"] <= info.data.get("steps", 2**63):
            raise ValueError("a step from 1 to train.steps")
        return value


class DatasetEntry(Section):
    """A dataset of the suite; a bare name gives its defaults."""

    name: str
    label: str | None = None
    """How tables call it; the name if absent."""
    options: dict[str, Any] = {}
    train: dict[str, Any] = {}
    """Overrides of the suite's `train` for this dataset."""


class ModelEntry(Section):
    """A model of the suite; a bare name gives its defaults."""

    name: str
    label: str | None = None
    """How tables call it; the name if absent."""
    options: dict[str, Any] = {}
    grid: dict[str, Some[Any]] = {}
    """Options with a list of values each: one model for every combination."""
    train: dict[str, Any] = {}
    """Overrides of the suite's `train` for this model; they win over a dataset's."""
    train_data: dict[str, Any] = {}
    """Overrides of options of the datasets, such as `train_npz`, that leave the test set as it is;
    where they differ, tables have a column of them."""
    weights: str | None = None
    """File made by `bench weights import`: the model is tested with it and not trained."""
    slurm: dict[str, Any] = {}
    """Overrides of the suite's `slurm` for this model."""


class ExecutorEntry(Section):
    """Where runs go; a bare name gives its defaults."""

    name: str
    options: dict[str, Any] = {}


class Exclusion(Section):
    """Runs to leave out: all those that match every key given."""

    model: str | None = None
    """A model's name or label."""
    dataset: str | None = None
    """A dataset's name or label."""
    seed: Seed | None = None


class Suite(Section):
    """A whole suite file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$")]
    """Folder of its tables in `results/`; the file's name if absent."""
    protocols: Some[str] = ["benchbench"]
    """Protocols under which the test set is scored, the first one the leaderboard's order."""
    rank_by: str | None = None
    """Metric of the first protocol by which tables rank the models; its MSE if absent."""
    seeds: Some[Seed] = [0]
    datasets: Some[Named[DatasetEntry]]
    models: Some[Named[ModelEntry]]
    train: Train | None = None
    """Needed as soon as one model trains."""
    exclude: Many[Exclusion] = []
    checkpoint_every: Count = 500
    """Iterations between two checkpoints; does not change any number."""
    workers: Natural = 0
    """Processes that load clips for each run; 0 loads them in the run's own."""
    test_batch: Count = 16
    """Clips predicted at a time in validation and test; a network's last digits depend on it."""
    store_predictions: bool = False
    """Keeps each run's test predictions, `predictions.npy`, for scoring again without the model."""
    executor: Named[ExecutorEntry] = ExecutorEntry(name="inline")
    """Where runs go if the command line does not say: inline, local, slurm, or a third party's."""
    local: Shares = Shares()
    """How the `local` executor shares out this machine."""
    slurm: Request = Request()
    """Resources of one run, by submitit's names: `timeout_min`, `mem_gb`, `gpus_per_node`, …"""

    @field_validator("seeds")
    @classmethod
    def _once(cls, seeds: list[int]) -> list[int]:
        if twice := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
            raise ValueError(f"each seed once, and not {twice[0]} twice")
        return seeds

    @field_validator("name")
    @classmethod
    def _is_no_other_folder(cls, value: str) -> str:
        if value.lower() in ("runs", "slurm", "superseded"):
            raise ValueError("another name; this folder of the results holds more than a suite's")
        return value
