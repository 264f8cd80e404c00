"""Fits: what models answered to options and clips, kept for as long as their code is the same.

To ask a model is to import torch, which takes longer than all else that a plan does. Only what went
well is kept; whatever is in doubt is asked anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import itertools
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import benchbench
from benchbench.clip import Clip
from benchbench.data.digests import reading_anew
from benchbench.errors import BenchError
from benchbench.jsonfile import recall, remember
from benchbench.registry import MODELS, build_bound
from benchbench.suite.code import closure, digest
from benchbench.suite.sources import Sources

if TYPE_CHECKING:
    from benchbench.predictor import Predictor

CACHE = "fits.json"
ANSWERS = 5_000
"""Most answers that are kept, the newest; a model of a suite has one for its options and one for
each clip."""
Answers = dict[str, str]
"""Answers as JSON, which gives them back to the bit, by the digest of all that decides them."""
BINDING = ("torch", "pydantic")
"""Packages that decide how options bind and models are built, whatever the model imports."""


class Bound(NamedTuple):
    """What a model's entry says, all its options bound."""

    options: dict[str, Any]
    version: int
    trains: bool


class Fits:
    """Asks models, or tells what they answered to the same question under the same code.

    The cache is `fits.json` in the data folder. Where it cannot be read or written, is damaged, or
    the answer may depend on code that is not seen, there is none. Nor is there in a process that
    has imported torch: it may have models that differ from their files, and has paid already.

    Args:
        names: those of the models that will be asked.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = () if "torch" in sys.modules else tuple(dict.fromkeys(names))
        self.codes = _codes(self.names)
        self.answers = {} if reading_anew() or not self.codes else recall(CACHE, Answers) or {}
        self.news: Answers = {}

    def bind(self, model: str, options: dict[str, Any]) -> Bound:
        """All the options of a model; raises as `Registry.get` and `Entry.bind`."""

        def ask() -> Bound:
            entry = MODELS.get(model)
            return Bound(entry.bind(options), entry.version, entry.trains)

        return Bound(*self._answer(model, ["bind", options], ask))

    def cost(
        self,
        model: str,
        options: dict[str, Any],
        clip: Clip,
        weights: Path | None,
        sha256: str | None,
    ) -> str:
        """Builds a model, its imported weights checked, and gives what makes it slow, if anything.

        Raises:
            Unfit: the model declines the clip or the weights; or whatever its builder raises.
        """
        file = [weights.name, sha256] if weights else None
        question = ["cost", options, asdict(clip), file]
        cost: str = self._answer(model, question, lambda: _build(model, options, clip, weights))
        return cost

    def _answer(self, model: str, question: list[Any], ask: Callable[[], Any]) -> Any:
        key = self._key(model, question)
        if key in self.answers:
            return json.loads(self.answers[key])
        answer = ask()
        if key and _same_in_json(answer):
            self.news[key] = json.dumps(answer)
        return answer

    def _key(self, model: str, question: list[Any]) -> str:
        """The digest of a question to code as it is; empty where one of them cannot be told."""
        if model not in self.codes or not _same_in_json(question):
            return ""
        text = json.dumps([model, self.codes[model], question])
        return hashlib.sha256(text.encode()).hexdigest()

    def store(self) -> None:
        """Keeps the new answers for the next process, unless code has changed under them."""
        if self.news and _codes(self.names) == self.codes:
            answers = {**(recall(CACHE, Answers) or {}), **self.news}
            remember(CACHE, dict(list(answers.items())[-ANSWERS:]))


def _build(model: str, options: dict[str, Any], clip: Clip, weights: Path | None) -> str:
    predictor = _on_meta(model, options, clip)
    if weights is not None:
        from benchbench.weights import files

        files.load(weights).check(predictor)
    return predictor.cost


def _on_meta(model: str, options: dict[str, Any], clip: Clip) -> Predictor:
    """A model on torch's meta device, where weights take no memory, if it can be there."""
    import torch

    try:
        with torch.device("meta"):
            return build_bound(model, clip, options)
    except NotImplementedError:  # an initialisation that needs real memory
        return build_bound(model, clip, options)


def _same_in_json(value: Any) -> bool:
    """Whether JSON gives a value back as it is, unlike keys that are numbers, dates or NaN."""
    value = list(value) if isinstance(value, Bound) else value
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError):
        return False


def _codes(names: Iterable[str]) -> dict[str, str]:
    """Digests of all that decides the answers of models; none for those that may depend on more."""
    sources, codes = Sources(), {}
    engine = _engine() if names else ""
    for name in names:
        with contextlib.suppress(BenchError, OSError, metadata.PackageNotFoundError):
            files = closure(MODELS, name, sources)
            imports = (sources[path].imports for path in files.values())
            tops = {each.partition(".")[0] for each in itertools.chain(*imports, BINDING)}
            ours = {"", "benchbench", *(module.partition(".")[0] for module in files)}
            versions = [_version(top) for top in sorted(tops - ours - sys.stdlib_module_names)]
            codes[name] = "\n".join([engine, digest(files, sources), *versions])
    sources.store()
    return codes


def _engine() -> str:
    """Digest of this Python and of every file of the engine, none of which is worth a doubt."""
    root, content = Path(benchbench.__file__).parent, hashlib.sha256(sys.version.encode())
    for path in sorted(root.rglob("*.py")):
        content.update(f"\n{path.relative_to(root)}\n".encode())
        content.update(path.read_bytes())
    return content.hexdigest()


def _version(package: str) -> str:
    """Name and version of an installed package.

    Raises:
        PackageNotFoundError: none is installed under this name, or what is imported lies elsewhere,
            as sources that somebody works at, which change under one version.
    """
    version, spec = metadata.version(package), importlib.util.find_spec(package)
    if not {"site-packages", "dist-packages"} & {*Path((spec and spec.origin) or "").parts}:
        raise metadata.PackageNotFoundError(package)
    return f"{package} {version}"
