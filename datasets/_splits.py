"""Which split a recording is of, as the names of people's folders and files say."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

from benchbench.dataset import SPLITS, SplitName
from benchbench.errors import DataMissing

from ._windows import Recording

Mark = Literal["train", "val", "test", "eval"]

SPELLINGS: dict[Mark, str] = {
    "train": "train training trains trn tr trainval",
    "val": "val valid validation validate vali vals vld va dev devel development",
    "test": "test testing tests tst te holdout heldout",
    "eval": "eval evaluation evaluate",
}
WORDS = {word: mark for mark, words in SPELLINGS.items() for word in words.split()}
"""`eval` is whichever of val and test the other names leave."""
GLUED = re.compile(
    "[xy]?(.+?)(sets?|data|lists?|splits?|clips|videos|frames|images|imgs|files|seqs|sequences)?"
)
"""What people write around such a word without a sign between: `Xtrain`, `testlist`."""
LISTING = re.compile("split|list|imagesets|annotation", re.IGNORECASE)
"""Folders in which lists of splits lie."""
LISTS = {".txt", ".csv", ".tsv", ".json", ".lst"}
ADVICE = "or give lists, or split_by: shares, which looks at no names"

Shared = dict[SplitName, list[Recording]]
T = TypeVar("T")


def marks_in(part: str) -> set[Mark]:
    """The splits that a folder or file is named for: `train_clips`, `trainA`, `Xtest`, `val.npy`.

    Only whole words count, set off by anything but letters or by a capital, a number behind them
    aside: a testbed is no test.
    """
    part = unicodedata.normalize("NFKC", part)
    capitals = r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
    words = re.split(r"[\W\d_]+", re.sub(capitals, "_", part).casefold())
    return {mark for word in words if (mark := _mark(word)) is not None}


def _mark(word: str) -> Mark | None:
    glued = GLUED.fullmatch(word)
    return WORDS.get(word) or (WORDS.get(glued[1]) if glued else None)


def mark_of(name: str, root: Path) -> Mark | None:
    """The split that the name of a file, relative to the dataset's root, says; None if none.

    Its folders decide, one that is but the word before others; its file where they say nothing.

    Raises:
        DataMissing: they contradict each other.
    """
    *folders, file = re.split("/", name)
    exact = {WORDS[part.casefold()] for part in folders if part.casefold() in WORDS}
    marked = exact or {mark for part in folders for mark in marks_in(part)} or marks_in(file)
    if len(marked) > 1:
        raise DataMissing(
            f"{root}: '{name}' is named for {' and '.join(sorted(marked))}; expected one of them, "
            f"{ADVICE}"
        )
    return marked.pop() if marked else None


def share_by_name(recordings: Sequence[Recording], root: Path, val_share: float | None) -> Shared:
    """Recordings of each split as their names say; empty where no name says anything.

    Args:
        recordings: in order.
        root: where they lie, for messages.
        val_share: the part of those for training, the last ones, that becomes val where no name
            says val.

    Raises:
        DataMissing: only some names say it, or a split has none.
    """
    marked: dict[Mark | None, list[Recording]] = {}
    for recording in recordings:
        marked.setdefault(mark_of(recording.source, root), []).append(recording)
    if not set(marked) - {None}:
        require_no_lists(root)
        return {}
    if None in marked:
        named = next(each[0].source for mark, each in marked.items() if mark)
        raise DataMissing(
            f"{root}: '{named}' is named for a split and '{marked[None][0].source}' is not; "
            f"expected all or none, {ADVICE}"
        )
    shared = {split: marked.get(split, []) for split in SPLITS}
    if "eval" in marked:
        shared[_place_of_eval(root, marked)] = marked["eval"]
    if shared["train"] and shared["test"] and not shared["val"] and val_share is not None:
        shared["train"], shared["val"] = _part(shared["train"], root, val_share)
    elif val_share is not None:
        raise DataMissing(
            f"{root}: val_share is {val_share:g}, but names do not say just train and test; leave "
            "it out"
        )
    if lacking := [split for split in SPLITS if not shared[split]]:
        cure = f"name recordings for {' and '.join(lacking)}, "
        if lacking == ["val"]:
            cure = "give val_share: 0.1 to take the last tenth of train's for it, "
        counts = ", ".join(f"{len(shared[s])} for {s}" for s in SPLITS if shared[s])
        raise DataMissing(
            f"{root}: names say {counts}, but none for {' or '.join(lacking)}; {cure}{ADVICE}"
        )
    return shared


def _place_of_eval(root: Path, marked: dict[Mark | None, list[Recording]]) -> SplitName:
    """What `eval` means beside the other names: val where there is a test, test where a val."""
    if ("val" in marked) == ("test" in marked):
        others = " and ".join(str(mark) for mark in marked if mark != "eval") or "no other"
        raise DataMissing(
            f"{root}: '{marked['eval'][0].source}' is named for eval, beside {others}; expected "
            f"val or test, {ADVICE}"
        )
    return "test" if "val" in marked else "val"


def _part(trained: list[T], root: Path, share: float) -> tuple[list[T], list[T]]:
    last = max(1, round(len(trained) * share))
    if last >= len(trained):
        raise DataMissing(
            f"{root}: {len(trained)} recordings for train leave none beside val_share: {share:g}; "
            "give it more, or a smaller share"
        )
    return trained[:-last], trained[-last:]


def require_no_lists(root: Path) -> None:
    """Asks that no `train.txt` lie beside recordings whose names say nothing.

    Raises:
        DataMissing: one does.
    """
    if not root.is_dir():
        return
    beside = sorted(root.iterdir())
    for folder in (path for path in beside if path.is_dir() and LISTING.search(path.name)):
        beside += sorted(folder.iterdir())
    for path in beside:
        stem = re.sub(r"[\W\d_]+", "", path.stem.casefold())
        if path.suffix.lower() in LISTS and (_mark(stem) or stem in ("split", "splits")):
            raise DataMissing(
                f"{path}: a list of a split, which nothing reads; give its folder as lists, or "
                "split_by: shares"
            )


def share_in_order(recordings: Sequence[Recording], root: Path, shares: Sequence[float]) -> Shared:
    """Recordings of each split, by shares of them all in their order.

    Raises:
        DataMissing: there are fewer than three.
    """
    count = len(recordings)
    if count < 3:
        raise DataMissing(
            f"{root}: {count} recordings; expected at least 3, one for each of train, val and test"
        )
    tested = max(1, round(count * shares[2]))
    validated = max(1, round(count * shares[1]))
    first, last = count - tested - validated, count - tested
    if first < 1:
        raise DataMissing(f"{root}: {count} recordings, by shares {list(shares)}, leave train none")
    return {
        "train": list(recordings[:first]),
        "val": list(recordings[first:last]),
        "test": list(recordings[last:]),
    }
