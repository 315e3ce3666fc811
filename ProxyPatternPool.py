"""Share a few expensive things, database connections first of all, among many threads.

`Pool` keeps such things and lends each to one holder at a time. `Proxy` stands in for a thing that
does not exist yet, so that modules may import it before the application has built it.

Example:
    ```python
    import sqlite3
    import ProxyPatternPool as ppp

    db = ppp.Proxy()  # modules import this, now

    # later, once the configuration is known: at most 4 connections, each thread its own
    db._set_pool(max_size=4, closer=sqlite3.Connection.close)
    db._set_fun(lambda n: sqlite3.connect(":memory:", check_same_thread=False))

    assert db.execute("SELECT 1 + 1").fetchone() == (2,)
    db._ret_obj()  # this thread is done: the connection goes back to the pool
    ```
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import enum
import functools
import logging
import operator
import os
import sys
import threading
import time
import types
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

TYPE_CHECKING = False  # to import `typing` takes as long as this whole module
if TYPE_CHECKING:
    from typing import Any, ClassVar, Generic, NoReturn

    from typing_extensions import TypeVar  # which every type checker knows

    T = TypeVar("T", default=Any)
    P = TypeVar("P", bound="Pool[Any]")
    _ANY: Any = object()
else:  # enough to evaluate the annotations
    Any = NoReturn = T = P = object

    class Generic:
        __slots__ = ()
        __class_getitem__ = classmethod(types.GenericAlias)


__all__ = [
    "FunHook",
    "HealthHook",
    "PPPException",
    "Pool",
    "PoolException",
    "PoolHook",
    "Proxy",
    "ProxyException",
    "ProxyUnset",
    "StatsHook",
    "TimeOut",
    "TooManyRequests",
    "TraceHook",
]
__version__ = "12.0.0"

log = logging.getLogger("ppp")

FunHook = Callable[[int], Any]
PoolHook = Callable[[Any], object]
TraceHook = Callable[[Any], str]
StatsHook = Callable[[Any], dict[str, Any]]
HealthHook = Callable[[Any], bool]


class PPPException(Exception):
    """Root of the errors of this library."""


class PoolException(PPPException):
    """A pool was misused, or has been shut down."""


class TimeOut(PoolException):
    """No object became free within the time."""


class TooManyRequests(TimeOut):
    """As many threads as `max_waiting` allows wait already."""


class ProxyException(PPPException):
    """A proxy was misused, or could not make its object."""


class ProxyUnset(ProxyException, AttributeError):
    """A proxy was used before it was given an object or a function."""


#
# The parts that a pool is made of
#


# Where a record is: in exactly one of these places. All but the last two hold a token.
_TOKEN = "a token without an object"
_MAKING = "its object is being made"
_LENT = "with its holder"
_HELD = "with the pool itself: examined, or on its way in or out"
_DOOMED = "to be destroyed"
_CLOSING = "being destroyed"
_IDLE = "available"
_GONE = "not of the pool, or no more"
_USING = (_LENT, _HELD)
_EPOCH = time.time() - time.monotonic()  # what `_now()` adds to the clock
_INFINITY = float("inf")
_FAILED = object()  # instead of what a hook gives


class _LazyFields:
    """The `__dataclass_fields__` of a class, on demand: importing `dataclasses` is slow."""

    def __get__(self, instance: object, owner: type) -> Any:
        import dataclasses

        model: Any = dataclasses.make_dataclass("UseInfo", ("uses", "last_get", "last_ret"))
        return model.__dataclass_fields__


class _Use:
    """The record of one object of a pool; also a dataclass of `uses`, `last_get` and `last_ret`.

    Idle records are linked, from the least (`newer` of the root) to the most recently used one (`older`
    of the root). One that is examined in between keeps its rank.

    Attributes:
        uses: How often the object was lent.
        last_get: When it was last lent, seconds, comparable with the pool's `_now()`.
        last_ret: When it was last returned, likewise.
    """

    __dataclass_fields__ = _LazyFields()
    __match_args__ = ("uses", "last_get", "last_ret")
    __slots__ = tuple(
        """asked back excused expires fresh_until got heir hook key leave newer number obj older overdue place
        turn worn""".split()
    )

    def __init__(self, uses: int = 0, last_get: float = 0.0, last_ret: float = 0.0) -> None:
        self.place = _GONE
        self.obj: Any = None
        self.key = 0  # id(obj): objects are known by identity, never by their own == or hash
        self.number = 0  # given to fun
        self.turn = 0  # how often it was lent, which tells one lending from the next
        self.worn = uses  # what a program has added to that
        self.got = last_get - _EPOCH
        self.back = last_ret - _EPOCH
        self.expires = _INFINITY  # the end of its lifetime; -inf once drained
        self.fresh_until = _INFINITY  # before that, an idle object may be lent unseen
        self.hook = ""  # the last one begun
        self.asked: tuple[str, str, int] | None = None  # thread, file and line of its holder
        # the lending whose holder was warned about: its turn, and its beginning
        self.overdue: tuple[int, float] | None = None
        self.excused = -1  # the lending that `invalidate` has ended, as its holder knows
        self.heir: _Use | None = None  # gets its token when it has been closed
        self.leave: Callable[[], None] | None = None  # to be done when its hooks have been run, once
        self.older: Any = None
        self.newer: Any = None

    def __repr__(self) -> str:
        return f"UseInfo(uses={self.uses}, last_get={self.last_get}, last_ret={self.last_ret})"

    @property
    def uses(self) -> int:
        return self.turn + self.worn

    @uses.setter
    def uses(self, value: int) -> None:
        self.worn = value - self.turn

    @property
    def last_get(self) -> float:
        return self.got + _EPOCH

    @last_get.setter
    def last_get(self, value: float) -> None:
        self.got = value - _EPOCH

    @property
    def last_ret(self) -> float:
        return self.back + _EPOCH

    @last_ret.setter
    def last_ret(self, value: float) -> None:
        self.back = value - _EPOCH


def _new_root() -> _Use:
    """A root of idle records, itself no object, with none yet."""
    root = _Use()
    root.older = root.newer = root
    return root


class _Waiter:
    """A thread that waits for its turn, and its gift: an object's record, or its own blank with a token."""

    __slots__ = ("blank", "gift", "signal")

    def __init__(self, blank: _Use) -> None:
        self.blank = blank
        self.gift: _Use | None = None
        self.signal = threading.Lock()
        self.signal.acquire()


class _Bell:
    """Wakes one thread that waits for it, now or later.

    Unlike `threading.Event`, which is written in Python, it cannot be interrupted with its lock held.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:
            return  # it rings already

    def wait(self, seconds: float) -> bool:
        return self._lock.acquire(True, max(0.0, min(seconds, threading.TIMEOUT_MAX)))


class _Gate(threading.BoundedSemaphore):
    """The tokens of a pool, served in order of arrival.

    It shares the lock of its pool, so that a token and its object change hands together. A token
    that comes free is handed to the oldest waiter, hence nobody can take it meanwhile.
    """

    _value: int
    _initial_value: int

    def __init__(self, value: int, lock: Any) -> None:
        super().__init__(value)
        self._lock = lock
        self._waiters: deque[_Waiter] = deque()

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a token, for programs that look behind a pool; they wait behind all its waiters.

        Args:
            blocking: Whether to wait for one.
            timeout: Seconds to wait, `None` for ever.

        Returns:
            Whether a token was taken.
        """
        deadline = _INFINITY if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                if self._value > 0:
                    self._value -= 1
                    return True
            if not blocking or time.monotonic() >= deadline:
                return False
            time.sleep(0.005)

    __enter__ = acquire

    def release(self, n: int = 1) -> None:
        """Give tokens back.

        Args:
            n: How many.

        Raises:
            ValueError: More were given back than taken.
        """
        for _ in range(n):
            with self._lock:
                if self._value >= self._initial_value:
                    raise ValueError("Semaphore released too many times")
                self._free(_Use())

    def _wait(self, waiter: _Waiter, timeout: float | None) -> _Use | None:
        """Wait for one's turn: the gift, or `None` when the time is over, or the pool."""
        lock = self._lock
        # who holds the lock himself must let go of it, for the others to give anything back
        saved = lock._release_save() if lock._is_owned() else None
        try:
            waiter.signal.acquire(True, -1 if timeout is None else min(timeout, threading.TIMEOUT_MAX))
        finally:
            if saved is not None:
                lock._acquire_restore(saved)
        self._leave(waiter)
        return waiter.gift

    def _leave(self, waiter: _Waiter) -> None:
        """Leave the queue, unless one's turn has come meanwhile."""
        with self._lock:
            if waiter.gift is None and waiter in self._waiters:
                self._waiters.remove(waiter)

    def _free(self, use: _Use | None) -> None:
        """With the lock held, all or nothing: take a record's token back, and serve the oldest waiter."""
        if use is not None:
            use.place = _GONE
            self._value += 1
        while self._value > 0 and self._waiters:
            waiter = self._waiters[0]
            del self._waiters[0]
            self._value -= 1
            waiter.gift = waiter.blank
            waiter.gift.place = _TOKEN
            waiter.signal.release()


class _Objects:
    """The objects of a pool which are in some places, by identity: a live view."""

    def __init__(self, pool: Pool[Any], *places: str) -> None:
        self._pool = pool
        self._places = places

    def __contains__(self, obj: object) -> bool:
        use = self._pool._objects.get(id(obj))
        return use is not None and use.place in self._places

    def __iter__(self) -> Iterator[Any]:
        return iter([use.obj for use in self._pool._records() if use.place in self._places])

    def __len__(self) -> int:
        return sum(use.place in self._places for use in self._pool._records())


class _Uses(Mapping[Any, _Use]):
    """From the objects of a pool to their records, by identity: a live view."""

    def __init__(self, pool: Pool[Any]) -> None:
        self._pool = pool

    def __getitem__(self, obj: Any) -> _Use:
        return self._pool._objects[id(obj)]

    def __iter__(self) -> Iterator[Any]:
        return iter([use.obj for use in self._pool._records()])

    def __len__(self) -> int:
        return len(self._pool._objects)


class _Lending:
    """One lending of an object, ended once however often its end is asked for."""

    __slots__ = ("depth", "ending", "former", "pool", "stamp", "timeout", "use")

    # of a proxy:
    depth: int  # how many blocks of `Proxy._obj` are in it
    ending: bool  # whether its end has begun
    former: _Lending | None  # which it has displaced

    pool: Pool[Any]
    timeout: float | None
    use: _Use | None
    stamp: int

    def __enter__(self) -> Any:
        if self.use is not None:
            raise PoolException(f"{self.pool._label}: this obj() is in use already")
        self.use = use = self.pool._checkout(self.timeout)
        self.stamp = use.turn
        return use.obj

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: object) -> None:
        use = self.use
        if use is None:
            return
        if use.excused != self.stamp:
            if kind is not None and issubclass(kind, self.pool._invalidate_on):
                self.pool._invalidate(use, self.stamp)
            else:
                self.pool._checkin(use, self.stamp)
        self.use = None
        # the work of __del__ is done, and an interruption in it would be swallowed
        lease: Any = self
        lease.__class__ = _Lending

    def invalidate(self) -> None:
        """End it by destroying the object."""
        use = self.use
        if use is not None:
            self.pool._invalidate(use, self.stamp)
            self.use = None

    def end(self) -> None:
        """See that it has ended; safe to repeat."""
        use = self.use
        if use is not None:
            self.pool._give_back(use, self.stamp)
            self.use = None
            self.pool._settle(use, self.stamp, self.pool._time())


class _Lease(_Lending):
    """A lending that ends by itself when it is forgotten, as when `__exit__` was interrupted at its entry."""

    __slots__ = ()

    def __del__(self) -> None:
        try:
            lent = self.use is not None
        except AttributeError:  # it was interrupted before it was whole
            return
        # in the child of a fork, the leases of the parent's other threads are dropped
        if lent and os.getpid() == _registry.process:
            _insist(self.end)


def _insist(step: Callable[..., object], *args: object) -> None:
    """Do a step of cleaning up which may be repeated, however often it is interrupted, within reason."""
    for _ in range(100):
        try:
            step(*args)
            return
        except RecursionError:  # our stack is full: another thread's is not, and to start it takes no frame
            try:
                _thread.start_new_thread(functools.partial(_insist, step, *args), ())
                return
            except RuntimeError:
                continue
        except BaseException:
            continue  # our caller raises what made it clean up


def _make_room(frames: int = 12) -> None:
    """See that the stack has room for what we begin: where it is full, it could not be undone, either."""
    if frames > 0:
        _make_room(frames - 1)


