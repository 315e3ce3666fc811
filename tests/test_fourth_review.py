"""Faults that a fourth review has found, one by one: each test is the promise that was broken."""

from __future__ import annotations

import pickle
import threading
from typing import Any, ClassVar

import pytest
from conftest import Clock, MakePool, Messages

import ProxyPatternPool as ppp

# The pool


def test_late_holders_time_is_its_own(
    make_pool: MakePool, clock: Clock, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An info tells how long a late holder had the object, though another one has had it meanwhile."""
    pool = make_pool(max_size=1, max_using_delay=5.0, delay=3600.0)
    late = pool.get()
    clock.advance(10.0)
    pool._hkRound()
    settle = ppp.Pool._settle
    visits = 0

    def overtaken(*args: Any) -> None:
        nonlocal visits
        visits += 1
        if visits == 1:
            pool.ret(pool.get())
        settle(*args)

    monkeypatch.setattr(ppp.Pool, "_settle", overtaken)
    pool.ret(late)
    told = [text for text in messages("INFO") if "is back after" in text]
    assert [text.partition("after ")[2] for text in told] == ["10.000 seconds"]
    assert visits == 2, "the other return was to be looked at, too"


# The proxy


class Hasty(ppp.Proxy[Any]):
    """Looks at itself before it is built."""

    def __init__(self) -> None:
        self.seen = self._has_obj(), "_get_obj" in dir(self), repr(self), bool(self)
        super().__init__(obj=[1])


def test_subclass_looks_at_itself_before_it_is_built() -> None:
    """Before `Proxy.__init__`, a proxy is one that is not set: it has no object, and says so."""
    hasty = Hasty()
    assert hasty.seen == (False, True, "<Proxy unset>", False)
    assert hasty._has_obj()


class Quiet(ppp.Proxy[Any]):
    """Assigns nothing in its constructor, and notes what is assigned."""

    noted: ClassVar[list[str]] = []

    def __setattr__(self, name: str, value: Any) -> None:
        self.noted.append(name)
        super().__setattr__(name, value)


class Building(ppp.Proxy[Any]):
    """Assigns in its constructor."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mine = 1


class Both(Building, Quiet):
    """Both ways to assign."""


def test_assignments_go_through_all_bases() -> None:
    """A base with its own `__setattr__` sees what another base's constructor assigns."""
    Quiet.noted.clear()
    both = Both(obj=threading.local())
    both.other = 2
    assert Quiet.noted == ["mine", "other"]
    assert both.mine == 1
    assert not hasattr(both._get_obj(), "mine")
    assert both._get_obj().other == 2


class Locked(ppp.Proxy[Any]):
    """Keeps a lock, which no pickle can hold."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lock = threading.Lock()
        self.label = "a"

    def __getstate__(self) -> dict[str, Any]:
        return {"label": self.label}


class Relocked(Locked):
    """Has a lock again where it arrives."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.lock = threading.Lock()
        self.label = state["label"] + "b"


@pytest.mark.parametrize(("kind", "label"), [(Locked, "a"), (Relocked, "ab")])
def test_pickled_by_its_own_state(kind: type[Any], label: str) -> None:
    """What a subclass says of its state in a pickle counts, and so does what it does with it."""
    proxy = kind(obj=[1, 2])
    copy = pickle.loads(pickle.dumps(proxy))
    assert type(copy) is kind
    assert copy.label == label
    assert copy == [1, 2]
    assert hasattr(copy, "lock") is (kind is Relocked)
