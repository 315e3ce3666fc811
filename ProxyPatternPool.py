"""Share a few expensive things, database connections first of all, among many threads.

`Pool` keeps such things and lends each to one holder at a time. `Proxy` stands in for a thing that
does not exist yet, so that modules may import it before the application has built it.

Example:
    ```python
    import sqlite3
    import ProxyPatternPool as ppp

    db = ppp.Proxy(max_size=4, closer=sqlite3.Connection.close)  # modules import this

    # later, once the configuration is known: at most 4 connections, each thread its own
    db.set_fun(lambda n: sqlite3.connect(":memory:", check_same_thread=False))

    assert db.execute("SELECT 1 + 1").fetchone() == (2,)
    db._ret_obj()  # this thread is done: the connection goes back to the pool
    ```
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import contextvars
import dataclasses
import enum
import functools
import importlib
import inspect
import itertools
import json
import logging
import math
import operator
import os
import random
import sys
import threading
import time
import types
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    import typing_extensions  # which every type checker knows

    T = typing_extensions.TypeVar("T", default=Any)
    _ANY: Any = object()
    _Decorator = contextlib.ContextDecorator
else:
    T = TypeVar("T")
    # without a `__dict__`, which would make blocks slower
    _Decorator = type("_Decorator", (), {"__slots__": (), "__call__": contextlib.ContextDecorator.__call__})

__all__ = ["FunHook", "HealthHook", "PPPException", "Pool", "PoolException", "PoolHook", "Proxy"]
__all__ += ["ProxyException", "ProxyUnset", "StatsHook", "TimeOut", "TooManyRequests", "TraceHook"]
__version__ = "12.0.0"

log = logging.getLogger("ppp")

FunHook = Callable[[int], Any]
PoolHook = Callable[[Any], None]
TraceHook = Callable[[Any], str]
StatsHook = Callable[[Any], dict[str, Any]]
HealthHook = Callable[[Any], bool]
_Function = Callable[..., Any]


class PPPException(Exception):
    """Root of the errors of this library."""


class PoolException(PPPException):
    """A pool was misused, or has been shut down."""


class TimeOut(PoolException):
    """No object became free within the time."""


class TooManyRequests(TimeOut):
    """As many threads as `max_waiting` allows are waiting already."""


class ProxyException(PPPException):
    """A proxy was misused, or could not make its object."""


class ProxyUnset(ProxyException, AttributeError):
    """A proxy was used before it was given an object or a function."""


# The parts of a pool

# The states of a record. Single words: they are the same objects after importlib.reload.
GONE = "gone"  # holds no permit: not reserved yet, or destroyed
RESERVED = "reserved"  # a permit, and no object yet
MADE = "made"  # registered, not yet available
FRESH = "fresh"  # available, but only to the thread that made it
IDLE = "idle"  # available
HELD = "held"  # handed over to a waiter that has not checked it yet, or being examined
LENT = "lent"  # checked out
RETURNING = "returning"  # the hooks of the return are running
DOOMED = "doomed"  # to be destroyed
CLOSING = "closing"  # a thread is about to call the closer
CLOSED = "closed"  # the closer has been called

_AVAILABLE = (FRESH, IDLE)
_USING = (HELD, LENT, RETURNING)
_IN_HAND = (MADE, FRESH, *_USING)  # belongs to one thread, which discards it if interrupted
_ALIVE = (IDLE, *_IN_HAND)

_clock = time.monotonic  # the hot path saves a lookup
_EPOCH = time.time() - _clock()  # what `_now()` adds to the clock
# no object yet, or no result of a hook, which raised; it survives a reload, as does `_process` below
_NOTHING: Any = globals().get("_NOTHING", object())

_is_main_interpreter: Callable[[], bool] = getattr(_thread, "_is_main_interpreter", lambda: True)  # 3.13
# the pool whose `_new` a `get` or `_fill` is running here, and the records made by it so far
_making: contextvars.ContextVar[tuple[Any, list[Any]]] = contextvars.ContextVar("making", default=(None, []))


@dataclasses.dataclass(slots=True)
class UseInfo:
    """How an object of a pool was used; the times are comparable with the pool's `_now()`.

    Attributes:
        uses: How often it was checked out.
        last_get: When it was last checked out, in seconds.
        last_ret: When it was last returned, in seconds.
    """

    uses: int = 0
    last_get: float = 0.0
    last_ret: float = 0.0


class _Record(UseInfo):
    """The account of one object, from the reservation of its permit until it is destroyed."""

    __slots__ = tuple("asked expiry key lending newer number obj older state".split())

    def __init__(self, obj: Any = _NOTHING) -> None:
        super().__init__()
        self.state = GONE
        self.obj = obj
        self.key = 0  # id(obj): objects are known by identity, never by their own == or hash
        self.number = -1  # given to fun
        self.lending = 0  # how often it was taken: tells one lending from a later one
        self.expiry = math.inf  # the end of its lifetime; -inf once it is drained or refused
        self.older: Any = None  # the neighbours among the idle ones
        self.newer: Any = None
        self.asked: tuple[str, str, int] | None = None  # thread, file and line, until they are logged


_NO_RECORD = _Record()  # of an object that the pool does not have

if sys.version_info >= (3, 14):
    _RLock: Any = _thread.RLock

    class _Lock(_RLock):
        """A re-entrant lock; an exception raised by a signal handler cannot leave `with` holding it."""

        def __enter__(self) -> Any:  # after the one in C, a signal may strike before the block begins
            try:
                return self.acquire()
            except BaseException:
                if self._is_owned():
                    self.release()
                raise

else:
    _Lock: Any = _thread.RLock


class _Waiter:
    """A thread that waits to be woken; unlike an `Event`, an interruption leaves no lock held."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lock.acquire()
        self.record = _Record()  # what the queue hands it: an object, or this record with a permit

    def ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # it has been woken already
            self.lock.release()

    def wait(self, seconds: float) -> bool:
        return self.lock.acquire(True, max(0.0, min(seconds, threading.TIMEOUT_MAX)))


class _Objects(Set[Any]):
    """A set by identity, whatever the == and hash of its members: a live view of a pool, or fixed."""

    def __init__(self, objects: Iterable[Any] = (), pool: Any = None) -> None:
        self._objects = tuple(objects)  # with a pool: the states of the objects that it shows
        self._pool = pool

    def _by_id(self) -> dict[int, Any]:
        if self._pool is None:
            return {id(obj): obj for obj in self._objects}
        return {record.key: record.obj for record in self._pool._records_(self._objects)}

    def __contains__(self, obj: object) -> bool:
        return id(obj) in self._by_id()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._by_id().values())

    def __len__(self) -> int:
        return len(self._by_id())

    def __le__(self, other: Set[Any]) -> bool:  # which == uses
        return self._by_id().keys() <= {id(obj) for obj in other}

    def __sub__(self, other: Set[Any]) -> _Objects:
        return _Objects(obj for obj in self if obj not in _Objects(other))

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self))}}}"


class _Todel(_Objects):
    """The objects that are going to be destroyed."""

    def add(self, obj: Any) -> None:
        """Take an object out of the account, as `_out` does, unless that has been called already."""
        if obj not in self:
            self._pool._out(obj)

    def discard(self, obj: Any) -> None:
        """Forget an object that was taken out, without destroying it."""
        record = self._pool._closing_.get(id(obj))
        if record is not None and record.state is DOOMED:
            self._pool._forget_(record)


class _Uses(Mapping[Any, UseInfo], _Objects):
    """A live view from the objects of a pool, by identity, to how they were used."""

    def __getitem__(self, obj: Any) -> UseInfo:
        record: UseInfo = self._pool._alive_[id(obj)]
        return record


class _Permits:
    """A live view of the permits of a bounded pool, with the attributes of a semaphore."""

    def __init__(self, pool: Pool[Any]) -> None:
        self._pool = pool

    _initial_value = property(lambda self: self._pool._max_size)
    _in_use = property(lambda self: self._pool._size_ - len(self._pool._records_((IDLE,))))
    _value = property(lambda self: max(0, self._initial_value - self._in_use))


class _Block(_Decorator, Generic[T]):
    """What `Pool.obj` and `Proxy._obj` return, for one use: a generator does the work, as with `contextlib`.

    A block that an interruption keeps from being left drops its generator, which Python closes. (A finalizer
    would run for each block, and Python ignores the error of a signal handler that strikes in one.)
    """

    __slots__ = ("fresh", "source", "steps", "timeout")
    source: Any  # the pool or proxy
    timeout: float | None
    steps: Any  # the generator
    fresh: Iterable[T]  # likewise, until the block is entered

    def _recreate_cm(self) -> _Block[T]:
        method = "obj" if self.steps.__name__ == "_lending" else "_obj"
        block: _Block[T] = getattr(type(self.source), method)(self.source, self.timeout)
        return block

    def __enter__(self) -> T:
        steps, self.fresh = self.fresh, ()
        for obj in steps:  # faster than `next`, as below
            return obj
        raise PPPException("this block has been entered already")

    def __exit__(self, kind: Any, exc: BaseException | None, trace: object) -> None:
        if exc is None:
            for _ in self.steps:
                pass
        else:
            next(map(self.steps.send, (exc,)), None)  # `StopIteration` is its end


def _lending(pool: Pool[T], timeout: float | None) -> Generator[T, Any, None]:
    """The work of `Pool.obj`: check an object out, and end that lending and no other."""
    obj, record, lending = _NOTHING, None, None
    try:
        obj = pool.get(timeout)
        try:
            record = pool._alive_[id(obj)]
        except KeyError:
            record = _Record(obj)  # the program has overridden `get`
        lending = record.lending
        exc = yield obj
        # otherwise `ret`, `invalidate` or the kill delay has ended it already
        if (record.state is LENT and record.lending == lending) or record.key == 0:
            if exc is None or not pool._breaks_(exc):
                pool.ret(obj)
            else:
                pool.invalidate(obj)
        elif record.lending > 0:
            pool._unexpected_(obj)
    except BaseException:
        if obj is not _NOTHING and os.getpid() == _process.pid:  # in the child of a fork, it is the parent's
            pool._discard_(record or pool._find_(obj), lending)
        raise


_HOOKS = "opener getter retter closer health stats tracer reset".split()
# the parameters that are numbers, with the default that `None` stands for
_COUNTS = {"max_size": None, "min_size": 1, "max_use": 0, "max_waiting": 0, "health_freq": 1}
_DELAYS = "max_avail_delay max_using_delay max_using_delay_kill delay max_lifetime".split()
_NUMBERS = {"timeout": None, "check_after_idle": None, **dict.fromkeys(_DELAYS, 0.0), **_COUNTS}
_ADDED = "name max_using_delay max_lifetime check_after_idle reset invalidate_on max_waiting".split()
# the attributes that stats() shows as they are
_REPORTED = """id name_ started min_size max_size max_use timeout delay max_avail_delay max_using_delay_kill
    max_using_delay_warn health_freq shutdown nobjs ncreated ncreating nuses nkilled nrecycled nwornout
    nborrows nreturns ndestroys nhealth bad_health hk_rounds hk_errors hc_rounds hc_errors nwaits_ ntimeouts_
    wait_time_ use_time_ create_time_ nexpired_ ninvalidated_ nreset_errors_ nchecks_""".split()