def _caller() -> tuple[str, str, int]:
    """The thread, and the file and line of the program which called this module."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename in (_caller.__code__.co_filename, contextlib.__file__) and frame.f_back:
        frame = frame.f_back
    return threading.current_thread().name, frame.f_code.co_filename, frame.f_lineno


def _number(name: str, value: Any, least: float = 0, whole: bool = False) -> Any:
    """Take a number over as `int` or `float`, unless it is none, not a number, or too small."""
    if type(value) is (int if whole else float) and value >= least:
        return value
    number: Any = None
    good = False
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        number = int(value) if whole else value if isinstance(value, int) else float(value)
        same = number == value if whole else value + 0 == value  # neither a text nor NaN
        good = same and float(number) >= least
    if not good:
        what = "a whole number" if whole else "a number"
        raise PoolException(f"{name} must be {what} of at least {least}, not {value!r}")
    return number


# what stats() shows of a pool's attributes as they are
_REPORTED = tuple(
    """id name started min_size max_size max_use timeout delay max_avail_delay max_using_delay_kill
    max_using_delay_warn health_freq shutdown nobjs ncreated ncreating nuses nkilled nrecycled nwornout
    nborrows nreturns ndestroys nhealth bad_health hk_rounds hk_errors hc_rounds hc_errors nwaits ntimeouts
    wait_time use_time create_time nexpired ninvalidated nreset_errors nchecks""".split()
)


class Pool(Generic[T]):
    """A thread-safe pool of anything, made on demand.

    The pool's rules:

    - An object is in exactly one place, the `place` of its record: idle, lent, held by the pool
      itself (examined, on its way in or out), doomed, closing; then it is gone.
    - A token of the gate is held by each object which is not idle, for each object which is being
      made, and by nobody else. It goes back only when the object is idle again or its closer has
      ended. Hence alive + being made <= `max_size`, and idle objects <= free tokens.
    - The lock guards the places, the containers, the tokens and the counters. It is never held while somebody
      else's code runs: `fun`, hooks, `str`, logging. We decide under the lock and act after it.
    - **A transition calls nothing.** CPython takes signals, injected exceptions and (but for free
      threading) other threads only at calls, at the entry of a function and when jumping back. So a
      change of state, written without calls, or with one call into C as its last act,
      cannot be cut in two, and a signal handler or a finalizer finds the pool consistent.
    - Such a guest may use the pool at any call. So a decision that took one is compared with the record's
      place and turn where it is carried out.
    - Reserve, then work: what is being made is counted before `fun` runs, and taken back if it fails.
    - The verdict on an examined object comes before it is available.
    - Whoever is interrupted with an object in hand gives it up for destruction. Doomed objects that
      nobody closes for that reason are closed by whoever comes next.
    - A lending is known by its record and `turn`, so that its end can be repeated safely.
    - Waiters are served in order of arrival: what comes free is handed to the oldest one.
    - `_clock` is the only source of time for decisions; the wall clock only shows in `started` and `now`.
    - The housekeeper holds its pool weakly.

    Args:
        fun: Makes an object, called with the creation number: 0, 1, 2… over successful creations.
        max_size: Most objects alive at once; 0 or `None`: no limit.
        min_size: Objects kept alive.
        timeout: Default for `get`, seconds; `None` waits for ever. Only a bounded pool waits.
        max_use: Uses after which an object is destroyed on return; 0: never.
        max_avail_delay: Seconds after which an idle object is destroyed, while more than `min_size`
            live; 0: never.
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
        max_waiting: With that many waiting, `get` raises `TooManyRequests` at once; 0: no limit.
            (psycopg_pool's max_waiting.)

    Raises:
        PoolException: A parameter makes no sense; the text names it and its value.
    """

    __slots__ = (  # twice as fast as so many attributes in a dict
        "__dict__",
        "__weakref__",
        *("_" + key for key in _REPORTED),
        *"""_ahead _all_back _attended _begin _check_after_idle _closer _debug _fill_after _fun _gate
        _getter _health _hk_begin _hk_time _hooked_ret _housekeeper _idle _inherited _invalidate_on _key
        _label _lock _making _max_lifetime _max_waiting _next_number _nlive _nmaking _objects _opener
        _parameters _reset _retter _sem _spare_numbers _stats _strict _time _tracer _wake""".split(),
    )

    UseInfo = _Use

    _clock: Callable[[], float] = time.monotonic

    def __init__(
        self,
        fun: Callable[[int], T],
        max_size: int | None = 0,
        min_size: int = 1,
        timeout: float | None = None,
        max_use: int = 0,
        max_avail_delay: float = 0.0,
        max_using_delay: float = 0.0,
        max_using_delay_kill: float = 0.0,
        health_freq: int = 1,
        delay: float = 0.0,
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
        max_lifetime: float = 0.0,
        check_after_idle: float | None = None,
        reset: Callable[[T], object] | None = None,
        invalidate_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        max_waiting: int = 0,
    ) -> None:
        parameters = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        self._build(parameters)
        try:
            self._work_ahead()
        except BaseException:
            _insist(self.shutdown)
            raise

    def _build(self, parameters: dict[str, Any]) -> None:
        """Become an empty pool, which calls nothing of the user's yet."""
        self._shutdown = True  # until all is well
        self._inherited: set[int] = set()  # the identities of objects of the parents of forks
        self._configure(**parameters)
        self._reset_state()

    def _work_ahead(self) -> None:
        """Make the first objects, and see that somebody looks after them."""
        if self._ahead:
            self._fill()
            if self._ncreated == 0:  # else it has been started
                self._start_housekeeper()

    def _configure(self, **parameters: Any) -> None:
        """Check the parameters, then take them over."""
        p = self._parameters = parameters
        if not callable(p["fun"]):
            raise PoolException(f"fun must be callable, not {p['fun']!r}")
        for name in ("opener", "getter", "retter", "closer", "health", "stats", "tracer", "reset"):
            if p[name] is not None and not callable(p[name]):
                raise PoolException(f"{name} must be callable, not {p[name]!r}")
        for name in ("max_size", "min_size", "max_use", "max_waiting"):
            if name != "max_size" or p[name] is not None:
                p[name] = _number(name, p[name], whole=True)
        p["health_freq"] = _number("health_freq", p["health_freq"], least=1, whole=True)
        for name in ("max_avail_delay", "max_using_delay", "max_using_delay_kill", "delay", "max_lifetime"):
            p[name] = _number(name, p[name])
        for name in ("timeout", "check_after_idle"):
            if p[name] is not None:
                p[name] = _number(name, p[name])
        if p["check_after_idle"] is not None and p["health"] is None:
            raise PoolException(f"check_after_idle needs a health hook: {p['check_after_idle']!r}")
        if p["name"] is not None and not isinstance(p["name"], str):
            raise PoolException(f"name must be a text, not {p['name']!r}")
        try:
            issubclass(int, p["invalidate_on"])  # which is none of them, so that all are looked at
        except TypeError:
            raise PoolException(
                f"invalidate_on must be exception classes, not {p['invalidate_on']!r}"
            ) from None
        if p["log_level"] is not None:
            try:
                log.setLevel(p["log_level"])
            except (TypeError, ValueError) as exc:
                raise PoolException(f"log_level must be a level, not {p['log_level']!r}") from exc

        self._id = _registry.number()
        self._name: str = p["name"] if p["name"] is not None else f"pool-{self._id}"
        self._label = f"pool {self._name!r}"
        self._key = os.urandom(16).hex()  # under which it travels, so that it arrives once in each process
        self._debug = log.isEnabledFor(logging.DEBUG)
        self._fun: Callable[[int], Any] = p["fun"]
        self._max_size: int | None = p["max_size"]
        self._min_size: int = p["min_size"]
        if self._max_size and self._min_size > self._max_size:
            log.warning("%s: min_size %d cut to max_size %d", self._label, self._min_size, self._max_size)
            self._min_size = self._max_size
        self._timeout: float | None = p["timeout"]
        self._max_use: int = p["max_use"]
        self._max_avail_delay: float = p["max_avail_delay"]
        self._max_using_delay_kill: float = p["max_using_delay_kill"]
        self._max_using_delay_warn: float = p["max_using_delay"] or self._max_using_delay_kill
        if 0 < self._max_using_delay_kill < self._max_using_delay_warn:
            log.warning(
                "%s: inconsistent max_using_delay %s above max_using_delay_kill %s",
                self._label,
                self._max_using_delay_warn,
                self._max_using_delay_kill,
            )
        self._max_lifetime: float = p["max_lifetime"]
        self._check_after_idle: float | None = p["check_after_idle"]
        self._max_waiting: int = p["max_waiting"]
        self._invalidate_on: Any = p["invalidate_on"]
        self._health_freq: int = p["health_freq"]
        self._opener: Callable[[T], object] | None = p["opener"]
        self._getter: Callable[[T], object] | None = p["getter"]
        self._retter: Callable[[T], object] | None = p["retter"]
        self._reset: Callable[[T], object] | None = p["reset"]
        self._closer: Callable[[T], object] | None = p["closer"]
        self._health: Callable[[T], bool] | None = p["health"]
        self._stats: Callable[[T], dict[str, Any]] | None = p["stats"]
        self._tracer: Callable[[T], str] | None = p["tracer"]
        # what the short ways of get and ret need to know
        self._attended = self._getter is not None or self._max_using_delay_warn > 0
        # whether an object that comes back may have to go: there are limits to its life, or the pool was
        # drained, resized or shut down
        self._strict = self._max_use > 0 or self._max_lifetime > 0 or self._check_after_idle is not None
        self._hooked_ret = self._retter is not None or self._reset is not None

        self._delay: float = p["delay"]
        if self._delay == 0:
            delays = [d for d in (self._max_avail_delay, self._max_using_delay_warn) if d > 0]
            self._delay = min(delays) / 2 if delays else 60.0 if self._health is not None else 0.0
            if self._max_lifetime > 0:
                self._delay = min(self._delay or _INFINITY, self._max_lifetime / 2)
        # the first process of "flask --debug" serves nothing
        self._ahead = not (
            os.environ.get("PPP_WERKZEUG_WORKAROUND") and os.environ.get("WERKZEUG_RUN_MAIN") != "true"
        )
        if not self._ahead:
            log.warning(
                "%s: PPP_WERKZEUG_WORKAROUND: no housekeeper and no object ahead in this process", self._label
            )

    def _reset_state(self) -> None:
        """Begin as an empty pool: when built, unpickled, or in the child of a fork."""
        self._lock: Any = threading.RLock()
        self._gate = _Gate(self._max_size or sys.maxsize, self._lock)
        self._sem: _Gate | None = self._gate if self._max_size else None
        self._objects: dict[int, _Use] = {}  # all alive, by identity
        self._making: dict[int, _Use] = {}  # by creation number
        self._nmaking = 0  # how many, to be known without a call
        self._nlive = 0  # objects that are not to be destroyed
        self._spare_numbers: dict[int, None] = {}  # of failed creations
        self._next_number = 0
        self._idle = _new_root()
        self._housekeeper: threading.Thread | None = None
        self._wake = _Bell()  # for the housekeeper: fill, or end
        self._all_back = _Bell()  # for a shutdown that waits for lent objects
        self._fill_after = -_INFINITY  # while creations fail, returns do not try before that time
        self._time = self._clock
        self._begin = self._hk_begin = self._time()
        self._started = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime())
        self._nobjs = self._nuses = self._ncreating = self._ncreated = self._ndestroys = 0
        self._nborrows = self._nreturns = self._nhealth = self._bad_health = self._nreset_errors = 0
        self._nkilled = self._nrecycled = self._nwornout = self._nexpired = self._ninvalidated = 0
        self._hc_rounds = self._hc_errors = self._hk_rounds = self._hk_errors = 0
        self._nwaits = self._ntimeouts = self._nchecks = 0
        self._hk_time = self._wait_time = self._use_time = self._create_time = 0.0
        self._shutdown = False
        _registry.pools[self._id] = self

    # What users call

    def get(self, timeout: float | None = None) -> T:
        """Borrow an object, made if there is none idle and the limit allows it.

        Args:
            timeout: Seconds to wait for one; 0: do not wait; `None`: the pool's own `timeout`.

        Returns:
            The object, the caller's until `ret`.

        Raises:
            TimeOut: There was none in time.
            TooManyRequests: `max_waiting` threads wait already.
            PoolException: The pool is shutting down, or `timeout` makes no sense.
            Exception: What `fun` raised.
        """
        obj: T = self._checkout(timeout).obj
        return obj

    def ret(self, obj: T) -> None:
        """Return an object, whatever hooks do; if it is not lent, log a warning and do nothing else.

        Args:
            obj: What `get` gave.
        """
        use: _Use | None = None
        stamp = 0
        try:
            use = self._objects.get(id(obj))
            if use is None:
                self._unexpected(obj)
            else:
                stamp = use.turn
                self._checkin(use, stamp)
        except BaseException:
            _insist(self._give_back_late, obj, use, stamp)
            raise

    def obj(self, timeout: float | None = None) -> contextlib.AbstractContextManager[T]:
        """Borrow an object for a `with` block, and return it whatever happens there.

        Args:
            timeout: As for `get`.

        Returns:
            A context manager which gives the object.
        """
        # written out, since this is the short way
        lending: _Lease = _Lease()
        lending.pool = self
        lending.timeout = timeout
        lending.use = None
        return lending

    @contextlib.contextmanager
    def _obj_by_methods(self, timeout: float | None = None) -> Iterator[T]:
        """`obj` of a subclass which has its own `get` or `ret`."""
        obj = self.get(timeout)
        use = self._objects.get(id(obj))
        stamp = 0 if use is None else use.turn
        broken = False
        try:
            yield obj
        except BaseException as exc:
            broken = isinstance(exc, self._invalidate_on)
            raise
        finally:
            try:
                if use is None or (use.turn == stamp and use.excused != stamp):
                    (self.invalidate if broken else self.ret)(obj)
            except BaseException:
                _insist(self._give_back_late, obj, use, stamp)
                raise

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.obj is Pool.obj and (cls.get is not Pool.get or cls.ret is not Pool.ret):
            untyped: Any = cls
            untyped.obj = cls._obj_by_methods

    def invalidate(self, obj: T) -> None:
        """Destroy a lent object, say a broken connection, instead of returning it.

        Args:
            obj: What `get` gave. If it is not lent, log a warning and do nothing else.
        """
        use = self._objects.get(id(obj))
        if use is None:
            self._unexpected(obj)
        else:
            self._invalidate(use, use.turn)

    def drain(self) -> None:
        """Replace all objects: close the idle ones now and the others when they return, then fill anew."""
        with self._lock:
            self._strict = True
            self._fill_after = -_INFINITY
            records = [*self._objects.values(), *self._making.values()]
        for use in records:
            use.expires = use.fresh_until = -_INFINITY  # out of reach at once
        self._evict(lambda use: use.place is _IDLE and use.expires < 0, records=records)
        self._refill()

    def resize(self, min_size: int | None = None, max_size: int | None = None) -> None:
        """Change the limits at once; lent objects are left alone, a surplus goes as they return.

        Args:
            min_size: Objects kept alive; `None`: as it is.
            max_size: Most objects alive at once; `None`: as it is.

        Raises:
            PoolException: A size makes no sense, or the pool has no limit and would get one or the reverse.
        """
        if min_size is not None:
            min_size = _number("min_size", min_size, whole=True)
        if max_size is not None:
            max_size = _number("max_size", max_size, whole=True)
            if bool(max_size) != bool(self._max_size):
                raise PoolException(
                    f"{self._label}: max_size cannot change from {self._max_size!r} to {max_size!r}:"
                    " a pool has a limit or has none"
                )
        gate = self._gate
        with self._lock:
            if self._shutdown:
                return
            if max_size:
                gate._value += max_size - gate._initial_value
                gate._initial_value = self._max_size = max_size
            if min_size is not None:
                self._min_size = min_size
            wanted = self._min_size
            if self._max_size and wanted > self._max_size:
                self._min_size = self._max_size
            self._strict = True
            self._fill_after = -_INFINITY
            gate._free(None)
        self._parameters = self._parameters | {"min_size": wanted, "max_size": self._max_size}
        if self._min_size < wanted:
            log.warning("%s: min_size %d cut to max_size %d", self._label, wanted, self._min_size)
        self._evict(
            lambda use: use.place is _IDLE and self._nlive + self._nmaking > gate._initial_value,
            oldest_first=True,
        )
        self._refill()

    def stats(self) -> dict[str, Any]:
        """Describe the pool; it waits for nothing.

        Returns:
            A JSON-able dict; times are seconds, those of objects relative to now.
        """
        with self._lock:
            data: dict[str, Any] = {key: getattr(self, "_" + key) for key in _REPORTED}
            data["ntodel"] = self._nobjs - self._nlive
            data["nwaiting"] = len(self._gate._waiters)
            data["sem"] = None
            if self._sem is not None:
                data["sem"] = {"value": max(0, self._sem._value), "init": self._sem._initial_value}
            records = list(self._objects.values())
        now = self._time()
        places = [(use, use.place) for use in records]  # looked at once: nothing is in both lists, or in none
        avail = [use for use, place in places if place is _IDLE]
        using = [use for use, place in places if place in _USING]
        return data | {
            "now": time.time(),
            "running": now - self._begin,
            "rel_hk_last": min(0.0, self._hk_begin - now),
            "time_per_hk": self._hk_time / self._hk_rounds if self._hk_rounds else 0.0,
            "navail": len(avail),
            "nusing": len(using),
            "avail": [self._describe(use, now) for use in avail],
            "using": [self._describe(use, now) for use in using],
        }

    def shutdown(self, delay: float = 0.0, *, grace: float = 0.0) -> None:
        """End the pool: no more objects, waiters are woken with `PoolException`, all objects are closed.

        A second time is harmless, and so is returning an object afterwards.

        Args:
            delay: Seconds to wait for the housekeeper to end.
            grace: Seconds to wait for lent objects to come back before they are closed. (SQLAlchemy and
                HikariCP leave them alone; here a warning counts them.)
        """
        delay, grace = _number("delay", delay), _number("grace", grace)
        try:
            self._end()
            if grace > 0:
                if self._nobjs == 0:
                    self._all_back.ring()
                self._all_back.wait(grace)
                self._all_back.ring()  # for another who waits
        finally:
            lent = self._evict(lambda use: use.place is _LENT)
            if lent:
                log.warning("%s: shutting down with %d objects in use", self._label, lent)
            self._sweep()
        housekeeper = self._housekeeper
        if housekeeper is threading.current_thread():
            return
        if delay > 0 and housekeeper is not None and housekeeper.is_alive():
            housekeeper.join(min(delay, threading.TIMEOUT_MAX))

    def __enter__(self: P) -> P:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def __delete__(self) -> None:
        """Close every object now, lent ones too, and keep the pool."""
        self._empty()

    def __str__(self) -> str:
        import json

        return json.dumps(self.stats(), default=repr, skipkeys=True)

    def __reduce__(self) -> tuple[Any, ...]:
        # the parameters come last, since they may refer to the pool
        return _unpickle_pool, (type(self), self._key), (self._parameters, self.__dict__)

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
        with _registry.lock:
            if not hasattr(self, "_parameters"):  # else it has arrived before
                parameters, own = state
                key = self._key
                self._build(parameters)
                self._key = key
                self.__dict__.update(own)

    def __del__(self) -> None:
        if getattr(self, "_shutdown", True):
            return
        with self._lock:
            forgotten = self._nobjs > 0 or self._housekeeper is not None
        _insist(self._end)
        self._idle.older = self._idle.newer = None
        if forgotten:
            warnings.warn(f"{self._label} was abandoned without shutdown", ResourceWarning, stacklevel=2)

    # What programs and tests of former versions read and call

    @property
    def _avail(self) -> _Objects:
        return _Objects(self, _IDLE)

    @property
    def _using(self) -> _Objects:
        return _Objects(self, *_USING)

    @property
    def _todel(self) -> _Objects:
        return _Objects(self, _DOOMED, _CLOSING)

    @property
    def _uses(self) -> _Uses:
        return _Uses(self)

    @property
    def _hk_last(self) -> float:
        return self._hk_begin + _EPOCH

    def _now(self) -> float:
        """Seconds since the epoch, by a clock that is never set."""
        return self._clock() + _EPOCH

    def _create(self) -> T:
        """Make an object beyond those idle, and lend it."""
        return self._added(lend=True)

    def _new(self) -> T:
        """Make an object and add it to the available ones."""
        return self._added(lend=False)

    def _added(self, lend: bool) -> T:
        use = self._add(sys.maxsize, lend)
        if use is None:
            raise PoolException(f"{self._label}: no room for a new object")
        obj: T = use.obj
        return obj

    def _out(self, obj: T) -> None:
        """Take an object out, to be destroyed."""
        use = self._objects.get(id(obj))
        if use is not None:
            with self._lock:
                self._doom(use)

    def _destroy(self, obj: T) -> None:
        """Close and forget an object that was taken out."""
        use = self._objects.get(id(obj))
        if use is not None:
            self._close(use)

    def _del(self, obj: T) -> None:
        """Take an object out, close and forget it."""
        self._out(obj)
        self._destroy(obj)

    def _empty(self) -> None:
        """Close every object, available or lent."""
        self._evict(lambda use: True)

    def _borrow(self, obj: T) -> bool:
        """Take an available object out for examination; whether it was there."""
        use = self._objects.get(id(obj))
        return use is not None and self._hold(use)

    def _return(self, obj: T) -> None:
        """Put an examined object back."""
        use = self._objects.get(id(obj))
        if use is not None:
            self._unhold(use)

    # The rounds of the housekeeper

    def _houseKeeping(self) -> None:
        """Do rounds in this thread until shutdown."""
        _keep_house(weakref.ref(self), self._wake, self._delay)

    def _hkRound(self) -> None:
        """Do one round: those held too long, those idle too long, health, filling."""
        now = self._time()
        with self._lock:
            self._hk_rounds += 1
            self._hk_begin = now
            checking = self._health is not None and self._hk_rounds % self._health_freq == 0
        try:
            if self._max_using_delay_warn > 0:  # it is where there is a kill delay
                self._check_holders(now)
            self._recycle(now)
            if checking:
                self._health_check()
            self._sweep()
            self._fill()
        finally:
            with self._lock:
                self._hk_time += self._time() - now

    def _check_holders(self, now: float) -> None:
        """Warn about what is held too long, and take it away after the kill delay."""
        warn, kill = self._max_using_delay_warn, self._max_using_delay_kill
        held = [(use, use.turn, now - use.got) for use in self._records() if use.place is _LENT]
        late = [(use, turn, age) for use, turn, age in held if age >= warn or 0 < kill <= age]
        doomed = {use: turn for use, turn, age in late if 0 < kill <= age}
        if late:
            log.warning(
                "%s: %d objects held for %.3f seconds on average, %d to kill",
                self._label,
                len(late),
                sum(age for _, _, age in late) / len(late),
                len(doomed),
            )
        for use, turn, age in late:
            asked = use.asked
            with self._lock:
                told = use.overdue is not None and use.overdue[0] == turn
                news = use.place is _LENT and use.turn == turn and not told
                if news:
                    use.overdue = turn, use.got
            if news and asked is not None:
                log.warning(
                    "%s: %s held for %.3f seconds by thread %s, from %s:%d",
                    self._label,
                    self._trace(use.obj),
                    age,
                    *asked,
                )
        if doomed:
            self._evict(
                lambda use: use.place is _LENT and use.turn == doomed[use],
                "_nkilled",
                records=list(doomed),
            )

    def _recycle(self, now: float) -> None:
        """Destroy what is too old, and what has idled too long while more than `min_size` live."""
        if self._max_lifetime > 0:
            self._evict(lambda use: use.place is _IDLE and now >= use.expires, "_nexpired")
        if self._max_avail_delay > 0:
            self._evict(
                lambda use: (
                    use.place is _IDLE
                    and now - use.back >= self._max_avail_delay
                    and self._nlive > self._min_size
                ),
                "_nrecycled",
                oldest_first=True,
            )

    def _health_check(self) -> None:
        """Examine the idle objects, one at a time, and destroy those that are refused."""
        with self._lock:
            self._hc_rounds += 1
        for use in self._records():
            if self._health is None or use.place is not _IDLE or not self._hold(use):
                continue
            turn = use.turn  # once put back, it may be lent before we are interrupted
            try:
                if self._examine(use):
                    self._unhold(use)
                else:
                    self._discard(use, turn)
            except BaseException:
                _insist(self._discard, use, turn)
                raise

    def _fill(self) -> None:
        """Make objects up to `min_size`, until one fails; if they do not last, not for ever."""
        left = self._min_size
        while left > 0:
            try:
                use = self._add(self._min_size, lend=False)
            except Exception as exc:
                log.error("%s: new object failed: %s", self._label, exc, exc_info=True)
                self._fill_after = self._time() + max(1.0, self._delay)
                return
            if use is None:
                return
            left -= use.expires > -_INFINITY  # what was drained as it was made is made anew

    def _refill(self) -> None:
        """See that what misses is made, by the housekeeper where there is one, unless creations fail now."""
        if self._nlive >= self._min_size or not self._ahead or self._time() < self._fill_after:
            return
        housekeeper = self._housekeeper
        if housekeeper is None or housekeeper is threading.current_thread() or not housekeeper.is_alive():
            self._fill()
        else:
            self._wake.ring()

    def _start_housekeeper(self) -> None:
        """Start the thread that does the rounds, once."""
        if self._housekeeper is not None or self._delay <= 0 or not self._ahead:
            return
        thread: threading.Thread | None = None
        begun: list[int] = []
        started = _Bell()
        try:
            thread = threading.Thread(
                target=_keep_house,
                args=(weakref.ref(self), self._wake, self._delay),
                name=f"{self._name} housekeeper",
                daemon=True,
            )
            with self._lock:
                if self._housekeeper is not None or self._shutdown:
                    return
                self._housekeeper = thread
            # filled by C: no interruption can leave it open whether the thread has begun
            begun.extend(map(_thread.start_new_thread, (_start,), ((thread, started),)))
            started.wait(_INFINITY)
            if thread.ident is None:
                begun.clear()
        except RuntimeError as exc:  # no more threads, or the interpreter is about to end
            log.error("%s: no housekeeper: %s", self._label, exc)
        finally:
            if not begun and self._housekeeper is thread:
                self._housekeeper = None  # the next creation tries again

    # The life of an object: making, lending, examining, returning, destroying

    def _checkout(self, timeout: float | None) -> _Use:
        """Lend an object: `get`, but for what it gives."""
        if timeout is not None:
            timeout = _number("timeout", timeout)
        if self._attended:
            _make_room()
        clock, lock, gate = self._time, self._lock, self._gate
        now = clock()
        stamp = 0
        taken: _Use | None = None
        leaving = False
        try:
            # not "with", which takes twice the time; what may interrupt us is undone below
            lock.acquire()
            root = self._idle
            use = root.older
            if use.place is _IDLE and now < use.fresh_until and gate._value > 0:
                gate._value -= 1
                root.older = older = use.older
                older.newer = root
                use.older = use.newer = None
                use.place = _LENT
                use.turn += 1
                use.got = now
                self._nuses += 1
                taken = use
            leaving = True
            lock.release()
            if taken is None:
                use = None
                taken = self._obtain(timeout)
            if self._attended:
                stamp = taken.turn
                tries = 1
                while not self._attend(taken, stamp):
                    use = taken = None
                    stamp = 0
                    taken = self._obtain_next(timeout, now, tries)
                    stamp = taken.turn
                    tries += 1
            return taken
        except BaseException:
            if not leaving and lock._is_owned():
                lock.release()
            if taken is not None:
                _insist(self._discard, taken, stamp or taken.turn)
            raise

    def _obtain(self, timeout: float | None, spent: float = 0.0) -> _Use:
        """Lend an object when none is idle that may be lent unseen: wait, examine, make."""
        if timeout is None:
            timeout = self._timeout
        waits = timeout is None or timeout > spent
        deadline = None if timeout is None else time.monotonic() + timeout - spent
        use: _Use | None = None
        waiter: _Waiter | None = None
        again = False  # whether our turn had come, though in vain: then we are the next one
        blank = _Use()
        try:
            while True:
                if use is None:
                    new_waiter = _Waiter(_Use())
                    with self._lock:
                        use = self._take(new_waiter.blank)
                        if use is None and self._may_wait(waits, again):
                            self._nwaits += not again
                            waiter = new_waiter
                            waiters = self._gate._waiters
                            (waiters.appendleft if again else waiters.append)(waiter)
                            self._gate._free(None)  # a signal handler may have given back since we looked
                    if use is None and waiter is None:
                        self._refuse(timeout)
                if waiter is not None:
                    use = self._await(waiter, timeout, deadline)
                    waiter = None
                if use is None:
                    again = True
                    continue
                if use.place is _MAKING:
                    self._make(use)
                elif not self._is_good(use):
                    # the next one, in the same turn: our token outlives the object
                    blank = _Use()
                    with self._lock:
                        self._doom(use)
                        use.heir = blank
                    self._close(use)
                    late = waits and deadline is not None and time.monotonic() >= deadline
                    with self._lock:
                        use.heir = None
                        use = self._take(blank) if blank.place is _TOKEN and not late else None
                        if use is None:
                            self._forget(blank)
                    if late:
                        self._refuse(timeout)
                    continue
                with self._lock:
                    self._lend(use, self._time())
                if use.place is _LENT:
                    return use
                self._close(use)  # somebody has shut down or closed everything meanwhile
                use = None
                again = True
        except BaseException:
            if waiter is not None:
                _insist(self._unwait, waiter)
            if use is not None:
                use.heir = None
                _insist(self._discard, use, use.turn)
            _insist(self._discard, blank, 0)
            raise

    def _may_wait(self, waits: bool, again: bool) -> bool:
        """Whether to join the queue, with the lock held; an error if it is too long."""
        nwaiting = len(self._gate._waiters)
        if 0 < self._max_waiting <= nwaiting and not again and not self._shutdown:
            raise TooManyRequests(
                f"{self._label}: {nwaiting} wait already, max_waiting is {self._max_waiting}"
            )
        return waits and not self._shutdown

    def _await(self, waiter: _Waiter, timeout: float | None, deadline: float | None) -> _Use | None:
        """Wait for one's turn: an object, or a token and with it what is idle or an object to make.

        `None`: the token was of no use, because the pool has shrunk meanwhile.
        """
        begin = self._time()
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        served = self._gate._wait(waiter, left) is not None
        waited = self._time() - begin
        with self._lock:
            self._wait_time += waited
            if waiter.gift is waiter.blank:
                waiter.gift = self._take(waiter.blank)
                if waiter.gift is None:
                    self._forget(waiter.blank)
        if not served:
            self._refuse(timeout)
        return waiter.gift

    def _unwait(self, waiter: _Waiter) -> None:
        """Leave the queue after an interruption, and give up what came meanwhile."""
        self._gate._leave(waiter)
        for use in (waiter.gift, waiter.blank):
            if use is not None:
                self._discard(use, use.turn)

    def _refuse(self, timeout: float | None) -> NoReturn:
        """Tell why there is no object."""
        with self._lock:
            nheld = self._gate._initial_value - self._gate._value
            nwaiting = len(self._gate._waiters)
            self._ntimeouts += not self._shutdown
        if self._shutdown:
            if _registry.ending and threading.current_thread() is not threading.main_thread():
                _Bell().wait(1.0)  # a daemon thread, whose error would only disturb the end
            raise PoolException(f"{self._label}: shutting down")
        facts = f"{nheld} of {self._max_size} in use, {nwaiting} waiting"
        raise TimeOut(f"{self._label}: timeout after {timeout} s ({facts})")

    def _attend(self, use: _Use, stamp: int) -> bool:
        """Do what goes with a lending, the account and the getter; whether these have not ended it."""
        if self._max_using_delay_warn > 0:
            use.asked = _caller()
        self._hook("getter", self._getter, use)
        return use.place is _LENT and use.turn == stamp

    def _obtain_next(self, timeout: float | None, begin: float, tries: int) -> _Use:
        """Lend another object in what is left of the time; a second one even if nothing is."""
        limit = self._timeout if timeout is None else timeout
        spent = self._time() - begin
        if limit is not None and tries > 1 and spent >= limit:
            self._refuse(limit)
        return self._obtain(limit, spent)

    def _is_good(self, use: _Use) -> bool:
        """Whether an object in our hands may be lent, after a look at it where it has idled for long."""
        now = self._time()
        if now < use.fresh_until:
            return True
        with self._lock:
            if use.place is not _HELD:  # somebody has closed everything meanwhile; it is not lent, either
                return True
            expired = now >= use.expires
            if expired:
                self._nexpired += use.expires > 0
            else:
                self._nchecks += 1
        return not expired and self._examine(use)

    def _add(self, goal: int, lend: bool) -> _Use | None:
        """Make an object, unless so many live or there is no room; lend it, or make it available."""
        use = _Use()
        try:
            with self._lock:
                if self._nlive + self._nmaking >= goal or not self._reserve(use):
                    return None
            self._make(use)
            now = self._time()
            with self._lock:
                if lend:
                    self._lend(use, now)
                else:
                    self._shelve(use, now, 0)
            if use.place is _DOOMED:
                self._close(use)
        except BaseException:
            _insist(self._discard, use, use.turn if lend else 0)  # what is available may be lent already
            raise
        return use

    def _make(self, use: _Use) -> None:
        """Make the object for which a record was reserved.

        If it fails or is interrupted, our caller discards the record.
        """
        begin = self._time()
        # meanwhile the record holds a box: filled by C, no interruption can part us from the object
        box: list[T] = []
        use.obj = box
        box.extend(map(self._fun, (use.number,)))
        if not box:
            raise PoolException(f"{self._label}: fun raised StopIteration")
        now = self._time()
        # up to 5 % shorter, by chance; to import random takes a tenth of our time
        lifetime = self._max_lifetime * (1 - 0.05 * os.urandom(1)[0] / 255) or _INFINITY
        with self._lock:
            admitted = self._admit(use, id(box[0]), now, now + lifetime, now - begin)
        if not admitted:
            use.obj = None  # it is not for us to close it
            raise PoolException(f"{self._label}: fun returned an object that the pool has already")
        if self._debug:
            log.debug("%s: made %s", self._label, self._trace(use.obj))
        self._start_housekeeper()
        self._hook("opener", self._opener, use)

    def _checkin(self, use: _Use, stamp: int) -> None:
        """End a lending: `ret`, but for what it takes. Once begun, nothing prevents it."""
        clock, lock = self._time, self._lock
        now = clock()
        lent = done = False
        leaving = self._hooked_ret
        try:
            if not leaving:
                lock.acquire()
                if use.place is _LENT:
                    lent = self._shelve(use, now, stamp)
                    done = lent and use.place is not _DOOMED
                leaving = True
                lock.release()
            # what was doomed just now is closed there, unless somebody else does
            if not done and not self._give_back(use, stamp) and not lent:
                self._unexpected(use.obj)
                return
        except BaseException:
            if not leaving and lock._is_owned():
                lock.release()
            if not done:
                _insist(self._give_back, use, stamp)
            raise
        if use.overdue is not None or self._nobjs < self._min_size:
            self._settle(use, stamp, now)

    def _give_back_late(self, obj: T, use: _Use | None, stamp: int) -> None:
        """See that an interrupted `ret` is done."""
        if use is None:
            use = self._objects.get(id(obj))
            stamp = 0 if use is None else use.turn
        if use is not None:
            self._give_back(use, stamp)

    def _give_back(self, use: _Use, stamp: int) -> bool:
        """End a lending with hooks, or by destruction; whether the object was lent."""
        _make_room()
        claimed = False
        try:
            with self._lock:
                if use.place is _LENT and use.turn == stamp:
                    use.place = _HELD
                    claimed = True
            if claimed:
                self._hook("retter", self._retter, use)
                good = self._hook("reset", self._reset, use)
                if use.leave is not None:
                    use.leave()
                    use.leave = None
                now = self._time()
                with self._lock:
                    self._use_time += now - use.got
                    if good:
                        self._shelve(use, now, stamp)
                    else:
                        self._doom(use)
                        self._nreset_errors += 1
            if use.place is _DOOMED and use.turn == stamp:
                self._close(use)
                claimed = True
            return claimed
        except BaseException:
            if claimed:
                _insist(self._discard, use, stamp)
            raise

    def _invalidate(self, use: _Use, stamp: int) -> None:
        """End a lending by destroying the object."""
        _make_room()
        now = self._time()
        try:
            with self._lock:
                lent = self._doom(use, _LENT, stamp)
                if lent:
                    use.excused = stamp
                    self._use_time += now - use.got
                    self._ninvalidated += 1
            if lent:
                self._close(use)
        except BaseException:
            _insist(self._discard, use, stamp)
            raise
        if lent:
            self._settle(use, stamp, now)
        else:
            self._unexpected(use.obj)

    def _hold(self, use: _Use) -> bool:
        """Take an idle object for examination; it keeps its rank among the idle ones."""
        held = False
        try:
            with self._lock:
                if use.place is _IDLE and self._gate._value > 0:
                    self._gate._value -= 1
                    use.place = _HELD
                    self._nborrows += 1
                    held = True
        except BaseException:
            if held:
                _insist(self._discard, use, use.turn)
            raise
        return held

    def _unhold(self, use: _Use) -> None:
        """Put an examined object back, unless its time has come."""
        now = self._time()
        with self._lock:
            if use.place is _HELD:
                self._shelve(use, now, use.turn)
                self._nreturns += 1
        if use.place is _DOOMED:
            self._close(use)

    def _examine(self, use: _Use) -> bool:
        """Ask the health hook about an object in our hands; one that raises says no."""
        with self._lock:
            self._nhealth += 1
        health = self._health
        good = health is None or self._run("health", lambda obj: bool(health(obj)), use.obj, None)
        if not good:
            with self._lock:
                self._hc_errors += good is None
                self._bad_health += 1
        return bool(good)

    def _discard(self, use: _Use, stamp: int) -> None:
        """Give up what was interrupted in our hands: a token, a creation, or an object."""
        with self._lock:
            if use.place is _MAKING and use.obj:
                self._admit(use, id(use.obj[0]), 0.0, 0.0, 0.0)
            if use.place is _MAKING or use.place is _TOKEN:
                self._forget(use)
            elif use.turn == stamp and use.place in _USING:
                self._doom(use)
        self._close(use)

    def _evict(
        self,
        condition: Callable[[_Use], bool],
        counter: str | None = None,
        *,
        records: list[_Use] | None = None,
        oldest_first: bool = False,
    ) -> int:
        """Destroy the objects that meet a condition, asked with the lock held, one by one; how many did.

        The rest are destroyed even when one is interrupted.
        """
        if records is None:
            records = self._records()
        if oldest_first:
            records.sort(key=lambda use: use.back)
        evicted = 0
        interruption: BaseException | None = None
        for use in records:
            if not condition(use):  # to be sure that it does needs the lock, but most are sure not to
                continue
            try:
                with self._lock:
                    place, turn = use.place, use.turn
                    met = condition(use) and self._doom(use, place, turn)
                    if met:
                        evicted += 1
                        if counter is not None:
                            setattr(self, counter, getattr(self, counter) + 1)
                if met:
                    self._close(use)
            except BaseException as exc:
                interruption = exc
                _insist(self._close, use)
        if interruption is not None:
            raise interruption
        return evicted

    def _sweep(self) -> None:
        """Close what somebody left doomed behind, who was interrupted twice."""
        for use in self._records():
            if use.place is _DOOMED:
                self._close(use)

    def _close(self, use: _Use) -> None:
        """Close a doomed object, once; its token goes back when the closer has ended."""
        mine = False
        try:
            with self._lock:
                if use.place is _DOOMED:
                    use.place = _CLOSING
                    use.hook = ""
                    mine = True
            if mine:
                self._hook("closer", self._closer, use)
                self._strike(use)
                if self._debug:
                    log.debug("%s: closed %s", self._label, self._trace(use.obj))
        except BaseException:
            if mine and use.hook == "closer":
                _insist(self._strike, use)
            elif mine:
                use.place = _DOOMED
            raise

    def _strike(self, use: _Use) -> None:
        """Strike off what was closed."""
        with self._lock:
            self._forget(use)
        if self._shutdown and self._nobjs == 0:
            self._all_back.ring()

    def _end(self) -> None:
        """Close the door: waiters are woken, the housekeeper ends, idle objects are closed."""
        nothing = _new_root()
        with self._lock:
            self._shutdown = self._strict = True
            self._min_size = 0
            self._idle = nothing  # what is idle is out of reach at once
        if not _registry.ending:
            self._dismiss()
        self._wake.ring()
        self._evict(lambda use: use.place is _IDLE)

    def _dismiss(self) -> None:
        """Wake the waiters of a pool which was shut down, with nothing."""
        waiters = self._gate._waiters
        with self._lock:
            while waiters:
                waiter = waiters[0]
                del waiters[0]
                waiter.signal.release()

    def _forked(self) -> None:
        """Begin anew in the child of a fork; the parent's objects are not used, closed nor dropped."""
        records = [*self._objects.values(), *self._making.values()]
        for use in records:
            use.place = _GONE
            self._inherited.add(use.key)
        _registry.inherited.append(records)
        shutdown = self._shutdown
        self._reset_state()
        self._shutdown = shutdown

    # Other people's code

    def _hook(self, what: str, hook: Callable[[T], object] | None, use: _Use) -> bool:
        """Run a hook on an object; its failure is logged. Whether it ended well."""
        if hook is None:
            use.hook = what
            return True
        return self._run(what, hook, use.obj, _FAILED, use) is not _FAILED

    def _run(self, what: str, hook: Callable[[T], Any], obj: T, failed: Any, use: _Use | None = None) -> Any:
        """Run a hook on an object: what it gives, or `failed` where it raises, which is logged."""
        try:
            if use is not None:
                use.hook = what  # it begins now: it is not run again, whatever interrupts it
            return hook(obj)
        except Exception as exc:
            log.error("%s: exception in %s: %s", self._label, what, exc, exc_info=True)
            return failed

    def _trace(self, obj: T) -> str:
        """Describe an object in a message: by the tracer, never by its own text, which may hold a secret."""
        text = f"{type(obj).__name__} at {id(obj):#x}"
        if self._tracer is not None and id(obj) not in self._inherited:
            text = self._run("tracer", self._tracer, obj, text)
        return text

    def _unexpected(self, obj: T) -> None:
        if not self._shutdown:
            log.warning("%s: unexpected object returned: %s", self._label, self._trace(obj))

    def _settle(self, use: _Use, stamp: int, now: float) -> None:
        """Do what follows the end of a lending: tell that a late one is back, fill."""
        turn, since = use.overdue or (0, 0.0)
        if turn == stamp:
            use.overdue = None
            log.info("%s: %s is back after %.3f seconds", self._label, self._trace(use.obj), now - since)
        self._refill()

    def _describe(self, use: _Use, now: float) -> dict[str, Any]:
        """The entry of an object in `stats()`."""
        entry: dict[str, Any] = {}
        try:
            if self._stats is not None:
                entry["stats"] = self._stats(use.obj)
            elif self._tracer is not None:
                entry["trace"] = self._tracer(use.obj)
            else:
                entry["str"] = str(use.obj)
        except Exception as exc:
            entry["error"] = type(exc).__name__
            with contextlib.suppress(Exception):  # nor need its text be good
                entry["error"] += f": {exc}"
        entry |= {"uses": use.uses, "last_get": min(0.0, use.got - now), "last_ret": min(0.0, use.back - now)}
        return entry

    # Looking, which takes the lock itself

    def _records(self) -> list[_Use]:
        """All records, by age."""
        with self._lock:
            return list(self._objects.values())

    # With the lock held: they neither take it nor call out, and each is all or nothing

    def _take(self, blank: _Use) -> _Use | None:
        """Take the most recently used idle object, or reserve the making of one, with a token.

        The blank is for what is made; it may have a token already.
        """
        use: _Use = self._idle.older
        while use.place is _HELD:  # under examination
            use = use.older
        if use is self._idle:
            return blank if self._reserve(blank) else None
        if blank.place is _TOKEN:
            blank.place = _GONE
        elif self._gate._value > 0:
            self._gate._value -= 1
        else:
            return None
        use.newer.older, use.older.newer = use.older, use.newer
        use.older = use.newer = None
        use.place = _HELD
        return use

    def _reserve(self, blank: _Use) -> bool:
        """Reserve the making of an object: its number, its place under the limit, a token if it has none."""
        gate = self._gate
        has_token = blank.place is _TOKEN
        number = self._next_number
        for spare in self._spare_numbers:
            number = spare
            break
        # the transition begins
        full = self._nobjs + self._nmaking >= gate._initial_value
        if self._shutdown or full or (gate._value <= 0 and not has_token):
            return False
        if number == self._next_number:
            self._next_number += 1
        else:
            del self._spare_numbers[number]
        if not has_token:
            gate._value -= 1
        blank.number = number
        blank.place = _MAKING
        self._making[number] = blank
        self._nmaking += 1
        self._ncreating += 1
        return True

    def _admit(self, use: _Use, key: int, now: float, expires: float, spent: float) -> bool:
        """Take in the object that was made, unless the pool has it already."""
        if use.place is not _MAKING or key in self._objects:
            return False
        use.obj = use.obj[0]
        use.key = key
        use.got = use.back = now
        if expires < use.expires:  # else it was drained meanwhile
            use.expires = expires
        use.place = _HELD
        del self._making[use.number]
        self._nmaking -= 1
        self._objects[key] = use
        self._nobjs += 1
        self._nlive += 1
        self._ncreated += 1
        self._create_time += spent
        self._fill_after = -_INFINITY
        return True

    def _lend(self, use: _Use, now: float) -> None:
        """Lend an object in our hands, unless the pool was shut down."""
        if self._shutdown:
            self._doom(use)
        elif use.place is _HELD:
            use.place = _LENT
            use.turn += 1
            use.got = now
            self._nuses += 1

    def _shelve(self, use: _Use, now: float, stamp: int) -> bool:
        """Make an object available, or hand it to the oldest waiter; doom it if its time has come.

        Whether it was still in our hands, in the lending of that stamp.
        """
        if use.turn != stamp:
            return False
        if use.place is _LENT:
            use.back = now
            self._use_time += now - use.got
        elif use.place is not _HELD:  # somebody has closed everything meanwhile
            return False
        elif use.newer is None:  # else it was only examined, and keeps its rank
            use.back = now
        if self._strict:
            place = use.place
            if self._condemn(use, now, place, stamp) or use.place is not place or use.turn != stamp:
                return True
        gate = self._gate
        if gate._waiters:
            if use.newer is not None:
                use.newer.older, use.older.newer = use.older, use.newer
                use.older = use.newer = None
            use.place = _HELD  # the waiter has to look whether it is still good
            waiter = gate._waiters[0]
            del gate._waiters[0]
            waiter.gift = use
            waiter.signal.release()
        else:
            if use.newer is None:
                use.newer = root = self._idle
                use.older = older = root.older
                older.newer = root.older = use
            use.place = _IDLE
            gate._value += 1
        return True

    def _condemn(self, use: _Use, now: float, place: str, stamp: int) -> bool:
        """Doom an object whose time has come; else see until when it may be lent unseen."""
        if self._shutdown or self._nlive + self._nmaking > self._gate._initial_value:
            self._doom(use, place, stamp)
        elif now >= use.expires:
            self._nexpired += self._doom(use, place, stamp) and use.expires > 0
        elif 0 < self._max_use <= use.turn + use.worn:
            self._nwornout += self._doom(use, place, stamp)
        else:
            use.fresh_until = use.expires
            if self._check_after_idle is not None and now + self._check_after_idle < use.expires:
                use.fresh_until = now + self._check_after_idle
            return False
        return True

    def _doom(self, use: _Use, place: str | None = None, turn: int = 0) -> bool:
        """Give an object up: nobody gets it any more, and somebody is to close it; whether it was not before.

        Not where it has gone on from the place and turn of the decision: a guest came in between.
        """
        if place is not None and (use.place is not place or use.turn != turn):
            return False
        if use.place is _IDLE:
            self._gate._value -= 1
        elif use.place not in _USING:
            return False
        use.place = _DOOMED
        self._nlive -= 1
        if use.newer is not None:
            use.newer.older, use.older.newer = use.older, use.newer
            use.older = use.newer = None
        return True

    def _forget(self, use: _Use) -> None:
        """Strike off an object or a creation, and pass its token on."""
        if use.place is _CLOSING:
            del self._objects[use.key]
            self._nobjs -= 1
            self._ndestroys += 1
            use.place = _TOKEN
        elif use.place is _MAKING:
            del self._making[use.number]
            self._nmaking -= 1
            self._spare_numbers[use.number] = None
            use.place = _TOKEN
        if use.place is _TOKEN and use.heir is not None:
            use.place, use.heir.place = _GONE, _TOKEN
        elif use.place is _TOKEN:
            self._gate._free(use)


