"""Suites and plans: all faults at once with their lines; grids, exclusions, overrides, keys."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from benchbench.clip import Clip
from benchbench.errors import SchemaError
from benchbench.registry import MODELS, Entry, build_model
from benchbench.suite.plan import plan
from benchbench.suite.schema import Train
from benchbench.suite.spec import RunSpec
from benchbench.weights import files

Write = Callable[..., Path]
SUITES = sorted((Path(__file__).parents[2] / "suites").glob("*.yaml"))

WRONG = """\
protocols: [benchbnch, benchbench]
seeds: [0, -1]
datasets:
  - name: moving_digits
    options: {size: 16, context: 3, horizon: 0}
  - name: moving_digits
    label: good
    options: {size: 16}
models:
  - persistance
  - name: predrnn
    options: {hidden: [16, big], kernal: 3}
  - name: convlstm
    optoins: {hidden: [16]}
  - name: cms_lstm
    options: {patch: 5}
train:
  step: 100
  lr: fast
  loss: mze
  schedule: one_cycle
  warmup: 10
exclud: []
"""


def test_all_faults_are_told_at_once_with_their_lines(write_suite: Write) -> None:
    with pytest.raises(SchemaError) as caught:
        plan(write_suite(WRONG))
    head, *rows = str(caught.value).splitlines()
    assert head.endswith(f"tiny.yaml: {len(rows)} faults")
    for expected in (
        "line 1, protocols.0: no protocol 'benchbnch'; did you mean 'benchbench'?",
        "line 2, seeds.1: expected at least 0, not -1",
        "line 5, datasets.0.options.horizon: expected a whole number of at least 1, not 0",
        "line 10, models.0: no model 'persistance'; did you mean 'persistence'?",
        "line 12, models.1.options.hidden: item 2: expected a whole number, not 'big'",
        "line 12, models.1.options.kernal: 'predrnn' has no option 'kernal'; "
        "did you mean 'kernel'?",
        "line 14, models.2.optoins: unknown key 'optoins'; did you mean 'options'?",
        "line 18, train.step: unknown key 'step'; did you mean 'steps'?",
        "line 19, train.lr: expected a number, not 'fast'",
        "line 23, exclud: unknown key 'exclud'; did you mean 'exclude'?",
    ):
        assert f"  {expected}" in rows
    assert any("do not divide into patches of 5" in row and "line 15" in row for row in rows)
    assert any(row.startswith("  line 17, train.steps: missing key 'steps'") for row in rows)
    assert any(row.startswith("  line 22, train.warmup: expected 0 with one_cycle") for row in rows)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("models=[]", "models: expected a list of 1 or more, not []"),
        ("seeds=[]", "seeds: expected a list of 1 or more, not []"),
        ("seeds=null", "seeds: expected a list, not None"),
        ("train.loss={mse: 0}", "a weight above 0 for mse or l1"),
        ("train.loss={huber: 1}", "train.loss: expected one of mse, l1, l1+mse, or a mapping of"),
        ("train.loss={l1: much}", "train.loss.l1: expected a number, not 'much'"),
        ("train.sampling={until: 5}", "train.sampling.kind: missing key 'kind'"),
        ("train.sampling={kind: none, untl: 5}", "unknown key 'untl'; did you mean 'until'?"),
        ("train.sampling={kind: none, until: 0}", "train.sampling.until: expected at least 1"),
        ("train.sampling=5", "train.sampling: expected a mapping, not 5"),
        ("train.weights=first", "train.weights: expected best, last or {step: N}, not 'first'"),
        ("train.weights={step: 7}", "train.weights: expected a step from 1 to train.steps, not"),
        ("train.optimizer=rmsprop", "train.optimizer: expected one of 'adam', 'adamw', 'adam_root"),
        ("train=null", "missing key 'train', and convlstm is trained"),
        ("models.1.train={lr: high}", "models.1.train.lr: expected a number, not 'high'"),
        ("models.1.grid={hidden: [[4], [8]]}", "'hidden' is in 'options' too; keep one"),
        ("models.1.weights=w.pt", "w.pt"),
        ("exclude=[{model: convlst}]", "no model 'convlst'; did you mean 'convlstm'?"),
        ("exclude=[{dataset: moving_digits}]", "every run of the suite is excluded"),
        ("exclude=[{}]", "excludes everything"),
        ("models=[persistence, persistence]", "'persistence' is in the table already"),
        ("models=[persistence, {name: persistence, label: b}]", "is the same run as"),
        ("executor=slrum", "executor: no executor 'slrum'; did you mean 'slurm'?"),
        ("executor={name: slurm, options: {wiat: true}}", "no option 'wiat'; did you mean 'wait'?"),
        ("executor={name: slurm, options: {wait: 1}}", "executor.options.wait: expected true or"),
        ("name=../up", "expected text that matches"),
        ("seeds=[0, 1, 1]", "seeds: expected each seed once, and not 1 twice"),
        ("name=..", "expected text that matches"),
        ("models.1={name: convlstm, label: 3, grid: {kernel: [3]}}", "label: expected text, not 3"),
        ("models.1.weights=~no_such_user/w.pt", "no home folder is known; set HOME"),
        (
            "train.epochs=20",
            "command line, train.epochs: unknown key 'epochs'; benchbench counts steps: "
            "steps = epochs x clips / batch",
        ),
        ("datasets.0.train={lr: high}", "datasets.0.train.lr: expected a number, not 'high'"),
        ("models.1.train={schedule: one_cycle, warmup: 3}", "models.1.train.warmup: expected 0"),
        ("train={steps: 2, schedule: plateau, warmup: 1}", "expected 0 with plateau, which has no"),
        ("models.1.slurm={mem_gb: much}", "models.1.slurm.mem_gb: expected a number, not 'much'"),
        ("models.1.grid={kernel: [3, x]}", "models.1.grid.kernel: expected a whole number, not"),
        ("models.1.options.hidden=[]", "options.hidden: expected a list of 1 or more, not []"),
        ("models.1.options.hidden=[-1]", "hidden: item 1: expected a whole number of at least 1"),
        ("models.1.options.hidden=[1000000000]", "'convlstm' cannot be built; "),
        (
            f"models.1.grid={{kernel: {[3] * 40}, forget_bias: {[0.5] * 40}}}",
            "models.1.grid: a grid of 1,600 models; at most 1,000",
        ),
    ],
)
def test_a_wrong_value_is_told(write_suite: Write, override: str, message: str) -> None:
    with pytest.raises(SchemaError, match=r"tiny\.yaml: \d faults?\n") as caught:
        plan(write_suite(), [override])
    assert message in str(caught.value)


def test_a_value_stands_for_a_list_of_one(write_suite: Write) -> None:
    one = ["seeds=3", "protocols=openstl", "models=persistence", "exclude={seed: 3, model: x}"]
    suite = plan(write_suite(), [*one[:3]]).suite
    assert (suite.seeds, suite.protocols, suite.models[0].name) == ([3], ["openstl"], "persistence")
    with pytest.raises(SchemaError, match="no model 'x'"):
        plan(write_suite(), one)
    grid = ["models={name: convlstm, grid: {kernel: 3}}", "local.gpus=0", "slurm.setup=module x"]
    suite_plan = plan(write_suite(), grid)
    assert [run.model for run in suite_plan.runs] == ["convlstm kernel=3"]
    assert (suite_plan.suite.local.gpus, suite_plan.suite.slurm.setup) == ([0], ["module x"])


def test_a_suite_plans_no_more_runs_than_it_could_ever_do(
    write_suite: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchbench.suite.plan.RUNS", 5)
    with pytest.raises(SchemaError, match="the suite plans 6 runs; at most 5"):
        plan(write_suite(), ["seeds=[0, 1, 2]"])


def test_a_crash_of_a_builder_is_told_with_its_file_and_line(
    write_suite: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(clip: Clip) -> None:
        raise KeyError("nope")

    monkeypatch.setitem(MODELS.entries, "crash", Entry("crash", crash, 1))
    with pytest.raises(SchemaError) as caught:
        plan(write_suite(), ["models=[crash]"])
    line = crash.__code__.co_firstlineno + 1
    message = f"'crash' cannot be built; {__file__}, line {line}: KeyError: 'nope' (crash on "
    assert message in str(caught.value)


def test_a_suite_plans_without_its_data_and_names_them(write_suite: Write, tmp_path: Path) -> None:
    options = f"{{source: {tmp_path}/absent-idx3-ubyte, test_from: generated}}"
    suite_plan = plan(write_suite(), [f"datasets=[{{name: moving_mnist, options: {options}}}]"])
    assert [run.missing for run in suite_plan.runs] == [True, True]
    (line,) = suite_plan.sources[0].files.absent
    assert "absent-idx3-ubyte: no such file; give a path" in line


MNIST = "datasets=[{name: moving_mnist, options: {val: 9}}]"


def test_a_model_may_train_on_other_data_of_the_same_table(write_suite: Write) -> None:
    own = "models.1.train_data={train_npz: clips.npz, val_from: training}"
    suite_plan = plan(write_suite(), [MNIST, own])
    reference, trained = suite_plan.runs
    assert (reference.train_data, reference.missing) == ("", False)
    assert trained.train_data == "train_npz: clips.npz, val_from: training"
    assert trained.missing
    changed = {"train_npz": "clips.npz", "val_from": "training"}
    assert trained.spec.dataset_options == {**reference.spec.dataset_options, **changed}
    assert [source.label for source in suite_plan.datasets] == ["moving_mnist"]
    labels = [source.label for source in suite_plan.sources]
    assert labels == ["moving_mnist", f"moving_mnist ({trained.train_data})"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("models.1.train_data={test: 5}", "models.1.train_data.test: expected only train, train_n"),
        ("models.1.train_data={train: 0}", "models.1.train_data.train: expected a whole number of"),
        ("models.1.train_data={train: 5, train_npz: x}", "models.1.train_data.train: expected not"),
    ],
)
def test_training_data_leave_the_test_data_as_they_are(
    write_suite: Write, override: str, message: str
) -> None:
    with pytest.raises(SchemaError) as caught:
        plan(write_suite(), [MNIST, override])
    assert message in str(caught.value)


def test_the_plan_is_models_by_datasets_by_seeds_less_exclusions(write_suite: Write) -> None:
    suite_plan = plan(
        write_suite(),
        ["seeds=[0, 1, 2]", "exclude=[{model: convlstm, seed: 1}]", "models.1.label=ConvLSTM"],
    )
    assert [(run.model, run.spec.seed) for run in suite_plan.runs] == [
        ("persistence", 0),  # nothing to train: one seed says all
        ("ConvLSTM", 0),
        ("ConvLSTM", 2),
    ]


def test_a_grid_gives_every_combination_its_label(write_suite: Write) -> None:
    grid = "models.1={name: convlstm, grid: {kernel: [3, 5], hidden: [[4], [8]]}}"
    suite_plan = plan(write_suite(), [grid])
    labels = [run.model for run in suite_plan.runs[1:]]
    assert labels[0] == "convlstm kernel=3, hidden=[4]"
    assert len(set(labels)) == 4
    assert len({run.spec.key for run in suite_plan.runs}) == 5


def test_a_models_training_wins_over_a_datasets_and_the_suites(write_suite: Write) -> None:
    overrides = ["datasets.0.train={lr: 0.5, batch: 3}", "models.1.train={lr: 0.25}"]
    train = plan(write_suite(), overrides).runs[1].spec.train
    assert train is not None
    assert (train.lr, train.batch, train.steps) == (0.25, 3, 6)


def test_the_key_moves_with_the_numbers_and_with_nothing_else(write_suite: Write) -> None:
    def key(*overrides: str) -> str:
        return plan(write_suite(), overrides).runs[1].spec.key

    same = key()
    for harmless in (
        "models.1.label=x", "name=other", "executor=local", "workers=2",
        "checkpoint_every=7", "protocols=[openstl]", "slurm={timeout_min: 10}",
        "models.1.options.kernel=3",  # the default, said aloud
    ):  # fmt: skip
        assert key(harmless) == same, harmless
    for decisive in (
        "train.lr=0.5", "seeds=[1]", "models.1.options.kernel=5", "datasets.0.options.seed=1",
        "train.precision=bf16", "test_batch=3",
    ):  # fmt: skip
        assert key(decisive) != same, decisive


def test_a_spec_survives_its_file() -> None:
    train = Train.model_validate({"steps": 2, "loss": "l1", "sampling": "reverse", "eps": 1e-16})
    spec = RunSpec("m", 1, {"hidden": [4]}, "d", 2, {}, train, 3, 16)
    again = RunSpec.from_dict(yaml.safe_load(yaml.safe_dump(spec.to_dict())))
    assert again == spec
    assert again.key == spec.key
    with pytest.raises(SchemaError, match="not a run's spec"):
        RunSpec.from_dict({"model": "m"})


def test_planning_builds_no_weights(write_suite: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    devices: list[torch.device] = []
    real = torch.nn.Conv2d.reset_parameters

    def spy(self: torch.nn.Conv2d) -> None:
        devices.append(self.weight.device)
        real(self)

    monkeypatch.setattr(torch.nn.Conv2d, "reset_parameters", spy)
    plan(write_suite())
    assert {device.type for device in devices} == {"meta"}


def test_imported_weights_that_do_not_fit_are_told_before_any_work(
    write_suite: Write, tmp_path: Path
) -> None:
    predictor = build_model("convlstm", Clip(1, 16, 16, 3, 2), hidden=[8], patch=4)
    assert predictor.built_as is not None
    imported = files.Imported(
        *predictor.built_as, Clip(1, 16, 16, 3, 2), "openstl", "", predictor.state_dict()
    )
    files.save(tmp_path / "w.pt", imported)
    entry = "models.1={name: convlstm, weights: w.pt, options: {patch: 4, hidden: [%d]}}"
    with pytest.raises(SchemaError, match=r"give it the options hidden: \[8\]"):
        plan(write_suite(), [entry % 4])
    run = plan(write_suite(), [entry % 8, "seeds=[3, 4]"]).runs[1]
    assert run.spec.train is None
    assert run.spec.seed == 0
    assert run.spec.weights == hashlib.sha256((tmp_path / "w.pt").read_bytes()).hexdigest()


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_shipped_suite_plans(path: Path) -> None:
    assert plan(path).runs
