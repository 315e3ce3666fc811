"""Programs in the manner of version 11 print what they printed there, and reported faults stay mended.

Each program in `programs/` has the text that it prints beside it, as `.out`; those in `programs/reports/` end
with status 0.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import run_python

PROGRAMS = Path(__file__).parent / "programs"


@pytest.mark.parametrize("path", sorted(PROGRAMS.rglob("*.py")), ids=lambda path: path.stem)
def test_program(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program prints what it printed with version 11, or ends well where a fault was reported."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # which takes most of the time
    run = run_python(path.read_text(encoding="utf-8"), PYTHONIOENCODING="utf-8")
    assert run.returncode == 0, run.stderr
    assert "Exception ignored" not in run.stderr
    assert "Exception in thread" not in run.stderr
    if path.parent == PROGRAMS:
        assert run.stdout == path.with_suffix(".out").read_text(encoding="utf-8")