#
# What goes on beside the pools: the housekeeper's thread, forks, the end of the interpreter, pickling
#


def _start(thread: threading.Thread, started: _Bell) -> None:
    """Start a thread from one that is never interrupted: an interrupted `Thread.start` leaves a ghost."""
    try:
        thread.start()
    except RuntimeError as exc:
        log.error("no housekeeper: %s", exc)
    finally:
        started.ring()


def _keep_house(ref: weakref.ref[Pool[Any]], wake: _Bell, delay: float) -> None:
    """Do the rounds of a pool, which may go away meanwhile; when woken before time, fill it."""
    due = time.monotonic() + delay
    pool: Any = None
    while True:
        try:
            woken = wake.wait(due - time.monotonic())
            pool = ref()
            if pool is None or pool._shutdown:
                wake.ring()  # for another who keeps house, or will
                return
            if woken and time.monotonic() < due:  # returns may wake us without end
                pool._fill()
            else:
                due = time.monotonic() + delay
                pool._hkRound()
        except BaseException as exc:  # a hook may even try to end the thread
            with contextlib.suppress(BaseException):  # as may who handles messages; or the pool is gone
                pool = ref()
                pool._hk_errors += 1
                log.error("%s: exception in housekeeper: %s", pool._label, exc, exc_info=True)
        pool = None


