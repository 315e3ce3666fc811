"""The table of mutants is in step with the module and with the tests; `make mutants` runs it."""

from __future__ import annotations

import re

import mutants
import pytest
from mutants import MUTANTS, ROOT, Mutant

SOURCE = mutants.MODULE.read_text()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.where}: {mutant.guards}")
def test_mutant_is_in_step(mutant: Mutant) -> None:
    """Each mutant changes one place of the module as it is, and names a test that exists."""
    assert mutant.apply(SOURCE) != SOURCE
    found = re.fullmatch(r"(tests/test_\w+\.py)::(test_\w+|TestModel)(?:\[.*\]|::runTest)?", mutant.test)
    assert found is not None
    assert re.search(
        rf"^(?:def|class) {found[2]}\b|^{found[2]}\b", (ROOT / found[1]).read_text(), re.MULTILINE
    )


def test_what_is_not_there_is_not_changed() -> None:
    """A mutant whose text is not in its function, or twice, is an error, not a survivor."""
    with pytest.raises(ValueError, match="0 times"):
        Mutant("Pool.get", "", "", "no such text", "").apply(SOURCE)
    with pytest.raises(ValueError, match="2 times"):
        Mutant("Pool._checkout", "", "", "lock.release()", "pass").apply(SOURCE)
