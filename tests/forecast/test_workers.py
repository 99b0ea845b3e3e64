"""Work spread over processes: the same answers in the same order, whoever gives them."""

from __future__ import annotations

import os
import threading

import pytest

from outlay.forecast.workers import cores, spread


@pytest.mark.parametrize("workers", [1, 2, 3, 20])
def test_the_answers_come_in_order_on_any_number_of_processes(workers: int):
    assert spread(lambda k: k * k, 10, workers) == [k * k for k in range(10)]


def test_several_processes_take_part():
    assert len(set(spread(lambda _: os.getpid(), 4, 2))) == 2
    assert set(spread(lambda _: os.getpid(), 4, 1)) == {os.getpid()}


def test_an_error_is_raised_where_the_answer_was_wanted():
    def work(k: int) -> int:
        if k == 3:
            raise ValueError("three")
        return k

    for workers in (1, 2):
        with pytest.raises(ValueError, match="three"):
            spread(work, 6, workers)


def test_beside_another_thread_nothing_is_forked():
    """It could hold a lock that nobody in the child would ever let go."""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(cores()))
    thread.start()
    thread.join()
    assert found == [1]