def _alive(things: weakref.WeakValueDictionary[Any, Any]) -> list[Any]:
    """What is still there; unlike `values()`, it does not mind that other threads add to it."""
    return [thing for ref in things.valuerefs() if (thing := ref()) is not None]


class _Registry:
    """What the process knows of its pools and proxies, all weakly."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.next_id = 1
        self.ending = False  # the interpreter is about to end
        self.pools: weakref.WeakValueDictionary[int, Pool[Any]] = weakref.WeakValueDictionary()
        self.proxies: weakref.WeakValueDictionary[str, Proxy[Any]] = weakref.WeakValueDictionary()
        self.unpickled: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()  # by key
        self.recent: deque[Any] = deque(maxlen=16)  # came here lately, and may be asked for again
        # from the parent of a fork; if dropped, it might close what is not ours
        self.inherited: list[Any] = []
        self.lock = threading.RLock()  # while something that travelled arrives
        self.numbering = threading.RLock()

    def number(self) -> int:
        """A number that no other pool of the process has."""
        with self.numbering:
            number = self.next_id
            self.next_id += 1
            return number

    def after_fork(self) -> None:
        """Let all begin anew in the child."""
        self.process = os.getpid()
        self.lock = threading.RLock()
        self.numbering = threading.RLock()
        for pool in _alive(self.pools):
            pool._forked()
        for proxy in _alive(self.proxies):
            _core_of(proxy).forked(proxy)

    def at_exit(self) -> None:
        """Close the doors before the interpreter ends; nobody is waited for, and waiters are told last."""
        self.ending = True
        for pool in _alive(self.pools):
            try:
                pool._end()
            except BaseException as exc:  # whatever a closer tries: the interpreter is to end quietly
                log.debug("%s: interrupted at exit: %r", pool._label, exc)
        for pool in _alive(self.pools):
            pool._dismiss()
        if self.inherited:
            # even to deallocate what is the parent's, as the interpreter does last, may use it
            import ctypes

            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.inherited))


_registry = _Registry()
atexit.register(_registry.at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_registry.after_fork)


_POOL_DEFAULTS: dict[str, Any] = {
    **dict(zip(Pool.__init__.__code__.co_varnames[2:], Pool.__init__.__defaults__ or (), strict=False)),
    **(Pool.__init__.__kwdefaults__ or {}),
}


def _unpickle_pool(cls: type[Pool[Any]], key: str) -> Pool[Any]:
    """The pool that came here under that key, or an empty one, to be built when the rest has come."""
    with _registry.lock:
        pool: Pool[Any] | None = _registry.unpickled.get(key)
        if pool is None or getattr(pool, "_shutdown", False):
            pool = _registry.unpickled[key] = cls.__new__(cls)
            pool._key = key
    _registry.recent.append(pool)  # which may drop another one, whose closers are run
    return pool


#
# The proxy
#


class _Scope(enum.Enum):
    """Who shares an object: the whole process, or each thread, context or greenlet has its own."""

    AUTO = 0
    SHARED = 1
    THREAD = 2
    VERSATILE = 3
    WERKZEUG = VERSATILE
    GEVENT = 4
    EVENTLET = 5


class _Local:
    """The current object of everybody."""


class _KeyedLocal:
    """The current object of who runs, a context or a greenlet: to each belongs a key, and to that a cell.

    The cells are kept here, so that they go with the proxy, and by weak keys, so that they go with the owner.
    """

    __slots__ = ("_cells", "_key")

    def __init__(self, key: Callable[[], Any]) -> None:
        object.__setattr__(self, "_cells", weakref.WeakKeyDictionary())
        object.__setattr__(self, "_key", key)

    def _home(self) -> Any:
        """The cell of who runs; `None`: there is none yet."""
        key = self._key()
        return None if key is None else self._cells.get(key)

    def _move_in(self) -> Any:
        """A cell for who runs, who has none yet."""
        return self._cells.setdefault(self._key(), _Local())

    def _publish(self, lending: _Lending) -> None:
        _put(self._move_in(), lending)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._home(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._home() or self._move_in(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._home(), name)


class _Key:
    """Stands for a context, and for those that are copied from it."""

    __slots__ = ("__weakref__",)


class _ContextLocal(_KeyedLocal):
    """The current object of a context, as by werkzeug's `Local`.

    Tasks and contexts that are copied from one with an object share it. What they share is a cell: a
    return by any of them empties it for all, so that none goes on with an object that is somebody else's.
    """

    __slots__ = ("_variable",)

    def __init__(self) -> None:
        from contextvars import ContextVar

        object.__setattr__(self, "_variable", ContextVar("proxy", default=None))
        super().__init__(self._variable.get)

    def _move_in(self) -> Any:
        key = _Key()
        cell = self._cells[key] = _Local()
        self._variable.set(key)
        return cell

    def _publish(self, lending: _Lending) -> None:
        # in a new cell, for the old one may be shared; shown when it is complete
        cell = _Local()
        _put(cell, lending)
        key = _Key()
        self._cells[key] = cell
        former = self._variable.set(key).old_value
        if isinstance(former, _Key):
            lending.former = getattr(self._cells.get(former), "lending", None)

    def __release_local__(self) -> None:
        self._variable.set(None)


class _GreenletLocal(_KeyedLocal):
    """The current object of an eventlet greenlet. Eventlet's own local keeps that of the last one ended."""

    __slots__ = ()

    def __init__(self) -> None:
        from eventlet import getcurrent

        super().__init__(getcurrent)


