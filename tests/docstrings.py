"""The check that no docstring begins with "What": `python -m tests.docstrings`, a part of `make check`.

A docstring that begins so names a riddle instead of a thing or an action. Write what the code is, or what it does.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

Documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def riddles(source: str) -> Iterator[int]:
    """Yield the line of each docstring that begins with the word "What"."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Documented):
            words = (ast.get_docstring(node) or "").split(maxsplit=1)
            if words and words[0].strip("\"'*`").casefold().rstrip(".:,;!?") == "what":
                yield node.body[0].lineno


def main() -> int:
    listed = subprocess.run(["git", "ls-files", "*.py"], capture_output=True, text=True, check=True).stdout
    files = [Path(line) for line in listed.splitlines()]
    found = [f"{file}:{line}" for file in files if file.exists() for line in riddles(file.read_text())]
    for place in found:
        print(f'{place}: the docstring begins with "What"')  # noqa: T201 - the output of a command
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
