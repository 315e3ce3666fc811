"""Take one mechanism out of the library at a time, and see a test fail: `make mutants`.

A row says where a mechanism is, what it does, its text, what stands there without it, and a test that fails
then. Texts are as `ast.unparse` writes them, whatever the spaces and lines between, and each must be found
once; `contract/test_mutants_in_step.py` checks that. A test that does not end within its time has failed.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

TESTS = Path(__file__).resolve().parent
MODULE = TESTS.parent / "ProxyPatternPool.py"
SOURCE = ast.unparse(ast.parse(MODULE.read_text(encoding="utf-8")))
TREE = ast.parse(SOURCE)
JOBS = 2
SECONDS = 30.0
"""How long a test may take."""
PY314 = sys.version_info >= (3, 14)


class Mutant(NamedTuple):
    """A mechanism of the module, what is left without it, and a test that fails then."""

    where: str
    name: str
    old: str
    new: str
    test: str
    here: bool = True
    """Whether this Python needs it."""

    def apply(self) -> str:
        """Give the module's text without the mechanism."""
        node: Any = TREE
        for name in self.where.split("."):
            node = next(each for each in ast.walk(node) if getattr(each, "name", None) == name)
        lines = SOURCE.splitlines()
        place = slice(node.lineno - 1, node.end_lineno)
        pattern = r"\s+".join(map(re.escape, self.old.split()))
        left, count = re.subn(pattern, lambda _: self.new, "\n".join(lines[place]))
        if count != 1:
            raise ValueError(f"{self.where}: found {count} times: {self.old}")
        compile(textwrap.dedent(left), self.where, "exec")  # a mistake in the table is no test that fails
        lines[place] = [left]
        return "\n".join(lines)


def run(source: str, tests: list[str], seconds: float) -> tuple[bool, str]:
    """Run tests on a module until one fails: whether all pass, and what pytest said."""
    with tempfile.TemporaryDirectory() as folder:
        left_out = shutil.ignore_patterns("__pycache__", "bench", "integration", "typing")
        shutil.copytree(TESTS, f"{folder}/tests", ignore=left_out)
        shutil.copy(TESTS.parent / "pyproject.toml", folder)
        Path(folder, MODULE.name).write_text(source, encoding="utf-8")
        options = ["-x", "-q", "--no-header", "-p", "no:xdist", "-o", "timeout=20"]  # shows where it hangs
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *(f"tests/{test}" for test in tests)],
            cwd=folder,  # which comes before PYTHONPATH
            env={**os.environ, "PYTHONPATH": folder},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
    if process.returncode in (2, 3, 4, 5):  # by pytest: nothing was tested
        sys.exit(f"{said}\nnothing was tested of {' '.join(tests)}")
    return process.returncode == 0, said


def main() -> int:
    """Run the rows with one of the words of the command line in them, or all."""
    parser = argparse.ArgumentParser(description="take one mechanism out at a time, and see a test fail")
    parser.add_argument("words", nargs="*", help="only rows with one of these words in them")
    words = parser.parse_args().words or [""]
    rows = [row for row in MUTANTS if row.here and any(word in " ".join(map(str, row)) for word in words)]
    mutated = [row.apply() for row in rows]
    begin = time.monotonic()
    tests = sorted({row.test for row in rows})
    passes, said = run(SOURCE, tests, 600.0)
    if not passes:
        print(f"{said}\na test fails, though nothing has been taken out")
        return 1
    print(f"{len(tests)} tests pass on the module as it is: {time.monotonic() - begin:.0f} s", flush=True)
    survivors = 0
    with ThreadPoolExecutor(JOBS) as threads:
        results = threads.map(lambda source, row: run(source, [row.test], SECONDS), mutated, rows)
        for row, (passes, _) in zip(rows, results, strict=True):
            survivors += passes
            print(f"{row.where}: {row.name}: {'SURVIVES' if passes else 'caught by'} {row.test}", flush=True)
    print(f"{len(rows)} mechanisms, {survivors} survive: {time.monotonic() - begin:.0f} s")
    return 1 if survivors else 0