def _put(home: Any, lending: _Lending) -> None:
    """Make a lending the current one there, in one step; what it displaces is its `former`."""
    assert lending.use is not None  # it has begun
    try:
        lending.former = home.lending
    except AttributeError:
        lending.former = None
    home.lending = lending
    home.obj = lending.use.obj


def _take_away(home: Any, lending: _Lending) -> None:
    """Let a lending be current no more there, in one step."""
    try:
        if home.lending is lending:
            del home.lending
            del home.obj
    except AttributeError:
        pass


def _home_of(local: Any) -> Any:
    """Where a local keeps the current object of who runs."""
    return local._home() if isinstance(local, _KeyedLocal) else local


def _new_local(scope: _Scope) -> Any:
    """Where the current object of a scope is kept, as attribute `obj`."""
    if scope is _Scope.THREAD:
        eventlet: Any = sys.modules.get("eventlet.corolocal")
        if eventlet is None or threading.local is not eventlet.local:  # else threads are greenlets
            return threading.local()
    if scope in (_Scope.THREAD, _Scope.EVENTLET):
        return _GreenletLocal()
    if scope is _Scope.WERKZEUG:
        return _ContextLocal()
    if scope is _Scope.GEVENT:
        from gevent.local import local as gevent_local

        return gevent_local()
    return Proxy.Local()


