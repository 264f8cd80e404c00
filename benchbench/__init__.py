"""A benchmark harness that compares spatiotemporal predictors."""

from pathlib import Path
from typing import TYPE_CHECKING

# An installed wheel holds benchbench/models/; a checkout keeps models/, datasets/ and suites/
# beside this package.
_package = Path(__file__).resolve().parent
if not (_package / "models").is_dir():
    __path__.append(str(_package.parent))

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        """`__version__`, when it is asked for: to read it takes as long as to start `bench`."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("benchbench")
        except PackageNotFoundError:  # a checkout on the path that was never installed
            return "0+unknown"