def _number(name: str, value: Any, least: float = 0, whole: bool = False) -> Any:
    """Return an `int` or `float`, or raise an error: for NaN, for a text, and below `least`."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        number = int(value) if whole else float(value)
        if number == value and number >= least:  # neither a text nor NaN
            return value if isinstance(value, int) else number
    bound = f" of at least {least}" if least > -math.inf else ""
    raise PoolException(f"{name} must be a {'whole ' * whole}number{bound}, not {value!r}")


class Pool(Generic[T]):
    """A thread-safe pool of anything, made on demand.

    Example:
        ```python
        import sqlite3
        import ProxyPatternPool as ppp

        pool = ppp.Pool(lambda n: sqlite3.connect(":memory:"), max_size=4, closer=sqlite3.Connection.close)
        with pool.obj() as connection:
            assert connection.execute("SELECT 1 + 1").fetchone() == (2,)
        pool.shutdown()
        ```

    Args:
        fun: Makes an object, called with the creation number: 0, 1, 2… over successful creations.
        max_size: Most objects alive at once; 0 or `None`: no limit.
        min_size: Objects kept alive.
        timeout: Default for `get`, seconds; `None` waits for ever. Only a bounded pool waits.
        max_use: Uses after which an object is destroyed on return; 0: never.
        max_avail_delay: Idle seconds after which one is destroyed, while more than `min_size` live; 0: never.
        max_using_delay: Seconds after which a warning is logged about an object held; 0: the kill delay.
        max_using_delay_kill: Seconds after which an object held is taken away and destroyed; 0: never.
        health_freq: Health checks run every that many rounds.
        delay: Seconds between housekeeping rounds; 0: half the smaller of the idle and warn delays, else 60
            with a health hook, but at most half the lifetime; else no housekeeper.
        opener: Hook called with an object when it was made.
        getter: Hook called when it is lent.
        retter: Hook called when it is returned.
        closer: Hook called when it is destroyed.
        health: Says whether an idle object is still good.
        stats: Describes an object, a JSON-able dict for `stats()`.
        tracer: Describes an object, a short text for messages.
        log_level: Given to `log.setLevel`.
        name: Text for messages, the thread's name and `stats()`; default `pool-<id>`.
        max_lifetime: Seconds since its creation after which an object is destroyed instead of lent or kept,
            less a random 0 to 5 %; never while in use; 0: never. (HikariCP's maxLifetime.)
        check_after_idle: Seconds of idleness after which `health` examines an object before it is
            lent; 0.0: always; `None`: never. (psycopg_pool's check, with HikariCP's bypass window.)
        reset: Hook called on return after `retter`; if it raises, the object is destroyed.
        invalidate_on: Exception classes that, leaving `with pool.obj()`, destroy the object.
        max_waiting: With so many waiting, `get` raises `TooManyRequests`; 0: no limit. (As in psycopg_pool.)

    Raises:
        PoolException: A parameter makes no sense; the text names it and its value.
    """

    # The invariants:
    #
    # - One record per object; its `state` is the one place where it is. RESERVED: no object yet. MADE to
    #   RETURNING: in `_alive_`. IDLE: in the ring `_idle_` as well. DOOMED to CLOSED: in `_closing_`.
    # - `_size_` counts the records that are not GONE, and never exceeds `max_size`. Each of them holds a
    #   permit, apart from the idle ones: permits are derived.
    # - The lock guards states, containers and counters, apart from those of rounds. It is not held while
    #   foreign code runs (fun, hooks, `str`, logging): decide under it, act after it.
    # - A transition is one step: statements without a call or a jump back, apart from one call into C at the
    #   end. CPython runs signal handlers and finalizers, and injects exceptions, only at calls and jumps, so
    #   that these find the pool consistent. A decision that took a call is checked again in the step.
    # - Nobody waits while something is free: what frees something serves the queue, in order of arrival.
    # - A thread that is interrupted with a record in its hands discards it.
    # - A lending is identified by its record and its number, so that nothing ends a later one.
    # - The verdict on an examined object comes before it is available again.
    # - `_now()` is the only source of time for decisions. The housekeeper holds its pool weakly.

    UseInfo = UseInfo
    _created: ClassVar[int] = getattr(globals().get("Pool"), "_created", 0)  # how many pools there were

    # Names with an underscore in front are part of the contract. The others have one at each end, like those
    # of `enum`, so that subclasses do not clash with them. Slots are faster than a dict of this size
    __slots__ = (
        *{"_" + name + "_" * (name in _ADDED) for name in (*_HOOKS, *_NUMBERS, *_REPORTED)},
        *"""__dict__ __weakref__ _debug _fun _hk_last _hk_time _housekeeper _lock _started_ts _ahead_ _alive_
        _all_back_ _attribute_ _closing_ _drains_ _fill_after_ _fresh_numbers_ _idle_ _inherited_
        _invalidate_on_ _key_ _label_ _limit_ _numbers_ _parameters_ _size_ _waiters_ _wake_""".split(),
    )

    if TYPE_CHECKING:  # what `_configure_` sets
        _fun = _opener = _getter = _retter = _closer = _health = _stats = _tracer = _reset_ = _ANY
        _name_ = _max_size = _timeout = _check_after_idle_ = _invalidate_on_ = _health_freq = _ANY
        _min_size = _max_use = _max_waiting_ = 0
        _max_avail_delay = _max_using_delay_ = _max_using_delay_kill = _delay = _max_lifetime_ = 0.0

    def __init__(
        self,
        fun: Callable[[int], T],
        max_size: int | None = 0,
        min_size: int | None = 1,
        timeout: float | None = None,
        max_use: int | None = 0,
        max_avail_delay: float | None = 0.0,
        max_using_delay: float | None = 0.0,
        max_using_delay_kill: float | None = 0.0,
        health_freq: int | None = 1,
        delay: float | None = 0.0,
        opener: Callable[[T], object] | None = None,
        getter: Callable[[T], object] | None = None,
        retter: Callable[[T], object] | None = None,
        closer: Callable[[T], object] | None = None,
        health: Callable[[T], bool] | None = None,
        stats: Callable[[T], dict[str, Any]] | None = None,
        tracer: Callable[[T], str] | None = None,
        log_level: int | str | None = None,
        *,
        name: str | None = None,
        max_lifetime: float | None = 0.0,
        check_after_idle: float | None = None,
        reset: Callable[[T], object] | None = None,
        invalidate_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        max_waiting: int | None = 0,
    ) -> None:
        self._key_ = os.urandom(16).hex()  # unpickled twice in a process, it is the same pool there
        self._configure_({key: value for key, value in locals().items() if key not in ("self", "__class__")})
        self._begin_()
        try:
            if self._ahead_:
                self._fill()
                self._start_housekeeper_()
        except BaseException:
            self.shutdown()
            raise

    def _configure_(self, given: dict[str, Any]) -> None:
        """Check the parameters, and set them; one that makes no sense is a `PoolException`."""
        p = dict(given)
        for name in ("fun", *_HOOKS):
            hook = p[name]
            if not callable(hook) and (name == "fun" or hook is not None):
                raise PoolException(f"{name} must be callable, not {hook!r}")
            if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(type(hook).__call__):
                raise PoolException(f"{name} must not be a coroutine function: {hook!r}")
        for name, default in _NUMBERS.items():
            least = 1 if name == "health_freq" else 0
            p[name] = default if p[name] is None else _number(name, p[name], least, whole=name in _COUNTS)
        if p["check_after_idle"] is not None and p["health"] is None:
            raise PoolException(f"check_after_idle needs a health hook: {p['check_after_idle']!r}")
        if p["name"] is not None and not isinstance(p["name"], str):
            raise PoolException(f"name must be a text, not {p['name']!r}")
        what = "invalidate_on must be exception classes"
        try:
            issubclass(int, p["invalidate_on"])  # is false, so that each of them is looked at
            what = "log_level must be a level"
            if (level := p.pop("log_level")) is not None:
                log.setLevel(level)
        except (TypeError, ValueError) as exc:
            raise PoolException(f"{what}, not {given[what.split()[0]]!r}") from exc
        for name, value in p.items():
            setattr(self, "_" + name + "_" * (name in _ADDED), value)
        self._parameters_ = given  # for pickling
        self._inherited_: set[int] = set()  # the identities of objects of the parent of a fork
        with _process.lock:
            self._id = Pool._created = Pool._created + 1
        self._name_ = self._name_ or f"pool-{self._id}"
        self._label_ = f"pool {self._name_!r}"
        self._debug = log.isEnabledFor(logging.DEBUG)
        self._limit_: float = self._max_size or math.inf
        self._cut_min_size_()
        self._max_using_delay_warn = warn = self._max_using_delay_ or self._max_using_delay_kill
        if 0 < self._max_using_delay_kill < warn:
            facts = f"{warn} > {self._max_using_delay_kill}"
            self._tell_(log.warning, "inconsistent max_using_delay_warn > max_using_delay_kill: %s", facts)
        if self._delay == 0:
            delays = [delay for delay in (self._max_avail_delay, warn) if delay > 0]
            self._delay = min(delays) / 2 if delays else 60.0 if self._health is not None else 0.0
            if self._max_lifetime_ > 0:
                self._delay = min(self._delay or math.inf, self._max_lifetime_ / 2)
        # the first process of "flask --debug" serves no requests
        workaround = os.environ.get("PPP_WERKZEUG_WORKAROUND")
        self._ahead_ = not workaround or os.environ.get("WERKZEUG_RUN_MAIN") == "true"
        if not self._ahead_:
            self._tell_(log.warning, "skipping housekeeper thread creation under werkzeug empty start")

    def _cut_min_size_(self) -> None:
        if self._min_size > self._limit_:
            self._tell_(log.warning, "min_size %d cut to max_size %d", self._min_size, self._limit_)
            self._min_size = int(self._limit_)

    def _begin_(self, shutdown: bool = False) -> None:
        """Start without an object: when built, when unpickled, and in the child of a fork."""
        self._lock: Any = _Lock()
        self._alive_: dict[int, _Record] = {}  # by identity; without the GIL [] is faster than .get
        self._idle_ = root = _Record()  # the root of a ring; its `older` is the most recently used one
        root.older, root.newer, root.expiry = root, root, -math.inf
        self._closing_: dict[int, _Record] = {}
        self._waiters_: deque[_Waiter] = deque()
        self._size_ = self._drains_ = self._nchecks_ = 0
        self._fresh_numbers_ = itertools.count()
        self._numbers_: list[int] = []  # those of failed creations, to be used again
        self._fill_after_ = -math.inf  # when creations fail, returns do not try again before that time
        self._housekeeper: threading.Thread | None = None
        self._wake_ = _Waiter()  # tells the housekeeper to fill, or to end
        self._all_back_ = _Waiter()  # tells a shutdown that no object is lent any more
        self._started_ts = self._hk_last = self._now()
        self._started = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime())
        self._nobjs = self._nuses = self._ncreating = self._ncreated = self._ndestroys = self._nborrows = 0
        self._nreturns = self._nhealth = self._bad_health = self._nreset_errors_ = self._hc_errors = 0
        self._nrecycled = self._nwornout = self._nexpired_ = self._ninvalidated_ = self._hc_rounds = 0
        self._nkilled = self._hk_rounds = self._hk_errors = self._nwaits_ = self._ntimeouts_ = 0
        self._hk_time = self._wait_time_ = self._use_time_ = self._create_time_ = 0.0
        self._shutdown = shutdown
        _process.pools[id(self)] = self

    # What users call

    def get(self, timeout: float | None = None) -> T:
        """Check out an object; make one if none is idle and the limit allows it.

        Args:
            timeout: Seconds to wait for one; 0 or less: do not wait; `None`: the pool's own `timeout`.

        Returns:
            The object, the caller's until `ret`.

        Raises:
            TimeOut: There was none in time.
            TooManyRequests: `max_waiting` threads are waiting already.
            PoolException: The pool is shutting down, or `timeout` makes no sense.
            Exception: What `fun` raised.
        """
        if timeout is not None:
            timeout = _number("timeout", timeout, -math.inf)
        now = self._now()
        lock = self._lock
        record, lending = None, 0
        try:
            try:  # what `with` does: with it, get and ret were a tenth to a fifth slower
                lock.acquire()
                root = self._idle_
                newest = root.older  # if none is idle, the root itself, which counts as expired
                # decides between an idle object that can be lent without a check, and the queue
                if (
                    now < newest.expiry
                    and (self._check_after_idle_ is None or now - newest.last_ret < self._check_after_idle_)
                    and not self._shutdown
                ):
                    root.older = older = newest.older
                    older.newer = root
                    newest.older = None  # that one may be closed meanwhile: it must not be kept
                    newest.state = LENT
                    newest.uses += 1
                    newest.last_get = now
                    newest.lending = lending = newest.lending + 1
                    self._nuses += 1
                    record = newest
            except BaseException:
                if lock._is_owned():
                    lock.release()
                raise
            lock.release()
            if record is None or self._getter is not None or self._max_using_delay_warn or self._debug:
                while record is None or not self._announce_(record, lending):
                    record = self._obtain_(timeout, now, again=record is not None)
                    lending = record.lending
            obj: T = record.obj
            return obj
        except BaseException:
            self._discard_(record or _NO_RECORD, lending)
            raise

    def ret(self, obj: T) -> None:
        """Return an object, whatever hooks do; if it is not lent, log a warning and do nothing else.

        Args:
            obj: What `get` returned.
        """
        lock = self._lock
        record, lending = None, None
        try:
            now = self._now()
            try:
                record = self._alive_[id(obj)]
            except KeyError:
                record = _NO_RECORD
            lending = record.lending
            if self._retter is not None or self._reset_ is not None:
                lent = self._check_in_(record, lending)
            else:
                try:
                    lock.acquire()
                    lent = record.state is LENT
                    if lent:
                        record.last_ret = now
                        self._use_time_ += now - record.last_get
                        # decides whether it is idle at once, or a waiter or a limit of its life comes first
                        if (
                            self._waiters_
                            or self._max_use
                            or self._size_ > self._limit_
                            or now >= record.expiry
                        ):
                            self._put_back_(record)
                        else:
                            record.state = IDLE
                            record.newer = root = self._idle_
                            record.older = older = root.older
                            older.newer = root.older = record
                except BaseException:
                    if lock._is_owned():
                        lock.release()
                    raise
                lock.release()
            if not lent:
                self._unexpected_(obj)
            elif self._debug or self._closing_ or self._size_ < self._min_size:
                self._replace_(obj)
        except BaseException:
            self._discard_(record or self._find_(obj), lending)
            raise

    def obj(self, timeout: float | None = None) -> _Block[T]:
        """Check out an object for a `with` block, and return it whatever happens there.

        Args:
            timeout: As for `get`.

        Returns:
            A context manager which gives the object. It decorates functions, too, apart from coroutine and
            generator functions, which go on after the call.
        """
        block: _Block[T] = _Block()
        block.source, block.timeout = self, timeout
        block.steps = block.fresh = _lending(self, timeout)
        return block

    def invalidate(self, obj: T) -> None:
        """Destroy a lent object, say a broken connection, instead of returning it.

        Args:
            obj: What `get` returned. If it is not lent, log a warning and do nothing else.
        """
        record = self._find_(obj)
        lending = record.lending
        try:
            if self._check_in_(record, lending, broken=True):
                record.lending = 0  # so that the end of its block logs no warning
                self._replace_(obj)
            else:
                self._unexpected_(obj)
        except BaseException:
            self._discard_(record, lending)
            raise

    def drain(self) -> None:
        """Replace all objects: close the idle ones now and the others when they return, then fill anew."""
        with self._lock:
            self._drains_ += 1
            self._fill_after_ = -math.inf
            for record in list(self._alive_.values()):
                record.expiry = -math.inf
        self._evict_(IDLE, lambda record: record.expiry < 0)
        self._replace_()

    def resize(self, min_size: int | None = None, max_size: int | None = None) -> None:
        """Change the limits at once; lent objects are left alone, a surplus goes as they return.

        Args:
            min_size: Objects kept alive; `None`: as it is.
            max_size: Most objects alive at once; `None`: as it is.

        Raises:
            PoolException: A size makes no sense, or the pool has no limit and would get one or the reverse.
        """
        least = self._min_size if min_size is None else _number("min_size", min_size, whole=True)
        most = self._max_size if max_size is None else _number("max_size", max_size, whole=True)
        with self._lock:
            if bool(most) != bool(self._max_size):
                raise PoolException(f"{self._label_}: max_size cannot go from {self._max_size!r} to {most!r}")
            if self._shutdown:
                return
            self._min_size, self._max_size, self._limit_ = least, most, most or math.inf
            self._parameters_ = self._parameters_ | {"min_size": least, "max_size": most}
            self._fill_after_ = -math.inf
            self._serve_()
        self._cut_min_size_()
        self._evict_(IDLE, lambda record: True, keep=self._limit_)
        self._replace_()

    def stats(self) -> dict[str, Any]:
        """Give the pool's configuration, counters and objects, without waiting for anything.

        Returns:
            A JSON-able dict; times are seconds, those of objects relative to now.
        """
        with self._lock:
            data: dict[str, Any] = {key.rstrip("_"): getattr(self, "_" + key) for key in _REPORTED}
            data |= {"ntodel": len(self._closing_), "nwaiting": len(self._waiters_)}
            data["sem"] = self._sem and {"value": self._sem._value, "init": self._sem._initial_value}
            states = [(record, record.state) for record in list(self._alive_.values())]
        now = self._now()
        avail = [self._describe_(record, now) for record, state in states if state in _AVAILABLE]
        using = [self._describe_(record, now) for record, state in states if state in _USING]
        data |= {"navail": len(avail), "nusing": len(using), "avail": avail, "using": using}
        data |= {"now": time.time(), "running": now - self._started_ts}
        data["rel_hk_last"] = min(0.0, self._hk_last - now)
        data["time_per_hk"] = self._hk_time / self._hk_rounds if self._hk_rounds else 0.0
        # values that JSON lacks become text, infinities and NaN null
        text = json.dumps(data, default=repr, skipkeys=True)
        return dict(json.loads(text, parse_constant=lambda _: None))

    def shutdown(self, delay: float = 0.0, *, grace: float = 0.0) -> None:
        """End the pool: no more objects, waiters are woken with `PoolException`, all objects are closed.

        A second time is harmless, and so is returning an object afterwards, which logs a warning.

        Args:
            delay: Seconds to wait for the housekeeper to end.
            grace: Seconds to wait for lent objects to come back before they are closed. (SQLAlchemy and
                HikariCP leave them alone; here a warning counts them.)

        Raises:
            PoolException: A number makes no sense.
        """
        delay, grace = _number("delay", delay), _number("grace", grace)
        try:
            self._retire_()
            if grace > 0 and self._size_ > 0:
                self._all_back_.wait(grace)
                self._all_back_.ring()  # another shutdown may wait, too
            self._retire_((IDLE, LENT))
        except BaseException:
            self._retire_((IDLE, LENT))
            raise
        housekeeper, self._housekeeper = self._housekeeper, None
        if delay > 0 and housekeeper is not None and housekeeper is not threading.current_thread():
            housekeeper.join(min(delay, threading.TIMEOUT_MAX))
            if housekeeper.is_alive():
                self._tell_(log.warning, "shutting down pool with live housekeeper")

    def __enter__(self) -> typing_extensions.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def __str__(self) -> str:
        return json.dumps(self.stats())

    # A pool is a value: copies of it are itself, and as a class attribute it can be shadowed

    def __deepcopy__(self, memo: object = None) -> typing_extensions.Self:
        return self

    __copy__ = __deepcopy__

    def __set_name__(self, owner: type, name: str) -> None:
        self._attribute_ = name

    def __set__(self, instance: Any, value: Any) -> None:
        vars(instance)[self._attribute_] = value

    def __delete__(self, instance: Any = None) -> None:
        """Close every object now and keep the pool; of an instance, delete what shadows the pool."""
        if instance is not None:
            if vars(instance).pop(self._attribute_, _NOTHING) is _NOTHING:
                raise AttributeError(self._attribute_)
            return
        for record in self._records_():
            record.expiry = -math.inf  # what the pool itself is busy with goes afterwards
        self._close_all_((IDLE, LENT))

    def __reduce__(self) -> tuple[Any, ...]:
        # the state comes last, since the parameters may refer to the pool
        empty = functools.partial(type(self).__new__, type(self))
        return _arrive, (self._key_, empty), (self._key_, self._parameters_, self.__dict__)

    def __setstate__(self, state: tuple[str, dict[str, Any], dict[str, Any]]) -> None:
        with _process.arrivals:
            if not hasattr(self, "_parameters_"):  # otherwise it was unpickled before
                self._key_, parameters, own = state
                self._configure_(parameters)
                self._begin_()
                self.__dict__.update(own)

    def __del__(self) -> None:
        if not getattr(self, "_shutdown", True):
            self._retire_()
            if self._nuses > 0:
                warnings.warn(f"{self._label_} was abandoned without shutdown", ResourceWarning, stacklevel=2)

    # What programs and tests read

    _avail = property(functools.partial(_Objects, _AVAILABLE))
    _using = property(functools.partial(_Objects, _USING))
    _todel = property(functools.partial(_Todel, (DOOMED, CLOSING, CLOSED)))
    _uses = property(functools.partial(_Uses, _ALIVE))
    _sem = property(lambda self: _Permits(self) if self._max_size else None)

    # The seams: the pool works through them, so that programs can override and patch them

    def _now(self) -> float:
        """Seconds since the epoch, by a clock that is never set."""
        return _clock() + _EPOCH

    def _create(self) -> T:
        """Call `fun`, and register its object, which is not available yet."""
        pool, made = _making.get()
        made = made if pool is self else []
        record = made[0] if made and made[0].number < 0 else _Record()
        made.append(record)
        try:
            begin = self._now()
            lifetime = self._max_lifetime_ * random.uniform(0.95, 1.0) if self._max_lifetime_ else math.inf
            with self._lock:
                if record.state is not RESERVED:
                    if self._size_ >= self._limit_:
                        raise PoolException(f"{self._label_}: no room for a new object")
                    self._size_ += 1
                    record.state = RESERVED
                number = self._numbers_.pop() if self._numbers_ else next(self._fresh_numbers_)
                record.number = number
                drains = self._drains_
                self._ncreating += 1
            # the result is stored without a point of interruption in between
            for record.obj in map(self._fun, (number,)):
                break
            else:
                raise StopIteration("raised by fun")  # it ended the loop
            now = self._now()
            with self._lock:
                if not self._register_(record):
                    raise PoolException(f"{self._label_}: fun returned an object that the pool has already")
                record.last_get = record.last_ret = now
                record.expiry = now + lifetime if drains == self._drains_ else -math.inf
                self._create_time_ += now - begin
                self._fill_after_ = -math.inf
            if self._debug:
                self._tell_(log.debug, "made %s", self._text_(record.obj))
            self._start_housekeeper_()
            obj: T = record.obj
            return obj
        except BaseException:
            self._discard_(record)
            raise

    def _new(self) -> T:
        """Make an object, and make it available: at once, unless `get` or `_fill` wait for it."""
        obj = self._create()
        record = self._find_(obj)
        try:
            self._run_(self._opener, "exception in opener", obj)
            now = self._now()
            with self._lock:
                if record.state is MADE:
                    record.state = FRESH
                    record.last_ret = now
                    if _making.get()[0] is not self:
                        self._put_back_(record)
            return obj
        except BaseException:
            self._discard_(record)
            raise

    def _fill(self) -> None:
        """Make what is missing up to `min_size`, until one fails."""
        made = 0
        while made < self._min_size:
            record = _Record()
            try:
                with self._lock:
                    if self._size_ - len(self._closing_) >= self._min_size or self._size_ >= self._limit_:
                        return
                    self._size_ += 1
                    record.state = RESERVED
                record = self._make_(record, "new object failed")
                with self._lock:
                    self._put_back_(record)
                made += record.expiry > -math.inf  # otherwise it has been drained meanwhile
                self._empty()
            except BaseException as exc:
                self._discard_(record)
                if not isinstance(exc, Exception):
                    raise
                self._fill_after_ = self._now() + max(1.0, self._delay)
                return

    def _out(self, obj: T) -> None:
        """Take an object out of the account: from now on it is in `_todel`, with its permit."""
        with self._lock:
            self._doom_(self._find_(obj))

    def _destroy(self, obj: T) -> None:
        """Call the closer of an object that was taken out, and forget it. The caller counts it."""
        record = self._closing_.get(id(obj))
        self._run_(self._closer, "exception in closer", obj, record)
        if self._debug:
            self._tell_(log.debug, "destroyed %s", self._text_(obj))
        if record is not None:
            self._forget_(record)

    def _del(self, obj: T) -> None:
        """Take an object out, and destroy it."""
        self._out(obj)
        self._dispose_(self._closing_.get(id(obj), _NO_RECORD))

    def _empty(self) -> None:
        """Destroy what is in `_todel`, and nothing else."""
        for record in self._closing_.copy().values():
            self._dispose_(record)

    def _borrow(self, obj: T) -> bool:
        """Take an available object for examination; whether it was available."""
        record = self._find_(obj)
        with self._lock:
            if record.state is not IDLE:
                return False
            record.older.newer, record.newer.older = record.newer, record.older
            record.state = HELD
            record.lending += 1
            self._nborrows += 1
        return True

    def _return(self, obj: T) -> None:
        """Put an examined object back; one that was refused goes to `_todel`."""
        record = self._find_(obj)
        with self._lock:
            if record.state is HELD:
                self._nreturns += 1
                self._put_back_(record)
        if record.state is DOOMED:
            self._out(obj)

    def _hkRound(self) -> None:
        """Warn of what is held too long; move what is killed and recycled to `_todel`."""
        now = self._now()
        self._hk_rounds += 1
        self._hk_last = now
        warn, kill = self._max_using_delay_warn or math.inf, self._max_using_delay_kill or math.inf
        held = self._records_((LENT,))
        late = [(r, r.asked, age) for r in held if (age := now - r.last_get) >= min(warn, kill)]
        if late:
            ages = [age for _, _, age in late]
            facts = len(late), sum(ages) / len(ages), sum(age >= kill for age in ages)
            self._tell_(log.warning, "long running objects: %d (%.3f seconds, %d to kill)", *facts)
            self._evict_(LENT, lambda record: now - record.last_get >= kill, "_nkilled")
        for record, asked, age in late:
            if asked is not None and record.asked is asked:  # otherwise it has been lent again
                record.asked = None
                held_by = (self._text_(record.obj), age, *asked)
                self._tell_(log.warning, "%s held for %.3f seconds by thread %s, from %s:%d", *held_by)
        self._evict_(IDLE, lambda record: now >= record.expiry > -math.inf, "_nexpired_")
        idle = self._max_avail_delay or math.inf
        self._evict_(IDLE, lambda record: now - record.last_ret >= idle, "_nrecycled", self._min_size)

    def _health_check(self) -> None:
        """Examine the idle objects one by one, in the order of their last use; destroy those refused."""
        if self._health is None:
            return
        self._hc_rounds += 1
        for record in sorted(self._records_((IDLE,)), key=lambda record: record.last_ret):
            lending = record.lending + 1  # if it is borrowed now
            if record.state is IDLE and record.obj is not None:
                try:
                    borrowed: object = self._borrow(record.obj)
                    if borrowed is not None and borrowed is not False:
                        self._examine_(record)
                        self._return(record.obj)
                except BaseException:
                    self._discard_(record, lending)
                    raise
                self._empty()

    def _houseKeeping(self) -> None:
        """Do rounds until shutdown; when woken early, only fill. The thread's `self` is a weak proxy."""
        begin, whole = time.monotonic(), None
        with contextlib.suppress(ReferenceError):  # the pool may go away meanwhile
            while not self._shutdown:
                if whole is not None:
                    _do_round(self, whole)
                due = begin + (self._delay or math.inf)
                woken = self._wake_.wait(due - time.monotonic())
                whole = not woken or time.monotonic() >= due  # returns may wake it again and again
                begin = time.monotonic() if whole else begin

    # Check-out, where no object is idle or the idle one has to be checked

    def _obtain_(self, timeout: float | None, begin: float, again: bool) -> _Record:
        """Queue for an object, or for a permit to make one, until there is one that can be lent."""
        limit = self._timeout if timeout is None else timeout
        limit = math.inf if limit is None else max(0.0, limit)
        deadline = begin + limit
        vain, waiter = _NO_RECORD, _Waiter()
        try:
            while True:
                vain, waiter = waiter.record, _Waiter()
                late = again and limit > 0 and self._now() >= deadline  # hooks took all the time
                with self._lock:
                    shut, waiting = self._shutdown, len(self._waiters_)
                    if not (again or shut) and 0 < self._max_waiting_ <= waiting:  # so nothing is free
                        self._ntimeouts_ += 1
                        facts = f"{waiting} are waiting already, max_waiting is {self._max_waiting_}"
                        raise TooManyRequests(f"{self._label_}: {facts}")
                    if not (late or shut):  # at the front, if the object before was no good
                        self._waiters_.insert(0 if again else waiting, waiter)
                        self._serve_()
                if again or waiter.record.state is GONE:
                    self._discard_(vain)  # it holds a permit until it is destroyed
                if shut:  # an error leaves with nothing in its hands, since a signal may strike on the way
                    raise PoolException(f"{self._label_}: Pool is shutting down")
                self._wait_(waiter, limit, deadline)
                record = waiter.record  # if the pool was shut down, neither object nor permit
                if record.state is RESERVED and self._size_ <= self._limit_:  # otherwise the pool has shrunk
                    record = waiter.record = self._make_(record, "object creation failed")
                if self._lend_(record):
                    return record
                again = True
        except BaseException:
            with self._lock, contextlib.suppress(ValueError):  # it may have left the queue
                self._waiters_.remove(waiter)
            self._discard_(vain)
            self._discard_(waiter.record)
            raise

    def _wait_(self, waiter: _Waiter, limit: float, deadline: float) -> None:
        """Wait for a turn, or until the pool is shut down; `TimeOut` if neither comes in time."""
        begin = self._now()
        left = deadline - begin
        waits = waiter.record.state is GONE and left > 0
        # a signal handler may wait here while the thread that it interrupted holds the lock
        held = self._lock._release_save() if left > 0 and self._lock._is_owned() else None
        try:
            served = waiter.wait(left)
        finally:
            if held is not None:
                self._lock._acquire_restore(held)
        waited = self._now() - begin
        with self._lock:
            self._nwaits_ += waits
            self._wait_time_ += waited
            # its turn, or the end of the pool, may have come as the time was over
            if not served and waiter.record.state is GONE and not self._shutdown:
                if waiter in self._waiters_:
                    self._waiters_.remove(waiter)
                self._ntimeouts_ += 1
                facts = f"{_Permits(self)._in_use} of {self._max_size} in use, {len(self._waiters_)} waiting"
                raise TimeOut(f"{self._label_}: sem timeout after {limit} s ({facts})")
        if _process.ending and threading.current_thread() is not threading.main_thread():
            time.sleep(1.0)  # the error of a daemon thread would only disturb the end of the process

    def _make_(self, reserved: _Record, failure: str) -> _Record:
        """Run `_new` with a reserved permit; the object is for our caller alone."""
        made = [reserved]
        outer = _making.set((self, made))
        try:
            record = self._find_(self._new())
            if record.state is not FRESH:
                raise PoolException(f"{self._label_}: _new has made no object available")
            for other in made:
                if other is not record:
                    with self._lock:
                        self._put_back_(other)
            return record
        except BaseException as exc:
            for mine in made:
                self._discard_(mine)
            if isinstance(exc, Exception):
                self._tell_(log.error, "%s: %s", failure, exc, exc_info=True)
            raise
        finally:
            _making.reset(outer)

    def _lend_(self, record: _Record) -> bool:
        """Check out an object in our hands; false if it is no good."""
        now, check = self._now(), self._check_after_idle_
        look = record.state is HELD and check is not None and now - record.last_ret >= check
        look = look and record.obj is not None and self._health is not None and now < record.expiry
        if look:
            self._examine_(record)
            now = self._now()
        with self._lock:
            self._nchecks_ += look
            # a new object is lent once, however short its lifetime
            expired = now >= record.expiry and (record.state is HELD or record.expiry < 0)
            self._nexpired_ += expired and record.expiry > -math.inf
            if expired or self._shutdown or record.state not in (HELD, FRESH):
                return False
            record.state = LENT
            record.uses += 1
            record.last_get = now
            record.lending += 1
            self._nuses += 1
        return True

    def _announce_(self, record: _Record, lending: int) -> bool:
        """Run the getter, and note the thread and line that asked; false if the object is no longer lent."""
        if self._max_using_delay_warn:
            frame = sys._getframe(1)
            while frame.f_globals.get("__name__") in (__name__, "contextlib") and frame.f_back is not None:
                frame = frame.f_back
            record.asked = threading.current_thread().name, frame.f_code.co_filename, frame.f_lineno
        if self._debug:
            self._tell_(log.debug, "get %s", self._text_(record.obj))
        self._run_(self._getter, "exception in getter", record.obj)
        return record.lending == lending and record.state is LENT

    # Check-in, examination, eviction, the end

    def _check_in_(self, record: _Record, lending: int | None, broken: bool = False) -> bool:
        """Take an object back, running the hooks unless it is broken; false if it was not lent."""
        with self._lock:
            if record.state is not LENT or record.lending != lending:
                return False
            record.state = RETURNING
            self._ninvalidated_ += broken
        failed = False
        if not broken:
            self._run_(self._retter, "exception in retter", record.obj)
            failed = self._run_(self._reset_, "exception in reset", record.obj) is _NOTHING
        now = self._now()
        with self._lock:
            if record.state is RETURNING:
                record.last_ret = now
                self._use_time_ += now - record.last_get
                self._nreset_errors_ += failed
                if broken or failed:
                    record.expiry = -math.inf
                self._put_back_(record)
        return True

    def _replace_(self, obj: Any = _NOTHING) -> None:
        """Destroy what has to go, and make what is missing, or let the housekeeper do so."""
        if self._debug and obj is not _NOTHING:
            self._tell_(log.debug, "ret %s", self._text_(obj))
        if id(obj) in self._closing_:
            self._out(obj)
        self._empty()
        missing = self._size_ - len(self._closing_) < self._min_size
        if missing and self._ahead_ and self._now() >= self._fill_after_:  # otherwise it failed lately
            if (keeper := self._housekeeper) is not None and keeper.is_alive():
                self._wake_.ring()  # in its own thread, too: it fills at the end of its round
            else:
                self._fill()

    def _examine_(self, record: _Record) -> None:
        """Ask the health hook about an object in our hands; unless it says yes, the object is refused."""
        verdict = self._run_(lambda obj: bool(self._health(obj)), "health check error", record.obj)
        with self._lock:
            self._nhealth += 1
            self._hc_errors += verdict is _NOTHING
            self._bad_health += verdict is False
            if verdict is not True:
                record.expiry = -math.inf
        if verdict is False:
            self._tell_(log.error, "bad health: %s", self._text_(record.obj))

    def _evict_(self, state: str, when: Callable[[_Record], bool], count: str = "", keep: float = -1) -> None:
        """Take out the objects for which `when` holds, least recently used first, while over `keep` live."""
        for record in sorted(filter(when, self._records_((state,))), key=lambda record: record.last_ret):
            with self._lock:
                lending, left = record.lending, self._size_ - len(self._closing_)
                gone = left > keep and record.state is state and when(record) and self._doom_(record, lending)
                if gone and count:
                    setattr(self, count, getattr(self, count) + 1)
            if gone:
                self._out(record.obj)

    def _dispose_(self, record: _Record) -> None:
        """Destroy an object in `_todel`, unless another thread does; its permit is free afterwards."""
        mine = False
        try:
            with self._lock:
                if record.state is DOOMED:
                    record.state = CLOSING
                    mine = True
                    self._ndestroys += 1
            if mine:
                self._destroy(record.obj)
                self._forget_(record)
        except BaseException:
            if mine:
                if record.state is CLOSING:
                    self._run_(self._closer, "exception in closer", record.obj, record)
                self._forget_(record)
            raise

    def _retire_(self, states: tuple[str, ...] = (IDLE,)) -> None:
        """Let nobody in, wake the waiters and the housekeeper, and destroy all objects in some states."""
        with self._lock:
            self._shutdown = True
            self._min_size = self._limit_ = 0
            self._serve_()
        self._wake_.ring()
        _process.arrived.pop(self._key_, None)
        self._close_all_(states)

    def _close_all_(self, states: tuple[str, ...]) -> None:
        """Destroy all objects in some states."""
        records = self._records_(states)
        if in_use := sum(record.state is LENT for record in records):
            self._tell_(log.warning, "deleting in-use objects: %d", in_use)
        with contextlib.ExitStack() as each:  # goes on if one of them is interrupted
            each.callback(self._empty)
            for record in reversed(records):
                each.callback(self._del, record.obj)

    def _discard_(self, record: _Record, lending: int | None = None) -> None:
        """Give up the permit or object that this thread was interrupted with, in that lending or any."""
        with self._lock:
            if record.state is RESERVED and record.obj is not _NOTHING:
                self._register_(record)
            if record.state in _IN_HAND:
                self._doom_(record, lending)
            self._serve_()
        if record.state is RESERVED:
            self._forget_(record)
        elif record.state is DOOMED:
            self._out(record.obj)
        self._empty()

    def _forget_(self, record: _Record) -> None:
        """Free the permit of a reservation, or of an object that has been destroyed."""
        with self._lock:
            if record.state is not GONE:
                record.state = GONE
                self._size_ -= 1
                if record.obj is not _NOTHING:
                    del self._closing_[record.key]
                elif record.number >= 0:
                    self._numbers_.append(record.number)
            self._serve_()
        if self._shutdown and self._size_ == 0:
            self._all_back_.ring()

    def _start_housekeeper_(self, usual: Callable[..., None] = _houseKeeping) -> None:
        """Start the housekeeper's thread, once; it runs `_houseKeeping` if the program has its own."""
        if self._housekeeper is not None or self._delay <= 0 or not self._ahead_ or self._shutdown:
            return
        work: Any = self._houseKeeping
        if getattr(work, "__func__", None) is usual:  # otherwise it is the program's own
            work = functools.partial(usual, weakref.proxy(self))
        started, thread = _Waiter(), None

        def run() -> None:
            started.ring()
            work()

        try:
            with self._lock:
                if self._housekeeper is not None:
                    return
                name = f"{self._name_} housekeeper"
                thread = self._housekeeper = threading.Thread(target=run, name=name, daemon=True)
            # another thread starts it: an interrupted start may leave a lock of `threading` held
            start = _thread.start_new_thread if _is_main_interpreter() else lambda start, _: start()
            start(thread.start, ())
            started.wait(10.0)
            self._tell_(log.info, "housekeeper %s running every %s seconds", thread.name, self._delay)
        except BaseException as exc:
            if thread is not None and not thread.is_alive():
                self._housekeeper = None  # the next creation tries again
            # too many threads, the interpreter is about to end, or it is a subinterpreter without daemons
            if not isinstance(exc, RuntimeError):
                raise
            self._tell_(log.error, "no housekeeper: %s", exc)

    # Foreign code

    def _run_(self, hook: _Function | None, what: str, obj: T, closing: _Record | None = None) -> Any:
        """Run a hook on an object; if it raises, log that and return `_NOTHING`."""
        try:
            if closing is not None:
                closing.state = CLOSED  # from now on it is not closed again, whatever interrupts this
            return hook(obj) if hook is not None else None
        except Exception as exc:
            self._tell_(log.error, "%s: %s", what, exc, exc_info=True)
            return _NOTHING

    def _tell_(self, how: Callable[..., None], text: str, *facts: Any, **options: Any) -> None:
        how("%s: " + text, self._label_, *facts, stacklevel=2, **options)

    def _text_(self, obj: T, complaint: str = "exception in tracer") -> str:
        """Describe an object in a message: by the tracer, never by `str`, which may show a secret."""
        tracer = None if id(obj) in self._inherited_ else self._tracer
        text = self._run_(tracer, complaint, obj)
        return f"{type(obj).__name__} at {id(obj):#x}" if tracer is None or text is _NOTHING else str(text)

    def _unexpected_(self, obj: T) -> None:
        text = self._text_(obj, "exception in tracer on unexpected returned object")
        self._tell_(log.warning, "unexpected object returned: %s", text)

    def _describe_(self, record: _Record, now: float) -> dict[str, Any]:
        """The entry of an object in `stats()`."""
        entry: dict[str, Any] = {"uses": record.uses}
        entry |= {"last_get": min(0.0, record.last_get - now), "last_ret": min(0.0, record.last_ret - now)}
        hooks = {"stats": self._stats, "trace": self._tracer, "str": str}
        key, hook = next((key, hook) for key, hook in hooks.items() if hook is not None)
        try:
            entry[key] = hook(record.obj)
        except Exception as exc:
            entry["error"] = type(exc).__name__
            with contextlib.suppress(Exception):  # its text may raise as well
                entry["error"] += f": {exc}"
        return entry

    def _breaks_(self, exc: Any) -> bool:
        """Whether the error that leaves a block, or one in its group, is among `invalidate_on`."""
        on = self._invalidate_on_
        grouped = any(base.__name__ == "BaseExceptionGroup" for base in type(exc).__mro__)  # on 3.10, too
        return isinstance(exc, on) or (grouped and exc.subgroup(on) is not None)

    # Looking

    def _find_(self, obj: Any) -> _Record:
        try:
            return self._alive_[id(obj)]
        except KeyError:
            return _NO_RECORD

    def _records_(self, states: tuple[str, ...] = _ALIVE) -> list[_Record]:
        with self._lock:
            records = [*self._alive_.values(), *self._closing_.values()]
        return [record for record in records if record.state in states]

    # With the lock held: these neither take it nor call foreign code

    def _serve_(self) -> None:
        """Hand what is free to the waiters, in order of arrival; after shutdown, wake them with nothing."""
        waiters, root = self._waiters_, self._idle_
        while waiters and (self._shutdown or root.older is not root or self._size_ < self._limit_):
            waiter, record = waiters[0], root.older
            if record is not root and not self._shutdown:
                record.older.newer, root.older = root, record.older
                record.older = None
                record.state = HELD
                record.lending += 1
                waiter.record = record
            elif not self._shutdown:
                waiter.record.state = RESERVED
                self._size_ += 1
            del waiters[0]
            waiter.lock.release()

    def _register_(self, record: _Record) -> bool:
        """Register the object that was made; false if the pool has it already."""
        key = id(record.obj)
        if key in self._alive_ or key in self._closing_:
            record.obj = _NOTHING  # so that it is not closed here
            return False
        record.key = key
        record.state = MADE
        self._alive_[key] = record
        self._nobjs += 1
        self._ncreated += 1
        return True

    def _put_back_(self, record: _Record) -> None:
        """Make an object in our hands idle, which may serve a waiter, or doom it if it is no longer good."""
        good = record.expiry > 0 and self._size_ - len(self._closing_) <= self._limit_
        worn = good and 0 < (self._max_use or 0) <= record.uses
        expired = good and not worn and record.last_ret >= record.expiry
        if record.state not in _IN_HAND:
            return
        if worn or expired or not good:
            self._nwornout += worn
            self._nexpired_ += expired
            self._doom_(record)
        else:
            record.state = IDLE
            record.newer = root = self._idle_
            record.older = older = root.older
            older.newer = root.older = record
            self._serve_()

    def _doom_(self, record: _Record, lending: int | None = None) -> bool:
        """Mark an object to be destroyed; false if it is, or is not in that lending any more."""
        state = record.state
        if state not in _ALIVE or lending not in (None, record.lending):
            return False
        record.state = DOOMED
        self._nobjs -= 1
        del self._alive_[record.key]
        self._closing_[record.key] = record
        if state is IDLE:
            record.older.newer, record.newer.older = record.newer, record.older
        return True


# What goes on beside the pools: the housekeeper's thread, forks, the end of the interpreter, pickling


def _do_round(pool: Pool[Any], whole: bool) -> None:
    """Do the steps of a round, or only fill; a step that fails does not prevent the next."""
    begin, rounds = pool._now(), pool._hk_rounds + whole
    checking = whole and rounds % max(1, pool._health_freq) == 0
    steps = [pool._hkRound] * whole + [pool._health_check] * checking + [pool._empty] * whole
    for step in [*steps, pool._fill]:
        try:
            step()
        except BaseException as exc:  # even SystemExit, raised by a hook
            pool._hk_errors += 1
            with contextlib.suppress(BaseException):  # raised by a handler of the log
                pool._tell_(log.error, "housekeeper round error: %s", exc, exc_info=True)
    if whole:
        pool._hk_rounds = max(pool._hk_rounds, rounds)  # an overridden `_hkRound` may not have counted it
        pool._hk_time += pool._now() - begin


class _Process:
    """The pools and proxies of the process, by weak references."""

    def __init__(self) -> None:
        self.pid, self.ending = os.getpid(), False  # ending: the interpreter is about to end
        self.lock, self.arrivals = _Lock(), _Lock()  # guard Pool._created, and unpickling
        self.pools: weakref.WeakValueDictionary[int, Pool[Any]] = weakref.WeakValueDictionary()
        self.proxies: weakref.WeakValueDictionary[int, Proxy[Any]] = weakref.WeakValueDictionary()
        self.arrived: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()  # by key
        self.recent: deque[Any] = deque(maxlen=16)  # unpickled lately: kept, since the next task may need it
        self.parents: list[Any] = []  # from the parent of a fork; dropping it might close its objects


_process: _Process = globals().get("_process") or _Process()


def _living(things: weakref.WeakValueDictionary[Any, Any]) -> list[Any]:
    """The values that are alive; unlike `values()`, this allows other threads to add some."""
    return [thing for ref in things.valuerefs() if (thing := ref()) is not None]


def _after_fork() -> None:
    """Let every pool and proxy start anew in the child; its parent's objects are left alone, and kept."""
    _process.pid, _process.lock, _process.arrivals = os.getpid(), _Lock(), _Lock()
    for pool in _living(_process.pools):
        records = [*pool._alive_.values(), *pool._closing_.values()]
        for record in records:
            record.state, record.lending = GONE, 0
            pool._inherited_.add(record.key)
        _process.parents.append(records)
        pool._begin_(pool._shutdown)
    for proxy in _living(_process.proxies):
        Proxy._begin_anew(proxy)


def _at_exit() -> None:
    """Close the idle objects of all pools, and end the housekeepers."""
    _process.ending = True
    pools = _living(_process.pools)
    for pool in pools:
        with contextlib.suppress(BaseException):  # whatever a closer raises: the end is quiet
            pool._retire_()
    # a subinterpreter cannot end before its threads; elsewhere, one that is busy with a hook is left alone
    for thread in [pool._housekeeper for pool in pools if pool._housekeeper is not None]:
        thread.join(0.5 if _is_main_interpreter() else None)
    if _process.parents:
        # the interpreter deallocates at its very end, which might close the parent's objects
        ctypes = importlib.import_module("ctypes")
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(_process.parents))