# fmt: off
MUTANTS: list[Mutant] = [
    Mutant("Pool._now", "the clock is never set", "_clock() + _EPOCH", "time.time()",
           "pool/test_rounds.py::test_wall_clock"),
    # The account of permits, and the queue
    Mutant("Pool._serve_", "no more permits than the limit", "or self._size_ < self._limit_", "or True",
           "pool/test_waiting.py::test_max_waiting"),
    Mutant("Pool._dispose_", "a permit is free only after the closer",
           "self._destroy(record.obj) self._forget_(record)",
           "obj = record.obj; self._forget_(record); self._destroy(obj)",
           "pool/test_waiting.py::test_limit_counts_those_being_closed"),
    Mutant("Pool._forget_", "who frees a permit serves the queue", "self._serve_()", "pass",
           "pool/test_waiting.py::test_limit_counts_those_being_closed"),
    Mutant("Pool.ret", "a return serves the queue first", "self._waiters_ or self._max_use", "self._max_use",
           "pool/test_waiting.py::test_first_come_first_served"),
    Mutant("Pool._serve_", "returned objects go in order of arrival", "(waiters[0], root.older)",
           "(waiters[-1], root.older)", "pool/test_waiting.py::test_first_come_first_served[returned]"),
    Mutant("Pool._obtain_", "who was served in vain goes to the front", "0 if again else waiting", "waiting",
           "pool/test_waiting.py::test_served_in_vain"),
    Mutant("Pool._wait_", "what comes as the time is over is taken",
           "not served and waiter.record.state is GONE", "not served",
           "faults/test_interleavings.py::test_turn_that_comes_as_the_time_is_over"),
    Mutant("Pool._wait_", "who waits does not hold the lock", "left > 0 and self._lock._is_owned()", "False",
           "pool/test_waiting.py::test_waiting_with_the_lock_in_hand"),
    # Check-out
    Mutant("Pool.get", "nothing is lent during a shutdown", "and (not self._shutdown)", "",
           "pool/test_shutdown.py::test_nothing_old_is_lent_once_it_has_begun"),
    Mutant("Pool.get", "nothing is lent past its lifetime", "now < newest.expiry", "newest is not root",
           "pool/test_rounds.py::test_lifetime"),
    Mutant("Pool._announce_", "a lending that the getter has ended is no answer",
           "return record.lending == lending and record.state is LENT", "return True",
           "pool/test_hooks_of_pools.py::test_closed_during_a_hook"),
    Mutant("Pool.get", "an interrupted get gives up what it has",
           "self._discard_(record or _NO_RECORD, lending)", "pass",
           "faults/test_interruptions.py::test_interrupted[get-each_point]"),
    Mutant("Pool.get", "and the lock", "if lock._is_owned(): lock.release()", "pass",
           "faults/test_interruptions.py::test_interrupted[get-each_point]"),
    Mutant("Pool._lend_", "what a waiter has lost is not lent", "or record.state not in (HELD, FRESH)", "",
           "contract/test_seams.py::test_out_during_an_examination"),
    Mutant("Pool._lend_", "what is made during a shutdown is not lent", "self._shutdown or", "",
           "pool/test_shutdown.py::test_during_a_creation"),
    Mutant("Pool._obtain_", "an interrupted waiter leaves the queue", "self._waiters_.remove(waiter)", "pass",
           "faults/test_interruptions.py::test_interrupted_waiter_leaves_all_to_the_next"),
    Mutant("Pool._obtain_", "and gives up what it was served", "self._discard_(waiter.record)", "pass",
           "faults/test_interruptions.py::test_interrupted_waiter_leaves_all_to_the_next"),
    # Making
    Mutant("Pool._create", "a creation that failed costs nothing", "self._discard_(record)", "pass",
           "contract/test_seams.py::test_create_and_new_by_hand"),
    Mutant("Pool._register_", "no object is there twice", "key in self._alive_ or key in self._closing_",
           "False", "pool/test_get.py::test_same_object_twice"),
    Mutant("Pool._discard_", "an object made as it is interrupted is not lost",
           "record.state is RESERVED and", "False and",
           "faults/test_interruptions.py::test_interrupted[obj, none idle-each_point]"),
    Mutant("Pool._new", "what is made for a get is lent to nobody else", "if _making.get()[0] is not self",
           "if True", "contract/test_seams.py::test_new_object_is_its_makers"),
    Mutant("Pool._fill", "only what is missing is made",
           "self._size_ - len(self._closing_) >= self._min_size", "False",
           "pool/test_filling.py::test_two_fill_at_once"),
    Mutant("Pool._fill", "returns do not each ask a dead server", "max(1.0, self._delay)", "0",
           "pool/test_filling.py::test_returns_do_not_each_ask_a_dead_server"),
    Mutant("Pool.__init__", "an interrupted constructor leaves nothing open", "self.shutdown()", "pass",
           "faults/test_interruptions.py::test_interrupted_constructor_leaves_nothing"),
    # Check-in
    Mutant("Pool.ret", "what is not lent is not returned", "lent = record.state is LENT", "lent = True",
           "pool/test_return.py::test_wrong_return"),
    Mutant("Pool._doom_", "a return does not end a later lending", "or lending not in (None, record.lending)",
           "", "faults/test_interruptions.py::test_interrupted_return_ends_no_later_lending"),
    Mutant("Pool.ret", "an interrupted return is done", "self._discard_(record or self._find_(obj), lending)",
           "pass", "faults/test_interruptions.py::test_interrupted[ret, all hooks-each_point]"),
    Mutant("Pool._check_in_", "of two returns with hooks one counts", "record.state is not LENT or", "",
           "pool/test_return.py::test_two_returns_at_once"),
    Mutant("_lending", "a block ends its own lending", "record.lending == lending or", "True or",
           "pool/test_blocks_of_pools.py::test_lease_ended_within_its_block"),
    Mutant("_lending", "a dropped block costs nothing",
           "pool._discard_(record or pool._find_(obj), lending)", "pass",
           "pool/test_blocks_of_pools.py::test_dropped_block"),
    # Health, rounds
    Mutant("Pool._examine_", "the verdict comes before the object is available", "record.expiry = -math.inf",
           "pass", "pool/test_health.py::test_examined_is_not_lent"),
    Mutant("Pool._health_check", "examinations keep the order of the idle objects",
           "sorted(self._records_((IDLE,)), key=lambda record: record.last_ret)", "self._records_((IDLE,))",
           "pool/test_health.py::test_last_used_is_lent_first"),
    Mutant("Pool._health_check", "interrupted examinations lose nothing", "self._discard_(record, lending)",
           "pass", "faults/test_interruptions.py::test_interrupted[round, refused-each_point]"),
    Mutant("Pool._evict_", "conditions are checked again", "and record.state is state and when(record)", "",
           "faults/test_interruptions.py::test_guest_at_each_point[round, strict-turns over]"),
    Mutant("Pool._hkRound", "nothing is killed under the hooks of its return", "self._evict_(LENT,",
           "for s in (LENT, RETURNING): self._evict_(s,",
           "faults/test_interleavings.py::test_return_meets_kill"),
    Mutant("Pool._start_housekeeper_", "the housekeeper holds its pool weakly", "weakref.proxy(self)", "self",
           "pool/test_shutdown.py::test_abandoned"),
    Mutant("_do_round", "nothing ends the housekeeper", "except BaseException as exc",
           "except ZeroDivisionError as exc", "pool/test_rounds.py::test_thread_outlives_failures"),
    Mutant("Pool._houseKeeping", "being woken is no round", "not woken or time.monotonic() >= due", "True",
           "pool/test_filling.py::test_filled"),
    # Drain, resize, destruction, shutdown
    Mutant("Pool.drain", "what is lent is drained as it returns", "record.expiry = -math.inf", "pass",
           "pool/test_filling.py::test_drain"),
    Mutant("Pool._doom_", "what is taken out leaves the idle ones", "(record.newer, record.older)",
           "(record.older.newer, record.newer.older)", "contract/test_seams.py::test_out_and_del_by_hand"),
    Mutant("Pool._dispose_", "the closer is called once", "if record.state is DOOMED", "if True",
           "faults/test_interruptions.py::test_guest_at_each_point[obj, strict-turns over]"),
    Mutant("Pool._run_", "also if it is interrupted", "closing.state = CLOSED", "pass",
           "faults/test_interruptions.py::test_interrupted[obj, strict-each_point]"),
    Mutant("Pool._dispose_", "what was interrupted before its closer is closed", "record.state is CLOSING",
           "False", "faults/test_interruptions.py::test_interrupted[obj, strict-each_point]"),
    Mutant("Pool._close_all_", "and so are the others", "each.callback(self._del, record.obj)",
           "self._del(record.obj)", "pool/test_hooks_of_pools.py::test_interrupted_shutdown"),
    Mutant("Pool._run_", "a hook that raises changes nothing", "except Exception as exc",
           "except ZeroDivisionError as exc", "contract/test_messages.py::test_message"),
    Mutant("Pool._serve_", "waiters are woken", "waiter.lock.release()", "pass",
           "pool/test_shutdown.py::test_grace"),
    Mutant("Pool._retire_", "the housekeeper is woken", "self._wake_.ring()", "pass",
           "pool/test_shutdown.py::test_prompt"),
    Mutant("Pool.shutdown", "an interrupted shutdown goes on",
           "except BaseException: self._retire_((IDLE, LENT))", "except BaseException:",
           "faults/test_interruptions.py::test_interrupted_shutdown_closes_all"),
    Mutant("Pool.__del__", "an abandoned pool closes its objects", "self._retire_()", "pass",
           "pool/test_shutdown.py::test_abandoned"),
    Mutant("_at_exit", "a program that ends closes them", "pool._retire_()", "pass",
           "faults/test_interpreter_exit.py::test_program_ends_quietly"),
    # Reports, forks, pickles, views
    Mutant("_Objects.__contains__", "objects are known by identity", "id(obj) in self._by_id()",
           "obj in self._by_id().values()", "contract/test_views.py::test_sets"),
    Mutant("_after_fork", "a pool begins anew in the child", "pool._begin_(pool._shutdown)", "pass",
           "faults/test_forks.py::test_fork_in_the_midst_of_work"),
    Mutant("_after_fork", "the parent's objects are not used", "pool._inherited_.add(record.key)", "pass",
           "faults/test_forks.py::test_child_gives_back_what_its_parent_holds"),
    Mutant("_after_fork", "nor dropped", "_process.parents.append(records)", "pass",
           "faults/test_forks.py::test_exit_of_the_child"),
    Mutant("Proxy._begin_anew", "a proxy begins anew in the child", "_new_local(own['_scope'])",
           "own['_local']", "proxy/test_forked_proxies.py::test_child_starts_without_objects"),
    Mutant("_Lock", "no signal handler leaves the lock held", "if self._is_owned(): self.release()", "pass",
           "faults/test_interruptions.py::test_interrupted[obj, none idle-each_point]", PY314),
    # Leases of proxies
    Mutant("_Lease.claim", "of all who end a lease one does", "or self.enders[0] is not ender", "",
           "proxy/test_drawing.py::test_two_end_at_once"),
    Mutant("_Lease.claim", "blocks are counted: the outermost one ends the lease",
           "self.closed and (entry is None or not self.blocks)", "True",
           "proxy/test_blocks_of_proxies.py::test_nested_blocks"),
    Mutant("_Lease.end", "a lease does not end a later lending", "record.lending == self.lending and",
           "True or", "proxy/test_blocks_of_proxies.py::test_returned_to_the_pool_by_hand"),
    Mutant("_Lease.end", "the hooks of a return find the object current", "{} if kept else place", "place",
           "proxy/test_drawing.py::test_hook_of_a_return_uses_the_proxy"),
    Mutant("_Lease.end", "otherwise it is current no more when it is returned", "{} if kept else place", "{}",
           "faults/test_interruptions.py::test_interrupted[THREAD draw-each_point]"),
    Mutant("_Lease.end", "an interrupted end is done all the same",
           "self.claim(ender, entry, place) and record.key", "False",
           "faults/test_interruptions.py::test_interrupted[THREAD draw_and_return-each_point]"),
    Mutant("Proxy._draw", "an interrupted draw gives up its object", "pool._discard_(pool._find_(obj))",
           "pass", "faults/test_interruptions.py::test_interrupted[THREAD draw-each_point]"),
    Mutant("Proxy._draw", "also when it is current already", "lease.end(place)", "pass",
           "faults/test_interruptions.py::test_interrupted[VERSATILE draw-each_point]"),
    Mutant("Proxy._draw", "a draw changes the place of its own context alone",
           "type(local) is _ContextLocal", "False",
           "proxy/test_scopes.py::test_contexts_that_shared_an_object"),
    Mutant("Proxy._draw", "a draw within the draw is ended", "former.end(old)", "pass",
           "faults/test_interruptions.py::test_guest_of_a_proxy_at_each_point[draw-draw-THREAD]"),
    Mutant("_drawing", "a block does not enter a lease that has ended",
           "not lease.closed", "True",
           "faults/test_interruptions.py::test_guest_of_a_proxy_at_each_point[block_of_a_drawn-block-THREAD]"),
    Mutant("_drawing", "nor one that another thread is ending",
           "None if lease.is_returning() else lease", "None",
           "faults/test_interleavings.py::test_block_entered_while_another_thread_returns[False]"),
    Mutant("Proxy._draw", "a shared object may go between two looks at its place",
           "place.get('obj', _NOTHING)", "place['obj'] if 'obj' in place else _NOTHING",
           "faults/test_interleavings.py::test_another_thread_ends_it_between_two_looks[_get_obj-1-Scope.THREAD]"),
    Mutant("_drawing", "a block clears the place where it was entered", "end(entry.place",
           "end(vars(state.own['_local'])", "proxy/test_blocks_of_proxies.py::test_block_left_elsewhere"),
    Mutant("_drawing", "a block that ends in vain leaves other leases alone", "slow = False", "pass",
           "proxy/test_blocks_of_proxies.py::test_failed_end_ends_no_other_lease"),
    Mutant("_lending", "a child drops its parent's blocks", "and os.getpid() == _process.pid", "",
           "faults/test_forks.py::test_block_of_another_thread[pool]"),
    Mutant("_drawing", "also those of proxies", "and os.getpid() == _process.pid", "",
           "faults/test_forks.py::test_block_of_another_thread[proxy]"),
    Mutant("_drawing", "also one that is dropped elsewhere", "if entry.lease is None else entry.place", "",
           "proxy/test_blocks_of_proxies.py::test_block_dropped_elsewhere"),
    Mutant("_ReclaimedLease.__del__", "reclaim", "self.end({})", "pass",
           "proxy/test_reclaim.py::test_object_of_an_ended_thread"),
    Mutant("_ReclaimedLease.__del__", "reclaim: none in a forked child", "and os.getpid() == _process.pid",
           "", "proxy/test_forked_proxies.py::test_child_reclaims_nothing"),
    Mutant("_ContextLocal._show", "reclaim: a Thread keeps its context", "self._places.pop, key", "id",
           "faults/test_interleavings.py::test_thread_that_keeps_its_context"),
    # Other things of proxies
    Mutant("Proxy._become", "a former pool is retired",
           "getattr(unused, '_retire_', bool)() except", "pass\n        except",
           "proxy/test_setting.py::test_idle_objects_are_closed"),
    Mutant("Proxy.__getattribute__", "errors of a draw have no __context__ of ours",
           "pass else: return getattr(obj, name)",
           "return _absent(self, name)\n        else:\n            return getattr(obj, name)",
           "proxy/test_unset_and_errors.py::test_error_of_the_function"),
    Mutant("Proxy._absent", "those who only look draw nothing", "or f'{name}='.startswith(_PROBES)", "",
           "proxy/test_looking.py::test_probed_names"),
    Mutant("Proxy._target", "an overridden _get_obj may assign", "and me not in state.asking", "",
           "proxy/test_subclasses_of_proxies.py::test_assignment_within_get_obj"),
    Mutant("Proxy._target", "no object is drawn to assign an attribute",
           "if Proxy._will_have(self, name) else _NOTHING", "",
           "proxy/test_attributes.py::test_no_object_is_drawn_to_find_out"),
    Mutant("Proxy._see", "a proxy has the special methods of its object", "Proxy._shape(self, names)",
           "pass", "proxy/test_shape.py::test_answers_as_its_object"),
    Mutant("Proxy._make", "one object for the process", "with making", "if True",
           "proxy/test_drawing.py::test_shared_function_makes_one"),
    Mutant("Proxy._become", "a _get_obj of the program is asked each time",
           "if _found(type(self), name) is not _METHODS[name]", "if False",
           "proxy/test_subclasses_of_proxies.py::test_each_access_goes_through_get_obj"),
]
# fmt: on

if __name__ == "__main__":
    sys.exit(main())
