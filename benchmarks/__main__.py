"""`python -m benchmarks [NAME ...]`: run the named benchmarks, or all; `--list` lists them with their question."""

from __future__ import annotations

import ast
import pkgutil
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    """Every benchmark, sorted; imports none of them."""
    return sorted(module.name for module in pkgutil.iter_modules([str(HERE)]) if not module.name.startswith("_"))


def question(name: str) -> str:
    """The first line of the benchmark's docstring."""
    text = ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text())) or ""
    return text.split("\n")[0]


def main(arguments: list[str]) -> int:
    if "--list" in arguments:
        for name in names():
            print(f"{name:<20} {question(name)}")
        return 0
    unknown = [name for name in arguments if name not in names()]
    if unknown:
        print(f"there is no benchmark {unknown[0]!r}; there are {', '.join(names())}", file=sys.stderr)
        return 2
    for name in arguments or names():
        print(f"\n== {name}: {question(name)}\n", flush=True)
        sys.argv = [name]
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
