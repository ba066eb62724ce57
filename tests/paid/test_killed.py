"""A process that is killed at any moment: what had arrived is kept, and never paid for again."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from paid.asking import PRICE, request, said
from paid.processes import ask, ask_in_batches, started
from paid.teacher_server import Books, Teacher, key_of, teaching
from pumice.paid.ledger import Ledger

pytestmark = pytest.mark.slow
NUMBER = 120
OF_SERVER = {request(which).key: key_of(dict(request(which).body)) for which in range(NUMBER)}


def used(folder: Path) -> dict[str, str]:
    """What was used, by key; a last line that was not finished was not."""
    text = (folder / "used").read_text() if (folder / "used").exists() else ""
    return dict(line[:-1].split(" ", 1) for line in text.splitlines(keepends=True) if line.endswith("\n"))


def unsure(ledger: Ledger) -> Counter[str]:
    """How often each request was sent with nobody knowing whether it was charged."""
    rows = ledger.rows(
        "SELECT r.key, count(*) FROM attempts a JOIN requests r ON r.id = a.request WHERE a.state = 'unsure' GROUP BY 1"
    )
    return Counter({key.hex(): number for key, number in rows})


def wait_until(said_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not said_so():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.002)


def far_enough(books: Books, stop: int, process: BaseProcess) -> bool:
    return books.answered.total() >= stop or not process.is_alive()


def test_killed_again_and_again_nothing_is_lost_and_nothing_paid_twice(tmp_path: Path) -> None:
    dice = random.Random(7)
    with teaching(said, faults={"limited": 0.05, "error": 0.1, "empty": 0.05}, latency_s=0.02) as teacher:
        books = teacher.books
        for stop in sorted(dice.randrange(1, NUMBER) for _ in range(8)):
            process = started(ask, teacher.url, tmp_path, NUMBER)
            wait_until(partial(far_enough, books, stop, process))
            time.sleep(dice.uniform(0, 0.02))
            process.kill()
            process.join()
            charged = Counter(books.answered)
            with Ledger(tmp_path / "ledger") as ledger:
                for which in range(NUMBER):
                    key = request(which).key
                    answer = ledger.find(request(which))
                    assert key not in used(tmp_path) or answer, "it was used before it was safe"
                    assert charged[OF_SERVER[key]] <= (answer is not None) + unsure(ledger)[key]
            kept = {OF_SERVER[key] for key in used(tmp_path)}
            assert all(books.answered[key] == charged[key] for key in kept)
        process = started(ask, teacher.url, tmp_path, NUMBER)
        process.join()
        assert process.exitcode == 0
    with Ledger(tmp_path / "ledger") as ledger:
        mine, doubtful = ledger.totals(), unsure(ledger)
        for which in range(NUMBER):
            answer = ledger.find(request(which))
            assert answer and answer.text == said(list(request(which).messages)) == used(tmp_path)[request(which).key]
            assert books.answered[OF_SERVER[request(which).key]] <= 1 + doubtful[request(which).key]
    assert mine.answered == NUMBER and mine.unsure > 0
    assert mine.answered <= books.answered.total() <= mine.answered + mine.unsure
    assert (mine.cost or 0) <= books.whole.cost(PRICE) + books.spoilt.cost(PRICE) <= mine.at_most


def test_a_batch_is_made_once_whenever_its_maker_is_killed(tmp_path: Path) -> None:
    """At each of the requests that it takes, before the server heeds it, and after."""
    for stop in range(40):
        folder = tmp_path / str(stop)
        with teaching(said) as teacher:
            teacher.stop = stop
            first = started(ask_in_batches, teacher.url, folder, 10)
            wait_until(partial(stopped, teacher, first))
            first.kill()
            first.join()
            second = started(ask_in_batches, teacher.url, folder, 10)
            second.join()
            assert second.exitcode == 0
            assert teacher.batches.made == 1, "nothing is paid for twice"
            assert teacher.batches.uploads == 1
            assert set(teacher.books.answered.values()) == {1} and teacher.books.answered.total() == 10
            with Ledger(folder / "ledger") as ledger:
                assert all(ledger.find(request(which)) for which in range(10))
                mine = ledger.totals()
            assert mine.cost == pytest.approx(teacher.books.whole.cost(PRICE) * PRICE.batch) and mine.in_flight == 0
            if not teacher.stopped.is_set():
                break
    assert 10 <= stop < 39  # file up, batch made, three looks, results: each in two ways


def stopped(teacher: Teacher, process: BaseProcess) -> bool:
    return teacher.stopped.is_set() or not process.is_alive()
