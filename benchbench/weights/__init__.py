"""Weights of the reference implementations in our predictors, and the files that hold them."""

from benchbench.certificate import options_for, sources
from benchbench.weights.files import Imported, import_reference, load, read, save
from benchbench.weights.reference import Loaded, load_reference

__all__ = [
    "Imported",
    "Loaded",
    "import_reference",
    "load",
    "load_reference",
    "options_for",
    "read",
    "save",
    "sources",
]