atexit.register(_at_exit)
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_after_fork)  # where there are forks


def _arrive(key: str, make: Callable[[], Any]) -> Any:
    """What was unpickled under that key before, or else what `make` makes; it is kept alive for a while."""
    with _process.arrivals:
        thing = _process.arrived.get(key)
        if thing is None:
            thing = _process.arrived[key] = make()
    _process.recent.append(thing)  # without the lock: this may drop another one, which runs closers
    return thing


# The proxy


class _ContextLocal:
    """The current object of a context, as by werkzeug's `Local`.

    A context that is copied from one with an object shares its place: a return in either empties it for both.
    The places are kept here, so that they go with the proxy, and by weak keys, so that they go with contexts.
    """

    def __init__(self) -> None:
        object.__setattr__(self, "_key", contextvars.ContextVar("proxy", default=_ContextLocal))
        object.__setattr__(self, "_places", weakref.WeakKeyDictionary())
        object.__setattr__(self, "_thread", threading.local())

    __dict__: Any = property(lambda self: self._places.get(self._key.get(), {}))

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self._show({**self.__dict__, name: value})

    def __delattr__(self, name: str) -> None:
        getattr(self, name)  # or `AttributeError`
        del self.__dict__[name]

    def _show(self, place: dict[str, Any]) -> dict[str, Any]:
        """Give the running context, and no other, that place; return its former one."""
        key = Proxy.Local()  # is kept alive by this context, and by those copied from it
        self._places[key] = place
        former = self._key.set(key).old_value
        context: Any = getattr(threading.current_thread(), "_context", None)
        if context is not None and context.get(self._key) is key:
            # since Python 3.14, a `Thread` object keeps its context after the thread has ended
            self._thread.end = end = Proxy.Local()
            weakref.finalize(end, self._places.pop, key, None).atexit = False
        return {} if former is contextvars.Token.MISSING else self._places.get(former, {})

    def __release_local__(self) -> None:
        self._key.set(_ContextLocal)


