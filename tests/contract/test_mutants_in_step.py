"""The table of `make mutants` is in step with the library and its tests."""

from __future__ import annotations

from mutants import MUTANTS, TESTS


def test_rows_are_in_step() -> None:
    """Each mechanism is found once, what is left without it is Python, and the test named exists."""
    texts = {path: path.read_text(encoding="utf-8") for path in TESTS.glob("*/test_*.py")}
    wrong = []
    for row in MUTANTS:
        path, _, test = row.test.partition("::")
        if f"def {test.partition('[')[0]}(" not in texts.get(TESTS / path, ""):
            wrong.append(f"{row.name}: there is no test {row.test}")
        try:
            row.apply()
        except (ValueError, SyntaxError) as error:
            wrong.append(f"{row.name}: {error}")
    assert wrong == []