def _link_greenlet(proxy: Proxy[Any]) -> bool:
    """See that the end of an eventlet greenlet ends its lending, though somebody may keep the greenlet."""
    from eventlet import getcurrent

    link = getattr(getcurrent(), "link", None)
    if link is not None:
        link(lambda _: proxy._ret_obj())
    return link is not None


class _Core:
    """What a proxy knows, beside its current object."""

    def __init__(
        self, set_name: str, scope: _Scope, max_size: int | None, reclaim: bool, kwargs: dict[str, Any]
    ) -> None:
        self.renew_key()
        self.set_name = set_name
        self.setters = {set_name: "_set", f"{set_name}_obj": "_set_obj", f"{set_name}_fun": "_set_fun"}
        self.asked_scope = self.scope = scope
        self.reclaim = reclaim
        self.pool_max_size = max_size
        self.pool_kwargs = kwargs
        self.fun: FunHook | None = None
        self.obj: Any = None
        self.pool: Pool[Any] | None = None
        self.seen: type | None = None  # the class of the last object made
        self.lock = threading.RLock()
        self.making = False  # whether the object of the process is being made

    def renew_key(self) -> None:
        """Take a new key, under which this configuration travels and arrives once in each process."""
        self.key = os.urandom(16).hex()

    def begin(self, proxy: Proxy[Any], obj: Any, fun: Any, pool: Pool[Any] | None) -> None:
        """Stand for that from now on, by a new local."""
        scope = self.asked_scope
        if obj is not None:
            scope = _Scope.SHARED
        elif fun is not None and scope is _Scope.AUTO:
            scope = _Scope.THREAD
        local = _new_local(scope)
        if obj is not None:
            local.obj = obj
        spare_numbers: list[int] = []
        # the transition begins
        self.obj, self.fun, self.pool, self.scope, self.seen = obj, fun, pool, scope, None
        self.nobjs = self.next_number = 0
        self.spare_numbers = spare_numbers
        object.__setattr__(proxy, "_local", local)

    def forked(self, proxy: Proxy[Any]) -> None:
        """Begin anew in the child of a fork, but for an object that the program itself has set."""
        self.lock = threading.RLock()
        self.making = False
        _registry.inherited.append(_local_of(proxy))
        self.begin(proxy, self.obj, self.fun, self.pool)

    def draw(self, proxy: Proxy[Any], timeout: float | None) -> Any:
        """Make the current object, or get it from the pool."""
        parameters: dict[str, Any] | None = None
        try:
            with self.lock:
                key, local, pool = self.key, _local_of(proxy), self.pool
                fun: Any = self.fun
                if self.scope is _Scope.SHARED:
                    obj = self.make_shared(local, fun)
                    self.seen = type(obj)
                    return obj
                if pool is None and self.pool_max_size is not None:
                    given = {"fun": fun, "max_size": self.pool_max_size}
                    parameters = _POOL_DEFAULTS | given | self.pool_kwargs
            if parameters is not None:
                pool = self.new_pool(key, parameters)
                if pool is None:
                    return self.draw(proxy, timeout)
            if pool is not None:
                obj = self.borrow(proxy, local, pool, timeout)
            elif hasattr(local, "obj"):  # by a guest
                obj = local.obj
            else:
                local.obj = obj = self.make(fun)
        except AttributeError as exc:  # it must not look as if the object had no such attribute
            raise ProxyException(f"cannot make the object of the proxy: {type(exc).__name__}: {exc}") from exc
        self.seen = type(obj)
        return obj

    def new_pool(self, key: str, parameters: dict[str, Any]) -> Pool[Any] | None:
        """Make the pool, not with the lock held, since that logs; `None`: it is made already, or set anew."""
        fresh: Pool[Any] = Pool.__new__(Pool)
        fresh._build(parameters)
        with self.lock:
            if self.pool is not None or self.key is not key:
                return None
            self.pool = fresh
        fresh._work_ahead()
        return fresh

    def make_shared(self, local: Any, fun: FunHook) -> Any:
        """Make the object of the process, once; with the lock held, since everybody has to wait for it."""
        if not hasattr(local, "obj"):
            if self.making:
                raise ProxyException("the object of the proxy is needed to make it")
            self.making = True
            try:
                local.obj = self.make(fun)
            finally:
                self.making = False
        return local.obj

    def borrow(self, proxy: Proxy[Any], local: Any, pool: Pool[Any], timeout: float | None) -> Any:
        """Get the current object from the pool."""
        if self.reclaim and isinstance(local, _GreenletLocal) and not hasattr(local, "linked"):
            local.linked = _link_greenlet(proxy)
        lending = _Lease() if self.reclaim else _Lending()
        lending.depth = 0
        lending.ending = False
        lending.former = None
        lending.pool = pool
        lending.timeout = timeout
        lending.use = None
        try:
            obj = lending.__enter__()
            if isinstance(local, _KeyedLocal):
                local._publish(lending)
            else:
                _put(local, lending)
            if lending.former is not None:  # drawn by a guest, or by `fun` or a hook itself
                lending.former.end()
                lending.former = None
        except BaseException:
            _take_away(_home_of(local), lending)
            _insist(lending.end)
            if lending.former is not None:
                _insist(lending.former.end)
            raise
        return obj

    def make(self, fun: FunHook) -> Any:
        """Make an object without a pool."""
        with self.lock:
            spare_numbers = self.spare_numbers
            if spare_numbers:
                number = spare_numbers.pop()
            else:
                number = self.next_number
                self.next_number += 1
        try:
            obj = fun(number)
        except BaseException:
            spare_numbers.append(number)
            raise
        with self.lock:
            self.nobjs += 1
        return obj


