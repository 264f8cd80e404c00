"""A benchmark harness that compares spatiotemporal predictors."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

try:
    __version__ = version("benchbench")
except PackageNotFoundError:  # a checkout on the path that was never installed
    __version__ = "0+unknown"

# An installed wheel holds benchbench/models/; a checkout keeps models/, datasets/ and suites/
# beside this package.
_package = Path(__file__).resolve().parent
if not (_package / "models").is_dir():
    __path__.append(str(_package.parent))
