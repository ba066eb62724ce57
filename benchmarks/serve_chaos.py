"""What the servers do when things go wrong: real processes, real sockets, the bundled model; figures, not verdicts.

    python benchmarks/serve_chaos.py [--only streams flood] [--soak-minutes 30]

Everything runs on this machine: a controller, two workers and an API. While a case runs, the API's books are looked at
ten times a second: accepted = completed + cancelled + failed + in flight. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import random
import shutil
import signal
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
from chaos_cluster import LONG, MODEL, SHORT, Auditor, Cluster, Heard, ask, caller, figures, speaking, temporary
from PIL import Image

from pumice.remote import data_uri

Row = dict[str, Any]


def tally(heard: list[Heard]) -> dict[str, int]:
    return dict(Counter(f"{each.outcome} {each.code}".strip() for each in heard))


async def watched(cluster: Cluster, work: Callable[[httpx2.AsyncClient], Awaitable[Row]]) -> Row:
    """A case with its books, and how long /health took meanwhile."""
    waits: list[float] = []

    async def feel(client: httpx2.AsyncClient) -> None:
        while True:
            began = time.monotonic()
            await client.get(f"{cluster.url}/health")
            waits.append(time.monotonic() - began)
            await asyncio.sleep(0.1)

    async with caller() as client, Auditor(cluster.url) as auditor:
        feeling = asyncio.create_task(feel(client))
        row = await work(client)
        feeling.cancel()
    books = figures(httpx2.get(f"{cluster.url}/metrics", trust_env=False).text)
    row["health_p99_ms"] = round(1000 * sorted(waits)[int(0.99 * (len(waits) - 1))], 1) if waits else None
    row["books"] = {"looks": auditor.looks, "wrong": auditor.wrong, **{k: int(v) for k, v in books.items()}}
    return row


async def streams(cluster: Cluster) -> Row:
    """64 streams at the same time, of the same length."""

    async def work(client: httpx2.AsyncClient) -> Row:
        heard = await asyncio.gather(
            *(ask(client, cluster.url, {**LONG, "seed": n, "max_tokens": 420}) for n in range(64))
        )
        rates = [each.pieces / (each.ended - each.began - (each.first_s or 0)) for each in heard]
        return {
            "outcomes": tally(heard),
            "seconds": round(max(each.ended for each in heard) - min(each.began for each in heard), 1),
            "fairness_max_over_min": round(max(rates) / min(rates), 2),
            "first_token_p50_s": round(statistics.median(each.first_s or 0 for each in heard), 2),
        }

    return await watched(cluster, work)


async def flood(cluster: Cluster) -> Row:
    """256 callers at once; one worker with 8 slots and a queue of 64 is left."""
    cluster.kill("worker1", signal.SIGTERM)
    await cluster.until(lambda: cluster.listed() == 1, 30)
    await asyncio.sleep(1.5)

    async def work(client: httpx2.AsyncClient) -> Row:
        heard = await asyncio.gather(
            *(ask(client, cluster.url, {**LONG, "seed": n, "max_tokens": 450}) for n in range(256))
        )
        refused = [each for each in heard if each.outcome == "refused"]
        return {
            "outcomes": tally(heard),
            "refusals_with_retry_after": sum(bool(each.retry_after) for each in refused),
            "slowest_refusal_s": round(max(each.ended - each.began for each in refused), 2) if refused else None,
        }

    row = await watched(cluster, work)
    cluster.start("worker1")
    await cluster.until(lambda: cluster.listed() == 2, 60)
    return row


async def kill(cluster: Cluster) -> Row:
    """kill -9 of a worker with 20 streams on both; then the next request."""

    async def work(client: httpx2.AsyncClient) -> Row:
        tasks, _ = await speaking(client, cluster.url, 12, of=20)
        cluster.kill("worker0")
        killed = time.monotonic()
        heard = await asyncio.gather(*tasks)
        late = [each.ended - killed for each in heard if each.outcome == "error"]
        following = await ask(client, cluster.url, SHORT)
        return {
            "outcomes": tally(heard),
            "slowest_error_event_s": round(max(late), 2) if late else None,
            "next_request": following.outcome,
            "next_request_s": round(following.ended - following.began, 2),
        }

    row = await watched(cluster, work)
    cluster.start("worker0")
    row["back_after_s"] = round(await cluster.until(lambda: cluster.listed() == 2, 60), 1)
    return row


async def stop(cluster: Cluster) -> Row:
    """SIGSTOP of a worker with streams on it; then SIGCONT."""

    async def work(client: httpx2.AsyncClient) -> Row:
        tasks, _ = await speaking(client, cluster.url, 6, of=8)
        cluster.kill("worker0", signal.SIGSTOP)
        began = time.monotonic()
        unlisted = asyncio.create_task(cluster.until(lambda: cluster.listed() == 1, 30))
        heard = await asyncio.gather(*tasks)
        ends = [each.ended - began for each in heard if each.outcome == "error"]
        dropped = await unlisted
        following = await ask(client, cluster.url, SHORT)
        cluster.kill("worker0", signal.SIGCONT)
        back = await cluster.until(lambda: cluster.listed() == 2, 30)
        return {
            "outcomes": tally(heard),
            "streams_told_after_s": round(max(ends), 1) if ends else None,
            "controller_noticed_after_s": round(dropped, 1),
            "next_request": following.outcome,
            "back_after_cont_s": round(back, 1),
        }

    return await watched(cluster, work)


async def controller(cluster: Cluster) -> Row:
    """kill -9 of the controller with streams open and requests coming; started again after three seconds."""

    async def work(client: httpx2.AsyncClient) -> Row:
        tasks, _ = await speaking(client, cluster.url, 8, of=12)
        cluster.kill("controller")
        meanwhile = await asyncio.gather(*(ask(client, cluster.url, SHORT) for _ in range(4)))
        await asyncio.sleep(3)
        cluster.start("controller")
        back = await cluster.until(lambda: cluster.listed() == 2, 30)
        heard = await asyncio.gather(*tasks)
        return {
            "outcomes": tally(heard),
            "requests_without_controller": tally(list(meanwhile)),
            "workers_back_after_s": round(back, 1),
        }

    return await watched(cluster, work)


async def rolling(cluster: Cluster) -> Row:
    """Both workers restarted one after the other by SIGTERM, under load all the time."""

    async def work(client: httpx2.AsyncClient) -> Row:
        ending = asyncio.Event()

        async def load(number: int) -> list[Heard]:
            heard = []
            while not ending.is_set():
                heard.append(await ask(client, cluster.url, {**SHORT, "seed": number}))
            return heard

        callers = [asyncio.create_task(load(number)) for number in range(6)]
        for name in cluster.workers:
            await asyncio.sleep(2)
            await asyncio.to_thread(cluster.kill, name, signal.SIGTERM)
            cluster.start(name)
            await cluster.until(lambda: cluster.listed() == 2, 60)
        await asyncio.sleep(2)
        ending.set()
        return {"outcomes": tally([each for some in await asyncio.gather(*callers) for each in some])}

    return await watched(cluster, work)


async def full_disk(_: Cluster) -> Row:
    """The disk with the log is full: a file system of one megabyte, filled to the last byte."""
    folder = temporary()
    small = folder / "log"
    small.mkdir()
    mounted = (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=False).returncode == 0
    )
    if not mounted:
        return {"skipped": "mounting a small file system needs root"}
    cluster = Cluster(folder, workers=1, log_folder=small)
    try:
        await cluster.up()
        (small / "filler").write_bytes(b"")
        with contextlib.suppress(OSError), (small / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)

        async def work(client: httpx2.AsyncClient) -> Row:
            bad = {**SHORT, "model": "none", "messages": SHORT["messages"]}
            heard = [await ask(client, cluster.url, SHORT) for _ in range(40)]
            await ask(client, cluster.url, bad)
            cluster.kill("worker0")  # something that has to be logged
            broken = await ask(client, cluster.url, LONG)
            cluster.start("worker0")
            await cluster.until(lambda: cluster.listed() == 1, 60)
            heard += [await ask(client, cluster.url, SHORT) for _ in range(40)]
            said = (folder / "api.log").read_text()
            return {"outcomes": tally(heard), "during": broken.outcome, "log_says_so": said.count("cannot be written")}

        return await watched(cluster, work)
    finally:
        cluster.down()
        subprocess.run(["umount", str(small)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def drawn(number: int) -> dict[str, Any]:
    sizes = [(40, 30), (300, 20), (64, 512), (128, 128), (1, 1), (700, 500)]
    data = io.BytesIO()
    area = (-2, -1.5, 1, 1.5 + number % 97 / 70)
    Image.effect_mandelbrot(sizes[number % 6], area, 20 + number % 13).convert("RGB").save(data, "PNG")
    return {"type": "image_url", "image_url": {"url": data_uri(data.getvalue())}}


def mixed(number: int) -> dict[str, Any]:
    """A question with none, one or several pictures."""
    asked = ("What is in the picture?", "How many are there?", "Describe it.")[number % 3]
    parts = [
        *(drawn(7 * number + each) for each in range(number % 4)),
        {"type": "text", "text": f"{asked} {number % 5}"},
    ]
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": parts}],
        "max_tokens": 8 + number % 9,
        "stream": True,
    }


async def equal(cluster: Cluster) -> Row:
    """500 mixed questions, 48 at a time, then each by itself: the same words."""

    async def work(client: httpx2.AsyncClient) -> Row:
        turn = asyncio.Semaphore(48)

        async def one(number: int) -> Heard:
            async with turn:
                return await ask(client, cluster.url, mixed(number))

        together = await asyncio.gather(*(one(number) for number in range(500)))
        alone = [await ask(client, cluster.url, mixed(number)) for number in range(500)]
        same = sum(mine.text == theirs.text for mine, theirs in zip(together, alone, strict=True))
        return {
            "outcomes": tally([*together, *alone]),
            "same_text": same,
            "different_answers": len({each.text for each in alone}),
        }

    return await watched(cluster, work)


async def soak(cluster: Cluster, minutes: float) -> Row:
    """Pictures, texts, callers who leave and bad requests, for long; memory of each process before and after."""
    chance = random.Random(1)

    async def work(client: httpx2.AsyncClient) -> Row:
        heard: list[Heard] = []

        async def load(until: float) -> None:
            while time.monotonic() < until:
                number = chance.randrange(10**6)
                kind = chance.random()
                body = mixed(number)
                if kind < 0.1:
                    body = {**body, "temperature": 9}
                leave = 3 if kind > 0.8 else None
                heard.append(await ask(client, cluster.url, LONG if leave else body, leave_after=leave))
                await asyncio.sleep(0.2)

        async def phase(seconds: float) -> None:
            until = time.monotonic() + seconds
            await asyncio.gather(*(load(until) for _ in range(4)))

        async def filled() -> dict[str, float]:
            """Loads until the caches are full, which are bounded: memory has grown by less than 1 % in two minutes."""
            before = cluster.memory()
            for _ in range(15):
                await phase(120)
                after = cluster.memory()
                if all(after[name] < 1.01 * before[name] for name in after):
                    break
                before = after
            return cluster.memory()

        before = await filled()
        warm = len(heard)
        await phase(60 * minutes)
        await asyncio.sleep(2)
        after = cluster.memory()
        growth = {name: round(100 * (after[name] / before[name] - 1), 1) for name in before}
        rounded = {name: round(value) for name, value in after.items()}
        return {
            "minutes": minutes,
            "requests": len(heard) - warm,
            "outcomes": tally(heard),
            "memory_mib": rounded,
            "growth_percent": growth,
        }

    return await watched(cluster, work)


CASES: dict[str, Callable[[Cluster], Awaitable[Row]]] = {
    "streams": streams,
    "flood": flood,
    "kill": kill,
    "stop": stop,
    "controller": controller,
    "rolling": rolling,
    "full_disk": full_disk,
    "equal": equal,
}


async def run(only: list[str], minutes: float) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for name in only:
        folder = temporary()
        cluster = Cluster(folder, workers=2)
        try:
            if name != "full_disk":  # it has one of its own
                await cluster.up()
            found[name] = await (soak(cluster, minutes) if name == "soak" else CASES[name](cluster))
        finally:
            cluster.down()
            shutil.rmtree(folder, ignore_errors=True)
        print(f"{name}: {json.dumps(found[name])}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*CASES, "soak"], default=[*CASES, "soak"])
    parser.add_argument("--soak-minutes", type=float, default=30)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(run(options.only, options.soak_minutes))))


if __name__ == "__main__":
    main()