class _Handle:
    """What each access to a proxy reads first; in a base, since `super()` is the shortest way to a slot."""

    __slots__ = ("_local",)

    _local: Any


class Proxy(_Handle, Generic[T]):
    """Stands in for an object that may not exist yet, and forwards everything to it.

    Whatever is not one of the proxy's own names, those that begin with an underscore below and
    those that a subclass declares, is the object's: attributes, calls, operators, text, truth.

    Args:
        obj: One object for everybody.
        fun: Makes an object for each thread, context or greenlet, called with the creation number.
        set_name: The prefix of the methods `set`, `set_obj` and `set_fun`, if the object has its own `set`.
        scope: Who shares an object. `AUTO`: `SHARED` with an object, `THREAD` with a function.
            `SHARED` with a function: one object for the process, made by whoever comes first, no pool.
        log_level: Given to `log.setLevel`.
        max_size: Most objects in the pool behind `fun`; 0: no limit; `None`: no pool, an object is made for
            each thread and kept by it.
        reclaim: Whether the object of a thread, context or greenlet which ends goes back by itself.
        **pool_parameters: Those of `Pool`.

    Raises:
        ProxyException: Both `obj` and `fun`, or a parameter that no pool has.
    """

    Scope = _Scope
    Local = _Local

    __slots__ = ("__building", "__core", "__dict__", "__weakref__")

    # names which are the proxy's own, by class; and of all classes, to tell the others apart fast
    __own: ClassVar[set[str]] = set()

    def __init__(
        self,
        obj: T | None = None,
        fun: Callable[[int], T] | None = None,
        set_name: str = "set",
        scope: _Scope = _Scope.AUTO,
        log_level: int | str | None = None,
        max_size: int | None = 0,
        *,
        reclaim: bool = False,
        **pool_parameters: Any,
    ) -> None:
        if not isinstance(set_name, str) or not set_name.isidentifier():
            raise ProxyException(f"set_name must be a name, not {set_name!r}")
        if not isinstance(scope, _Scope):
            raise ProxyException(f"scope must be a Proxy.Scope, not {scope!r}")
        if log_level is not None:
            log.setLevel(log_level)
        _check_pool_parameters(pool_parameters)
        core = _Core(set_name, scope, max_size, reclaim, pool_parameters)
        object.__setattr__(self, "_Proxy__core", core)
        object.__setattr__(self, "_local", _Local())
        _own_names.update(core.setters)
        _registry.proxies[core.key] = self
        self._set(obj, fun, mandatory=False)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        found: dict[str, Any] = {}
        for base in cls.__mro__:
            if base not in Proxy.__mro__:
                declared = {*vars(base), *vars(base).get("__annotations__", ())}
                _declare(cls, declared - _MADE_BY_CLASS)
            found = vars(base) | found  # the nearest wins
        for name, value in found.items():
            if isinstance(value, functools.cached_property):
                setattr(cls, name, _CachedProperty(value))
        if cls.__init__ is not Proxy.__init__:
            untyped: Any = cls
            untyped.__init__ = _declaring(cls)
            if cls.__setattr__ is Proxy.__setattr__ or "__setattr__" in vars(cls):
                untyped.__setattr__ = _declaring_setattr(cls)

    # Setting it

    def _set(
        self, obj: T | None = None, fun: Callable[[int], T] | None = None, mandatory: bool = True
    ) -> Proxy[T]:
        """Set what the proxy stands for; a pool that it had is shut down.

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
        if obj is None and fun is None and mandatory:
            raise ProxyException("Proxy must set either obj or fun")
        if fun is not None and not callable(fun):
            raise ProxyException(f"fun must be callable, not {fun!r}")
        core = _core_of(self)
        pool: Pool[Any] | None = None
        try:
            with core.lock:
                pool = core.pool
                replaced = core.obj, core.fun, _local_of(self)  # to be dropped without the lock
                core.renew_key()
                core.begin(self, obj, fun, None)
            if pool is not None:
                pool.shutdown()
        except BaseException:
            if pool is not None and core.pool is not pool:
                _insist(pool.shutdown)
            raise
        del replaced
        return self

    def _set_obj(self, obj: T) -> Proxy[T]:
        """Set one object for everybody.

        Args:
            obj: The object.

        Returns:
            The proxy.
        """
        return self._set(obj=obj)

    def _set_fun(self, fun: Callable[[int], T]) -> Proxy[T]:
        """Set the function that makes an object for each thread, context or greenlet.

        Args:
            fun: Called with the creation number.

        Returns:
            The proxy.
        """
        return self._set(fun=fun)

    def _set_pool(self, **parameters: Any) -> None:
        """Change the parameters of the pool before it exists, which is when the first object is drawn.

        Args:
            **parameters: Those of `Pool`; with `max_size=None` there will be none.

        Raises:
            ProxyException: The pool exists, or there is no such parameter.
        """
        core = _core_of(self)
        with core.lock:
            if core.pool is not None:
                raise ProxyException("cannot override pool parameters once initialized")
            max_size = parameters.pop("max_size", core.pool_max_size)
            _check_pool_parameters(parameters)
            core.renew_key()
            core.pool_max_size = max_size
            core.pool_kwargs = core.pool_kwargs | parameters

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
        obj: T = _current(self, timeout)
        return obj

    def _has_obj(self) -> bool:
        """Tell whether there is a current object, drawing none."""
        return _is_set(self) and hasattr(_local_of(self), "obj")

    def _ret_obj(self) -> None:
        """Give the current object back to its pool; if there is none, do nothing."""
        _end_lending(self, broken=False)

    def _invalidate_obj(self) -> None:
        """Destroy the current object, say a broken connection, instead of giving it back."""
        _end_lending(self, broken=True)

    @contextlib.contextmanager
    def _obj(self, timeout: float | None = None) -> Iterator[T]:
        """Give the current object for a `with` block, and return it at the end of the outermost one.

        There, exceptions of the pool's `invalidate_on` destroy it instead.

        Args:
            timeout: As for `Pool.get`.

        Yields:
            The object itself.
        """
        thread = threading.get_ident()
        local: Any = None
        lending: _Lending | None = None
        broken = False
        try:
            while True:
                local = _local_of(self)
                obj = self._get_obj(timeout)
                lending = getattr(_home_of(local), "lending", None)
                if lending is None:
                    if getattr(local, "obj", None) is obj or not _is_pooled(self, obj):  # there is none
                        break
                elif lending.ending:
                    hooked = getattr(_home_of(local), "lending", None) is lending
                    lending = None
                    if hooked:  # we are in a hook of its end
                        break
                else:
                    lending.depth += 1  # counted there, since tasks may share it
                    use = lending.use
                    if not lending.ending and (use is None or use.obj is obj or not _is_pooled(self, obj)):
                        break
                    lending.depth -= 1
                    lending = None
                # a guest has ended it, or set the proxy anew, before we counted
            yield obj
        except BaseException as exc:
            broken = lending is not None and isinstance(exc, lending.pool._invalidate_on)
            raise
        finally:
            if lending is not None:
                lending.depth -= 1
                current = getattr(_home_of(local), "lending", None)
                # a block that is left elsewhere, or late, as a generator's may be, is not to end a lending
                # of somebody else; but what was drawn in the block after a return there ends with it
                mine = current is lending or (thread == threading.get_ident() and local is _local_of(self))
                outermost = lending.depth <= 0 or isinstance(local, _KeyedLocal)  # or others have such blocks
                if current is not None and outermost and current.depth <= 0 and mine:
                    _end_lending(self, broken and current is lending)

    @property
    def _nobjs(self) -> int:
        core = _core_of(self)
        return core.nobjs if core.pool is None else core.pool._ncreated

    @property
    def _pool(self) -> Pool[T] | None:
        return _core_of(self).pool

    @property
    def _fun(self) -> Callable[[int], T] | None:
        return _core_of(self).fun

    @property
    def _scope(self) -> _Scope:
        return _core_of(self).scope

    @property
    def _pool_max_size(self) -> int | None:
        return _core_of(self).pool_max_size

    @property
    def _pool_kwargs(self) -> dict[str, Any]:
        return _core_of(self).pool_kwargs

    # Forwarding: attributes here, special methods in the table below

    def __getattribute__(self, name: str) -> Any:
        if name in _own_names and (own := _own_name(self, name)):
            return object.__getattribute__(self, own)
        try:
            obj = super()._local.obj
        except AttributeError:
            return _absent(self, name)
        return getattr(obj, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _own_names and _own_name(self, name):
            object.__setattr__(self, name, value)
            return
        try:
            obj = super()._local.obj
        except AttributeError:
            obj = _current(self)
        setattr(obj, name, value)

    def __delattr__(self, name: str) -> None:
        if _own_name(self, name):
            object.__delattr__(self, name)
        else:
            delattr(_current(self), name)

    def __repr__(self) -> str:
        try:
            obj = _local_of(self).obj
        except AttributeError:
            if not _is_set(self):
                return "<Proxy unset>"
            fun = _core_of(self).fun
            return f"<Proxy of {getattr(fun, '__qualname__', type(fun).__name__)}>"
        return repr(obj)

    def __bool__(self) -> bool:
        try:
            obj = _local_of(self).obj
        except AttributeError:
            return _is_set(self)
        return bool(obj)

    def __dir__(self) -> list[str]:
        try:
            obj = _local_of(self).obj
        except AttributeError:
            return sorted({*type(self).__own, *_setters_of(self)})
        return dir(obj)

    def __exit__(self, *args: Any) -> Any:
        return _special(_local_of(self).obj, "__exit__")(*args) if self._has_obj() else None

    def __aexit__(self, *args: Any) -> Any:
        return _special(_local_of(self).obj, "__aexit__")(*args) if self._has_obj() else _nothing()

    def __copy__(self) -> Proxy[T]:
        return self

    def __deepcopy__(self, memo: object) -> Proxy[T]:
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        if type(self).__reduce__ is not object.__reduce__:  # a subclass knows better
            return self.__reduce__()
        core = _core_of(self)
        parameters = {
            "obj": core.obj,
            "fun": core.fun,
            "set_name": core.set_name,
            "scope": core.asked_scope,
            "max_size": core.pool_max_size,
            "reclaim": core.reclaim,
            **core.pool_kwargs,
        }
        if "__getstate__" in type(self).__own:
            own = self.__getstate__()
        else:
            own = object.__getattribute__(self, "__dict__")
        # its own attributes come last, since they may refer to it
        return _unpickle_proxy, (type(self), core.key, parameters), own or None, None, None, _take_over

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

        __call__ = __enter__ = __aenter__ = __len__ = __iter__ = __next__ = __aiter__ = __anext__ = _ANY
        __getitem__ = __setitem__ = __delitem__ = __contains__ = __reversed__ = __neg__ = __abs__ = _ANY
        __int__ = __float__ = __index__ = __lt__ = __le__ = __gt__ = __ge__ = __and__ = __or__ = _ANY
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _ANY
        __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __divmod__ = _ANY
        __rdivmod__ = __matmul__ = __rmatmul__ = __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = _ANY
        __rand__ = __ror__ = __xor__ = __rxor__ = __invert__ = __pos__ = __round__ = _ANY


_proxy_class: Any = Proxy
_local_of: Callable[[Proxy[Any]], Any] = _proxy_class._local.__get__
_core_of: Callable[[Proxy[Any]], _Core] = _proxy_class._Proxy__core.__get__
_building_of: Callable[[Proxy[Any]], bool] = _proxy_class._Proxy__building.__get__
_own_names: set[str] = set()
# what a class statement adds by itself, whatever the version of Python
_MADE_BY_CLASS = {*vars(_Local), *vars(_Handle), "__static_attributes__"}


def _declare(cls: Any, names: Iterable[str]) -> None:
    """Let names be a class's own."""
    if "_Proxy__own" not in vars(cls):
        cls._Proxy__own = set(cls._Proxy__own)
    cls._Proxy__own.update(names)  # in one step, since threads may do so at once
    _own_names.update(cls._Proxy__own)


