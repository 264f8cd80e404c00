"""Every port equals its reference on arrays recorded from it.

Extracts lie in `tests/goldens/models/`; `BENCH_GOLDENS=FOLDER` adds the complete set, the files of
`FOLDER/core/`. Torch references were recorded in float64, TensorFlow's in float32.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchbench.clip import Clip
from benchbench.predictor import Criterion, Predictor, Progress
from benchbench.recurrent import Recurrent, State, fold
from benchbench.registry import build_model
from benchbench.weights.certificate import options_for
from benchbench.weights.reference import Loaded, load_reference

HERE = Path(__file__).parents[1] / "goldens" / "models"

# model of the recording: (model, source, criterion of its training)
MEAN = Criterion()
SUMMED = Criterion(mse=0.5, reduction="sum")
KINDS = {
    "CMS-LSTM": ("cms_lstm", "czh-98", SUMMED),
    "ConvLSTM": ("convlstm", "openstl", MEAN),
    "PredRNN": ("predrnn", "thuml", MEAN),
    "PredRNN (TF, 4-gate shared-x ST-LSTM)": ("predrnn", "predrnn-pp", SUMMED),
    "PredRNN++": ("predrnn_pp", "predrnn-pp", SUMMED),
    "MIM": ("mim", "mim", SUMMED),
    "MIM* (mim_pp: Causal LSTM first layer + GHU + MIM-Causal cells)": ("mim_star", "mim", SUMMED),
    "E3D-LSTM": ("e3d_lstm", "e3d", Criterion(mse=0.5, l1=1.0, reduction="sum")),
    "E3D-LSTM (memory fixed)": (
        "e3d_lstm",
        "e3d",
        Criterion(mse=0.5, l1=1.0, reduction="sum"),
    ),
    "SA-ConvLSTM network": ("sa_convlstm", "jerrywn121", MEAN),
}
# recordings of code that is deliberately not followed: `bench models show` says why
NOT_FOLLOWED = {"e3dlstm_openstl_ln"}


@dataclass(frozen=True)
class Golden:
    """One file of recorded arrays, and what of ours it is of."""

    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]

    @property
    def tensorflow(self) -> bool:
        return "framework" in self.meta

    @property
    def kind(self) -> tuple[str, str, Criterion]:
        model, source, criterion = KINDS[self.meta["model"]]
        if "OpenSTL" in self.meta["source"]:
            return model, "openstl", MEAN
        if "29d15e9" in self.meta["source"]:
            source = "predrnn-pp-2018"
        if self.meta.get("criterion") == "MSE&L1":
            criterion = Criterion(mse=0.25, l1=0.25, reduction="sum")
        return model, source, criterion

    @property
    def clip(self) -> Clip:
        meta = self.meta
        return Clip(meta["C"], meta["H"], meta["W"], meta["Tin"], meta["Tout"])

    def options(self) -> dict[str, Any]:
        meta = self.meta
        model, source, _ = self.kind
        hidden = meta.get("num_hidden", meta.get("hidden"))
        if isinstance(hidden, int):
            hidden = [hidden] * meta["layers"]
        options = {**options_for(model, source), "hidden": hidden, "patch": meta["patch"]}
        kernel = meta.get("filter_size", meta.get("kernel"))
        options["kernel"] = kernel[-1] if isinstance(kernel, list) else kernel
        if "layer_norm" in meta:
            options["norm"] = bool(meta["layer_norm"])
        if "scales" in meta:
            options["se_scales"] = meta["scales"]
        if "d_attn" in meta:
            options["attention"] = meta["d_attn"]
            options["scaled"] = "unscaled" not in meta["fixture"]
        if "memory fixed" in meta["model"]:
            options["memory"] = "updated"
        return options

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(np.asarray(self.arrays[name], dtype=np.float64))

    def state(self, prefix: str = "param/") -> dict[str, Tensor]:
        return {k.removeprefix(prefix): self.tensor(k) for k in self.arrays if k.startswith(prefix)}

    def build(self) -> tuple[Recurrent, Loaded]:
        model, source, _ = self.kind
        predictor = build_model(model, self.clip, **self.options()).double()
        assert isinstance(predictor, Recurrent)
        return predictor, load_reference(predictor, source, self.state())

    @property
    def frames(self) -> Tensor:
        return self.tensor("frames")

    def mask(self, mode: str) -> Tensor:
        """(B, Tout - 1); the first release of PredRNN ignores its mask and runs freely."""
        mask = self.tensor("mask_mixed_bt")
        ignored = "659110a" in self.meta["source"]
        return torch.zeros_like(mask) if mode == "free" or ignored else mask

    def losses(self, predictor: Predictor, frames: Tensor, mode: str) -> Tensor:
        progress = Progress(step=0, steps=1, criterion=self.kind[2], truth=self.mask(mode))
        tin = self.meta["Tin"]
        return sum(predictor.losses(frames[:, :tin], frames[:, tin:], progress).values())

    def predictions(self, mode: str) -> Tensor:
        """Recorded predictions, folded, of the last frames."""
        for name in (f"pred_patched_{mode}", f"pred_patched_nhwc_{mode}"):
            if name in self.arrays:
                recorded = self.tensor(name)
                return recorded.permute(0, 1, 4, 2, 3) if "nhwc" in name else recorded
        name = "pred_frames_free_future" if mode == "free" else "pred_frames_mixed"
        if name not in self.arrays or self.meta["patch"] != 1:
            pytest.skip(f"the extract has no {mode} predictions")
        return self.tensor(name)


def files() -> list[Path]:
    found = {path.name: path for path in HERE.glob("*.npz")}
    if folder := os.environ.get("BENCH_GOLDENS"):
        found.update((path.name, path) for path in (Path(folder) / "core").glob("*.npz"))
    return sorted(found.values())


def open_golden(path: Path) -> Golden | None:
    with np.load(path) as arrays:
        meta = json.loads(str(arrays["meta"]))
        if meta.get("model") not in KINDS:
            return None
        return Golden({name: arrays[name] for name in arrays.files}, meta)


NETWORKS = {path: found for path in files() if (found := open_golden(path)) is not None}


def having(*names: str) -> pytest.MarkDecorator:
    """Runs the test over the recordings that have an array beginning with each name."""
    paths = [
        path
        for path, golden in NETWORKS.items()
        if path.stem not in NOT_FOLLOWED
        and all(any(key.startswith(name) for key in golden.arrays) for name in names)
    ]
    return pytest.mark.parametrize("golden", paths, indirect=True, ids=[p.stem for p in paths])


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    return NETWORKS[request.param]


@pytest.fixture(params=["free", "mixed"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def roll(golden: Golden, predictor: Recurrent, mode: str, frames: Tensor | None = None) -> Tensor:
    frames = golden.frames if frames is None else frames
    truth = torch.cat([frames.new_ones(len(frames), golden.meta["Tin"]), golden.mask(mode)], dim=1)
    return predictor.roll(frames, frames.shape[1] - 1, truth)


@having("pred_")
def test_predictions_equal_the_recorded(golden: Golden, mode: str) -> None:
    predictor, _ = golden.build()
    with torch.no_grad():
        ours = fold(roll(golden, predictor, mode), predictor.patch, predictor.patch_order)
    recorded = golden.predictions(mode)
    difference = (ours[:, -recorded.shape[1] :] - recorded).abs().max().item()
    print(f"MEASURED {golden.meta['fixture']} predictions_{mode} {difference:.2g}")
    assert difference <= (3e-4 if golden.tensorflow else 1e-8)


@having()
def test_the_forward_pass_is_the_free_running_roll(golden: Golden) -> None:
    predictor, _ = golden.build()
    tin, tout = golden.meta["Tin"], golden.meta["Tout"]
    with torch.no_grad():
        ours = predictor(golden.frames[:, :tin], tout)
    if "pred_frames_eval" in golden.arrays:
        recorded = golden.tensor("pred_frames_eval")[:, tin:]
    elif "pred_frames_free" in golden.arrays:
        recorded = golden.tensor("pred_frames_free")[:, -tout:]
    elif "pred_frames_free_future" in golden.arrays:
        recorded = golden.tensor("pred_frames_free_future")
    else:
        pytest.skip("the extract has no free-running frames")
    assert (ours - recorded).abs().max().item() <= (3e-4 if golden.tensorflow else 1e-8)


@having("loss_")
def test_losses_equal_the_recorded(golden: Golden, mode: str) -> None:
    if f"loss_{mode}" not in golden.arrays:
        pytest.skip(f"the recording has no {mode} loss")
    predictor, _ = golden.build()
    with torch.no_grad():
        ours = golden.losses(predictor, golden.frames, mode).item()
    recorded = golden.tensor(f"loss_{mode}").item()
    print(f"MEASURED {golden.meta['fixture']} loss_{mode} {abs(ours / recorded - 1):.2g}")
    assert ours == pytest.approx(recorded, rel=1e-5 if golden.tensorflow else 1e-10)


@having("pred_patched_mixed_reversed")
def test_predictions_of_the_reversed_clip_equal_the_recorded(golden: Golden) -> None:
    predictor, _ = golden.build()
    with torch.no_grad():
        ours = roll(golden, predictor, "mixed", golden.frames.flip(1))
    recorded = golden.predictions("mixed_reversed")
    folds = fold(ours, predictor.patch, predictor.patch_order)[:, -recorded.shape[1] :]
    assert (folds - recorded).abs().max().item() <= 1e-8


@having("loss_mixed_reversed")
def test_the_loss_of_the_reversed_clip_equals_the_recorded(golden: Golden) -> None:
    predictor, _ = golden.build()
    ours = golden.losses(predictor, golden.frames.flip(1), "mixed").item()
    assert ours == pytest.approx(golden.tensor("loss_mixed_reversed").item(), rel=1e-10)


@having("gradnorm_mixed/")
def test_gradient_norms_equal_the_recorded(golden: Golden) -> None:
    norms = {k: v.item() for k, v in golden.state("gradnorm_mixed/").items()}
    predictor, loaded = golden.build()
    golden.losses(predictor, golden.frames, "mixed").backward()
    parameters = dict(predictor.named_parameters())
    floor = 1e-12 * max(norms.values())  # some are zero but for rounding
    relative = 2e-4 if golden.tensorflow else 1e-8
    worst = 0.0
    for theirs, recorded in norms.items():
        if theirs in loaded.dead:
            assert recorded == -1, f"{theirs} is declared dead and has a gradient"
            continue
        gradients = [parameters[name].grad for name in loaded.used[theirs]]
        ours = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
        assert ours == pytest.approx(recorded, rel=relative, abs=floor), theirs
        worst = max(worst, abs(ours - recorded) / recorded if recorded > floor else 0.0)
    print(f"MEASURED {golden.meta['fixture']} gradients {worst:.2g}")


# module of the reference: module of ours
TRACED = {
    "embed": "stack.embed",
    "output": "stack.head",
    "lstm": "stack.cells",
    "cell_list": "stack.cells",
    "stlstm_layer": "stack.cells",
    "stlstm_layer_diff": "stack.units",
    "gradient_highway": "stack.highway",
}


def traced(name: str) -> str:
    head, dot, rest = name.partition(".")
    return TRACED[head] + dot + rest.replace("SEBlock", "after")


def traces(golden: Golden, mode: str) -> Iterator[tuple[int, str, int, Tensor]]:
    for name in golden.arrays:
        if name.startswith(f"trace/{mode}/"):
            _, _, call, module, out = name.split("/")
            number, index = int(call.removeprefix("call")), int(out.removeprefix("out"))
            yield number, module, index, golden.tensor(name)


@having("trace/")
def test_intermediate_traces_equal_the_recorded(golden: Golden, mode: str) -> None:
    recorded = list(traces(golden, mode))
    if not recorded:
        pytest.skip(f"the recording has no {mode} traces")
    predictor, _ = golden.build()
    calls: dict[str, list[Any]] = {traced(module): [] for _, module, _, _ in recorded}
    for name, seen in calls.items():
        predictor.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, seen=seen: seen.append(output)
        )
    with torch.no_grad():
        roll(golden, predictor, mode)
    for call, module, index, expected in recorded:
        if "_diff" in module:
            if call == 0:  # OpenSTL steps its MIM-N at the first frame and drops the result
                continue
            call -= 1
        output = calls[traced(module)][call]
        ours = output[index] if isinstance(output, (tuple, State)) else output
        assert (ours - expected).abs().max().item() <= 1e-8, (call, module, index)


@having("param_after_iter/")
def test_one_training_iteration_of_cms_lstm_equals_the_recorded(golden: Golden) -> None:
    after = golden.state("param_after_iter/")
    predictor, loaded = golden.build()
    optimizer = torch.optim.AdamW(predictor.parameters(), lr=1e-3, weight_decay=0.01)
    losses = []
    for frames in (golden.frames, golden.frames.flip(1)):
        optimizer.zero_grad()
        loss = golden.losses(predictor, frames, "mixed")
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    for number, loss in enumerate(losses, start=1):
        assert loss == pytest.approx(golden.tensor(f"step_loss_{number}").item(), rel=1e-10)
    parameters = dict(predictor.named_parameters())
    worst = 0.0
    for theirs, recorded in after.items():
        # the gradient of the keys' bias is zero: its update is rounding noise
        if theirs in loaded.dead or theirs.endswith("f_key.bias"):
            continue
        (name,) = loaded.used[theirs]
        worst = max(worst, (parameters[name] - recorded).abs().max().item())
    print(f"MEASURED {golden.meta['fixture']} trainstep {worst:.2g}")
    assert worst <= 1e-8
