"""Recorded arrays of reference implementations, and the models of ours that must meet them.

Extracts lie in `tests/goldens/models/`. `BENCH_GOLDENS=FOLDER pytest tests/models` adds all files
of FOLDER, `FOLDER/core` and `FOLDER/others`; where names are equal, those replace the extracts.

A file is an `.npz` of arrays and of `meta`, a JSON mapping that describes it: the reference
(`source` or `ref`), and its configuration, in `meta` itself or in its `config`. Parameters are
`param/NAME`, named as in the reference. Which files are a model's is in its certificate, under
`recordings` of a source; a test says which of them it is for:

    @goldens("out/pred", model="mau")
    def test_predictions_equal_the_recorded(golden: Golden) -> None:
        predictor, _ = golden.build(Clip(...), hidden=[...])
        golden.check(predictor(golden["in/x"], 3), "out/pred")

Nothing here knows a model by name.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchbench.clip import Clip
from benchbench.predictor import Criterion, Predictor
from benchbench.registry import MODELS, build_model
from benchbench.weights.certificate import Recording, certificate, options_for
from benchbench.weights.files import Imported, import_reference
from benchbench.weights.reference import Loaded, load_reference, place

HERE = Path(__file__).parents[1] / "goldens" / "models"

# options that the recordings of `core/` name, by our names
OPTIONS = {
    "hidden": ("num_hidden", "hidden"),
    "kernel": ("filter_size", "kernel"),
    "patch": ("patch",),
    "norm": ("layer_norm",),
    "se_scales": ("scales",),
    "attention": ("d_attn", "att_hidden"),
}


@dataclass(frozen=True)
class Tolerance:
    """What a port may differ by: outputs as |a - b| <= atol + rtol |b|, the others relatively."""

    rtol: float
    atol: float
    loss: float
    gradient: float


@dataclass(frozen=True)
class Golden:
    """One file of recorded arrays, and the model and source that they are of."""

    path: Path
    meta: dict[str, Any]
    names: tuple[str, ...]
    model: str
    source: str
    recording: Recording

    @cached_property
    def config(self) -> dict[str, Any]:
        """The reference's configuration."""
        return {**self.meta, **self.meta.get("config", {})}

    @cached_property
    def tolerance(self) -> Tolerance:
        """What the precision of the recording allows."""
        if "framework" in self.meta:  # core/: TensorFlow, float32
            return Tolerance(rtol=0, atol=3e-4, loss=1e-5, gradient=2e-4)
        if "source" in self.meta:  # core/: torch, float64
            return Tolerance(rtol=0, atol=1e-8, loss=1e-10, gradient=1e-8)
        if "compat.v1" in self.meta["ref"]:  # others/: TensorFlow, float32
            return Tolerance(rtol=0, atol=3e-4, loss=1e-4, gradient=1e-3)
        return Tolerance(rtol=1e-4, atol=2e-5, loss=1e-4, gradient=1e-3)

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        with np.load(self.path) as arrays:
            return {name: arrays[name] for name in self.names}

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Tensor:
        """An array; numbers with a point are float64."""
        array = self.arrays[name]
        return torch.from_numpy(array.astype(np.float64) if array.dtype.kind == "f" else array)

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The arrays whose names begin so, by the rest of their names."""
        return {k.removeprefix(prefix): self[k] for k in self.names if k.startswith(prefix)}

    @property
    def criterion(self) -> Criterion:
        return Criterion(**self.recording.criterion)

    @property
    def clip(self) -> Clip:
        """The clips of a recording of `core/`."""
        config = self.config
        return Clip(config["C"], config["H"], config["W"], config["Tin"], config["Tout"])

    def options(self) -> dict[str, Any]:
        """Builder options: the source's, the recording's, and those of `OPTIONS` in the config."""
        sizes: dict[str, Any] = {}
        for option, fields in OPTIONS.items():
            for field in fields:
                if field in self.config and option in MODELS.get(self.model).options:
                    sizes.setdefault(option, self.config[field])
        if isinstance(sizes.get("hidden"), int):
            sizes["hidden"] = [sizes["hidden"]] * self.config.get("layers", 1)
        if isinstance(sizes.get("kernel"), list):  # (depth, side, side)
            sizes["kernel"] = sizes["kernel"][-1]
        if "norm" in sizes:
            sizes["norm"] = bool(sizes["norm"])
        return {**options_for(self.model, self.source), **sizes, **self.recording.options}

    def build(self, clip: Clip | None = None, **options: Any) -> tuple[Predictor, Loaded]:
        """Our model in float64 and in eval mode, the recorded parameters loaded.

        Args:
            clip: the recording's, unless it is of `core/`.
            options: of the builder; they win over `options()`.
        """
        own = {**self.options(), **options}
        predictor = build_model(self.model, clip or self.clip, **own).double().eval()
        return predictor, load_reference(predictor, self.source, self.under("param/"))

    def imported(self, folder: Path, clip: Clip, **options: Any) -> Imported:
        """Our model as `bench weights import` makes it of a file of the recorded parameters.

        Args:
            folder: where to write the file.
            clip: the recording's.
            options: those that no tensor shows.
        """
        path = folder / "checkpoint.pt"
        torch.save(self.under("param/"), path)
        return import_reference(self.model, self.source, path, clip, options)[0]

    def check_import(self, predictor: Predictor, clip: Clip, folder: Path, **given: Any) -> None:
        """Asserts that the recorded tensors, as a checkpoint, become the predictor's.

        Args:
            clip: of the recording.
            folder: for the checkpoint.
            given: options of the predictor that no tensor shows; it must need no others.
        """
        imported = self.imported(folder, clip, **given)
        assert predictor.built_as is not None
        assert imported.options == predictor.built_as.options
        ours = predictor.state_dict()
        assert ours.keys() == imported.state_dict.keys()
        for name, tensor in imported.state_dict.items():
            if tensor.is_floating_point():
                torch.testing.assert_close(tensor.to(ours[name]), ours[name], rtol=0, atol=1e-7)

    def fill(self, module: nn.Module, theirs: str, ours: str) -> None:
        """Loads the parameters of one module, `theirs`* in the whole network, `ours`* in ours."""
        state = {theirs + name: value for name, value in self.under("param/").items()}
        placement = place(certificate(self.model).sources[self.source], state)
        assert not placement.faults
        tensors = placement.tensors.items()
        module.double().load_state_dict({name.removeprefix(ours): t for name, t in tensors})

    def check(self, ours: Tensor, recorded: str | Tensor, *, atol: float | None = None) -> None:
        """Asserts that an output is the recorded one, within the tolerance or within `atol`."""
        expected = self[recorded] if isinstance(recorded, str) else recorded
        ours = ours.detach().to(expected)
        name = recorded if isinstance(recorded, str) else "output"
        print(f"MEASURED {self.path.stem} {name} {(ours - expected).abs().max().item():.2g}")
        rtol = self.tolerance.rtol if atol is None else 0
        atol = self.tolerance.atol if atol is None else atol
        torch.testing.assert_close(ours, expected, rtol=rtol, atol=atol)

    def check_loss(self, ours: float, recorded: str) -> None:
        """Asserts that a loss is the recorded one."""
        expected = self[recorded].item()
        print(f"MEASURED {self.path.stem} {recorded} {abs(ours - expected):.2g}")
        assert ours == pytest.approx(expected, rel=self.tolerance.loss)

    def check_gradients(
        self, predictor: Predictor, loaded: Loaded, recorded: Mapping[str, float]
    ) -> None:
        """Asserts that the gradients have the recorded L2 norms, by the reference's names.

        Norms of tensors that the certificate declares dead must be 0, or -1 for none at all.
        """
        parameters = dict(predictor.named_parameters())
        # some are zero but for rounding
        floor = 1e-3 * self.tolerance.gradient * max(recorded.values())
        worst = 0.0
        for theirs, expected in recorded.items():
            if theirs in loaded.dead:
                assert expected <= 0, f"{theirs} is declared dead and has a gradient"
                continue
            gradients = [parameters[name].grad for name in loaded.used[theirs]]
            pieces = [gradient.flatten() for gradient in gradients if gradient is not None]
            ours = torch.cat(pieces).norm().item() if pieces else 0.0
            relative = self.tolerance.gradient
            assert ours == pytest.approx(max(expected, 0.0), rel=relative, abs=floor), theirs
            worst = max(worst, abs(ours - expected) / expected if expected > floor else 0.0)
        print(f"MEASURED {self.path.stem} gradients {worst:.2g}")


@cache
def files() -> tuple[Path, ...]:
    paths = sorted(HERE.glob("*.npz"))
    if folder := os.environ.get("BENCH_GOLDENS"):
        parts = (Path(folder), Path(folder, "core"), Path(folder, "others"))
        more = [path for part in parts for path in sorted(part.glob("*.npz"))]
        if not more:
            raise pytest.UsageError(f"BENCH_GOLDENS={folder}: no .npz there, in core/ or others/")
        paths += more
    return tuple({path.name: path for path in paths}.values())


@cache
def claims(path: Path) -> tuple[tuple[str, str, Recording], ...]:
    """The models and sources whose certificates claim a file."""
    meta, _ = _look(path)
    return tuple(
        (model, name, recording)
        for model in MODELS.names()
        for name, source in certificate(model).sources.items()
        if (recording := next((r for r in source.recordings if _fits(r, meta)), None))
    )


def _fits(recording: Recording, meta: Mapping[str, Any]) -> bool:
    return all(
        field in meta and re.search(pattern, str(meta[field]))
        for field, pattern in recording.meta.items()
    )


@cache
def _look(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    with np.load(path) as arrays:
        meta: dict[str, Any] = json.loads(str(arrays["meta"])) if "meta" in arrays.files else {}
        return meta, tuple(name for name in arrays.files if name != "meta")


def recorded() -> Iterator[Golden]:
    """The files that a certificate claims, but for those of sources that are refused."""
    for path in files():
        for model, source, recording in claims(path):
            if certificate(model).sources[source].refused is None:
                yield Golden(path, *_look(path), model, source, recording)


def goldens(
    *prefixes: str, model: str | None = None, **meta: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Runs a test over the recordings that have an array beginning with each prefix.

    Args:
        model: only this model's.
        meta: only those whose `meta` has these fields, matched whole by these regular expressions.
    """
    chosen = [
        pytest.param(golden, id=f"{golden.path.stem}-{golden.model}")
        for golden in recorded()
        if model in (None, golden.model)
        and all(any(name.startswith(prefix) for name in golden.names) for prefix in prefixes)
        and all(re.fullmatch(text, str(golden.meta.get(k, ""))) for k, text in meta.items())
    ]
    return pytest.mark.parametrize("golden", chosen)
