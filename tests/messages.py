"""What the package may say: the strings of its source text, as they would be printed."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

FIELD = "\0"
"""Stands for a field of an f-string, for nobody knows beforehand what will be there."""

GAP = "..."
"""In a fragment: anything."""


class _Texts(ast.NodeVisitor):
    """Collect the strings of a module; docstrings are not printed."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.found.append(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        text = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                text += str(part.value)
            else:
                text += FIELD
                self.visit(part)  # there may be strings in it
        self.found.append(text)


def texts_of(source: str) -> list[str]:
    """List the strings of a module's source text; those split over lines are whole here."""
    visitor = _Texts()
    visitor.visit(ast.parse(source))
    return visitor.found


def texts_of_all(folder: Path) -> list[str]:
    """List the strings of all modules in a folder."""
    paths = sorted(folder.rglob("*.py"))
    return [text for path in paths for text in texts_of(path.read_text(encoding="utf-8"))]


def is_said(fragment: str, texts: Iterable[str]) -> bool:
    """Tell whether one of the texts holds a fragment, in which `...` stands for anything."""
    pieces = [re.escape(piece.strip()) for piece in fragment.split(GAP)]
    pattern = re.compile(".*".join(pieces), re.DOTALL)
    return any(pattern.search(text) for text in texts)