def _new_local(scope: Proxy.Scope) -> Any:
    """A local that keeps, as attribute `obj`, the current object of a scope."""
    if scope.name == "VERSATILE":
        return _ContextLocal()
    modules = {"THREAD": "threading", "GEVENT": "gevent.local", "EVENTLET": "eventlet.corolocal"}
    return importlib.import_module(modules[scope.name]).local() if scope.name in modules else Proxy.Local()


def _cooperative_lock() -> Any:
    """A re-entrant lock; where threads are patched to be greenlets, the others run while one waits."""
    patched = threading.RLock()
    return _Lock() if type(patched) is _thread.RLock else patched


class _Lease:
    """One lending of an object to a proxy, which is ended once, by any thread and in any place.

    It does not refer to the place where it is current, so that it goes when that place goes.
    """

    __slots__ = ("blocks", "closed", "enders", "lending", "pool", "record")
    pool: Pool[Any]
    record: _Record  # without key if the pool, or its `get`, is the program's own
    lending: int
    # Threads may share a lease. No lock: `append` and `pop` are atomic, without the GIL as well
    blocks: list[None]  # an item for each block that is in it
    closed: int  # if set, a block that enters leaves again; the thread in which the hooks of its end run
    enders: list[Any]  # those who try to end it; the first one does

    def claim(self, ender: Any, entry: Any, place: dict[str, Any], thread: int = True) -> bool:
        """Let a block out; true if the caller has to end the lease, which is then removed from that place."""
        if entry is not None and entry.lease is self:  # one step
            entry.lease = None
            self.blocks.pop()
        if ender is None:  # the caller only asks
            return not self.blocks and not self.enders
        if entry is None or not self.blocks:
            self.closed = self.closed or thread
        if self.closed and (entry is None or not self.blocks):  # again: a thread may have entered meanwhile
            self.enders.append(ender)
        if not self.enders or self.enders[0] is not ender:
            return False
        # one step; the lease goes last, so that a thread that still finds the object finds its lease
        if "lease" in place and place["lease"] is self:
            if "obj" in place:
                del place["obj"]  # noqa: RUF051  # `pop` would be a call
            del place["lease"]
        return True

    def is_returning(self) -> bool:
        """Whether a hook of the return asks, for which the object is current still."""
        record = self.record
        mine = record.lending == self.lending and record.state is not IDLE
        return mine and self.closed == threading.get_ident()

    def end(self, place: dict[str, Any], broken: bool = False, entry: Any = None, exc: Any = None) -> None:
        """Give the object back, or destroy it, unless somebody else does so or other blocks are in it."""
        pool, record, ender = self.pool, self.record, object() if entry is None else entry
        try:
            if exc is not None and record.key:
                broken = pool._breaks_(exc)
            # overridden methods and the hooks of a return find the object still current
            ends = entry is not None and entry.state.ends and place is vars(entry.state.own["_local"])
            kept = not record.key or (not broken and (pool._retter is not None or pool._reset_ is not None))
            thread = threading.get_ident() if kept else True
            if not self.claim(None if ends else ender, entry, {} if kept else place, thread):
                return
            if entry is not None and ends:
                _own(entry.proxy, "_invalidate_obj" if broken else "_ret_obj")()
                return
            self.closed = thread
            if (record.lending == self.lending and record.state is LENT) or not record.key:
                if broken:
                    pool.invalidate(record.obj)
                else:
                    pool.ret(record.obj)
            elif record.lending > 0:
                pool._unexpected_(record.obj)
            if kept:
                self.claim(ender, entry, place)
        except BaseException:
            if self.claim(ender, entry, place) and record.key:
                pool._discard_(record, self.lending)
            raise


