"""execute: one run, from its spec to its record."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import yaml

from benchbench import protocols
from benchbench.atomic import write_text
from benchbench.data.passport import passport
from benchbench.digest import file_digest
from benchbench.errors import RunFailed
from benchbench.run.claim import clear
from benchbench.run.job import Job
from benchbench.run.load import load_predictions
from benchbench.run.provenance import TRAIL, enter, provenance, under
from benchbench.run.record import PREDICTIONS, SCORES, SPEC, WEIGHTS, Finished, Record, score_files
from benchbench.run.subject import Subject, build
from benchbench.scoring.evaluate import evaluate
from benchbench.scoring.stream import Stream, keep
from benchbench.suite.code import Code, code_of
from benchbench.suite.data import check_data, open_data
from benchbench.suite.spec import RunSpec
from benchbench.training import checkpoint, history, loop, weights
from benchbench.training.events import Interrupted, Testing, Watch
from benchbench.training.weights import Weights

Stop = Callable[[], bool]


def execute(job: Job, device: torch.device, watch: Watch, stop: Stop = lambda: False) -> None:
    """Brings a run to its record and its scores to the protocols asked; nothing twice.

    Args:
        job: the run, and where it is done.
        device: where the predictor computes.
        watch: told what happens.
        stop: asked between iterations and test batches; True ends the attempt, and the next one
            goes on from where it was.

    Raises:
        RunFailed: the run cannot be finished; its folder stays for the next attempt.
        Interrupted: `stop` said so.
    """
    spec, folder = job.run.spec, job.folder
    clear(folder)
    if (finished := job.store.read(spec)) is not None:
        score_again(job, finished, device, watch, stop)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        now = job.code or code_of(spec)
        enter(folder, now, any_code=job.any_code)
        write_text(folder / SPEC, yaml.safe_dump(spec.to_dict(), sort_keys=False))
        seed(spec)
        subject = build(spec, open_data(spec, job.store.root), device)
        tested = train(job, subject, watch, stop) if spec.train else load_weights(job, subject)
        weights.save(folder / WEIGHTS, tested.tensors, spec.key)
        subject.predictor.load_state_dict(tested.tensors)
        began = time.monotonic()
        names, store = job.settings.protocols, job.settings.store_predictions
        files = score(job, subject.predict("test"), names, watch, stop, store=store)
        check_data(spec, subject.dataset, job.store.root)  # nothing changed meanwhile
        record = describe(job, subject, tested, now, time.monotonic() - began)
        training = [history.NAME] if spec.train else []
        record.reseal(folder, [SPEC, TRAIL, *training, WEIGHTS, *files])
    checkpoint.remove(folder)  # only now: without a record the next attempt goes on from it


def seed(spec: RunSpec) -> None:
    """Seeds torch's generators, and chooses its kernels."""
    deterministic = spec.train is None or spec.train.deterministic
    torch.manual_seed(spec.seed)
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.backends.cudnn.benchmark = not deterministic


def train(job: Job, subject: Subject, watch: Watch, stop: Stop) -> Weights:
    """The weights to test after training, from the newest checkpoint on if there is one."""
    return loop.train(
        subject.trainer(),
        loop.Journal(job.folder, job.key, job.settings.checkpoint_every),
        subject.validate,
        watch=watch,
        stop=stop,
        workers=job.settings.workers,
    )


def load_weights(job: Job, subject: Subject) -> Weights:
    """The weights of an imported file, or those that a model without training has.

    Raises:
        RunFailed: the file has changed since the suite was planned.
    """
    if (file := job.run.weights) is not None:
        if file_digest(file) != job.run.spec.weights:
            raise RunFailed(f"{file}: not the weights that were planned with; plan the suite again")
        from benchbench.weights import files

        files.load(file).load_into(subject.predictor)
    return Weights(subject.predictor.state_dict())


def score(
    job: Job, stream: Stream, names: Sequence[str], watch: Watch, stop: Stop, *, store: bool
) -> list[str]:
    """Scores test predictions under protocols, and may store them; gives the files it wrote.

    Raises:
        Interrupted: `stop` said so; the trained weights are kept, the scores are not.
    """

    def tell(done: int, total: int) -> None:
        watch(Testing(done, total))
        if done < total and stop():
            raise Interrupted(f"stopped at test sequence {done} of {total}")

    stream = keep(stream, job.folder / PREDICTIONS) if store else stream
    chosen, folder = [protocols.get(name) for name in names], job.folder / SCORES
    evaluate(stream, chosen, folder, key=job.key, workers=job.settings.workers, watch=tell)
    files = score_files(*(protocol.stem for protocol in chosen))
    return [PREDICTIONS, *files] if store else files


def score_again(
    job: Job, finished: Finished, device: torch.device, watch: Watch, stop: Stop
) -> None:
    """Scores a finished run under the protocols that its suite has asked for since."""
    spec, record = job.run.spec, finished.record
    if missing := finished.unscored(job.settings.protocols):
        dataset = open_data(spec, job.store.root)
        stream = load_predictions(job.folder, record, spec, dataset, device)
        store = job.settings.store_predictions and PREDICTIONS not in record.files
        files = score(job, stream, missing, watch, stop, store=store)
        facts = under(record.provenance, job.code or code_of(spec))
        replace(record, provenance=facts).reseal(job.folder, files)


def describe(job: Job, subject: Subject, tested: Weights, now: Code, test_seconds: float) -> Record:
    """The record of a run whose test set is scored."""
    spec, device = job.run.spec, subject.device
    parameters = subject.predictor.parameters()
    return Record(
        spec=spec.to_dict(),
        key=spec.key,
        parameters=sum(p.numel() for p in parameters if p.requires_grad),
        steps=spec.train.iterations if spec.train else 0,
        tested_step=tested.step,
        validation_mse=tested.validation_mse,
        train_seconds=tested.train_seconds,
        test_seconds=test_seconds,
        peak_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        dataset=passport(subject.dataset, name=spec.dataset, version=spec.dataset_version),
        provenance=provenance(str(device), job.folder, now),
    )
