"""Scores of predictions made elsewhere: arrays in `.npy` and `.npz` files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchbench.errors import DataMissing, Unfit
from benchbench.scoring.protocol import Protocol
from benchbench.scoring.rows import rows_in
from benchbench.scoring.score import score_arrays, without_range
from benchbench.scoring.summary import Summary, write_summary

BATCH_BYTES = 1 << 24
"""Of the predicted frames, in float32, that are scored at a time."""


def read(source: str) -> npt.NDArray[Any]:
    """The array in `FILE.npy`, or in `FILE.npz` if it is the only one, or in `FILE.npz:NAME`.

    Raises:
        DataMissing: there is no such file or array, or it is not numpy's.
    """
    name, _, member = source.partition(".npz:")
    path = Path(f"{name}.npz" if member else source)
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataMissing(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataMissing(f"{path}: a folder, not an array of numpy") from None
    except OSError as error:
        raise DataMissing(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataMissing(f"{path}: not an array of numpy ({error})") from None
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        names = ", ".join(loaded.files)
        if not member and len(loaded.files) == 1:
            member = loaded.files[0]
        if not loaded.files:
            raise DataMissing(f"{path}: holds no array")
        if member not in loaded.files:
            asked = f"no array '{member}'" if member else "several arrays"
            raise DataMissing(f"{path}: {asked}; say {path}:NAME with one of {names}")
        try:
            array: npt.NDArray[Any] = loaded[member]
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DataMissing(f"{path}: '{member}' is damaged ({error})") from None
        return array


def score(
    prediction: npt.NDArray[Any],
    target: npt.NDArray[Any],
    protocols: Sequence[Protocol],
    folder: Path,
    *,
    span: tuple[float, float] | None = (0.0, 1.0),
) -> dict[str, Summary]:
    """Scores frames (N, T, C, H, W) or (N, T, H, W) into a folder, as `evaluate` does.

    `span` is the declared range of the data, None where it is not known. Sequences are numbered
    from 0, which are their ids.

    Raises:
        Unfit: the arrays cannot be scored; the message says why.
        DataMissing: a protocol's weight file is absent.
    """
    prediction, target = (x[:, :, None] if x.ndim == 4 else x for x in (prediction, target))
    if prediction.shape != target.shape or prediction.ndim != 5 or not prediction.size:
        raise Unfit(
            f"prediction is {prediction.shape} and target {target.shape}; expected two equal "
            "shapes (N, T, C, H, W) or (N, T, H, W)"
        )
    if span is None:
        protocols = [without_range(protocol) for protocol in protocols]
    batch = max(1, BATCH_BYTES // (4 * prediction[0].size))
    with rows_in(folder, protocols, prediction.shape[1]) as rows:
        for start in range(0, len(prediction), batch):
            part = slice(start, start + batch)
            scores = score_arrays(protocols, prediction[part], target[part], span=span, first=start)
            ids = [str(start + index) for index in range(len(prediction[part]))]
            for one in rows:
                one.add(ids, scores[one.protocol.name])
        summaries = {one.protocol.name: replace(one.close(), span=span) for one in rows}
    for summary in summaries.values():
        write_summary(folder, summary)
    return summaries