class _ReclaimedLease(_Lease):
    """A lease that ends when its place goes: with the thread, greenlet or context."""

    __slots__ = ()

    def __del__(self) -> None:
        # an object of a retired pool stays with its holder; a lease without enders was never completed
        if hasattr(self, "enders") and os.getpid() == _process.pid and not self.pool._shutdown:
            self.end({})


class _Entry:
    """The entry of a block into a lease."""

    __slots__ = ("lease", "place", "proxy", "state")
    lease: _Lease | None  # while the block is in it
    place: dict[str, Any]  # where it is current
    proxy: Any
    state: Any  # the proxy's


def _drawing(proxy: Any, timeout: float | None) -> Generator[Any, Any, None]:
    """The work of `Proxy._obj`: end the lease of the block's entry, wherever the block is left."""
    state, entry = _state_of(proxy), _Entry()
    entry.proxy, entry.state, entry.lease = proxy, state, None
    slow, ending = state.slow, None
    try:
        while True:
            if slow:
                obj = _own(proxy, "_get_obj")(timeout)
            else:
                obj = Proxy._draw(proxy, state, timeout, entry, ending)
            if entry.lease is not None:  # that of this draw
                break
            entry.place = place = vars(state.own["_local"])
            ending, lease = None, place.get("lease")
            if lease is not None and (slow or lease.record.obj is obj):
                entry.lease = lease  # one step
                lease.blocks.append(None)
                if not lease.closed:
                    break
                lease.end(place, False, entry)
                ending = None if lease.is_returning() else lease  # otherwise by another thread
            if slow or (ending is None and place.get("obj") is obj):
                break
        slow = False  # from now on, no lease but that of the entry is ended
        exc = yield obj
        if entry.lease is not None:
            entry.lease.end(entry.place, False, entry, exc)
        # without a lease: the program keeps the object elsewhere, or there is no pool
        elif (state.slow and state.ends) or vars(state.own["_local"]).get("obj", _NOTHING) is obj:
            _own(proxy, "_ret_obj")()
    except BaseException:
        place = vars(state.own["_local"]) if entry.lease is None else entry.place
        lease = entry.lease or (place.get("lease") if slow else None)
        if lease is not None and os.getpid() == _process.pid:  # in the child of a fork, it is the parent's
            lease.end(place, False, entry)
        raise


