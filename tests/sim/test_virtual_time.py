"""Virtual time: the program's own order of events, without the waiting."""

import asyncio
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from outlay import Agent, run_sync
from outlay.patterns import FanOut
from outlay.protocols.clock import future_of_thread, loop_factory, wall_clock
from outlay.sim.clock import START, VirtualClock
from outlay.sim.loop import NumberedTask, OutsideWorld, Standstill, VirtualLoop, virtual_time
from outlay.testing import Reply, ScriptedModel
from outlay.testing.pytest_plugin import virtual_clock as virtual_clock

DAY = 86_400.0


def run(coro):
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coro)


def test_a_day_of_sleep_takes_milliseconds():
    began = time.perf_counter()
    with virtual_time() as clock, asyncio.Runner(loop_factory=loop_factory.get()) as runner:
        runner.run(asyncio.sleep(DAY))
    assert clock.elapsed == DAY
    assert time.perf_counter() - began < 0.5


def test_a_sleep_of_more_than_asyncios_longest_wait_is_exact():
    clock = VirtualClock()
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        runner.run(asyncio.sleep(400 * DAY))
    assert clock.elapsed == 400 * DAY


def test_waits_do_not_add_up_rounding_errors():
    async def ticks():
        loop = asyncio.get_running_loop()
        for i in range(1, 1001):
            await asyncio.sleep(i * 0.1 - loop.time())
            assert loop.time() == pytest.approx(i * 0.1, abs=1e-9)

    run(ticks())


def test_the_wall_clock_starts_at_a_fixed_moment():
    async def body():
        wall = wall_clock(asyncio.get_running_loop())
        before = wall()
        await asyncio.sleep(1.5)
        return before, wall()

    assert run(body()) == (START, START + 1.5)


def test_outside_the_block_time_is_real_again():
    before = loop_factory.get()
    with virtual_time():
        assert loop_factory.get() is not before
    assert loop_factory.get() is before


def test_runs_one_after_another_share_the_clock():
    with virtual_time() as clock:
        for _ in range(2):
            with asyncio.Runner(loop_factory=loop_factory.get()) as runner:
                runner.run(asyncio.sleep(30))
    assert clock.elapsed == 60
    assert clock.now == START + 60


def test_the_fixture_is_virtual_time(virtual_clock):
    with asyncio.Runner(loop_factory=loop_factory.get()) as runner:
        runner.run(asyncio.sleep(90))
    assert virtual_clock.elapsed == 90


def test_timers_fire_in_the_order_of_their_times_and_then_of_their_making():
    async def body():
        seen = []

        async def after(seconds, name):
            await asyncio.sleep(seconds)
            seen.append((name, asyncio.get_running_loop().time()))

        async with asyncio.TaskGroup() as group:
            for seconds, name in [(3, "c"), (1, "a"), (2, "b1"), (2, "b2")]:
                group.create_task(after(seconds, name))
        return seen

    assert run(body()) == [("a", 1), ("b1", 2), ("b2", 2), ("c", 3)]


def test_a_timeout_fires_before_what_it_bounds_and_not_before_what_is_quicker():
    async def body():
        async with asyncio.timeout(5):
            await asyncio.sleep(4.999)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(5.001)
        return asyncio.get_running_loop().time()

    assert run(body()) == pytest.approx(9.999)


def test_nested_timeouts_end_inside_out():
    async def body():
        ended = []
        try:
            async with asyncio.timeout(10):
                try:
                    async with asyncio.timeout(3):
                        await asyncio.sleep(60)
                except TimeoutError:
                    ended.append(asyncio.get_running_loop().time())
                await asyncio.sleep(60)
        except TimeoutError:
            ended.append(asyncio.get_running_loop().time())
        return ended

    assert run(body()) == [3, 10]


def test_synchronous_functions_sent_to_a_thread_run_inline():
    async def body():
        assert asyncio.get_running_loop().inline_threads
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        return await asyncio.to_thread(threading.get_ident)

    assert run(body()) == threading.get_ident()


