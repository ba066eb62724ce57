"""``pumice serve --slack`` as real processes: who of them has which secret, and that none outlives the server."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx2
import pytest

from serve.fake_slack import APP_TOKEN, BOT_TOKEN, FakeSlack
from serve.test_serve_process import Server, alive, environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="what a process was handed is read from /proc"),
]
TOKEN = "the-token-of-this-whole-cluster"


def seen_by(process: int) -> dict[str, str]:
    words = Path(f"/proc/{process}/environ").read_text().split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


async def test_each_child_has_what_its_role_needs(tmp_path: Path, project: Path) -> None:
    slack = await FakeSlack().start()
    given = {
        **environment(tmp_path, project),
        **{"PUMICE_CLUSTER_TOKEN": TOKEN, "SLACK_BOT_TOKEN": BOT_TOKEN, "SLACK_APP_TOKEN": APP_TOKEN},
        **{"PUMICE_SLACK_URL": slack.url, "PUMICE_API_KEY": "of-another-server", "HF_TOKEN": "hf_of_the_user"},
    }
    command = [sys.executable, "-m", "pumice", "serve", "--port", "0", "--no-web", "--slack"]
    server = await asyncio.to_thread(Server.started, command, given)
    try:
        await slack.until(lambda: slack.connections, 90)
        children = {each: seen_by(each) for each in server.workers()}
        (bot,) = [each for each, seen in children.items() if "SLACK_BOT_TOKEN" in seen]
        (worker,) = set(children) - {bot}
        key = children[bot]["PUMICE_API_KEY"]
        assert TOKEN not in children[bot].values() and "HF_TOKEN" not in children[bot]
        assert key not in ("of-another-server", TOKEN)
        assert children[worker]["PUMICE_CLUSTER_TOKEN"] == TOKEN and children[worker]["HF_TOKEN"] == "hf_of_the_user"
        assert not {"PUMICE_API_KEY", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"} & set(children[worker])

        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            client.headers["authorization"] = f"Bearer {key}"
            assert (await client.get("/v1/models")).status_code == 200
            told = {"worker_name": "http://127.0.0.1:1", "check_heart_beat": True}
            assert (await client.post("/register_worker", json=told)).status_code == 401
        server.process.kill()
        for _ in range(600):
            if not alive(bot) and not alive(worker):
                break
            await asyncio.sleep(0.1)
        assert not alive(bot) and not alive(worker), "they end with the server"
        assert key not in "".join(server.log) and TOKEN not in "".join(server.log)
    finally:
        if server.process.poll() is None:
            server.process.kill()
        await asyncio.to_thread(server.process.wait, 30)
        await slack.stop()