class _Made:
    """First base of the classes made for proxies; the second one is the program's class."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        """Hide the made classes from the `__init_subclass__` of the program."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        state = _state_of(self)
        state.building = True  # what is assigned now is the proxy's own
        Proxy._shape(self)
        try:
            super().__init__(*args, **kwargs)
        finally:
            state.building = False
            Proxy._shape(self)


class _State:
    """What a proxy knows of itself, beside its plain attributes."""

    __slots__ = (
        "asking building counter ends given key lease lock making numbers own seen slow theirs".split()
    )

    def __init__(self, own: dict[str, Any]) -> None:
        own |= {"_fun": None, "_pool": None, "_local": None, "_pool_max_size": 0, "_pool_kwargs": {}}
        self.own = own
        self.given = {"set_name": None, "scope": Proxy.Scope.AUTO, "reclaim": False}  # as in the constructor
        self.building = False  # whether a constructor is running
        self.asking: set[int] = set()  # threads whose assignment asks an overridden `_get_obj`
        self.lease, self.lock = _Lease, _Lock()
        self.making = _cooperative_lock()  # held while the one object of the process is made


class _Signature:
    """The signature of a proxy's object; of a class of proxies, that of its constructor."""

    def __get__(self, proxy: Any, owner: Any) -> inspect.Signature:
        obj: Any = functools.partial(owner.__init__, None) if proxy is None else Proxy._look(proxy)
        with contextlib.suppress(TypeError, ValueError):  # there is no object yet, or it has none
            return inspect.signature(obj)
        raise AttributeError("__signature__")


if TYPE_CHECKING:

    class _Handle(Any):  # type: ignore[misc]  # a proxy is what its object is
        """To type checkers, a proxy has all attributes and goes wherever its object goes."""

else:
    # `_fast_` is in a base since `super()` is the shortest way to a slot. It is the local that accesses look
    # into, or an empty one if they go through an overridden method. `_state_` is the `_State`
    slots = {"__slots__": ("__dict__", "__weakref__", "_fast_", "_state_")}
    _Handle = globals().get("_Handle") or type("_Handle", (), slots)