_declare(
    Proxy,
    """_set _set_obj _set_fun _set_pool _get_obj _has_obj _ret_obj _invalidate_obj _obj _nobjs _pool _fun
    _scope _local _pool_max_size _pool_kwargs
    __copy__ __deepcopy__ __reduce_ex__ __mro_entries__ __orig_class__""".split(),
)


def _is_building(proxy: Proxy[Any]) -> bool:
    try:
        return _building_of(proxy)
    except AttributeError:
        return False


def _declaring(cls: Any) -> Callable[..., None]:
    """The `__init__` of a subclass, during which the names that it assigns count as declared."""
    init = vars(cls).get("__init__")

    @functools.wraps(cls.__init__)
    def building(self: Proxy[Any], *args: Any, **kwargs: Any) -> None:
        outer = _is_building(self)
        object.__setattr__(self, "_Proxy__building", True)
        try:
            if init is None:  # whose turn it is depends on the class of the proxy
                super(cls, self).__init__(*args, **kwargs)
            else:
                init.__get__(self, type(self))(*args, **kwargs)
        finally:
            object.__setattr__(self, "_Proxy__building", outer)

    return building


class _CachedProperty:
    """A `functools.cached_property` of a subclass, which keeps its value in the proxy, not in the object."""

    def __init__(self, declared: functools.cached_property[Any]) -> None:
        self.func = declared.func
        self.name = declared.attrname
        self.__doc__ = declared.__doc__

    def __get__(self, proxy: Any, owner: type) -> Any:
        if proxy is None:
            return self
        own = object.__getattribute__(proxy, "__dict__")  # where it is found from now on
        value = own[self.name] = self.func(proxy)
        return value


def _declaring_setattr(cls: Any) -> Callable[..., None]:
    """The `__setattr__` of such a subclass."""
    own = vars(cls).get("__setattr__")

    def assign(self: Proxy[Any], name: str, value: Any) -> None:
        if _is_building(self):
            _declare(type(self), [name])
        if own is None:
            super(cls, self).__setattr__(name, value)
        else:
            own(self, name, value)

    return assign


def _own_name(proxy: Proxy[Any], name: str) -> str | None:
    """Under which of its own names a proxy has what is asked for; `None`: it is the object's."""
    cls: Any = type(proxy)
    if name in cls._Proxy__own:
        return name
    meant = _setters_of(proxy).get(name)
    if meant and name in object.__getattribute__(proxy, "__dict__"):
        return name  # a subclass may have its own `set`
    return meant


def _setters_of(proxy: Proxy[Any]) -> dict[str, str]:
    """The methods behind the names that depend on `set_name`."""
    try:
        return _core_of(proxy).setters
    except AttributeError:  # a subclass which has not called our __init__ yet
        return {}


def _is_set(proxy: Proxy[Any]) -> bool:
    """Whether there is an object, or a function to make one."""
    try:
        core = _core_of(proxy)
    except AttributeError:  # a subclass which has not called our __init__ yet
        return False
    return core.obj is not None or core.fun is not None


def _current(proxy: Proxy[Any], timeout: float | None = None) -> Any:
    """The current object, drawn if there is none yet."""
    try:
        return _local_of(proxy).obj
    except AttributeError:
        pass
    if not _is_set(proxy):
        raise ProxyUnset("the proxy is not set yet: call its set_obj or set_fun first")
    return _core_of(proxy).draw(proxy, timeout)


def _is_pooled(proxy: Proxy[Any], obj: Any) -> bool:
    """Whether what `_get_obj` gave is of the pool; that of a subclass may give anything."""
    pool = _core_of(proxy).pool
    return pool is not None and (type(proxy)._get_obj is Proxy._get_obj or obj in pool._uses)


def _end_lending(proxy: Proxy[Any], broken: bool) -> None:
    """End the lending of the current object, which is not current any more whatever fails.

    The hooks of a return find it current still; then it goes, before anybody else may get the object.
    """
    home = _home_of(_local_of(proxy))
    try:
        lending: _Lending = home.lending
    except AttributeError:
        return
    if lending.ending:
        return
    lending.ending = True
    try:
        use = lending.use
        if use is not None and use.turn == lending.stamp and lending.pool._hooked_ret and not broken:
            use.leave = functools.partial(_take_away, home, lending)
        else:
            _take_away(home, lending)
        if broken:
            lending.invalidate()
        else:
            lending.__exit__(None, None, None)
        _take_away(home, lending)  # where somebody else has ended it
    except BaseException:
        _take_away(home, lending)
        _insist(lending.end)
        raise


# asked of anything by those who only look: IPython, unittest.mock, pytest, inspect
_PROBES = frozenset(
    """pytestmark _pytestfixturefunction pytest_mock_example_attribute_that_shouldnt_exist place_as
    _spec_class _spec_asyncs _fields _partialmethod getdoc""".split()
)


def _defines(cls: type, name: str) -> bool:
    """Whether a class defines that name for its instances."""
    return any(name in vars(base) for base in cls.__mro__)


def _absent(proxy: Proxy[Any], name: str) -> Any:
    """An attribute of an object which is not there yet: only real use draws one."""
    special = name.startswith("__") and name.endswith("__")
    if special and _defines(type(proxy), name):
        return object.__getattribute__(proxy, name)
    if special or name.startswith(("_ipython_", "_is_coroutine", "_mock_", "_repr_")) or name in _PROBES:
        seen = _core_of(proxy).seen if _is_set(proxy) else None
        if seen is None or not _defines(seen, name):
            raise ProxyUnset(f"the proxy has no object yet, and looking for {name!r} draws none")
    return getattr(_current(proxy), name)


def _check_pool_parameters(parameters: dict[str, Any]) -> None:
    """Refuse what is no parameter of a pool, or not one to be given here."""
    for name, value in parameters.items():
        if name not in _POOL_DEFAULTS or name == "max_size":
            raise ProxyException(f"no such pool parameter: {name}={value!r}")


def _take_over(proxy: Proxy[Any], own: dict[str, Any]) -> None:
    """Give an unpickled proxy its own attributes."""
    cls: Any = type(proxy)
    if "__setstate__" in cls._Proxy__own:
        cls.__setstate__(proxy, own)
        return
    _declare(type(proxy), own)
    for name, value in own.items():
        object.__setattr__(proxy, name, value)


def _unpickle_proxy(cls: type[Proxy[Any]], key: str, parameters: dict[str, Any]) -> Proxy[Any]:
    """The proxy that came here under that key."""
    with _registry.lock:
        proxy: Proxy[Any] | None = _registry.unpickled.get(key)
        if proxy is None:
            proxy = cls.__new__(cls)
            Proxy.__init__(proxy, **parameters)
            if _core_of(proxy).fun is not None:
                _core_of(proxy).key = key
                _registry.unpickled[key] = proxy
    if _core_of(proxy).fun is not None:
        _registry.recent.append(proxy)
    return proxy


def _special(obj: Any, name: str) -> Any:
    """A special method as Python finds it: on the type."""
    for cls in type(obj).__mro__:
        if name in vars(cls):
            method = vars(cls)[name]
            bind = getattr(type(method), "__get__", None)
            return method if bind is None else bind(method, obj, type(obj))
    raise TypeError(f"{type(obj).__name__!r} object has no {name}")


async def _nothing() -> None:
    """What leaving the context of an object that is gone gives."""


def _unary(operation: Callable[[Any], Any]) -> Callable[..., Any]:
    def method(self: Proxy[Any]) -> Any:
        try:
            obj = _local_of(self).obj
        except AttributeError:
            obj = _current(self)
        return operation(obj)

    return method


def _binary(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def method(self: Proxy[Any], other: Any) -> Any:
        try:
            obj = _local_of(self).obj
        except AttributeError:
            obj = _current(self)
        return operation(obj, other)

    return method


def _with_unwrapped(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Of an operation which would take a proxy for something else than what it stands for."""
    return _binary(lambda obj, other: operation(obj, _unwrapped(other)))


def _reflected(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return _binary(lambda obj, other: operation(other, obj))


def _in_place(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def method(self: Proxy[Any], other: Any) -> Any:
        obj = _current(self)
        result = operation(obj, _unwrapped(other))
        return self if result is obj else result

    return method


def _comparison(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def method(self: Proxy[Any], other: Any) -> Any:
        try:
            obj = _local_of(self).obj
        except AttributeError:
            if not _is_set(self) or other is type or other is object:  # which `inspect` asks of anything
                return NotImplemented  # hence by identity
            obj = _current(self)
        return operation(obj, other)

    return method


def _any(operation: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Proxy[Any], /, *args: Any, **kwargs: Any) -> Any:
        try:
            obj = _local_of(self).obj
        except AttributeError:
            obj = _current(self)
        return operation(obj, *args, **kwargs)

    return method


class _Call(property):
    """The method `__call__`: where Python binds it to a proxy, it finds the object itself, and calls that."""

    def __call__(self, proxy: Proxy[Any], /, *args: Any, **kwargs: Any) -> Any:
        return _current(proxy)(*args, **kwargs)


def _called(self: Proxy[Any]) -> Any:
    try:
        return _local_of(self).obj
    except AttributeError:  # not the look at it, but the call itself draws
        return types.MethodType(_proxy_class.__call__, self)


def _rounded(how: str) -> Callable[..., Any]:
    def operation(obj: Any) -> Any:
        import math  # on demand, as few need it

        return getattr(math, how)(obj)

    return _unary(operation)


def _by_name(name: str) -> Callable[..., Any]:
    return _any(lambda obj, *args: _special(obj, name)(*args))


def _unwrapped(obj: Any) -> Any:
    while issubclass(type(obj), Proxy):
        obj = _current(obj)
    return obj


def _mro_entries(obj: Any, bases: tuple[Any, ...]) -> Any:
    obj = _unwrapped(obj)
    return (obj,) if isinstance(obj, type) else _special(obj, "__mro_entries__")(bases)


# One row a special method. Left out on purpose, since their mere presence changes what a thing is:
# __await__ (awaitable), __fspath__ (a path), __buffer__ and __release_buffer__ (bytes-like), __length_hint__,
# __get__, __set__, __delete__ and __set_name__ (a descriptor). Those which are about the proxy itself stay
# its own: __new__, __init__, __del__, __init_subclass__, __sizeof__, __slots__, __weakref__.
_FORWARDED: dict[str, Callable[..., Any]] = {
    "__str__": _unary(str),
    "__bytes__": _unary(bytes),
    "__format__": _binary(format),
    "__hash__": _unary(hash),
    "__eq__": _comparison(operator.eq),
    "__ne__": _comparison(operator.ne),
    "__lt__": _binary(operator.lt),
    "__le__": _binary(operator.le),
    "__gt__": _binary(operator.gt),
    "__ge__": _binary(operator.ge),
    "__call__": _Call(_called),
    "__len__": _unary(len),
    "__getitem__": _binary(operator.getitem),
    "__setitem__": _any(operator.setitem),
    "__delitem__": _binary(operator.delitem),
    "__contains__": _with_unwrapped(operator.contains),
    "__iter__": _unary(iter),
    "__reversed__": _unary(reversed),
    "__next__": _unary(next),
    "__aiter__": _unary(aiter),
    "__anext__": _unary(anext),
    "__enter__": _by_name("__enter__"),
    "__aenter__": _by_name("__aenter__"),
    "__int__": _unary(int),
    "__float__": _unary(float),
    "__complex__": _unary(complex),
    "__index__": _unary(operator.index),
    "__round__": _any(round),
    "__trunc__": _rounded("trunc"),
    "__floor__": _rounded("floor"),
    "__ceil__": _rounded("ceil"),
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
    "__mro_entries__": _binary(_mro_entries),
    "__prepare__": _any(lambda obj, /, *args, **kwargs: obj.__prepare__(*args, **kwargs)),
}
for _stem in "add sub mul matmul truediv floordiv mod lshift rshift and or xor".split():
    _FORWARDED[f"__{_stem}__"] = _binary(getattr(operator, f"__{_stem}__"))
    _FORWARDED[f"__r{_stem}__"] = _reflected(getattr(operator, f"__{_stem}__"))
    _FORWARDED[f"__i{_stem}__"] = _in_place(getattr(operator, f"__i{_stem}__"))
_FORWARDED["__mod__"] = _with_unwrapped(operator.mod)  # "%s" % proxy: a sequence or a mapping, to str
for _name, _method in _FORWARDED.items():
    _method.__name__ = _name
    _method.__qualname__ = f"Proxy.{_name}"
    setattr(Proxy, _name, _method)
