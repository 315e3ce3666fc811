"""The table in `tests/README.md`: each point of the contract has its row, and what that names exists."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
TEXT = (TESTS / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+)\.(\d+) \| (.+) \| (.+) \|$", TEXT, re.MULTILINE)
LAST = {1: 3, 2: 24, 3: 13, 4: 1, 5: 25, 6: 14, 7: 1}
"""The last point of each section."""


def test_every_point_has_its_row() -> None:
    """Each point of each section has one row, in order."""
    wanted = [(section, point) for section, last in LAST.items() for point in range(1, last + 1)]
    assert [(int(section), int(point)) for section, point, *_ in ROWS] == wanted


def test_what_the_rows_name_exists() -> None:
    """Each row names a file, folder or test, all that it names exist, and no test file is left out."""
    named = {f"contract/test_{name}.py" for name in ("programs", "table", "mutants_in_step")}
    for section, point, _, cell in ROWS:
        places = re.findall(r"`([^`]+)`", cell)
        assert places != [], f"{section}.{point}"
        for place in places:
            path, _, test = place.partition("::")
            assert (TESTS / path).exists(), place
            assert not test or f"def {test}(" in (TESTS / path).read_text(encoding="utf-8"), place
            named.add(path)
    found = {
        path.relative_to(TESTS).as_posix()
        for folder in ("contract", "pool", "proxy", "faults")
        for pattern in ("test_*.py", "programs/**/*.py")
        for path in (TESTS / folder).glob(pattern)
    }
    assert sorted(found - named) == []
