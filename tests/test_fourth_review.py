"""Faults that a fourth review has found, one by one: each test is the promise that was broken."""

from __future__ import annotations

import _thread
import contextvars
import functools
import gc
import json
import logging
import pickle
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from conftest import (
    Clock,
    MakePool,
    Messages,
    Resource,
    Spawn,
    Stop,
    eventually,
    run_python,
    wait_for,
)

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
            other = pool.get()
            clock.advance(5.0)
            pool.ret(other)
        settle(*args)

    monkeypatch.setattr(ppp.Pool, "_settle", overtaken)
    pool.ret(late)
    told = [text for text in messages("INFO") if "is back after" in text]
    assert [text.partition("after ")[2] for text in told] == ["10.000 seconds"]
    assert visits == 2, "the other return was to be looked at, too"


HOOKS = dict.fromkeys(("opener", "getter", "retter", "closer", "reset"), id)


def at_depth(free: int, work: Callable[[], Any]) -> Any:
    """Call something with that many frames left on the stack."""
    frame: Any = sys._getframe()
    depth = 0
    while frame is not None:
        depth += 1
        frame = frame.f_back

    def down(steps: int) -> Any:
        return work() if steps == 0 else down(steps - 1)

    return down(sys.getrecursionlimit() - depth - free)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        HOOKS,
        {"check_after_idle": 0.0, "health": bool, "delay": 3600.0},
        {"max_use": 1},
        {"max_use": 1, **HOOKS},
        {"retter": id},
        {"getter": id},
    ],
    ids=["plain", "hooks", "checks", "worn out", "worn out, hooks", "retter", "getter"],
)
@pytest.mark.parametrize("work", ["get", "idle get", "with", "idle with", "idle caught", "ret", "invalidate"])
def test_full_stack_loses_nothing(parameters: dict[str, Any], work: str) -> None:
    """A `RecursionError`, however near the end of the stack, loses no token and no object."""
    errors = 0
    for free in range(1, 45):
        pool = ppp.Pool(lambda number: [number], max_size=1, min_size=0, **parameters)
        held: list[Any] = []
        if work.startswith("idle"):
            pool.ret(pool.get())
        if work in ("ret", "invalidate"):
            held.append(pool.get())

        def step(pool: Any = pool, held: list[Any] = held) -> None:
            if work.endswith("get"):
                held.append(pool.get())
            elif work.endswith("with"):
                with pool.obj():
                    pass
            elif work.endswith("caught"):
                try:
                    with pool.obj():
                        pass
                except RecursionError:
                    nonlocal errors
                    errors += 1  # and nothing refers any more to what was raised
            else:
                getattr(pool, work)(held[0])
                held.clear()

        try:
            at_depth(free, step)
        except RecursionError:
            errors += 1
        for it in held:
            pool.ret(it)

        def at_rest(pool: Any = pool) -> bool:
            stats = pool.stats()
            balanced = stats["ncreated"] == stats["nobjs"] + stats["ndestroys"]
            return bool(balanced and stats["sem"]["value"] == 1 and not stats["nusing"] + stats["ntodel"])

        eventually(at_rest)
        pool.shutdown()
    assert 0 < errors < 44


@pytest.mark.parametrize("threads", [True, False])
def test_cleaning_up_on_a_full_stack(monkeypatch: pytest.MonkeyPatch, threads: bool) -> None:
    """A step of cleaning up for which there is no room is done by another thread, or else tried again."""
    done: list[bool] = []
    tries = iter([RecursionError()])

    def step() -> None:
        for error in tries:
            raise error
        done.append(threading.get_ident() == here)

    def struck(*args: Any) -> int:
        raise RuntimeError("can't start new thread")

    here = threading.get_ident()
    if not threads:
        monkeypatch.setattr(_thread, "start_new_thread", struck)
    ppp._insist(step)
    assert eventually(lambda: done) == [not threads]


