"""Prints a command of the README by the name in the comment above its block; for `.ci/run`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def named(name: str) -> str:
    """The commands of the block under `<!-- name -->`."""
    found = re.search(rf"<!-- {name} -->\n```bash\n(.*?)```", README.read_text(), re.S)
    if found is None:
        raise SystemExit(f"README.md: no block named {name}")
    return found[1].strip()


def unnamed() -> list[str]:
    """The commands of all other bash blocks, one a line, comments left out."""
    text = README.read_text(encoding="utf-8")
    blocks = re.findall(r"(<!-- \w+ -->\n)?```bash\n(.*?)```", text, re.S)
    lines = [line for name, block in blocks if not name for line in block.splitlines()]
    return [line.split("  #")[0].rstrip() for line in lines if line.strip()]


if __name__ == "__main__":
    print(named(sys.argv[1]))
