"""What the page "Migrating" says that programs of version 11 notice, and no point of the contract shows."""

from __future__ import annotations

from conftest import MakePool, Messages

import ProxyPatternPool as ppp


def test_what_no_other_test_shows(make_pool: MakePool, messages: Messages) -> None:
    """Permits cannot be taken by hand, messages begin with the pool's name, a proxy has its own class."""
    pool = make_pool(max_size=1, name="db")
    assert not hasattr(pool._sem, "acquire")
    pool.ret(object())
    assert messages()[0].startswith("pool 'db': unexpected object returned")
    assert type(ppp.Proxy([1])) is not ppp.Proxy