class Proxy(_Handle, Generic[T]):
    """Stands in for an object that may not exist yet, and forwards everything to it.

    Attributes, calls, operators, text and truth are the object's, apart from the proxy's own names: those
    that begin with an underscore below, those that a subclass declares, and those assigned to the proxy.
    A proxy has the special methods that its object has: its class is made for that.

    Args:
        obj: One object for everybody.
        fun: Makes an object for each thread, context or greenlet, called with the creation number.
        set_name: The prefix of the methods `set`, `set_obj` and `set_fun`, if the object has its own `set`;
            `None` or an empty text: none.
        scope: Who shares an object. `AUTO`: `SHARED` with an object, `THREAD` with a function.
            `SHARED` with a function: one object for the process, made at its first use, no pool.
        log_level: Given to `log.setLevel`.
        max_size: Most objects in the pool behind `fun`; 0: no limit; `None`: no pool, an object is made for
            each thread and kept by it.
        reclaim: Whether the object of a thread, context or greenlet which ends goes back by itself.
        **pool_parameters: Those of `Pool`, which checks them when it is made.

    Raises:
        ProxyException: Both `obj` and `fun`, or a scope that is none.
    """

    class Scope(enum.Enum):
        """Who shares an object: the whole process, or each thread, context or greenlet has its own."""

        AUTO = 0
        SHARED = 1
        THREAD = 2
        VERSATILE = 3
        WERKZEUG = VERSATILE
        GEVENT = 4
        EVENTLET = 5

    # it survives a reload of the module, since proxies and their classes refer to its members
    locals()["Scope"] = getattr(globals().get("Proxy"), "Scope", Scope)

    class Local:
        """The current object of everybody."""

    __slots__ = ()
    __signature__ = _Signature()
    __own: ClassVar[frozenset[str]]
    __annotated: ClassVar[set[str]]

    def __new__(cls, *args: Any, **kwargs: Any) -> typing_extensions.Self:
        """Make an unset proxy, of a class that is made for it."""
        self = object.__new__(cls)
        object.__setattr__(self, "_state_", _State(_dict_of(self)))
        Proxy._become(self, None, None)
        if "_Proxy__program" in vars(cls):  # `type(self)(…)`: Python calls `__init__` only for that class
            object.__setattr__(self, "__class__", cls)
        _process.proxies[id(self)] = self
        return self

    def __init__(
        self,
        obj: T | None = None,
        fun: Callable[[int], T] | None = None,
        set_name: str | None = "set",
        scope: Scope = Scope.AUTO,
        log_level: int | str | None = None,
        max_size: int | None = 0,
        *,
        reclaim: bool = False,
        **pool_parameters: Any,
    ) -> None:
        if not isinstance(scope, Proxy.Scope):
            raise ProxyException(f"scope must be a Proxy.Scope, not {scope!r}")
        if log_level is not None:
            log.setLevel(log_level)
        state, own = _state_of(self), _dict_of(self)
        state.given = {"set_name": set_name, "scope": scope, "reclaim": reclaim}
        state.lease = _ReclaimedLease if reclaim else _Lease
        own |= {"_scope": scope, "_pool_max_size": max_size, "_pool_kwargs": pool_parameters}
        Proxy._shape(self, _ALL_NAMES)
        self._set(obj, fun, mandatory=False)

    # Setting it

    def _set(
        self, obj: T | None = None, fun: Callable[[int], T] | None = None, mandatory: bool = True
    ) -> Proxy[T]:
        """Set what the proxy stands for; a pool that it had is retired.

        Args:
            obj: One object for everybody.
            fun: Makes an object for each thread, context or greenlet.
            mandatory: Whether one of them must be given.

        Returns:
            The proxy.

        Raises:
            ProxyException: Both are given, or none though one must be.
        """
        if obj is not None and fun is not None:
            raise ProxyException("Proxy cannot set both obj and fun")
        if obj is not None:
            return self._set_obj(obj)
        if fun is None and mandatory:
            raise ProxyException("Proxy must set either obj or fun")
        return self if fun is None else self._set_fun(fun)

    def _set_obj(self, obj: T | None) -> Proxy[T]:
        """Set one object for everybody; `None` makes the proxy unset.

        Args:
            obj: The object.

        Returns:
            The proxy.
        """
        return Proxy._become(self, obj, None)

    def _set_fun(self, fun: Callable[[int], T]) -> Proxy[T]:
        """Set the function that makes an object for each thread, context or greenlet, and make the pool.

        Args:
            fun: Called with the creation number.

        Returns:
            The proxy.

        Raises:
            ProxyException: `fun` is not callable.
            PoolException: A parameter of the pool makes no sense.
        """
        if not callable(fun):
            raise ProxyException(f"fun must be callable, not {fun!r}")
        return Proxy._become(self, None, fun)

    def _set_pool(self, **parameters: Any) -> None:
        """Change the parameters of the pool before it exists, which is when the proxy gets its function.

        Args:
            **parameters: Those of `Pool`; with `max_size=None` there will be none.

        Raises:
            ProxyException: The pool exists.
        """
        own = _dict_of(self)
        if own["_pool"] is not None:
            raise ProxyException("cannot override pool parameters once initialized")
        own["_pool_max_size"] = parameters.pop("max_size", own["_pool_max_size"])
        own["_pool_kwargs"] = own["_pool_kwargs"] | parameters

    # The current object

    def _get_obj(self, timeout: float | None = None) -> T:
        """Give the current object, drawn from the pool or made where there is none yet.

        Args:
            timeout: As for `Pool.get`.

        Returns:
            The object itself.

        Raises:
            ProxyUnset: The proxy was given neither object nor function.
            ProxyException: `fun` raised an `AttributeError`, which is its cause.
            PoolException: As for `Pool.get`.
        """
        obj: T = Proxy._draw(self, _state_of(self), timeout)
        return obj

    def _has_obj(self) -> bool:
        """Tell whether there is a current object, drawing none."""
        return hasattr(_dict_of(self)["_local"], "obj")

    def _ret_obj(self) -> None:
        """Give the current object back to its pool; if there is none, do nothing."""
        Proxy._end(self, broken=False)

    def _invalidate_obj(self) -> None:
        """Destroy the current object, say a broken connection, instead of giving it back."""
        Proxy._end(self, broken=True)

    def _obj(self, timeout: float | None = None) -> _Block[T]:
        """Give the current object for a `with` block, and return it at the end of the outermost one.

        There, exceptions of the pool's `invalidate_on` destroy it instead.

        Args:
            timeout: As for `Pool.get`.

        Returns:
            A context manager which gives the object itself. It decorates functions, too, apart from coroutine
            and generator functions, which go on after the call.
        """
        block: _Block[T] = _Block()
        block.source, block.timeout = self, timeout
        block.steps = block.fresh = _drawing(self, timeout)
        return block

    # Forwarding: attributes, and what every object has. The other special methods are in the table below

    def __getattribute__(self, name: str) -> Any:
        if name in _own_names and (name in _PROXY_OWN or name in type(self).__own or name in _dict_of(self)):
            return _own(self, name)
        try:
            obj = super()._fast_.obj
        except AttributeError:
            pass
        else:
            return getattr(obj, name)
        return Proxy._absent(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _own_names:
            try:
                obj = super()._fast_.obj
            except AttributeError:
                pass
            else:
                if hasattr(obj, name):
                    setattr(obj, name, value)
                    return
        target = Proxy._target(self, name)
        if target is _NOTHING:
            _own_names.add(name)
            object.__setattr__(self, name, value)
            Proxy._shape(self)
        else:
            setattr(target, name, value)

    def __delattr__(self, name: str) -> None:
        target = Proxy._target(self, name)
        if target is not _NOTHING:
            delattr(target, name)
        elif Proxy._is_unset(self) and name not in type(self).__own and name not in _dict_of(self):
            raise ProxyUnset(f"the proxy is not set yet, and has no {name!r}")
        else:
            object.__delattr__(self, name)
            Proxy._shape(self)

    def __repr__(self) -> str:
        obj, fun = Proxy._look(self), _dict_of(self)["_fun"]
        if obj is not _NOTHING:
            return repr(obj)
        name = getattr(fun, "__qualname__", type(fun).__name__)
        return "<Proxy unset>" if fun is None else f"<Proxy of {name}>"

    def __dir__(self) -> list[str]:
        obj = Proxy._look(self)
        return sorted(type(self).__own) if obj is _NOTHING else dir(obj)

    def __deepcopy__(self, memo: object = None) -> Proxy[T]:
        return self

    __copy__ = __deepcopy__

    def __reduce__(self: Any) -> Any:
        cls, own, state = type(self)._Proxy__program, _dict_of(self), _state_of(self)
        parameters = {"max_size": own["_pool_max_size"], **own["_pool_kwargs"], **state.given}
        obj = own["_local"].obj if own["_fun"] is None and self._has_obj() else None
        make = functools.partial(_make_proxy, cls, state.key, parameters, obj, own["_fun"], own["_pool"])
        start = (make, ()) if own["_fun"] is None else (_arrive, (state.key, make))
        # its own attributes come last, since they may refer to it
        return *start, cls.__getstate__(self) or None, None, None, cls.__setstate__

    def __getstate__(self) -> Any:
        return {name: value for name, value in _dict_of(self).items() if name not in _KEPT}

    def __setstate__(self, state: Any) -> None:
        _own_names.update(state)
        _dict_of(self).update(state)
        Proxy._shape(self)

    # Internal: looked up on a proxy, these names are the object's

    def _made_class(self: Any, names: frozenset[str]) -> Any:
        """The class for proxies of this class of the program that forward those special methods."""
        program = vars(type(self)).get("_Proxy__program", type(self))
        prefix = _state_of(self).given["set_name"]
        setters = {f"{prefix}{end}": getattr(program, f"_set{end}") for end in ("", "_obj", "_fun") if prefix}
        if "_Proxy__made" not in vars(program):
            program._Proxy__made = {}
        key = names, *setters.items()
        if key not in program._Proxy__made:
            bases = [base for base in reversed(program.__mro__) if base not in Proxy.__mro__]
            found = {name: value for base in bases for name, value in vars(base).items()}
            annotated = {name for base in bases for name in inspect.get_annotations(base, **_FORMAT)}
            declared = found.keys() - _MADE_BY_CLASS
            kinds = {kind.__name__ for value in found.values() for kind in type(value).__mro__}
            if "cached_property" in kinds:  # that of functools, Django or werkzeug keeps its value there
                declared.add("__dict__")
            own = _PROXY_OWN | declared | setters.keys()
            _own_names.update(own, annotated)
            members = {name: setter for name, setter in setters.items() if name not in declared}
            members |= {name: getattr(program, name) for name in ("__doc__", "__module__", "__qualname__")}
            members |= {"_Proxy__program": program, "_Proxy__own": own, "_Proxy__declared": declared}
            members["_Proxy__annotated"] = annotated
            methods = {name: method for name, method in _FORWARDED.items() if name in names}
            if "__getattr__" in declared:
                methods["__getattr__"] = _any(getattr)  # for `super()` in that of the program
            forwards = type("Forwards", (), {"__slots__": (), "__hash__": None, **methods})
            made = type(program)(program.__name__, (_Made, program, forwards), {"__slots__": (), **members})
            program._Proxy__made[key] = made
        return program._Proxy__made[key]

    def _shape(self: Any, names: frozenset[str] | None = None) -> None:
        """Forward those special methods from now on; accesses go the fast way, or by overridden methods."""
        own, state = _dict_of(self), _state_of(self)
        if names is not None:
            object.__setattr__(self, "__class__", Proxy._made_class(self, names))
        theirs = state.theirs | (own.keys() & _METHODS.keys())
        state.slow = state.building or "_get_obj" in theirs or "__getattr__" in type(self)._Proxy__declared
        state.ends = not theirs.isdisjoint(("_ret_obj", "_invalidate_obj"))  # blocks end by these methods
        object.__setattr__(self, "_fast_", Proxy.Local() if state.slow else own["_local"])

    def _become(self, obj: Any, fun: Any, pool: Pool[Any] | None = None) -> Proxy[T]:
        """Stand for that object or function from now on, with a new local; retire a former pool."""
        own, state = _dict_of(self), _state_of(self)
        # overridden in a class of the program, or patched on one
        state.theirs = {name for name in _METHODS if _found(type(self), name) is not _METHODS[name]}
        if own["_fun"] is None and not own.get("_nobjs"):
            state.given["scope"] = own.get("_scope", Proxy.Scope.AUTO)  # the program may have assigned it
        scope = state.given["scope"] if obj is None else Proxy.Scope.SHARED
        if fun is not None and scope is Proxy.Scope.AUTO:
            scope = Proxy.Scope.THREAD
        local, key = _new_local(scope), os.urandom(16).hex()  # unpickled twice in a process, it is the same
        if obj is not None:
            local.obj = obj
        seen = type(obj) if obj is not None else fun if isinstance(fun, type) else None
        names, size, nobjs = _special_names(obj, seen), own["_pool_max_size"], int(obj is not None)
        unused = pool  # the new pool until it is the proxy's, then the former one
        try:
            if fun is not None and pool is None and size is not None and scope is not Proxy.Scope.SHARED:
                pool = unused = Pool(fun, max_size=size, **own["_pool_kwargs"])
            with state.lock:
                # one step; the former local is dropped after the lock is released
                unused, _replaced = own["_pool"], own["_local"]
                own["_fun"], own["_pool"], own["_scope"], own["_local"] = fun, pool, scope, local
                own["_nobjs"], state.seen, state.key = nobjs, seen, key
                state.numbers, state.counter = [], itertools.count()
                Proxy._shape(self, names)  # with the lock: a draw may learn more
            getattr(unused, "_retire_", bool)()  # `bool` does nothing, if there is none or it is not ours
        except BaseException:
            if own["_local"] is local:
                Proxy._shape(self, names)
            getattr(unused, "_retire_", bool)()
            raise
        return self

    def _begin_anew(self: Any) -> None:
        """In the child of a fork, forget the current objects, except one that the program has set."""
        own, state = _dict_of(self), _state_of(self)
        state.lock, state.making = _Lock(), _cooperative_lock()
        _process.parents.append(own["_local"])
        if own["_fun"] is not None:
            own["_local"], own["_nobjs"] = _new_local(own["_scope"]), 0
            state.numbers, state.counter = [], itertools.count()
            Proxy._shape(self)

    def _draw(self: Any, state: Any, timeout: float | None, entry: Any = None, ending: Any = None) -> Any:
        """The current object, drawn from the pool or made if there is none; a block enters its lease."""
        own = state.own
        pool, local = own["_pool"], own["_local"]
        place = local.__dict__  # faster than `vars`
        obj: Any = place.get("obj", _NOTHING)
        if obj is not _NOTHING and (ending is None or place.get("lease") is not ending):
            return obj
        if pool is None and own["_fun"] is None:
            raise ProxyUnset("the proxy is not set yet: call its set_obj or set_fun first")
        obj = _NOTHING
        lease: Any = None
        try:
            if pool is None:
                obj = Proxy._make(own, state, local)
            else:
                obj = pool.get(timeout=timeout)
                try:
                    record, own["_nobjs"] = pool._alive_[id(obj)], pool._nobjs
                except (AttributeError, KeyError, TypeError):
                    record, own["_nobjs"] = None, getattr(pool, "_nobjs", 1)
                if type(record) is not _Record:  # the pool, or its `get`, is the program's own
                    record = _Record(obj)
                lease = state.lease()
                lease.pool, lease.record, lease.lending = pool, record, record.lending
                lease.blocks, lease.closed, lease.enders = ([] if entry is None else [None]), False, []
                former, old = None, place
                if type(local) is _ContextLocal:  # the old place may be shared; nobody sees half of a new one
                    place = {"lease": lease, "obj": obj}
                    old = local._show(place)
                    former = old.get("lease")
                else:
                    if "lease" in place:  # one step
                        former = place["lease"]
                    place["lease"], place["obj"] = lease, obj
                if entry is not None:
                    entry.place, entry.lease = place, lease
                if former is not None and former is not ending:  # `fun`, a hook or a handler has drawn it
                    former.end(old)
            if type(obj) is not state.seen:
                Proxy._see(self, local, obj)
            return obj
        except BaseException as exc:
            if lease is not None:
                lease.end(place)
            elif pool is not None and obj is not _NOTHING:
                with contextlib.suppress(AttributeError):
                    pool._discard_(pool._find_(obj))
            if isinstance(exc, AttributeError):  # it must not look like a missing attribute
                text = f"{type(exc).__name__}: {exc}"
                raise ProxyException(f"cannot make the object of the proxy: {text}") from exc
            if own["_pool"] is pool or not isinstance(exc, PoolException):
                raise
        return Proxy._draw(self, state, timeout, entry)  # it has been set anew

    def _see(self: Any, local: Any, obj: Any) -> None:
        """Forward the special methods of that object, or all of them if objects of several classes came."""
        state = _state_of(self)
        with state.lock:
            if state.own["_local"] is local:
                names = _special_names(obj, type(obj)) if state.seen is None else _ALL_NAMES
                Proxy._shape(self, names)
                state.seen = type(obj)

    @staticmethod
    def _make(own: dict[str, Any], state: Any, local: Any) -> Any:
        """Make the current object without a pool, with a unique number."""
        fun, numbers, counter = own["_fun"], state.numbers, state.counter
        making = state.making if own["_scope"] is Proxy.Scope.SHARED else _Lock()
        if making._is_owned():
            raise ProxyException("the object of the proxy is needed to make it")
        with making:  # under SHARED, everybody waits for the one object
            if not hasattr(local, "obj"):
                with state.lock:
                    number = numbers.pop() if numbers else next(counter)
                try:
                    obj = fun(number)
                except BaseException:
                    numbers.append(number)
                    raise
                local.obj = obj
                with state.lock:
                    own["_nobjs"] += 1
            return local.obj

    def _end(self: Any, broken: bool) -> None:
        """Give the current object back, or destroy it."""
        own = _dict_of(self)
        pool, place = own["_pool"], own["_local"].__dict__
        lease = place.get("lease")  # first, as it is put there first and removed last
        obj = place.get("obj", _NOTHING)
        if pool is not None and obj is not _NOTHING:
            if lease is None or lease.record.obj is not obj:  # the program has put it there
                try:
                    (pool.invalidate if broken else pool.ret)(obj)
                finally:
                    place.pop("obj", None)
            if lease is not None:
                lease.end(place, broken)

    def _look(self: Any, default: Any = _NOTHING) -> Any:
        """The current object, or the default if it would have to be drawn."""
        obj = vars(_dict_of(self)["_local"]).get("obj", _NOTHING)
        if obj is _NOTHING:
            return default
        return _current(self) if _state_of(self).slow else obj

    def _is_unset(self: Any) -> bool:
        return _dict_of(self)["_fun"] is None and not Proxy._has_obj(self)

    def _text(self: Any) -> Any:
        return repr(self) if Proxy._is_unset(self) else _current(self)

    def _absent(self: Any, name: str) -> Any:
        """An attribute that the fast way does not find: the object is missing, or methods are overridden."""
        special = name.startswith("__") and name.endswith("__")
        obj = Proxy._look(self)
        if obj is _NOTHING and special and _found(type(self), name) is not _NOTHING:
            return _own(self, name)
        probed = special or f"{name}=".startswith(_PROBES)
        if obj is _NOTHING and probed and not Proxy._will_have(self, name):
            raise ProxyUnset(f"the proxy has no object yet, and looking for {name!r} draws none")
        if not special and "__getattr__" in type(self)._Proxy__declared:
            raise AttributeError(name)  # so that Python calls it
        return getattr(_current(self) if obj is _NOTHING else obj, name)

    def _target(self, name: str) -> Any:
        """What an assignment or deletion of that name is for: the object, or `_NOTHING` for the proxy."""
        own, state = _dict_of(self), _state_of(self)
        if state.building or name in own or name in type(self).__own or name in type(self).__annotated:
            return _NOTHING
        obj, me = vars(own["_local"]).get("obj", _NOTHING), threading.get_ident()
        if obj is _NOTHING:
            return _current(self) if Proxy._will_have(self, name) else _NOTHING
        if state.slow and me not in state.asking:
            try:
                state.asking.add(me)
                obj = _current(self)  # the program's own method may assign as well
            finally:
                state.asking.discard(me)
        return obj if hasattr(obj, name) or _found(type(obj), name) is not _NOTHING else _NOTHING

    def _will_have(self, name: str) -> bool:
        """Whether the object to be drawn has that attribute, as far as is known; none of its code is run."""
        for made in getattr(_dict_of(self)["_pool"], "_uses", ()):
            return inspect.getattr_static(made, name, _NOTHING) is not _NOTHING
        return _found(_state_of(self).seen, name) is not _NOTHING


_own: _Function = object.__getattribute__
_current = operator.methodcaller("_get_obj")  # of a proxy: by the program's own method, if it has one
_fast_of: _Function = _Handle._fast_.__get__
_state_of: _Function = _Handle._state_.__get__
_dict_of: Callable[[Any], dict[str, Any]] = vars(_Handle)["__dict__"].__get__

_KEPT = frozenset("_fun _scope _local _pool _pool_max_size _pool_kwargs _nobjs __orig_class__".split())
_PROXY_OWN = _KEPT | frozenset(
    """_set _set_obj _set_fun _set_pool _get_obj _has_obj _ret_obj _invalidate_obj _obj Scope Local
    __copy__ __deepcopy__ __reduce__ __reduce_ex__ __mro_entries__ __signature__""".split()
)
# the own names of all proxies: any other is the object's; survives a reload of the module
_own_names: set[str] = globals().get("_own_names", set())
_METHODS = {name: vars(Proxy)[name] for name in ("_get_obj", "_ret_obj", "_invalidate_obj")}
# names that every class statement adds
_MADE_BY_CLASS = {*vars(Proxy.Local), *vars(_Handle), "__annotations__", "__init__", "__new__"}
# annotations are evaluated on demand; this format allows those that cannot be
_FORMAT: dict[str, Any] = {"format": 3} if sys.version_info >= (3, 14) else {}


# what tools look up on anything: IPython, unittest.mock, pytest and its plug-ins, inspect
_PROBES = tuple(
    """_ipython_ _is_coroutine _mock_ _repr_ pytestmark= _pytestfixturefunction= getdoc= place_as= hypothesis=
    _spec_class= _spec_asyncs= _partialmethod= pytest_mock_example_attribute_that_shouldnt_exist=""".split()
)


def _found(cls: type | None, name: str) -> Any:
    """What a class, if it is known, defines by that name for its instances, as it is; or `_NOTHING`."""
    for base in getattr(cls, "__mro__", ()):
        if name in vars(base):
            return vars(base)[name]
    return _NOTHING


def _make_proxy(cls: Any, key: str, parameters: dict[str, Any], *content: Any) -> Any:
    """Make a proxy as it was pickled."""
    proxy = cls.__new__(cls)
    Proxy.__init__(proxy, **parameters)
    Proxy._become(proxy, *content)
    _state_of(proxy).key = key
    return proxy


# The special methods


def _unary(operation: _Function, find: _Function = _current) -> _Function:
    def method(self: Any) -> Any:
        try:
            obj = _fast_of(self).obj
        except AttributeError:
            pass
        else:
            return operation(obj)
        return operation(find(self))

    return method


def _binary(operation: _Function, identity: bool = False) -> _Function:
    def method(self: Any, other: Any) -> Any:
        try:
            obj = _fast_of(self).obj
        except AttributeError:
            pass
        else:
            return operation(obj, other)
        if identity and (Proxy._is_unset(self) or other is type or other is object):
            return NotImplemented  # so that identity decides; `inspect` compares anything with these two
        return operation(_current(self), other)

    return method


def _any(operation: _Function, find: _Function = _current) -> _Function:
    return lambda self, /, *args, **kwargs: operation(find(self), *args, **kwargs)


def _reflected(operation: _Function) -> _Function:
    return _binary(lambda obj, other: operation(other, obj))


def _in_place(operation: _Function) -> _Function:
    def method(self: Any, other: Any) -> Any:
        obj = _current(self)
        result = operation(obj, _unwrapped(other))
        return self if result is obj else result

    return method


def _called(self: Any) -> Any:
    """The method `__call__` bound to a proxy: the object itself, which Python then calls."""
    try:
        return _fast_of(self).obj
    except AttributeError:  # only the call draws, not looking the method up
        return functools.partial(_any(lambda obj, /, *args, **kwargs: obj(*args, **kwargs)), self)


def _by_name(name: str) -> _Function:
    def call(obj: Any, *args: Any) -> Any:
        method = _found(type(obj), name)
        if method is _NOTHING:
            raise TypeError(f"{type(obj).__name__!r} object has no {name}")
        bind = getattr(type(method), "__get__", None)
        return (method if bind is None else bind(method, obj, type(obj)))(*args)

    return call


def _unwrapped(obj: Any) -> Any:
    while issubclass(type(obj), Proxy):
        obj = _current(obj)
    return obj


# One row a special method. Some are left out because their mere presence changes what a thing is: __await__
# (awaitable), __fspath__ (a path), __buffer__ and __release_buffer__ (bytes-like), __length_hint__, and
# __get__, __set__, __delete__ and __set_name__ (a descriptor). These are about the proxy itself and stay its
# own: __new__, __init__, __del__, __init_subclass__, __sizeof__, __slots__.
_FORWARDED: dict[str, Any] = {
    "__bool__": _unary(operator.truth, lambda proxy: Proxy._look(proxy, _dict_of(proxy)["_fun"] is not None)),
    "__str__": _any(str, Proxy._text),
    "__format__": _any(format, Proxy._text),
    "__eq__": _binary(operator.eq, identity=True),
    "__ne__": _binary(operator.ne, identity=True),
    "__lt__": _binary(operator.lt),
    "__le__": _binary(operator.le),
    "__gt__": _binary(operator.gt),
    "__ge__": _binary(operator.ge),
    "__hash__": _unary(hash),
    "__bytes__": _unary(bytes),
    "__call__": property(_called),
    "__len__": _unary(len),
    "__getitem__": _binary(operator.getitem),
    "__setitem__": _any(operator.setitem),
    "__delitem__": _binary(operator.delitem),
    "__contains__": _binary(lambda obj, other: operator.contains(obj, _unwrapped(other))),
    "__iter__": _unary(iter),
    "__reversed__": _unary(reversed),
    "__next__": _unary(next),
    "__aiter__": _unary(aiter),
    "__anext__": _unary(anext),
    "__enter__": _any(_by_name("__enter__")),
    "__exit__": _any(_by_name("__exit__"), lambda proxy: Proxy._look(proxy, contextlib.nullcontext())),
    "__aenter__": _any(_by_name("__aenter__")),
    "__aexit__": _any(_by_name("__aexit__"), lambda proxy: Proxy._look(proxy, contextlib.nullcontext())),
    "__int__": _unary(int),
    "__float__": _unary(float),
    "__complex__": _unary(complex),
    "__index__": _unary(operator.index),
    "__round__": _any(round),
    "__trunc__": _unary(math.trunc),
    "__floor__": _unary(math.floor),
    "__ceil__": _unary(math.ceil),
    "__neg__": _unary(operator.neg),
    "__pos__": _unary(operator.pos),
    "__abs__": _unary(abs),
    "__invert__": _unary(operator.invert),
    "__pow__": _any(lambda obj, *args: pow(obj, *map(_unwrapped, args))),  # with a modulus, not reflected
    "__rpow__": _any(lambda obj, other, *mod: pow(other, obj, *mod)),
    "__ipow__": _in_place(operator.ipow),
    "__divmod__": _binary(divmod),
    "__rdivmod__": _reflected(divmod),
    "__instancecheck__": _binary(lambda obj, instance: isinstance(instance, obj)),
    "__subclasscheck__": _binary(lambda obj, subclass: issubclass(subclass, obj)),
    "__mro_entries__": _binary(lambda obj, bases: types.resolve_bases((_unwrapped(obj),))),
    "__prepare__": _any(lambda obj, /, *args, **kwargs: obj.__prepare__(*args, **kwargs)),
}
for _stem in "add sub mul matmul truediv floordiv mod lshift rshift and or xor".split():
    _FORWARDED[f"__{_stem}__"] = _binary(getattr(operator, f"__{_stem}__"))
    _FORWARDED[f"__r{_stem}__"] = _reflected(getattr(operator, f"__{_stem}__"))
    _FORWARDED[f"__i{_stem}__"] = _in_place(getattr(operator, f"__i{_stem}__"))
# "%s" % proxy: `str` must see a sequence or a mapping
_FORWARDED["__mod__"] = _binary(lambda obj, other: obj % _unwrapped(other))
for _name in "__bool__ __str__ __format__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__".split():
    setattr(Proxy, _name, _FORWARDED.pop(_name))  # every object has it
_ALL_NAMES = frozenset(_FORWARDED)


def _special_names(obj: Any, cls: type | None) -> frozenset[str]:
    """The special methods that a proxy of an object, or of the objects of a class, forwards."""
    if cls is None:
        return _ALL_NAMES
    found = {name: value for base in reversed(cls.__mro__) for name, value in vars(base).items()}
    names = {name for name in _ALL_NAMES if found.get(name) is not None}
    # `obj + proxy`: the left operand may refuse a proxy, where it takes an object of its own class
    names |= {f"__r{name[2:]}" for name in names} & _ALL_NAMES
    if issubclass(type(obj), type):
        names |= {"__mro_entries__", "__prepare__"}
        if hasattr(obj, "__class_getitem__"):
            names.add("__getitem__")
    return frozenset(names)