def test_a_socket_is_an_error_that_names_the_line_that_wanted_it():
    async def body():
        await asyncio.open_connection("127.0.0.1", 9)  # this line

    with pytest.raises(OutsideWorld, match="create_connection") as caught:
        run(body())
    name, line = caught.value.where.rsplit(":", 1)
    assert name == __file__
    with open(__file__) as lines:
        assert "# this line" in lines.read().splitlines()[int(line) - 1]


@pytest.mark.parametrize(
    "wanted",
    [
        lambda loop: loop.getaddrinfo("localhost", 80),
        lambda loop: asyncio.create_subprocess_exec("true"),
        lambda loop: asyncio.start_server(print, "127.0.0.1", 0),
        lambda loop: loop.run_in_executor(ThreadPoolExecutor(1), print),
    ],
    ids=["names", "processes", "servers", "executors"],
)
def test_what_would_leave_the_process_is_an_error(wanted):
    async def body():
        await wanted(asyncio.get_running_loop())

    with pytest.raises(OutsideWorld):
        run(body())


@pytest.mark.parametrize("leak", ["sleep", "connect", "http"])
def test_a_blocking_call_is_an_error_that_names_its_line(leak):
    """In a tool, too: those run inline. Nothing has waited."""

    def tool():
        if leak == "sleep":
            time.sleep(60)
        elif leak == "connect":
            socket.create_connection(("127.0.0.1", 9))
        else:
            urllib.request.urlopen("http://127.0.0.1:9/")

    async def body():
        await asyncio.to_thread(tool)

    began, first = time.perf_counter(), tool.__code__.co_firstlineno
    with virtual_time(), pytest.raises(OutsideWorld) as caught:
        run(body())
    assert time.perf_counter() - began < 30
    assert caught.value.wanted == ("time.sleep" if leak == "sleep" else "socket.connect")
    file, line = caught.value.where.rsplit(":", 1)
    assert (file, first < int(line) <= first + 6) == (__file__, True)


def test_a_leak_is_told_to_no_model_and_left_out_of_no_fan_out():
    """Else it would be a failed tool or a skipped part, and the test that it slows down would pass."""

    def look(q: str) -> str:
        """Look."""
        time.sleep(60)
        return q

    call = Reply(tool_calls=[("look", {"q": "it"})])
    flow = FanOut([Agent("a", ScriptedModel([call, "done"]), tools=[look]), Agent("b", ScriptedModel(["fine"]))])
    with virtual_time():
        result = run_sync(flow, "go")
    assert isinstance(result.error, OutsideWorld)
    assert result.error.where.startswith(f"{__file__}:")


def test_other_threads_and_times_may_sleep():
    """A thread of its own has no virtual time; and after the block everything is as it was."""
    slept = threading.Event()

    def nap():
        time.sleep(0.001)
        slept.set()

    async def body():
        threading.Thread(target=nap).start()

    real = time.sleep
    with virtual_time():
        run(body())
        time.sleep(0)
        assert slept.wait(10)
    assert time.sleep is real


def test_a_deadlock_is_an_error_that_names_who_waits_and_where():
    async def never():
        await asyncio.Event().wait()

    async def body():
        await asyncio.gather(asyncio.create_task(never(), name="worker"), never())

    with pytest.raises(Standstill) as caught:
        run(body())
    assert "worker at" in str(caught.value)
    assert len(caught.value.waiting) == 3


def test_a_sleep_for_ever_is_a_standstill_too():
    with pytest.raises(Standstill):
        run(asyncio.sleep(float("inf")))


def test_a_new_loop_goes_on_late_in_virtual_time():
    clock = VirtualClock()
    clock.advance_to(1e9 + 0.1)

    async def body():
        loop, due = asyncio.get_running_loop(), asyncio.Event()
        loop.call_at(loop.time(), due.set)
        await due.wait()

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        runner.run(body())


