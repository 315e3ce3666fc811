"""Take one mechanism of the pool out at a time, and see a test fail.

Each mutant changes a few words of one function; what that guards, and a test that sees it missing, stand
beside it. `make mutants` runs them all, two at a time, each in a copy of the project; `--find` looks for a
test that fails among those of the pool, for mutants that are new.
"""

from __future__ import annotations

import argparse
import ast
import functools
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULE = ROOT / "ProxyPatternPool.py"

SUITE = """edges guards proxy regressions proxy_scopes proxy_unset proxy_forwarding second_review pool
concurrency lifecycle housekeeping races hooks features interrupts fork exit outage scale proxy_pickle
proxy_objects model stress contract""".split()
"""The tests in which `--find` looks, in that order."""


@dataclass(frozen=True)
class Mutant:
    """A change of the module, what it takes away, and a test that fails then."""

    where: str
    guards: str
    test: str
    old: str
    new: str

    def apply(self, source: str) -> str:
        """Return the module's text without the mechanism."""
        start, end = place(source, self.where)
        part = source[start:end]
        old, new = (
            self.old.removeprefix("\n"),
            self.new.removeprefix("\n"),
        )  # blocks begin on a line of their own
        found = part.count(old)
        if found != 1:
            raise ValueError(f"{self.where}: {found} times in it: {old!r}")
        return source[:start] + part.replace(old, new) + source[end:]


@functools.cache
def parse(source: str) -> ast.Module:
    """Parse the module, once."""
    return ast.parse(source)


def place(source: str, where: str) -> tuple[int, int]:
    """Return where a function or class begins and ends in the text."""
    body: list[ast.stmt] = parse(source).body
    node: ast.stmt | None = None
    for name in where.split("."):
        (node,) = (each for each in body if getattr(each, "name", None) == name)
        body = node.body  # type: ignore[attr-defined]
    assert node is not None
    lines = source.splitlines(keepends=True)
    return len("".join(lines[: node.lineno - 1])), len("".join(lines[: node.end_lineno]))


def copy(folder: Path) -> None:
    """Copy what tests need into a folder."""
    for name in ("tests", "docs"):
        shutil.copytree(
            ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "site")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE", "Makefile"):
        shutil.copy(ROOT / name, folder)


def run(folder: Path, tests: list[str], seconds: float) -> tuple[str, str]:
    """Run tests in a folder until one fails: which one did, and the end of what pytest said."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
    command += ["-p", "no:xdist", "-o", "timeout=20", *tests]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return "(no end)", ""
    found = re.search(r"^(?:FAILED|ERROR) (tests/.+?)(?: - |$)", done.stdout, re.MULTILINE)
    if found:
        return found[1], done.stdout
    stuck = re.findall(r"in (test_\w+)$", done.stdout + done.stderr, re.MULTILINE)
    if done.returncode and stuck:
        return f"(stuck) {stuck[-1]}", done.stdout
    return f"(status {done.returncode})" if done.returncode else "", done.stdout


def main() -> int:
    """Run the mutants whose text has a word of the command line in it, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--find", action="store_true", help="look for a test that fails, in the order of the suite"
    )
    parser.add_argument("--new", action="store_true", help="only mutants that have no test yet")
    parser.add_argument("words", nargs="*", help="mutants with one of these words in them")
    options = parser.parse_args()
    chosen = [
        mutant
        for mutant in MUTANTS
        if not (options.new and mutant.test)
        and (not options.words or any(word in repr(mutant) for word in options.words))
    ]
    folders: dict[int, Path] = {}
    lock = threading.Lock()
    survivors: list[Mutant] = []
    source = MODULE.read_text()

    def work(mutant: Mutant) -> None:
        with lock:
            folder = folders.setdefault(threading.get_ident(), Path(parent, str(len(folders))))
        if not folder.exists():
            folder.mkdir()
            copy(folder)
        mutated = mutant.apply(source)
        compile(mutated, MODULE.name, "exec")  # a mistake in the table is not a test that fails
        (folder / MODULE.name).write_text(mutated)
        tests = [mutant.test]
        if options.find or not mutant.test:
            tests = [f"tests/test_{name}.py" for name in SUITE]
        failed, _ = run(folder, tests, 400)
        with lock:
            print(f"{failed or 'SURVIVES'}\t{mutant.where}\t{mutant.guards}", flush=True)
            if not failed:
                survivors.append(mutant)

    with tempfile.TemporaryDirectory() as parent, ThreadPoolExecutor(2) as threads:
        list(threads.map(work, chosen))
    print(f"{len(chosen)} mutants, {len(survivors)} survive")
    return 1 if survivors else 0