@pytest.mark.parametrize("what", ["_health_check", "_new"])
def test_interrupted_after_it_was_put_back(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """An interruption when an object is available again, and has its next holder, leaves it alone."""
    pool = make_pool(max_size=1, min_size=int(what == "_health_check"), health=Resource.check, delay=3600.0)
    shelve = ppp.Pool._shelve
    got: list[Resource] = []

    def overtaken(*args: Any) -> bool:
        shelve(*args)
        got.append(pool.get(timeout=0))
        raise KeyboardInterrupt

    monkeypatch.setattr(ppp.Pool, "_shelve", overtaken)
    with pytest.raises(KeyboardInterrupt):
        getattr(pool, what)()
    monkeypatch.undo()
    assert got[0].alive
    assert list(pool._using) == got
    pool.ret(got[0])


def test_interrupted_as_it_gives_a_useless_token_up(
    make_pool: MakePool, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A waiter with a token of a pool that has shrunk, interrupted as it gives that back, does so."""
    pool = make_pool(max_size=2, min_size=0)
    first, second = pool.get(), pool.get()
    waiter = spawn(pool.get)
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    forget = ppp.Pool._forget
    strikes = iter([KeyboardInterrupt()])

    def struck(self: Any, use: Any) -> None:
        if use.place is ppp._TOKEN:
            for strike in strikes:
                raise strike
        forget(self, use)

    with pool._lock:  # the waiter does not go on before the pool has shrunk
        pool.invalidate(first)
        pool.resize(max_size=1)
        monkeypatch.setattr(ppp.Pool, "_forget", struck)
    with pytest.raises(KeyboardInterrupt):
        waiter.result()
    pool.ret(second)
    assert pool.stats()["sem"] == {"value": 1, "init": 1}
    assert pool.get(timeout=0) is second
    pool.ret(second)


def test_pool_is_built_while_another_arrives(spawn: Spawn) -> None:
    """Whoever builds a pool does not wait for one that is being unpickled, whose messages may need it."""
    with ppp._registry.lock:
        pool = spawn(ppp.Pool, str, min_size=0).result()
    pool.shutdown()


def fail(*args: Any) -> Any:
    """Raise an error without a text."""
    raise Speechless


def test_destroyed_by_name_while_it_is_closed(make_pool: MakePool, spawn: Spawn) -> None:
    """An object whose closer is busy is not closed once more by whoever destroys it by name."""
    stop = Stop()
    closed: list[Resource] = []

    def closer(resource: Resource) -> None:
        closed.append(resource)
        stop()
        resource.close()

    pool = make_pool(max_size=1, min_size=0)
    pool._closer = closer
    mine = pool.get()
    task = spawn(pool.invalidate, mine)
    wait_for(stop.reached)
    pool._del(mine)
    assert closed == [mine]
    stop.go.set()
    task.result()
    assert pool.stats()["ndestroys"] == 1


class Speechless(Exception):
    """An error without a text."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Unreliable(logging.Handler):
    """A handler of messages that raises."""

    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("the server for logs is away")


def test_housekeeper_outlives_what_reads_messages(make_pool: MakePool) -> None:
    """A handler of messages that raises does not end the housekeeper."""
    handler = Unreliable()
    ppp.log.addHandler(handler)
    try:
        pool = make_pool(max_size=2, min_size=0, health=fail, delay=0.01)
        pool.ret(pool.get())
        eventually(lambda: pool._hk_errors > 0)
        rounds = pool._hk_rounds
        eventually(lambda: pool._hk_rounds > rounds + 1)
    finally:
        ppp.log.removeHandler(handler)


def test_housekeeper_outlives_an_interrupted_sleep(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that is injected while the housekeeper sleeps counts as an error, and it goes on."""
    wait = ppp._Bell.wait
    strikes = iter([KeyboardInterrupt()])

    def struck(self: Any, seconds: float) -> bool:
        if threading.current_thread().name == "struck housekeeper":
            for strike in strikes:
                raise strike
        return wait(self, seconds)

    monkeypatch.setattr(ppp._Bell, "wait", struck)
    pool = make_pool(max_size=1, delay=0.01, name="struck")
    eventually(lambda: pool._hk_rounds > 1)
    assert pool._hk_errors == 1


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), KeyboardInterrupt()])
def test_housekeeper_is_started_later(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Where the housekeeper could not be started, the next creation starts it."""
    pool = make_pool(max_size=2, min_size=0, delay=0.01)
    pool.shutdown(delay=5.0)
    pool._reset_state()  # as it is in the child of a fork: the first object starts the housekeeper

    def struck(*args: Any) -> int:
        raise error

    monkeypatch.setattr(_thread, "start_new_thread", struck)
    if isinstance(error, RuntimeError):
        pool.ret(pool.get())
    else:
        with pytest.raises(KeyboardInterrupt):
            pool.get()
    assert pool._housekeeper is None
    monkeypatch.undo()
    one, two = pool.get(), pool.get()
    eventually(lambda: pool._hk_rounds > 0)
    pool.ret(one)
    pool.ret(two)


class Repository:
    """Has a pool, which is filled by one of its methods."""

    def __init__(self) -> None:
        self.url = "db"
        self.pool = ppp.Pool(self.connect, max_size=2, min_size=0)

    def connect(self, number: int) -> str:
        """Make a connection."""
        return f"{self.url} {number}"


class Knowing(ppp.Pool[str]):
    """A pool with an attribute that refers to it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.me = [self]


def test_pickled_pool_that_refers_to_itself() -> None:
    """A pool whose function, or whose attribute, refers to it again travels as any other."""
    repository = Repository()
    arrived = pickle.loads(pickle.dumps(repository.pool))
    assert arrived.get() == "db 0"
    held = arrived.get()
    both = pickle.loads(pickle.dumps([repository.pool, repository]))
    assert both[1].pool is both[0] is arrived
    assert held in arrived._using
    knowing = Knowing(str, min_size=0)
    copy = pickle.loads(pickle.dumps(knowing))
    assert copy.me == [copy]
    for pool in (repository.pool, arrived, knowing, copy):
        pool.shutdown()


def test_served_in_vain_is_served_next(make_pool: MakePool, spawn: Spawn) -> None:
    """A waiter whose object was closed before it woke is served before those who came after it."""
    pool = make_pool(max_size=1, min_size=0, max_waiting=2)
    order: list[str] = []

    def work(name: str) -> None:
        held = pool.get(timeout=10.0)
        order.append(name)
        pool.ret(held)

    held = pool.get()
    first = spawn(work, "first")
    eventually(lambda: pool.stats()["nwaiting"] == 1)
    busy = Stop()

    def closer(resource: Resource) -> None:
        busy()
        resource.close()

    pool._closer = closer
    with pool._lock:  # the first one does not go on before its object is doomed
        pool.ret(held)
        (use,) = pool._objects.values()
        pool._doom(use)
    wait_for(busy.reached)  # it is closed by the first one, who is to wait anew
    others = []
    for name in ("second", "third"):
        others.append(spawn(work, name))
        eventually(lambda: pool.stats()["nwaiting"] == len(others))
    pool._closer = Resource.close
    pool._max_waiting = 1  # as if a third one had come just now
    busy.go.set()
    for task in (first, *others):
        task.result()
    assert order[-1] == "third"
    assert order.index("first") < 2
    assert pool.stats()["nwaits"] == 3


def test_drained_while_it_is_made_ahead(make_pool: MakePool, spawn: Spawn) -> None:
    """An object that is drained while it is made for `min_size` is made anew."""
    stop = Stop()
    made: list[list[int]] = []

    def make(number: int) -> list[int]:
        made.append([number])
        if len(made) == 2:
            stop()
        return made[-1]

    pool = make_pool(make, max_size=4, min_size=1)
    task = spawn(pool.invalidate, pool.get())
    wait_for(stop.reached)
    pool.drain()
    stop.go.set()
    task.result()
    assert [pool.stats()[key] for key in ("nobjs", "ncreated")] == [1, 3]


def test_stats_of_what_cannot_be_described(make_pool: MakePool) -> None:
    """`stats()` answers where a hook's error has no text, and `str` where a hook's keys are no texts."""
    pool = make_pool(stats=fail)
    assert pool.stats()["avail"][0]["error"] == "Speechless"
    pool = make_pool(stats=lambda obj: {("a", "b"): 1, "c": 2})
    assert json.loads(str(pool))["avail"][0]["stats"] == {"c": 2}


def test_all_of_invalidate_on_is_looked_at() -> None:
    """What is no class in `invalidate_on` is refused, wherever it stands."""
    wrong: Any = (Exception, None)
    with pytest.raises(ppp.PoolException, match="invalidate_on must be exception classes"):
        ppp.Pool(str, invalidate_on=wrong)


def test_use_info_is_matched() -> None:
    """`UseInfo` has the positions of its fields, as a dataclass has."""
    match ppp.Pool.UseInfo(1, 2.0, 3.0):
        case ppp.Pool.UseInfo(uses, last_get, last_ret):
            assert (uses, round(last_get), round(last_ret)) == (1, 2, 3)
        case _:
            raise AssertionError("no match")


# The proxy: guests, such as signal handlers, and hooks that use it


class Conn:
    """What a proxy stands for."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.log: list[str] = []

    def write(self, text: str) -> None:
        """Note something."""
        self.log.append(text)


class Guest:
    """Does something once, when it is asked to come."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.came = 0

    def __call__(self) -> None:
        self.came += 1
        if self.came == 1:
            self.work()


def visited(function: Callable[..., Any], guest: Callable[[], Any], after: bool = True) -> Callable[..., Any]:
    """A function of the module, at whose end, or beginning, a guest comes."""

    def visit(*args: Any) -> Any:
        if not after:
            guest()
        result = function(*args)
        if after:
            guest()
        return result

    return visit


_made: list[ppp.Proxy[Any]] = []


def make_proxy(kind: type[ppp.Proxy[Any]] = ppp.Proxy, **parameters: Any) -> Any:
    """Make a proxy with a pool of two, which is shut down when the test has ended."""
    proxy: ppp.Proxy[Any] = kind(**{"fun": Conn, "max_size": 2, "min_size": 0, **parameters})
    _made.append(proxy)
    return proxy


@pytest.fixture(autouse=True)
def _no_proxy_is_left() -> Iterator[None]:
    yield
    for proxy in _made:
        proxy._set(mandatory=False)
    _made.clear()


def block(proxy: Any) -> None:
    """Use a proxy in a block."""
    with proxy._obj() as conn:
        conn.write("by a guest")


@pytest.mark.parametrize("scope", ["THREAD", "WERKZEUG"])
def test_guest_at_the_entry_of_a_block(monkeypatch: pytest.MonkeyPatch, scope: str) -> None:
    """A guest with a block of its own does not end that which is just being entered."""
    proxy = make_proxy(scope=ppp.Proxy.Scope[scope])
    guest = Guest(lambda: block(proxy))
    monkeypatch.setattr(ppp, "_current", visited(ppp._current, guest))
    with proxy._obj() as mine:
        assert guest.came > 1
        assert list(proxy._pool._using) == [mine]
        proxy.write("by its holder")
        assert mine.log[-1] == "by its holder"
    assert not list(proxy._pool._using)


def test_guest_turns_over_at_the_entry_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest that returns the object and draws another while a block is entered: the block has that one."""
    proxy = make_proxy()
    first = proxy._get_obj()

    def turn_over() -> None:
        proxy._ret_obj()
        proxy._get_obj().write("by a guest")
        assert first in proxy._pool._using  # held here, so that the other is another
        proxy._pool.ret(first)

    def come() -> None:
        proxy._ret_obj()
        assert proxy._pool.get() is first
        turn_over()

    monkeypatch.setattr(ppp, "_home_of", visited(ppp._home_of, Guest(come), after=False))
    with proxy._obj() as mine:
        assert mine is not first
        assert list(proxy._pool._using) == [mine]
    assert not list(proxy._pool._using)


def test_interrupted_as_it_gives_back_what_it_displaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption while a draw gives back what a hook has drawn loses none of the two tokens."""
    guest = Guest(lambda: proxy.write("by a hook"))
    proxy = make_proxy(getter=lambda conn: guest())
    strikes = iter([KeyboardInterrupt()])

    def strike() -> None:
        for struck in strikes:
            raise struck

    monkeypatch.setattr(ppp._Lending, "end", visited(ppp._Lending.end, strike, after=False))
    with pytest.raises(KeyboardInterrupt):
        proxy._get_obj()
    assert not proxy._has_obj()
    assert proxy._pool.stats()["sem"] == {"value": 2, "init": 2}


def test_closer_of_a_return_draws() -> None:
    """What the closer of an object that does not last draws through the proxy stays the current one."""
    guest = Guest(lambda: proxy.write("by the closer"))
    proxy = make_proxy(max_use=1, closer=lambda conn: guest())
    proxy._get_obj()
    proxy._ret_obj()
    assert guest.came == 1
    assert proxy._has_obj()
    assert list(proxy._pool._using) == [proxy._get_obj()]
    proxy._ret_obj()
    assert proxy._pool.stats()["sem"] == {"value": 2, "init": 2}


def test_what_has_ended_is_not_destroyed() -> None:
    """A lending that has ended by itself is not ended by `_invalidate_obj` once more."""
    proxy = make_proxy()
    first = proxy._get_obj()
    proxy._local.lending.end()
    proxy._invalidate_obj()
    assert not proxy._has_obj()
    assert list(proxy._pool._avail) == [first]


def test_guest_ends_the_lending_that_a_block_has_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest with a block of its own, when the lending was found but not counted yet: it is drawn anew."""
    proxy = make_proxy()
    proxy._get_obj()
    guest = Guest(lambda: block(proxy))

    def find(home: Any, name: str, *default: Any) -> Any:
        found = getattr(home, name, *default)
        if name == "lending":
            guest()
        return found

    monkeypatch.setattr(ppp, "getattr", find, raising=False)
    with proxy._obj() as mine:
        assert guest.came > 1
        assert list(proxy._pool._using) == [mine]
    assert not list(proxy._pool._using)


class Late(ppp.Proxy[Conn]):
    """Asks a guest in when it has got its object."""

    guest: ClassVar[Callable[[], Any]]

    def _get_obj(self, timeout: float | None = None) -> Conn:
        obj = super()._get_obj(timeout)
        type(self).guest()
        return obj


def test_sibling_leaves_its_block_while_another_enters() -> None:
    """Of two contexts that share an object, the end of one's block does not end that of the other's."""
    proxy = make_proxy(Late, scope=ppp.Proxy.Scope.WERKZEUG)
    Late.guest = lambda: None
    proxy._get_obj()
    sibling = contextvars.copy_context()
    Late.guest = Guest(lambda: sibling.run(block, proxy))
    with proxy._obj() as mine:
        assert list(proxy._pool._using) == [mine]


def test_subclass_may_give_anything() -> None:
    """The block of a subclass whose `_get_obj` gives something else than the pool's object gives that."""

    class Cursor(ppp.Proxy[Any]):
        def _get_obj(self, timeout: float | None = None) -> Any:
            return ["cursor of", super()._get_obj(timeout)]

    proxy = make_proxy(Cursor)
    with proxy._obj() as cursor:
        assert list(proxy._pool._using) == cursor[1:]
    assert not list(proxy._pool._using)


@pytest.mark.parametrize("scope", ["THREAD", "WERKZEUG"])
@pytest.mark.parametrize("where", ["fun", "opener", "getter"])
def test_used_during_its_own_draw(where: str, scope: str) -> None:
    """Where `fun` or a hook uses the proxy while that draws an object, no token is lost."""
    guest = Guest(lambda: proxy.write("by a hook"))

    def make(number: int) -> Conn:
        if where == "fun":
            guest()
        return Conn(number)

    hooks: dict[str, Any] = {} if where == "fun" else {where: lambda conn: guest()}
    proxy = make_proxy(fun=make, scope=ppp.Proxy.Scope[scope], **hooks)
    mine = proxy._get_obj()
    assert guest.came > 1
    assert list(proxy._pool._using) == [mine]
    assert proxy._get_obj() is mine
    proxy._ret_obj()
    assert proxy._pool.stats()["sem"] == {"value": 2, "init": 2}


def test_made_during_its_own_making() -> None:
    """Where `fun` uses a proxy without a pool, what it has made there is not lost sight of in the account."""
    guest = Guest(lambda: proxy.write("by fun"))

    def make(number: int) -> Conn:
        guest()
        return Conn(number)

    proxy: Any = ppp.Proxy(fun=make, max_size=None)
    assert proxy._get_obj() is proxy._get_obj()
    assert proxy._nobjs == 2


def test_guest_has_made_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest that draws just before, without a pool: its object is the current one."""
    proxy: Any = ppp.Proxy(fun=Conn, max_size=None)
    guest = Guest(lambda: proxy.write("by a guest"))
    monkeypatch.setattr(ppp._Core, "draw", visited(ppp._Core.draw, guest, after=False))
    assert proxy._get_obj().log == ["by a guest"]
    assert proxy._nobjs == 1


@pytest.mark.parametrize("scope", ["THREAD", "WERKZEUG"])
@pytest.mark.parametrize("where", ["_put", "_ContextLocal._publish"])
def test_guest_while_the_object_becomes_current(
    monkeypatch: pytest.MonkeyPatch, where: str, scope: str
) -> None:
    """A guest with a block just before or after an object becomes current loses nothing."""
    for after in (False, True):
        proxy = make_proxy(scope=ppp.Proxy.Scope[scope])
        guest = Guest(functools.partial(block, proxy))
        owner, name = (ppp._ContextLocal, "_publish") if "." in where else (ppp, where)
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, visited(getattr(owner, name), guest, after))
            mine = proxy._get_obj()
        assert list(proxy._pool._using) in ([mine], [])
        proxy._ret_obj()
        assert not proxy._has_obj()
        assert proxy._pool.stats()["sem"] == {"value": 2, "init": 2}


@pytest.mark.parametrize("end", ["_ret_obj", "_invalidate_obj"])
def test_guest_returns_and_draws_while_the_object_is_returned(
    monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """A guest that returns the object and draws another while its thread returns it: no token is lost."""
    proxy = make_proxy()
    proxy._get_obj()

    def turn_over() -> None:
        proxy._ret_obj()
        proxy.write("by a guest")

    guest = Guest(turn_over)
    monkeypatch.setattr(ppp, "_take_away", visited(ppp._take_away, guest, after=False))
    getattr(proxy, end)()
    assert guest.came > 1
    monkeypatch.undo()
    proxy._ret_obj()
    assert not proxy._has_obj()
    assert proxy._pool.stats()["sem"] == {"value": 2, "init": 2}


@pytest.mark.parametrize("use", ["attribute", "block", "return"])
def test_hook_of_a_return_uses_the_proxy(use: str) -> None:
    """A retter that goes through the proxy has the object that is being returned, even the only one."""

    def retter(conn: Conn) -> None:
        if use == "attribute":
            proxy.write("rollback")
        elif use == "block":
            with proxy._obj() as same:
                same.write("rollback")
        else:
            proxy._ret_obj()
            conn.write("rollback")

    proxy = make_proxy(max_size=1, timeout=0, retter=retter)
    conn = proxy._get_obj()
    proxy._ret_obj()
    assert conn.log == ["rollback"]
    assert not proxy._has_obj()
    assert proxy._pool.stats()["sem"] == {"value": 1, "init": 1}


def test_successor_lasts_as_long_as_the_outermost_block() -> None:
    """What is drawn in an inner block, after its object was destroyed, is returned by the outermost one."""
    proxy = make_proxy()
    with proxy._obj():
        with proxy._obj():
            proxy._invalidate_obj()
            successor = proxy._get_obj()
        assert list(proxy._pool._using) == [successor]
        assert proxy._get_obj() is successor
    assert not list(proxy._pool._using)


@pytest.mark.parametrize("scope", ["THREAD", "WERKZEUG"])
def test_object_taken_away_by_hand_and_drawn_anew(scope: str) -> None:
    """A program that removes the object from the local itself, and draws another, loses no token."""
    proxy = make_proxy(scope=ppp.Proxy.Scope[scope])
    proxy._get_obj()
    del proxy._local.obj
    again = proxy._get_obj()
    assert list(proxy._pool._using) == [again]
    proxy._ret_obj()
    assert proxy._pool.stats()["sem"] == {"value": 2, "init": 2}


@pytest.mark.parametrize("scope", ["THREAD", "WERKZEUG"])
def test_block_of_an_object_put_there_by_hand(scope: str) -> None:
    """A program that puts an object into the local itself has that in a block, though there is a pool."""
    proxy = make_proxy(scope=ppp.Proxy.Scope[scope])
    proxy._get_obj()
    proxy._ret_obj()
    own = Conn(7)
    proxy._local.obj = own
    with proxy._obj() as mine:
        assert mine is own
    assert proxy._local.obj is own


# The proxy: locks, interruptions, scopes


class Cut(logging.Filter):
    """Sees that "min_size cut to max_size" is logged, and does something then."""

    def __init__(self, guest: Callable[[], Any]) -> None:
        super().__init__()
        self.guest = guest

    def filter(self, record: logging.LogRecord) -> bool:
        self.guest()
        return True


def test_first_draw_logs_without_a_lock(spawn: Spawn) -> None:
    """While a proxy's first draw logs, another thread may use the proxy."""
    proxy = make_proxy(max_size=1, min_size=2, timeout=5.0)

    def other() -> None:
        spawn(block, proxy).result()

    cut = Cut(Guest(other))
    ppp.log.addFilter(cut)
    try:
        assert proxy._get_obj().log == ["by a guest"]
    finally:
        ppp.log.removeFilter(cut)
    proxy._ret_obj()


def test_set_anew_while_its_pool_is_built() -> None:
    """A proxy that is set anew while its first draw builds the pool draws what was set then."""
    proxy = make_proxy(max_size=1, min_size=2)
    cut = Cut(Guest(lambda: proxy._set_obj("anew")))
    ppp.log.addFilter(cut)
    try:
        assert proxy._get_obj() == "anew"
    finally:
        ppp.log.removeFilter(cut)
    assert proxy._pool is None


class Dropped:
    """Uses a proxy in another thread when it goes."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work

    def __del__(self) -> None:
        self.work()


def test_what_is_replaced_is_dropped_without_a_lock(spawn: Spawn) -> None:
    """The finalizer of an object that is replaced may wait for a thread which uses the proxy."""
    seen: list[Any] = []
    proxy: Any = ppp.Proxy()
    proxy._set_obj(Dropped(lambda: seen.append(spawn(str, proxy).result())))
    task = spawn(proxy._set_fun, lambda number: f"object {number}")
    task.result()
    del task
    gc.collect()
    assert seen == ["object 0"]
    proxy._set(mandatory=False)


@pytest.mark.parametrize("where", ["Pool.shutdown", "_new_local"])
def test_interrupted_set_loses_no_pool(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """An interrupted `_set_fun` has either not begun, or it shuts the old pool down."""
    closed: list[Conn] = []
    proxy = make_proxy(closer=closed.append)
    mine = proxy._get_obj()
    pool = proxy._pool
    owner, name = (ppp.Pool, "shutdown") if "." in where else (ppp, where)
    strikes = iter([KeyboardInterrupt()])

    def strike() -> None:
        for struck in strikes:
            raise struck

    monkeypatch.setattr(owner, name, visited(getattr(owner, name), strike, after=False))
    with pytest.raises(KeyboardInterrupt):
        proxy._set_fun(lambda number: ["new", number])
    monkeypatch.undo()
    if where == "_new_local":
        assert proxy._get_obj() is mine
        assert proxy._pool is pool
        assert not pool._shutdown
        proxy._set_fun(lambda number: ["new", number])
    assert pool._shutdown
    assert closed == [mine]
    assert proxy == ["new", 0]


@pytest.mark.parametrize("scope", ["THREAD", "WERKZEUG"])
def test_abandoned_proxy_leaves_nothing_in_a_context(scope: str) -> None:
    """The pool of a proxy that is dropped goes, though its context or thread lives on."""
    closed: list[Conn] = []
    proxy = ppp.Proxy[Any](
        fun=Conn, scope=ppp.Proxy.Scope[scope], max_size=1, min_size=0, reclaim=True, closer=closed.append
    )
    proxy._get_obj()
    assert proxy._pool is not None
    pool = weakref.ref(proxy._pool)
    with warnings.catch_warnings(record=True) as texts:
        warnings.simplefilter("always")
        del proxy
        gc.collect()
    assert "abandoned" in str(texts[0].message)
    assert pool() is None
    assert len(closed) == 1


def test_eventlet_gives_back_at_the_end() -> None:
    """With `reclaim`, an object comes back when its greenlet ends, however that was started."""
    program = """
    import warnings
    warnings.simplefilter("ignore")
    import eventlet
    eventlet.monkey_patch()
    import threading, time
    import ProxyPatternPool as ppp

    def thread(work):
        threading.Thread(target=work).start()

    for scope in (ppp.Proxy.Scope.EVENTLET, ppp.Proxy.Scope.THREAD):
        for start in (eventlet.spawn, eventlet.spawn_n, eventlet.GreenPool().spawn_n, thread):
            proxy = ppp.Proxy(
                fun=lambda n: [n], max_size=1, min_size=0, scope=scope, reclaim=True, timeout=5
            )
            def work():
                proxy.append("begun")
                time.sleep(0.01)
                proxy.append("ended")
            start(work)
            time.sleep(0)
            assert proxy._pool.stats()["nusing"] == 1
            assert eventlet.spawn(proxy._get_obj).wait() == [0, "begun", "ended"]
    print("well")
    """
    done = run_python(program)
    assert done.stdout.strip() == "well", done.stdout + done.stderr


class Slow(str):
    """A name that lets other threads run while it is looked up."""

    stop: ClassVar[Stop]

    def __hash__(self) -> int:
        if not self.stop.reached.is_set():
            self.stop()
        return super().__hash__()


class Naming(ppp.Proxy[Any]):
    """Assigns a name of the caller's choice."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        setattr(self, name, 1)
        super().__init__(**kwargs)


def test_names_that_two_threads_declare(spawn: Spawn) -> None:
    """Names that two threads declare at once, each in its constructor, are all the proxy's own."""
    Slow.stop = Stop()
    slow = spawn(lambda: Naming(Slow("first"), obj="slow"))
    wait_for(Slow.stop.reached)
    obj = Conn(0)
    proxy = Naming("second", obj=obj)
    Slow.stop.go.set()
    slow.result()
    assert proxy.second == 1
    proxy.second = 2
    assert "second" not in vars(obj)


# The proxy: subclasses


class Own(ppp.Proxy[Any]):
    """Has both a constructor and a way to assign."""

    def __init__(self, **kwargs: Any) -> None:
        self.before = 1
        super().__init__(**kwargs)
        self.after = 2

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)


def test_constructor_beside_an_own_setattr() -> None:
    """What a constructor assigns is the proxy's own, also where the class has its own `__setattr__`."""
    made: list[Conn] = []

    def make(number: int) -> Conn:
        made.append(Conn(number))
        return made[-1]

    proxy: Any = Own(fun=make, max_size=None)
    assert (proxy.before, proxy.after) == (1, 2)
    assert made == []
    proxy.other = 3
    assert vars(made[0])["other"] == 3


class Partial(ppp.Proxy[Any]):
    """Has a constructor that is no function."""

    __init__ = functools.partialmethod(ppp.Proxy.__init__, max_size=None)


def test_constructor_that_is_no_function() -> None:
    """The constructor of a subclass may be any descriptor."""
    proxy: Any = Partial(fun=lambda number: [number])
    assert proxy == [0]
    assert proxy._pool is None


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
