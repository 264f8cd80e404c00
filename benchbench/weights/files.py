"""Files of weights: checkpoints of others, and our own.

Nothing here runs pickled code: checkpoints are read as tensors only.
"""

from __future__ import annotations

import logging
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchbench.atomic import replacing
from benchbench.clip import Clip
from benchbench.data.archive import open_zip
from benchbench.data.npy import open_npz
from benchbench.data.opening import FAULTS, open_file, parsing
from benchbench.digest import file_digest
from benchbench.errors import DataMissing, SchemaError
from benchbench.predictor import Predictor
from benchbench.registry import build_model
from benchbench.weights.certificate import find_source, options_for
from benchbench.weights.reference import Loaded, load_reference, place
from benchbench.weights.sizes import sizes_of

FORMAT = 1


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint file: `.npz`, or what `torch.save` wrote.

    A checkpoint that holds one mapping of names to tensors among other things gives that one.
    TensorFlow checkpoints must be made `.npz` where TensorFlow is installed.

    Raises:
        DataMissing: there is no such file, or it is neither.
        SchemaError: it holds code, no tensors, or several mappings of tensors.
    """
    if not path.is_file():
        raise DataMissing(f"{path}: no such file")
    if path.suffix == ".npz":
        return _read_arrays(path)
    return _unwrap(path, _unpickled(path))


def _unpickled(path: Path) -> Any:
    """What `torch.save` wrote, no code of it run."""
    with open_file(path) as file:
        start = file.read(2)
    if start not in (b"PK", b"\x80\x02"):  # zip, and torch's older pickles
        raise DataMissing(f"{path}: not a file of torch.save or numpy.savez")
    try:
        if start == b"PK":
            with parsing(path, "the file is damaged", "fetch or make it again"), open_zip(path):
                pass  # it has a limit
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is no checkpoint
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SchemaError(
            f"{path}: it holds more than tensors, and pickled code is never run; "
            "save its state_dict alone"
        ) from error
    except FAULTS as error:
        if isinstance(error, DataMissing):
            raise
        raise DataMissing(f"{path}: the file is damaged; fetch or make it again") from error


def _read_arrays(path: Path) -> dict[str, Tensor]:
    with open_npz(path) as npz:
        floats = [name for name, header in npz.headers.items() if header.dtype.kind == "f"]
        return {name: torch.from_numpy(npz.read(name)) for name in floats}


def _unwrap(path: Path, content: Any) -> dict[str, Tensor]:
    """The one mapping of tensors in a checkpoint, prefixes of wrappers removed."""
    candidates = {"": content}
    if isinstance(content, Mapping):
        candidates.update(content)
    states = {
        key: dict(value)
        for key, value in candidates.items()
        if isinstance(value, Mapping) and value and _tensors(value)
    }
    if len(states) != 1:
        count = f"several: {', '.join(map(str, states))}" if states else "none"
        raise SchemaError(f"{path}: expected one mapping of names to tensors, not {count}")
    (state,) = states.values()
    for prefix in ("module.", "model."):
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _tensors(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())


@dataclass(frozen=True)
class Imported:
    """A file of `bench weights import`."""

    model: str
    options: dict[str, Any]
    clip: Clip
    source: str
    sha256: str
    """Digest of the file that was imported."""
    state_dict: dict[str, Tensor]

    def load_into(self, predictor: Predictor) -> None:
        """Copies the weights into a predictor of `build_model`; raises as `check` does."""
        self.check(predictor)
        predictor.load_state_dict(self.state_dict)

    def check(self, predictor: Predictor) -> None:
        """Whether the weights fit a predictor of `build_model`, on whatever device.

        Other options that fit the tensors are allowed, with a warning.

        Raises:
            SchemaError: it is another model, or its options make other tensors.
        """
        if predictor.built_as is None:
            raise SchemaError("the predictor was not made by build_model; its options are unknown")
        model, options = predictor.built_as
        where = f"weights of {self.model}, imported from {self.source}"
        if model != self.model:
            raise SchemaError(f"{where}: the model is '{model}'; name '{self.model}' in the suite")
        differs = [
            f"{name}: {value}" for name, value in self.options.items() if options[name] != value
        ]
        mine = {name: tensor.shape for name, tensor in predictor.state_dict().items()}
        if mine != {name: tensor.shape for name, tensor in self.state_dict.items()}:
            others = f"give it the options {', '.join(differs)}" if differs else f"use {self.clip}"
            raise SchemaError(f"{where}: they do not fit the model as it is built; {others}")
        if differs:
            logging.getLogger(__name__).warning("%s had %s", where, ", ".join(differs))


def save(path: Path, imported: Imported) -> None:
    """Writes a file that `load` and `torch.load(weights_only=True)` read."""
    content = {"format": FORMAT, **vars(imported), "clip": asdict(imported.clip)}
    with replacing(path) as temporary:
        torch.save(content, temporary)


def load(path: Path) -> Imported:
    """Reads a file of `bench weights import`.

    Raises:
        DataMissing: there is no such file, or it is damaged.
        SchemaError: it is another kind of checkpoint.
    """
    if not path.is_file():
        raise DataMissing(f"{path}: no such file; make it with 'bench weights import'")
    content = _unpickled(path)
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise SchemaError(
            f"{path}: not a file of 'bench weights import'; it makes one of a checkpoint"
        )
    return Imported(**{**content, "clip": Clip(**content["clip"])})


def import_reference(
    model: str, source: str, path: Path, clip: Clip, options: Mapping[str, Any]
) -> tuple[Imported, Loaded]:
    """A reference's checkpoint in our predictor.

    It is built with the options given, else the sizes that the tensors show, else the source's
    options, else our defaults.

    Raises:
        BenchError: the model, source, file or options are not known or do not fit, or an option
            that the tensors do not show is left out.
    """
    reference = find_source(model, source)
    unknown = [f"{name}, {what}" for name, what in reference.ask.items() if name not in options]
    if unknown:
        raise SchemaError(
            f"{source} into {model}: its tensors do not show {'; '.join(unknown)}; give each as "
            "an option"
        )
    state = read(path)
    shown = sizes_of(model, place(reference, state).tensors, channels=clip.channels)
    predictor = build_model(model, clip, **{**options_for(model, source), **shown, **options})
    loaded = load_reference(predictor, source, state)
    assert predictor.built_as is not None
    digest = file_digest(path)
    weights = predictor.state_dict()
    return Imported(model, predictor.built_as.options, clip, source, digest, weights), loaded
