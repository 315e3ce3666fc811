"""Programs in the manner of version 11 print what they printed there, and reported faults stay mended.

Each program in `programs/` has the text that it prints beside it, as `.out`; those in `programs/reports/` end
with status 0.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from helpers import run_python

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(autouse=True)
def _uncovered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure no coverage in programs: it takes most of their time."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


def check(path: Path, *args: str) -> str:
    """Run a program in a process of its own and give what it prints."""
    run = run_python(path.read_text(encoding="utf-8"), *args, seconds=50.0, PYTHONIOENCODING="utf-8")
    assert run.returncode == 0, run.stderr
    assert "Exception ignored" not in run.stderr
    assert "Exception in thread" not in run.stderr
    return run.stdout


@pytest.mark.parametrize("name", sorted(path.stem for path in PROGRAMS.glob("*.py")))
def test_program_prints(name: str) -> None:
    """A program written for version 11 prints the same on this version."""
    assert check(PROGRAMS / f"{name}.py") == (PROGRAMS / f"{name}.out").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(path.stem for path in (PROGRAMS / "reports").glob("*.py")))
def test_report_is_mended(name: str) -> None:
    """A program that showed a reported fault ends without an error."""
    if name == "interrupted_waiter":
        if sys.platform == "win32":
            pytest.skip("Windows has no interval timer")
        if sys.version_info < (3, 11):
            pytest.skip("interruptions on Python 3.10 are not promised")
    check(PROGRAMS / "reports" / f"{name}.py", "400")