def test_another_thread_can_wake_the_loop():
    async def body():
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        thread = threading.Timer(0.02, loop.call_soon_threadsafe, [woken.set])
        thread.start()
        await woken.wait()
        thread.join()
        return loop.time()

    assert run(body()) == 0


def test_no_time_passes_while_a_thread_owes_an_answer():
    """Else a store that takes a millisecond to write would see months go by, and a lease renewed a million times."""

    async def body():
        loop = asyncio.get_running_loop()
        ticks = asyncio.create_task(forever())
        owed = future_of_thread(loop)
        threading.Timer(0.02, loop.call_soon_threadsafe, [owed.set_result, "written"]).start()
        assert await owed == "written"
        assert loop.time() == 0
        await asyncio.sleep(3)
        ticks.cancel()
        return loop.time()

    async def forever():
        while True:  # noqa: ASYNC110 - timers without end are the point
            await asyncio.sleep(1)

    assert run(body()) == 3


def test_tasks_are_numbered_in_the_order_of_their_making():
    async def body():
        tasks = [asyncio.create_task(asyncio.sleep(0)) for _ in range(3)]
        first = hash(tasks[0])
        await asyncio.gather(*tasks)
        return [hash(task) - first for task in tasks]

    assert run(body()) == [0, 1, 2]


def test_a_later_factory_that_chains_keeps_the_numbers():
    made = []

    async def body():
        loop = asyncio.get_running_loop()
        inner = loop.get_task_factory()

        def outer(loop, coro, **options):
            made.append(coro.__name__)
            return inner(loop, coro, **options)

        loop.set_task_factory(outer)
        task = asyncio.create_task(asyncio.sleep(0), name="mine")
        await task
        loop.set_task_factory(None)
        again = asyncio.create_task(asyncio.sleep(0))
        await again
        return task, again

    task, again = run(body())
    assert made == ["sleep"]
    assert isinstance(task, NumberedTask)
    assert isinstance(again, NumberedTask)
    assert task.get_name() == "mine"
    assert hash(task) < hash(again)


PROGRAM = textwrap.dedent(
    """
    import asyncio, sys
    from outlay.sim.loop import VirtualLoop

    junk = [object() for _ in range(int(sys.argv[1]))]

    async def main():
        order = []

        async def worker(i):
            try:
                await asyncio.sleep(9 + i % 3)
            except asyncio.CancelledError:
                order.append(i)
                raise

        try:
            async with asyncio.TaskGroup() as group:
                for i in range(40):
                    group.create_task(worker(i))
                await asyncio.sleep(10)
                raise ValueError
        except* ValueError:
            pass
        done, rest = await asyncio.wait(
            [asyncio.create_task(asyncio.sleep(1, i), name=f"t{i}") for i in range(9)], return_when="FIRST_COMPLETED"
        )
        print(order, [t.get_name() for t in done], [t.get_name() for t in rest])

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
    """
)


def test_the_same_program_does_the_same_in_every_process():
    def output(seed, junk):
        env = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", PROGRAM, str(junk)], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    outputs = {output(seed, junk) for seed, junk in [(1, 0), (2, 7_001)]}
    assert len(outputs) == 1


@pytest.mark.parametrize(
    ("timer", "skips"), [(None, True), (5.0, True), (2.0, False), (1.0, False)], ids=["none", "later", "then", "before"]
)
def test_time_is_skipped_only_where_nothing_would_happen_meanwhile(timer: float | None, skips: bool):
    async def wait() -> tuple[bool, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        if timer is not None:
            loop.call_later(timer, lambda: None)
        return loop.skip_to(2.0), loop.time()

    assert run(wait()) == (skips, 2.0 if skips else 0.0)


def test_time_is_not_skipped_while_somebody_is_ready():
    async def wait() -> bool:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.call_soon(lambda: None)
        return loop.skip_to(2.0)

    assert not run(wait())