# fmt: off
MUTANTS: list[Mutant] = [
    Mutant("_Gate._wait", "who has timed out leaves the queue",
           "tests/test_interrupts.py::test_waiters_interrupted_at_the_handover",
           """
        self._leave(waiter)
""",
           ""),
    Mutant("_Gate._wait", "a holder of the lock lets go of it while he waits",
           "tests/test_edges.py::test_waiting_with_the_lock_in_hand",
           "lock._release_save() if lock._is_owned() else None", "None"),
    Mutant("_Gate._leave", "an interrupted waiter leaves the queue",
           "tests/test_concurrency.py::test_interrupted_wait",
           """
            if waiter.gift is None and waiter in self._waiters:
                self._waiters.remove(waiter)
""",
           """
            pass
"""),
    Mutant("_Gate._free", "tokens go to the oldest waiter",
           "tests/test_concurrency.py::test_freed_tokens_keep_the_order",
           """
waiter = self._waiters[0]
            del self._waiters[0]""",
           """
waiter = self._waiters[-1]
            del self._waiters[-1]"""),
    Mutant("_Gate._free", "a token is handed over, not doubled",
           "tests/test_second_review.py::test_resize_serves_before_it_warns",
           """
            self._value -= 1
            waiter.gift""",
           "            waiter.gift"),
    Mutant("_Gate.acquire", "tokens taken by name are counted under the lock",
           "tests/test_guards.py::test_waits_for_the_lock[acquire a token-bare]",
           "with self._lock:", "with threading.RLock():"),
    Mutant("_Gate.release", "tokens given back twice are refused",
           "tests/test_edges.py::test_gate_is_a_semaphore",
           "if self._value >= self._initial_value:", "if False:"),
    Mutant("_Lending.__enter__", "one lending at a time for each obj()",
           "tests/test_edges.py::test_lending_entered_twice",
           "if self.use is not None:", "if False:"),
    Mutant("_Lending.__exit__", "an invalidated lending is not returned besides",
           "tests/test_second_review.py::test_invalidated_before_the_error",
           "if use.excused != self.stamp:", "if True:"),
    Mutant("_Lending.__exit__", "invalidate_on destroys",
           "tests/test_features.py::test_invalidate_on[ConnectionError]",
           "issubclass(kind, self.pool._invalidate_on)", "False"),
    Mutant("_Lending.__exit__", "a lending that has ended runs no finalizer",
           "tests/test_edges.py::test_ended_lending_runs_no_finalizer",
           "lease.__class__ = _Lending", "lease.__class__ = type(lease)"),
    Mutant("_Lending.end", "a forgotten lending is given back",
           "tests/test_edges.py::test_interrupted_at_each_point[obj]",
           """
            self.pool._give_back(use, self.stamp)
""",
           ""),
    Mutant("_Lease.__del__", "an interrupted exit returns the object",
           "tests/test_edges.py::test_interrupted_at_each_point[obj]",
           "if lent and os.getpid() == _registry.process:", "if False:"),
    Mutant("_Lease.__del__", "leases of the parent are not ended in the child",
           "tests/test_regressions.py::test_child_reclaims_nothing",
           " and os.getpid() == _registry.process", ""),
    Mutant("_insist", "cleaning up goes on when interrupted again",
           "tests/test_edges.py::test_interrupted_cleaning_up_is_repeated",
           "range(100)", "range(1)"),
    Mutant("Pool.__init__", "an interrupted constructor leaves nothing open",
           "tests/test_edges.py::test_constructor_interrupted_at_each_point",
           """
            _insist(self.shutdown)
""",
           ""),
    Mutant("Pool.ret", "an interrupted return is done all the same",
           "tests/test_edges.py::test_interrupted_ret_is_done[bare]",
           """
            _insist(self._give_back_late, obj, use, stamp)
""",
           ""),
    Mutant("Pool.drain", "what is being made is drained, too",
           "tests/test_features.py::test_drain_during_creation",
           "[*self._objects.values(), *self._making.values()]", "[*self._objects.values()]"),
    Mutant("Pool.drain", "what is lent is drained when it returns",
           "tests/test_features.py::test_drain",
           """
            self._strict = True
""",
           ""),
    Mutant("Pool.drain", "nothing old is lent once a drain has begun",
           "tests/test_races.py::test_nothing_old_is_lent_once_a_drain_has_begun",
           "use.expires = use.fresh_until = -_INFINITY", "use.expires = -_INFINITY"),
    Mutant("Pool.resize", "waiters are served by a pool that grows",
           "tests/test_second_review.py::test_resize_serves_before_it_warns",
           """
            gate._free(None)
""",
           ""),
    Mutant("Pool.resize", "a surplus goes as it returns",
           "tests/test_features.py::test_resize_down",
           """
            self._strict = True
""",
           ""),
    Mutant("Pool.stats", "stats() reads under the lock",
           "tests/test_edges.py::test_waiting_with_the_lock_in_hand",
           "with self._lock:", "with threading.RLock():"),
    Mutant("Pool.shutdown", "the housekeeper may shut its pool down",
           "tests/test_lifecycle.py::test_shutdown_from_the_housekeeper",
           """
        if housekeeper is threading.current_thread():
            return
""",
           ""),
    Mutant("Pool.shutdown", "several threads wait for what is lent",
           "tests/test_regressions.py::test_two_shutdowns_with_grace",
           """
                self._all_back.ring()  # for another who waits
""",
           ""),
    Mutant("Pool.shutdown", "a grace with nothing lent does not wait",
           "tests/test_edges.py::test_grace_of_an_empty_pool",
           """
                if self._nobjs == 0:
                    self._all_back.ring()
""",
           ""),
    Mutant("Pool.shutdown", "a shutdown closes what was left behind",
           "tests/test_edges.py::test_shutdown_closes_what_was_taken_out",
           """
            self._sweep()
""",
           ""),
    Mutant("Pool.shutdown", "a shutdown closes what is lent",
           "tests/test_pool.py::test_counters_balance",
           "lent = self._evict(lambda use: use.place is _LENT)", "lent = 0"),
    Mutant("Pool.__del__", "an abandoned pool closes its objects",
           "tests/test_lifecycle.py::test_abandoned_pool_goes_away[0.0-False]",
           """
        _insist(self._end)
""",
           ""),
    Mutant("Pool._add", "a failed creation by name gives its token back",
           "tests/test_edges.py::test_failed_creation_by_name[_new]",
           """
            _insist(self._discard, use, use.turn if lend else 0)  # what is available may be lent already
""",
           ""),
    Mutant("Pool._check_holders", "only the late lending is killed, not the next one",
           "tests/test_housekeeping.py::test_kill_is_for_one_lending",
           "lambda use: use.place is _LENT and use.turn == doomed[use]", "lambda use: use.place is _LENT"),
    Mutant("Pool._check_holders", "only the late lending is warned about",
           "tests/test_edges.py::test_late_lending_that_ends_before_its_warning",
           "use.place is _LENT and use.turn == turn and not told",
           "not told"),
    Mutant("Pool._check_holders", "a late lending is warned about once",
           "tests/test_housekeeping.py::test_held_too_long_is_warned",
           " and not told",
           ""),
    Mutant("Pool._recycle", "recycling leaves min_size",
           "tests/test_housekeeping.py::test_idle_are_recycled",
           """
                    and self._nlive > self._min_size
""",
           ""),
    Mutant("Pool._recycle", "those idle for longest go first",
           "tests/test_housekeeping.py::test_longest_idle_go_first",
           "oldest_first=True", "oldest_first=False"),
    Mutant("Pool._health_check", "what is examined is lent to nobody meanwhile",
           "tests/test_concurrency.py::test_refused_object_is_never_lent",
           "or not self._hold(use)", ""),
    Mutant("Pool._health_check", "what is refused is destroyed",
           "tests/test_concurrency.py::test_refused_object_is_never_lent",
           """
                    self._discard(use, turn)
""",
           """
                    self._unhold(use)
"""),
    Mutant("Pool._health_check", "an interrupted examination gives the object up",
           "tests/test_housekeeping.py::test_thread_outlives_failures[check-SystemExit]",
           """
                _insist(self._discard, use, turn)
""",
           ""),
    Mutant("Pool._add", "a failed filling gives its token back",
           "tests/test_second_review.py::test_fills_at_once_after_failures[drain-alone]",
           """
            _insist(self._discard, use, use.turn if lend else 0)  # what is available may be lent already
""",
           ""),
    Mutant("Pool._fill", "what does not last is not made for ever",
           "tests/test_third_review.py::test_filling_ends_when_objects_do_not_last",
           "left -= use.expires > -_INFINITY",
           "left -= 0"),
    Mutant("Pool._add", "what is being made counts",
           "tests/test_concurrency.py::test_created_with_others_idle",
           "self._nlive + self._nmaking >= goal",
           "self._nlive >= goal"),
    Mutant("Pool._fill", "while the server is down, returns do not ask it again",
           "tests/test_pool.py::test_returns_ask_a_dead_server_once",
           """
                self._fill_after = self._time() + max(1.0, self._delay)
""",
           ""),
    Mutant("Pool._refill", "while the server is down, returns do not ask it again",
           "tests/test_pool.py::test_returns_ask_a_dead_server_once",
           " or self._time() < self._fill_after", ""),
    Mutant("Pool._refill", "a return does not wait for a creation",
           "tests/test_concurrency.py::test_return_does_not_wait_for_creation",
           """
            self._wake.ring()
""",
           """
            self._fill()
"""),
    Mutant("Pool._start_housekeeper", "one housekeeper, and none after a shutdown",
           "tests/test_guards.py::test_one_housekeeper[two creations at once]",
           """
                if self._housekeeper is not None or self._shutdown:
                    return
""",
           ""),
    Mutant("Pool._start_housekeeper", "an interrupted start of a thread leaves no ghost",
           "tests/test_interrupts.py::test_interrupted_constructor_leaves_nothing",
           """
            begun.extend(map(_thread.start_new_thread, (_start,), ((thread, started),)))
            started.wait(_INFINITY)
""",
           """
            thread.start()
            begun.append(1)
"""),
    Mutant("Pool._start_housekeeper", "a pool works where no thread can start",
           "tests/test_edges.py::test_no_more_threads[outer]",
           "except RuntimeError as exc:", "except ZeroDivisionError as exc:"),
    Mutant("Pool._checkout", "get takes under the lock",
           "tests/test_guards.py::test_waits_for_the_lock[get-bare]",
           "self._time, self._lock, self._gate", "self._time, threading.RLock(), self._gate"),
    Mutant("Pool._checkout", "get needs a token",
           "tests/test_regressions.py::test_tokens_taken_by_hand_count",
           " and gate._value > 0:", ":"),
    Mutant("Pool._checkout", "what has expired, or idled for long, is examined",
           "tests/test_second_review.py::test_refused_object_is_not_kept",
           "now < use.fresh_until", "True"),
    Mutant("Pool._checkout", "an interrupted get gives the object up",
           "tests/test_edges.py::test_interrupted_at_each_point[obj]",
           """
                _insist(self._discard, taken, stamp or taken.turn)
""",
           """
                pass
"""),
    Mutant("Pool._checkout", "an interrupted get lets go of the lock",
           "tests/test_edges.py::test_waiter_interrupted_at_each_point",
           """
            if not leaving and lock._is_owned():
                lock.release()
""",
           ""),
    Mutant("Pool._checkout", "an interrupted get does not let go of an outer lock",
           "tests/test_edges.py::test_failure_keeps_an_outer_lock[lend]",
           "if not leaving and lock._is_owned()", "if lock._is_owned()"),
    Mutant("Pool._checkout", "what a getter gave back is not lent",
           "tests/test_second_review.py::test_getter_that_always_ends_the_lending[default-ret]",
           "while not self._attend(taken, stamp):", "while self._attend(taken, stamp) and False:"),
    Mutant("Pool._obtain_next", "a getter that gives everything back makes no endless get",
           "tests/test_second_review.py::test_getter_that_always_ends_the_lending[default-ret]",
           "if limit is not None and tries > 1 and spent >= limit:", "if False:"),
    Mutant("Pool._obtain", "an interrupted waiter leaves, and passes on what it got",
           "tests/test_concurrency.py::test_interrupted_wait",
           """
                _insist(self._unwait, waiter)
""",
           """
                pass
"""),
    Mutant("Pool._obtain", "an interrupted creation or examination gives the object up",
           "tests/test_pool.py::test_failed_number_is_used_again",
           """
                use.heir = None
                _insist(self._discard, use, use.turn)
""",
           """
                pass
"""),
    Mutant("Pool._obtain", "an interrupted second try gives its token back",
           "tests/test_edges.py::test_interrupted_at_each_point[obj-refused]",
           """
            _insist(self._discard, blank, 0)
""",
           ""),
    Mutant("Pool._obtain", "who examines keeps his turn for the next object",
           "tests/test_regressions.py::test_refused_object_with_a_hanging_closer",
           """
                        use.heir = blank
""",
           ""),
    Mutant("Pool._obtain", "a turn of no use is given up",
           "tests/test_edges.py::test_turn_of_no_use_is_given_up",
           """
                        if use is None:
                            self._forget(blank)
""",
           ""),
    Mutant("Pool._obtain", "an object still being made at a shutdown is closed",
           "tests/test_concurrency.py::test_shutdown_during_creation",
           "                self._close(use)  # somebody has shut down",
           "                pass  # somebody has shut down"),
    Mutant("Pool._obtain", "what came back just before one joins the queue is not waited for",
           "tests/test_third_review.py::test_returned_while_its_thread_begins_to_wait",
           "self._gate._free(None)", "pass"),
    Mutant("Pool._obtain", "examinations keep to the timeout",
           "tests/test_third_review.py::test_check_keeps_to_the_timeout",
           "late = waits and deadline is not None and time.monotonic() >= deadline", "late = False"),
    Mutant("Pool._is_good", "what was closed is not examined",
           "tests/test_third_review.py::test_health_is_not_asked_about_what_was_closed",
           "if use.place is not _HELD:", "if False:"),
    Mutant("Pool._may_wait", "nobody waits for a pool that was shut down",
           "tests/test_second_review.py::test_thread_joined_after_the_end[asks at the end]",
           "return waits and not self._shutdown", "return waits"),
    Mutant("Pool._may_wait", "max_waiting",
           "tests/test_second_review.py::test_many_waiting_come_first",
           "if 0 < self._max_waiting <= nwaiting and not again and not self._shutdown:",
           "if False:"),
    Mutant("Pool._await", "a token of no use is given up",
           "tests/test_edges.py::test_token_of_a_pool_that_shrank",
           """
                if waiter.gift is None:
                    self._forget(waiter.blank)
""",
           ""),
    Mutant("Pool._await", "who has waited in vain is told so",
           "tests/test_pool.py::test_time_out",
           """
        if not served:
            self._refuse(timeout)
""",
           ""),
    Mutant("Pool._unwait", "what an interrupted waiter got is given up",
           "tests/test_edges.py::test_waiter_interrupted_at_each_point",
           """
                self._discard(use, use.turn)
""",
           """
                pass
"""),
    Mutant("Pool._refuse", "daemon threads are quiet at the interpreter's end",
           "tests/test_exit.py::test_daemon_threads_say_nothing",
           "_Bell().wait(1.0)", "pass"),
    Mutant("Pool._is_good", "what has expired while idle is not lent",
           "tests/test_features.py::test_old_objects_are_not_lent",
           "expired = now >= use.expires", "expired = False"),
    Mutant("Pool._is_good", "check_after_idle",
           "tests/test_second_review.py::test_refused_object_is_not_kept",
           "return not expired and self._examine(use)", "return not expired"),
    Mutant("Pool._make", "no interruption parts the pool from a new object",
           "tests/test_interrupts.py::test_interrupted_with_obj_loses_nothing[bare]",
           "box.extend(map(self._fun, (use.number,)))", "box.append(self._fun(use.number))"),
    Mutant("Pool._make", "an object returned twice by fun is not closed twice",
           "tests/test_edges.py::test_object_returned_twice_by_fun_is_closed_once",
           """
            use.obj = None  # it is not for us to close it
""",
           ""),
    Mutant("Pool._add", "what is made ahead during a shutdown is closed",
           "tests/test_concurrency.py::test_shutdown_during_fill",
           """
            if use.place is _DOOMED:
                self._close(use)
""",
           ""),
    Mutant("Pool._make", "in a child, the housekeeper starts with the first object",
           "tests/test_lifecycle.py::test_fork[idle]",
           """
        self._start_housekeeper()
""",
           ""),
    Mutant("Pool._make", "a fun that raises StopIteration",
           "tests/test_edges.py::test_fun_raises_stop_iteration",
           """
        if not box:
""",
           """
        if False:
"""),
    Mutant("Pool._checkin", "ret gives back under the lock",
           "tests/test_guards.py::test_waits_for_the_lock[ret-bare]",
           "clock, lock = self._time, self._lock", "clock, lock = self._time, threading.RLock()"),
    Mutant("Pool._checkin", "an end of a lending does not end the next one",
           "tests/test_edges.py::test_block_does_not_end_the_next_lending[bare]",
           "lent = self._shelve(use, now, stamp)", "lent = self._shelve(use, now, use.turn)"),
    Mutant("Pool._checkin", "an interrupted return is done all the same",
           "tests/test_edges.py::test_interrupted_block_returns_at_once[bare]",
           """
            if not done:
                _insist(self._give_back, use, stamp)
""",
           ""),
    Mutant("Pool._checkin", "an interrupted return lets go of the lock",
           "tests/test_edges.py::test_interrupted_at_each_point[obj]",
           """
            if not leaving and lock._is_owned():
                lock.release()
""",
           ""),
    Mutant("Pool._checkin", "an interrupted return does not let go of an outer lock",
           "tests/test_edges.py::test_failure_keeps_an_outer_lock[take_back]",
           "if not leaving and lock._is_owned()", "if lock._is_owned()"),
    Mutant("Pool._checkin", "what is worn out is closed on return",
           "tests/test_second_review.py::test_uses_set_by_a_program",
           "if not done and not self._give_back(use, stamp) and not lent:",
           "if not done and not lent and not self._give_back(use, stamp):"),
    Mutant("Pool._give_back", "two returns at once: one has the object",
           "tests/test_guards.py::test_waits_for_the_lock[ret-hooks]",
           """
            with self._lock:
                if use.place is _LENT and use.turn == stamp:
                    use.place = _HELD
""",
           """
            with threading.RLock():
                if use.place is _LENT and use.turn == stamp:
                    use.place = _HELD
"""),
    Mutant("Pool._give_back", "a retter runs once, on an object that nobody else has",
           "tests/test_concurrency.py::test_double_return_race",
           """
                    use.place = _HELD
""",
           ""),
    Mutant("Pool._give_back", "an interrupted retter gives the object up",
           "tests/test_edges.py::test_interrupted_at_each_point[obj-all-hooks]",
           """
                _insist(self._discard, use, stamp)
""",
           """
                pass
"""),
    Mutant("Pool._give_back", "a failed reset destroys",
           "tests/test_lifecycle.py::test_no_reference_to_failed_objects",
           """
                    if good:
""",
           """
                    if True:
"""),
    Mutant("Pool._give_back", "what is doomed on return is closed",
           "tests/test_concurrency.py::test_shutdown_during_hook[retter]",
           """
            if use.place is _DOOMED and use.turn == stamp:
                self._close(use)
                claimed = True
""",
           ""),
    Mutant("Pool._invalidate", "an invalidation does not end the next lending",
           "tests/test_edges.py::test_broken_block_does_not_end_the_next_lending",
           "lent = self._doom(use, _LENT, stamp)", "lent = use.place is _LENT and self._doom(use)"),
    Mutant("Pool._invalidate", "an interrupted invalidation destroys all the same",
           "tests/test_edges.py::test_interrupted_invalidate_can_be_repeated",
           """
            _insist(self._discard, use, stamp)
""",
           ""),
    Mutant("Pool._invalidate", "an invalidated lending is not returned besides",
           "tests/test_second_review.py::test_obj_of_a_subclass",
           """
                    use.excused = stamp
""",
           ""),
    Mutant("Pool._hold", "an examination needs a token",
           "tests/test_edges.py::test_examination_needs_a_token",
           " and self._gate._value > 0", ""),
    Mutant("Pool._hold", "an examination takes a token",
           "tests/test_concurrency.py::test_closing_everything_during_hook[health]",
           """
                    self._gate._value -= 1
""",
           ""),
    Mutant("Pool._hold", "an object is examined or lent, not both",
           "tests/test_guards.py::test_waits_for_the_lock[borrow-bare]",
           "with self._lock:", "with threading.RLock():"),
    Mutant("Pool._hold", "an interrupted examination gives the object up",
           "tests/test_edges.py::test_interrupted_at_each_point[round]",
           """
            if held:
                _insist(self._discard, use, use.turn)
""",
           ""),
    Mutant("Pool._unhold", "what is doomed during its examination is closed",
           "tests/test_edges.py::test_drained_during_its_examination",
           """
        if use.place is _DOOMED:
            self._close(use)
""",
           ""),
    Mutant("Pool._unhold", "what was closed during its examination does not come back",
           "tests/test_regressions.py::test_return_of_what_is_not_examined",
           """
            if use.place is _HELD:
""",
           """
            if True:
"""),
    Mutant("Pool._examine", "a health hook that raises says no",
           "tests/test_housekeeping.py::test_health_that_raises",
           "use.obj, None)", "use.obj, True)"),
    Mutant("Pool._discard", "an object whose creation was interrupted at its end is closed",
           "tests/test_edges.py::test_interrupted_at_each_point[obj-of-an-empty-pool]",
           """
            if use.place is _MAKING and use.obj:
                self._admit(use, id(use.obj[0]), 0.0, 0.0, 0.0)
""",
           ""),
    Mutant("Pool._discard", "giving up a lending does not end the next one",
           "tests/test_edges.py::test_interrupted_getter_does_not_end_the_next_lending",
           "use.turn == stamp and use.place in _USING", "use.place in _USING"),
    Mutant("Pool._discard", "what is given up is closed",
           "tests/test_edges.py::test_interrupted_at_each_point[obj]",
           """
        self._close(use)
""",
           ""),
    Mutant("Pool._evict", "who is destroyed is decided under the lock",
           "tests/test_edges.py::test_overtaken_by_a_get[_hkRound]",
           "met = condition(use)", "met = True"),
    Mutant("Pool._evict", "an interrupted eviction closes what it has doomed",
           "tests/test_edges.py::test_interrupted_at_each_point[drain]",
           """
                _insist(self._close, use)
""",
           ""),
    Mutant("Pool._evict", "an interrupted eviction goes on with the rest",
           "tests/test_edges.py::test_interrupted_at_each_point[drain]",
           """
                interruption = exc
""",
           """
                raise
"""),
    Mutant("Pool._close", "each object is closed once",
           "tests/test_fourth_review.py::test_destroyed_by_name_while_it_is_closed",
           "if use.place is _DOOMED:", "if use.place in (_DOOMED, _CLOSING):"),
    Mutant("Pool._close", "two threads that would close it: one does",
           "tests/test_guards.py::test_closing_waits_for_the_lock[claim]",
           "with self._lock:", "with threading.RLock():"),
    Mutant("Pool._close", "an interrupted closer gives the token back",
           "tests/test_edges.py::test_interrupted_at_each_point[obj-worn-out]",
           """
                _insist(self._strike, use)
""",
           """
                pass
"""),
    Mutant("Pool._close", "who is interrupted before the closer leaves it to the next",
           "tests/test_edges.py::test_interrupted_at_each_point[obj-worn-out]",
           """
                use.place = _DOOMED
""",
           """
                pass
"""),
    Mutant("Pool._close", "a token goes back when the closer has ended",
           "tests/test_guards.py::test_closing_waits_for_the_lock[strike off]",
           """
                self._hook("closer", self._closer, use)
                self._strike(use)
""",
           """
                self._strike(use)
                self._hook("closer", self._closer, use)
"""),
    Mutant("Pool._strike", "the last return ends the grace of a shutdown",
           "tests/test_edges.py::test_last_return_ends_the_grace",
           """
            self._all_back.ring()
""",
           """
            pass
"""),
    Mutant("Pool._strike", "what is closed is struck off under the lock",
           "tests/test_guards.py::test_closing_waits_for_the_lock[strike off]",
           "with self._lock:", "with threading.RLock():"),
    Mutant("Pool._end", "waiters are woken by a shutdown",
           "tests/test_features.py::test_grace_wakes_those_who_wait",
           """
            self._dismiss()
""",
           """
            pass
"""),
    Mutant("Pool._end", "the housekeeper is woken by a shutdown",
           "tests/test_guards.py::test_one_housekeeper[two creations at once]",
           """
        self._wake.ring()
""",
           ""),
    Mutant("Pool._end", "what returns after a shutdown is closed",
           "tests/test_concurrency.py::test_shutdown_during_examination",
           "self._shutdown = self._strict = True", "self._shutdown = True"),
    Mutant("Pool._end", "a shutdown closes what is idle",
           "tests/test_edges.py::test_interrupted_at_each_point[obj]",
           """
        self._evict(lambda use: use.place is _IDLE)
""",
           ""),
    Mutant("Pool._end", "nothing is made after a shutdown",
           "tests/test_lifecycle.py::test_shutdown",
           """
            self._min_size = 0
""",
           ""),
    Mutant("Pool._end", "at the interpreter's end, waiters are told last",
           "tests/test_exit.py::test_program_ends_quietly[slow closer of another pool]",
           "if not _registry.ending:", "if True:"),
    Mutant("Pool._dismiss", "waiters are served or dismissed, not both",
           "tests/test_guards.py::test_dismissal_waits_for_the_lock",
           "with self._lock:", "with threading.RLock():"),
    Mutant("Pool._forked", "the parent's objects are not closed in the child",
           "tests/test_fork.py::test_child_leaves_the_block[well]",
           """
            use.place = _GONE
""",
           """
            pass
"""),
    Mutant("Pool._forked", "the parent's objects are not dropped in the child",
           "tests/test_lifecycle.py::test_child_drops_nothing_inherited",
           """
        _registry.inherited.append(records)
""",
           ""),
    Mutant("Pool._forked", "a pool that was shut down is so in the child",
           "tests/test_lifecycle.py::test_fork_after_shutdown",
           """
        self._shutdown = shutdown
""",
           ""),
    Mutant("Pool._run", "a failing hook changes nothing else",
           "tests/test_hooks.py::test_all_hooks_fail",
           "except Exception as exc:", "except ZeroDivisionError as exc:"),
    Mutant("Pool._describe", "stats() answers whatever a hook does",
           "tests/test_pool.py::test_stats_whose_description_fails[hooks0]",
           "except Exception as exc:", "except ZeroDivisionError as exc:"),
    Mutant("Pool._take", "what is under examination is not lent",
           "tests/test_concurrency.py::test_use_within_round",
           """
        while use.place is _HELD:  # under examination
            use = use.older
""",
           ""),
    Mutant("Pool._end", "nothing is lent once a shutdown has begun",
           "tests/test_races.py::test_nothing_is_lent_once_a_shutdown_has_begun",
           """
            self._idle = nothing  # what is idle is out of reach at once
""",
           ""),
    Mutant("Pool._take", "get takes a token",
           "tests/test_edges.py::test_interrupted_at_each_point[obj-all-hooks]",
           """
            self._gate._value -= 1
""",
           """
            pass
"""),
    Mutant("Pool._reserve", "never more than max_size alive",
           "tests/test_edges.py::test_token_of_a_pool_that_shrank",
           "full = self._nobjs + self._nmaking >= gate._initial_value", "full = False"),
    Mutant("Pool._reserve", "never more than max_size alive, whatever a guest makes meanwhile",
           "tests/test_third_review.py::test_guest_at_each_point[bare-get-borrows]",
           "full = self._nobjs + self._nmaking >=", "full = self._nobjs + len(self._making) >="),
    Mutant("Pool._reserve", "nothing is made after a shutdown",
           "tests/test_contract.py::test_new_keeps_the_limit",
           "if self._shutdown or full or", "if full or"),
    Mutant("Pool._reserve", "a creation needs a token",
           "tests/test_edges.py::test_gate_is_a_semaphore",
           "(gate._value <= 0 and not has_token)", "False"),
    Mutant("Pool._reserve", "creation numbers are unique",
           "tests/test_concurrency.py::test_numbers_of_failed_creations",
           """
            del self._spare_numbers[number]
""",
           ""),
    Mutant("Pool._admit", "an object that the pool has already is refused",
           "tests/test_edges.py::test_object_returned_twice_by_fun_is_closed_once",
           " or key in self._objects", ""),
    Mutant("Pool._admit", "what was being made at a drain goes",
           "tests/test_features.py::test_drain_during_creation",
           "if expires < use.expires:", "if True:"),
    Mutant("Pool._lend", "an object still being made at a shutdown is not lent",
           "tests/test_edges.py::test_shutdown_while_the_housekeeper_starts",
           """
        if self._shutdown:
            self._doom(use)
        elif use.place is _HELD:""",
           "        if use.place is _HELD:"),
    Mutant("Pool._lend", "what everything was closed with is not lent",
           "tests/test_edges.py::test_all_closed_while_one_is_opened",
           "elif use.place is _HELD:", "else:"),
    Mutant("Pool._shelve", "what was closed meanwhile does not come back",
           "tests/test_concurrency.py::test_closing_everything_during_hook[retter]",
           """
        elif use.place is not _HELD:  # somebody has closed everything meanwhile
            return False
""",
           ""),
    Mutant("Pool._shelve", "what a guest has closed during the verdict does not come back",
           "tests/test_third_review.py::test_guest_at_each_point[strict-ret-closes all]",
           " or use.place is not place or use.turn != stamp", ""),
    Mutant("Pool._shelve", "objects go to the oldest waiter",
           "tests/test_concurrency.py::test_first_come_first_served",
           """
waiter = gate._waiters[0]
            del gate._waiters[0]""",
           """
waiter = gate._waiters[-1]
            del gate._waiters[-1]"""),
    Mutant("Pool._shelve", "what is handed to a waiter is nobody else's",
           "tests/test_edges.py::test_waiter_interrupted_at_each_point",
           "            use.place = _HELD  # the waiter", "            use.place = _IDLE  # the waiter"),
    Mutant("Pool._shelve", "the most recently used is lent first",
           "tests/test_edges.py::test_end_of_the_interpreter",
           """
                use.newer = root = self._idle
                use.older = older = root.older
                older.newer = root.older = use
""",
           """
                use.older = root = self._idle
                use.newer = newer = root.newer
                newer.older = root.newer = use
"""),
    Mutant("Pool._shelve", "what goes from an examination to a waiter leaves the idle ones",
           "tests/test_edges.py::test_from_an_examination_to_a_waiter",
           """
        if gate._waiters:
            if use.newer is not None:
                use.newer.older, use.older.newer = use.older, use.newer
                use.older = use.newer = None
""",
           """
        if gate._waiters:
"""),
    Mutant("Pool._shelve", "ret gives the token back",
           "tests/test_pool.py::test_counters_balance",
           """
            gate._value += 1
""",
           """
            pass
"""),
    Mutant("Pool._shelve", "an examination is no use",
           "tests/test_housekeeping.py::test_examination_is_no_use",
           """
elif use.newer is None:  # else it was only examined, and keeps its rank
            use.back = now""",
           """
else:
            use.back = now"""),
    Mutant("Pool._condemn", "what returns after a shutdown is closed",
           "tests/test_concurrency.py::test_shutdown_during_fill",
           "        if self._shutdown or", "        if"),
    Mutant("Pool._condemn", "a surplus goes as it returns",
           "tests/test_features.py::test_resize_down",
           "self._nlive + self._nmaking > self._gate._initial_value",
           "False"),
    Mutant("Pool._condemn", "what is too old goes when it returns",
           "tests/test_features.py::test_old_objects_are_not_kept",
           "elif now >= use.expires:", "elif False:"),
    Mutant("Pool._condemn", "max_use",
           "tests/test_edges.py::test_two_contexts_return_at_once[_ret_obj]",
           "elif 0 < self._max_use <= use.turn + use.worn:",
           "elif False:"),
    Mutant("Pool._doom", "what is being closed holds a token",
           "tests/test_edges.py::test_interrupted_at_each_point[drain]",
           """
            self._gate._value -= 1
""",
           """
            pass
"""),
    Mutant("Pool._doom", "what is closed is not closed again",
           "tests/test_regressions.py::test_all_closed_during_an_examination[hook-idle-False]",
           """
        elif use.place not in _USING:
            return False
""",
           ""),
    Mutant("Pool._doom", "what a guest has lent since the decision is not closed",
           "tests/test_third_review.py::test_guest_at_each_point[strict-round-keeps]",
           "if place is not None and (use.place is not place or use.turn != turn):", "if False:"),
    Mutant("Pool._evict", "what a guest has lent since the decision is not closed",
           "tests/test_third_review.py::test_guest_at_each_point[strict-round-keeps]",
           "self._doom(use, place, turn)", "self._doom(use)"),
    Mutant("Pool._doom", "what is destroyed leaves the idle ones",
           "tests/test_edges.py::test_overtaken_by_a_get[drain]",
           """
        if use.newer is not None:
            use.newer.older, use.older.newer = use.older, use.newer
            use.older = use.newer = None
""",
           ""),
    Mutant("Pool._forget", "a failed creation number is used again",
           "tests/test_edges.py::test_failed_creation_by_name[_new]",
           """
            self._spare_numbers[use.number] = None
""",
           ""),
    Mutant("Pool._forget", "a token goes on when its object is gone",
           "tests/test_edges.py::test_interrupted_at_each_point[obj]",
           """
            self._gate._free(use)
""",
           """
            pass
"""),
    Mutant("_keep_house", "the housekeeper holds its pool weakly",
           "tests/test_lifecycle.py::test_abandoned_pool_goes_away[0.001-False]",
           """
        pool = None
""",
           ""),
    Mutant("_keep_house", "no failure ends the housekeeper",
           "tests/test_housekeeping.py::test_thread_outlives_failures[make-SystemExit]",
           "except BaseException as exc:", "except ZeroDivisionError as exc:"),
    Mutant("_keep_house", "all who keep house end",
           "tests/test_second_review.py::test_keeping_house_after_shutdown",
           """
            wake.ring()  # for another who keeps house, or will
""",
           ""),
    Mutant("_keep_house", "the housekeeper ends with its pool",
           "tests/test_guards.py::test_one_housekeeper[two creations at once]",
           "if pool is None or pool._shutdown:", "if pool is None:"),
    Mutant("_keep_house", "a housekeeper that is woken only fills",
           "tests/test_edges.py::test_woken_housekeeper_only_fills",
           """
            if woken and time.monotonic() < due:  # returns may wake us without end
                pool._fill()
            else:""",
           "            if True:"),
    Mutant("_keep_house", "rounds are made however often it is woken",
           "tests/test_third_review.py::test_rounds_are_made_however_often_the_housekeeper_is_woken",
           "if woken and time.monotonic() < due:", "if woken:"),
    Mutant("_alive", "others may add to what is read",
           "tests/test_third_review.py::test_registry_is_read_while_others_add_to_it",
           "for ref in things.valuerefs() if (thing := ref()) is not None", "for thing in things.values()"),
    Mutant("_Registry.number", "numbers of pools are unique",
           "tests/test_guards.py::test_numbers_of_pools_wait_for_their_lock",
           "with self.numbering:",
           "with threading.RLock():"),
    Mutant("_Registry.after_fork", "pools begin anew in a child",
           "tests/test_edges.py::test_fork_of_proxies",
           """
        for pool in _alive(self.pools):
            pool._forked()
""",
           ""),
    Mutant("_Registry.after_fork", "proxies begin anew in a child",
           "tests/test_edges.py::test_fork_of_proxies",
           """
        for proxy in _alive(self.proxies):
            _core_of(proxy).forked(proxy)
""",
           ""),
    Mutant("_Registry.after_fork", "leases work in a child",
           "tests/test_fork.py::test_forgotten_block_in_the_child",
           """
        self.process = os.getpid()
""",
           ""),
    Mutant("_Registry.at_exit", "the interpreter ends quietly whatever a closer does",
           "tests/test_edges.py::test_interrupted_end_of_the_interpreter",
           "except BaseException as exc:", "except ZeroDivisionError as exc:"),
    Mutant("_Registry.at_exit", "waiters are told at the interpreter's end",
           "tests/test_second_review.py::test_thread_joined_after_the_end[waits already]",
           """
        for pool in _alive(self.pools):
            pool._dismiss()
""",
           ""),
    Mutant("_Registry.at_exit", "the parent's objects are never dropped in the child",
           "tests/test_regressions.py::test_child_that_exits_normally",
           "ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.inherited))", "pass"),
    Mutant("_Registry.at_exit", "daemon threads are quiet at the interpreter's end",
           "tests/test_exit.py::test_daemon_threads_say_nothing",
           """
        self.ending = True
""",
           ""),
    Mutant("_unpickle_pool", "a pickled pool arrives once",
           "tests/test_guards.py::test_one_pool_for_two_arrivals",
           "with _registry.lock:", "with threading.RLock():"),
    Mutant("_unpickle_pool", "a pickled pool that was shut down arrives anew",
           "tests/test_edges.py::test_arrival_after_a_shutdown",
           ' or getattr(pool, "_shutdown", False)',
           ""),
    Mutant("Pool", "time is monotonic",
           "tests/test_contract.py::test_internal_parts",
           "_clock: Callable[[], float] = time.monotonic", "_clock: Callable[[], float] = time.time"),
    Mutant("_Objects.__contains__", "objects are known by identity",
           "tests/test_edges.py::test_views_know_objects_by_identity",
           "self._pool._objects.get(id(obj))", "{u.obj: u for u in self._pool._objects.values()}.get(obj)"),
    Mutant("_Core.new_pool", "a proxy makes one pool, whoever comes first",
           "tests/test_guards.py::test_one_pool_for_two_threads",
           """
            if self.pool is not None or self.key is not key:
                return None
""",
           ""),
    Mutant("_Core.new_pool", "a proxy makes one pool, a signal handler's first",
           "tests/test_second_review.py::test_handler_draws_while_the_pool_is_built",
           """
            if self.pool is not None or self.key is not key:
""",
           """
            if self.key is not key:
"""),
    Mutant("_Core.draw", "a fun that raises AttributeError does not look like a missing attribute",
           "tests/test_proxy_forwarding.py::test_function_raising_attribute_error[SHARED]",
           "        except AttributeError as exc:", "        except ZeroDivisionError as exc:"),
    Mutant("_Core.new_pool", "a proxy's pool is filled",
           "tests/test_edges.py::test_pool_of_a_proxy_is_filled",
           """
        fresh._work_ahead()
""",
           ""),
    Mutant("_Core.make_shared", "an object that needs itself to be made",
           "tests/test_second_review.py::test_shared_object_that_needs_itself",
           """
        if self.making:
""",
           """
        if False:
"""),
    Mutant("_Core.make_shared", "a failed shared object is tried again",
           "tests/test_second_review.py::test_shared_object_that_needs_itself",
           """
            self.making = False
""",
           """
            pass
"""),
    Mutant("_Core.borrow", "an interrupted draw gives the object back",
           "tests/test_regressions.py::test_interrupted_while_the_object_is_stored[before-_put]",
           """
            _insist(lending.end)
""",
           ""),
    Mutant("_Core.borrow", "an interrupted draw leaves no object behind",
           "tests/test_regressions.py::test_interrupted_while_the_object_is_stored[after-_ContextLocal._publish]",
           """
            _take_away(_home_of(local), lending)
""",
           ""),
    Mutant("_Core.borrow", "reclaim",
           "tests/test_regressions.py::test_back_after_with_reclaim",
           "_Lease() if self.reclaim else _Lending()",
           "_Lending()"),
    Mutant("_Core.make", "numbers are unique without a pool",
           "tests/test_guards.py::test_numbers_without_a_pool_wait_for_their_lock",
           """
        with self.lock:
            spare_numbers""",
           """
        with threading.RLock():
            spare_numbers"""),
    Mutant("_Core.make", "a failed number is used again without a pool",
           "tests/test_proxy.py::test_without_pool_a_failure_is_the_caller_s",
           """
            spare_numbers.append(number)
""",
           ""),
    Mutant("_Core.forked", "a proxy's objects are not used in the child",
           "tests/test_edges.py::test_fork_of_proxies",
           """
        self.begin(proxy, self.obj, self.fun, self.pool)
""",
           ""),
    Mutant("_Core.draw", "a draw goes on with the function that was set when it began",
           "tests/test_third_review.py::test_draw_overtaken_by_a_set",
           "obj = self.make(fun)",
           "obj = self.make(self.fun)"),
    Mutant("_Core.forked", "a proxy's objects are not dropped in the child",
           "tests/test_fork.py::test_child_drops_nothing_of_a_proxy",
           """
        _registry.inherited.append(_local_of(proxy))
""",
           ""),
    Mutant("_Core.forked", "a proxy's lock is free in the child",
           "tests/test_fork.py::test_fork_while_a_shared_object_is_made",
           """
        self.lock = threading.RLock()
""",
           ""),
    Mutant("Proxy._set", "setting anew shuts the old pool down",
           "tests/test_proxy.py::test_setting_anew_shuts_the_old_pool_down",
           """
            pool.shutdown()
""",
           """
            pass
"""),
    Mutant("Proxy._obj", "only the outermost block returns",
           "tests/test_proxy.py::test_obj_nested",
           "lending.depth += 1", "lending.depth = 1"),
    Mutant("Proxy._obj", "a block gives back what was drawn in it",
           "tests/test_edges.py::test_block_in_a_copied_context_returns_what_it_drew",
           "mine = current is lending or (thread == threading.get_ident() and local is _local_of(self))",
           "mine = current is lending"),
    Mutant("Proxy._obj", "a block that is left in another thread gives nothing of that one back",
           "tests/test_third_review.py::test_block_left_in_another_thread",
           "thread == threading.get_ident()", "True"),
    Mutant("Proxy._obj", "a block that is left late does not end another block",
           "tests/test_third_review.py::test_block_left_late",
           "current.depth <= 0 and ", ""),
    Mutant("Proxy._obj", "a block counts where its object was drawn",
           "tests/test_fourth_review.py::test_guest_turns_over_at_the_entry_of_a_block",
           "use is None or use.obj is obj or not _is_pooled(self, obj)", "True"),
    Mutant("Proxy._obj", "invalidate_on destroys",
           "tests/test_third_review.py::test_invalidate_on_in_a_block_of_a_proxy[ConnectionError]",
           "broken = lending is not None and isinstance(exc, lending.pool._invalidate_on)",
           "pass"),
    Mutant("_end_lending", "an object is not current any more whatever fails",
           "tests/test_edges.py::test_object_is_not_current_when_it_may_be_lent",
           """
            use.leave = functools.partial(_take_away, home, lending)
""",
           """
            pass
"""),
    Mutant("_end_lending", "an interrupted _ret_obj returns all the same",
           "tests/test_edges.py::test_interrupted_return_by_a_proxy_at_each_point",
           """
        _insist(lending.end)
""",
           ""),
    Mutant("_end_lending", "two contexts that give back the same object",
           "tests/test_regressions.py::test_two_contexts_end_at_once_with_a_slow_retter",
           """
    if lending.ending:
        return
""",
           ""),
    Mutant("_ContextLocal._publish", "what is drawn gets a cell of its own",
           "tests/test_edges.py::test_contexts_that_share_nothing_any_more",
           """
        cell = _Local()
        _put(cell, lending)
        key = _Key()
        self._cells[key] = cell
        former = self._variable.set(key).old_value
        if isinstance(former, _Key):
            lending.former = getattr(self._cells.get(former), "lending", None)
""",
           """
        _put(self._home() or self._move_in(), lending)
"""),
    Mutant("_link_greenlet", "reclaim in eventlet",
           "tests/test_proxy_scopes.py::test_objects_of_ended_greenlets_come_back[eventlet]",
           """
        link(lambda _: proxy._ret_obj())
""",
           """
        pass
"""),
    Mutant("_absent", "looking draws nothing",
           "tests/test_proxy_unset.py::test_undrawn_special_names",
           '            raise ProxyUnset(f"the proxy has no object yet',
           """
            return getattr(_current(proxy), name)
            raise ProxyUnset(f"the proxy has no object yet"""),
    Mutant("Proxy.__exit__", "leaving a block draws nothing",
           "tests/test_proxy_unset.py::test_undrawn_exit",
           " if self._has_obj() else None", ""),
    Mutant("_in_place", "in-place operators keep the handle",
           "tests/test_proxy_forwarding.py::test_in_place_changes_the_object_and_keeps_the_handle",
           "return self if result is obj else result", "return result"),
    Mutant("_insist", "a full stack is cleaned up behind by another thread",
           "tests/test_fourth_review.py::test_full_stack_loses_nothing[idle caught-hooks]",
           """
        except RecursionError:  # our stack is full: another thread's is not, and to start it takes no frame
            try:
                _thread.start_new_thread(functools.partial(_insist, step, *args), ())
                return
            except RuntimeError:
                continue
""",
           ""),
    Mutant("Pool._checkout", "a get with hooks has room on the stack before it begins",
           "tests/test_fourth_review.py::test_full_stack_loses_nothing[idle get-hooks]",
           """
            _make_room()
""",
           """
            pass
"""),
    Mutant("Pool._give_back", "a return with hooks has room on the stack before it begins",
           "tests/test_fourth_review.py::test_full_stack_loses_nothing[ret-hooks]",
           """
        _make_room()
""",
           ""),
    Mutant("Pool._invalidate", "an invalidation has room on the stack before it begins",
           "tests/test_fourth_review.py::test_full_stack_loses_nothing[invalidate-plain]",
           """
        _make_room()
""",
           ""),
    Mutant("Pool._health_check", "what was examined and lent since is left alone",
           "tests/test_fourth_review.py::test_interrupted_after_it_was_put_back[_health_check]",
           "_insist(self._discard, use, turn)",
           "_insist(self._discard, use, use.turn)"),
    Mutant("Pool._add", "what was made and lent since is left alone",
           "tests/test_fourth_review.py::test_interrupted_after_it_was_put_back[_new]",
           "use.turn if lend else 0",
           "use.turn"),
    Mutant("Pool._unwait", "a useless token of an interrupted waiter is given up",
           "tests/test_fourth_review.py::test_interrupted_as_it_gives_a_useless_token_up",
           "(waiter.gift, waiter.blank)",
           "(waiter.gift,)"),
    Mutant("Pool._obtain", "a waiter whose turn was of no use is the next",
           "tests/test_fourth_review.py::test_served_in_vain_is_served_next",
           "(waiters.appendleft if again else waiters.append)(waiter)",
           "waiters.append(waiter)"),
    Mutant("Pool._may_wait", "a waiter whose turn was of no use is let in",
           "tests/test_fourth_review.py::test_served_in_vain_is_served_next",
           " and not again",
           ""),
    Mutant("Pool._fill", "what is drained as it is made is made anew",
           "tests/test_fourth_review.py::test_drained_while_it_is_made_ahead",
           "left -= use.expires > -_INFINITY",
           "left -= 1"),
    Mutant("_keep_house", "the housekeeper outlives those who read messages",
           "tests/test_fourth_review.py::test_housekeeper_outlives_what_reads_messages",
           "with contextlib.suppress(BaseException):",
           "with contextlib.nullcontext():"),
    Mutant("Pool._start_housekeeper", "a housekeeper that could not start is started later",
           "tests/test_fourth_review.py::test_housekeeper_is_started_later[error1]",
           """
            if not begun and self._housekeeper is thread:
                self._housekeeper = None  # the next creation tries again
""",
           """
            pass
"""),
    Mutant("Pool.__setstate__", "a pool that arrives again stays as it is",
           "tests/test_fourth_review.py::test_pickled_pool_that_refers_to_itself",
           'if not hasattr(self, "_parameters"):',
           "if True:"),
    Mutant("Pool._describe", "an error without a text is described",
           "tests/test_fourth_review.py::test_stats_of_what_cannot_be_described",
           "with contextlib.suppress(Exception):",
           "with contextlib.nullcontext():"),
    Mutant("Pool._settle", "a late holder's time is its own",
           "tests/test_fourth_review.py::test_late_holders_time_is_its_own",
           "if turn == stamp:",
           "if turn:"),
    Mutant("_Core.borrow", "what a draw displaces is given back",
           "tests/test_fourth_review.py::test_used_during_its_own_draw[getter-THREAD]",
           """
            if lending.former is not None:  # drawn by a guest, or by `fun` or a hook itself
                lending.former.end()
""",
           ""),
    Mutant("_ContextLocal._publish", "what a draw displaces in a context is given back",
           "tests/test_fourth_review.py::test_used_during_its_own_draw[getter-WERKZEUG]",
           """
        if isinstance(former, _Key):
            lending.former = getattr(self._cells.get(former), "lending", None)
""",
           ""),
    Mutant("Proxy._obj", "what a guest has returned is drawn anew",
           "tests/test_fourth_review.py::test_sibling_leaves_its_block_while_another_enters",
           """
                    if getattr(local, "obj", None) is obj or not _is_pooled(self, obj):  # there is none
                        break
""",
           """
                    break
"""),
    Mutant("Proxy._obj", "a block of a hook of a return ends nothing",
           "tests/test_fourth_review.py::test_hook_of_a_return_uses_the_proxy[block]",
           "elif lending.ending:", "elif False:"),
    Mutant("Proxy._obj", "a block of what a program has put there itself",
           "tests/test_fourth_review.py::test_block_of_an_object_put_there_by_hand",
           'getattr(local, "obj", None) is obj or ', ""),
    Mutant("Proxy._obj", "what a guest has ended is drawn anew",
           "tests/test_fourth_review.py::test_guest_ends_the_lending_that_a_block_has_found",
           'hooked = getattr(_home_of(local), "lending", None) is lending', "hooked = True"),
    Mutant("Proxy._obj", "a successor lasts as long as the outermost block",
           "tests/test_fourth_review.py::test_successor_lasts_as_long_as_the_outermost_block",
           "lending.depth <= 0 or isinstance(local, _KeyedLocal)",
           "True"),
    Mutant("Proxy._set", "an interrupted setting shuts the old pool down",
           "tests/test_fourth_review.py::test_interrupted_set_loses_no_pool[Pool.shutdown]",
           """
                _insist(pool.shutdown)
""",
           """
                pass
"""),
    Mutant("Proxy._set", "what is replaced is dropped without the lock",
           "tests/test_fourth_review.py::test_what_is_replaced_is_dropped_without_a_lock",
           "replaced = core.obj, core.fun, _local_of(self)",
           "replaced = None"),
    Mutant("_Core.begin", "a setting that is interrupted before it counts changes nothing",
           "tests/test_fourth_review.py::test_interrupted_set_loses_no_pool[_new_local]",
           """
        local = _new_local(scope)
""",
           """
        self.pool = pool
        local = _new_local(scope)
"""),
    Mutant("_Core.new_pool", "a proxy that is set anew while its pool is built draws what is set then",
           "tests/test_fourth_review.py::test_set_anew_while_its_pool_is_built",
           " or self.key is not key",
           ""),
    Mutant("_KeyedLocal.__init__", "the objects of a context go with the proxy, and with the context",
           "tests/test_fourth_review.py::test_abandoned_proxy_leaves_nothing_in_a_context[WERKZEUG]",
           "weakref.WeakKeyDictionary()",
           '_registry.__dict__.setdefault("cells", weakref.WeakKeyDictionary())'),
    Mutant("_new_local", "threads that eventlet has made greenlets",
           "tests/test_fourth_review.py::test_eventlet_gives_back_at_the_end",
           "if eventlet is None or threading.local is not eventlet.local:",
           "if True:"),
    Mutant("_declare", "names that two threads declare",
           "tests/test_fourth_review.py::test_names_that_two_threads_declare",
           "cls._Proxy__own.update(names)",
           "cls._Proxy__own = cls._Proxy__own | set(names)"),
    Mutant("_declaring_setattr", "a constructor beside an own way to assign",
           "tests/test_fourth_review.py::test_constructor_beside_an_own_setattr",
           """
        if _is_building(self):
            _declare(type(self), [name])
""",
           ""),
    Mutant("_declaring", "a constructor that is no function",
           "tests/test_fourth_review.py::test_constructor_that_is_no_function",
           "init.__get__(self, type(self))(*args, **kwargs)",
           "init(self, *args, **kwargs)"),
    Mutant("Proxy.__reduce_ex__", "a subclass's own state in a pickle",
           "tests/test_fourth_review.py::test_pickled_by_its_own_state[Locked-a]",
           'if "__getstate__" in type(self).__own:',
           "if False:"),
]
# fmt: on

if __name__ == "__main__":
    sys.exit(main())
