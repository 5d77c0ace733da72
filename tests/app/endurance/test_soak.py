"""Minutes of work of all kinds, after which the service is as large as before.

`make soak` runs this for ten minutes; `SOAK_MINUTES` in the environment is another time.
"""

import asyncio
import itertools
import os
import random
import time

import httpx
import numpy as np
import pytest

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
_WARM = 0.4  # share of the time in which caches fill
_LOOK_EVERY_S = 1.0
_GROWTH_MB = 25.0  # that the rest of the time may bring, as a line through all looks; it goes up and down by some 15
JSON = {"Content-Type": "application/json"}
SMILES = ("CCO", "CC(=O)Nc1ccc(O)cc1", "C/C=C/CO", "OCC(O)CO", "c1ccccc1CN", "CC(F)CO", "O=C1CCCN1", "bad(", "[Fe]")
HARD = "c%991ccc(cc1)" + "".join(f"c{k % 9 + 1}ccc(cc{k % 9 + 1})" for k in range(1, 15)) + "c1ccc%99cc1"


class Crowd:
    """Callers of all kinds, each in a loop."""

    def __init__(self, url: str, end: float) -> None:
        self.client = httpx.AsyncClient(base_url=url, timeout=120)
        self.end, self.random = end, random.Random(1)
        self.answers: dict[str, int] = {}

    async def go_on(self, name, visit):
        for k in itertools.count():
            if time.monotonic() > self.end:
                return
            for code in await visit(k):
                self.answers[f"{name} {code}"] = self.answers.get(f"{name} {code}", 0) + 1
            await asyncio.sleep(0.02)

    def body(self, seed, count=3):
        return {
            "molecules": [{"smiles": self.random.choice(SMILES)} for _ in range(self.random.randint(1, 3))],
            "num_conformers": count, "seed": seed, "sampler": {"steps": 3},
            "start": self.random.choice(("mmff94s", "etkdg", "noise")),
        }  # fmt: skip

    async def ask(self, seed):
        return [(await self.client.post("/v1/conformers", json=self.body(seed))).status_code]

    async def finish(self, seed):
        body = self.body(seed) | {"finish": {"relax": "mmff94s", "rank": True}}
        headers = {"Accept": self.random.choice(("application/zip", "application/json"))}
        return [(await self.client.post("/v1/conformers", json=body, headers=headers)).status_code]

    async def work(self, seed):
        """A job: sent, watched to its end or cancelled, fetched."""
        headers = {"Prefer": "respond-async"}
        answer = await self.client.post("/v1/conformers", json=self.body(seed, 20), headers=headers)
        path = answer.headers["location"]
        if seed % 3 == 0:
            return [answer.status_code, (await self.client.delete(path)).status_code]
        async with self.client.stream("GET", f"{path}/events") as events:
            async for _ in events.aiter_lines():
                pass
        return [answer.status_code, (await self.client.get(f"{path}/result")).status_code]

    async def leave(self, seed):
        """Goes away before there is an answer."""
        await asyncio.sleep(0.3)
        try:
            await self.client.post("/v1/conformers", json=self.body(seed, 40), timeout=0.05)
        except httpx.TimeoutException:
            return ["left"]
        return ["stayed"]

    async def annoy(self, seed):
        body = {"molecules": [{"smiles": HARD}], "num_conformers": 1}
        broken = await self.client.post("/v1/conformers", content=b"{" * 1000, headers=JSON)
        answer = await self.client.post("/v1/conformers", json=body)
        await asyncio.sleep(2)
        return [broken.status_code, answer.json()["results"][0]["problems"][0]["reason"]]

    async def look(self, seed):
        await asyncio.sleep(0.3)
        paths = ("/healthz", "/readyz", "/metrics", "/v1/stats", "/v1/jobs", "/openapi.json")
        return [(await self.client.get(path)).status_code for path in paths]


async def besiege(server, seconds):
    crowd = Crowd(server.url, time.monotonic() + seconds)
    began, looks = time.monotonic(), []

    async def measure():
        while time.monotonic() < crowd.end:
            sizes = await asyncio.to_thread(lambda: (server.memory_mb(), server.files(), server.threads()))
            looks.append((time.monotonic() - began, *sizes))
            await asyncio.sleep(_LOOK_EVERY_S)

    visits = [crowd.ask, crowd.ask, crowd.finish, crowd.work, crowd.leave, crowd.annoy, crowd.look]
    async with crowd.client:
        await asyncio.gather(measure(), *(crowd.go_on(visit.__name__, visit) for visit in visits))
        state = (await crowd.client.get("/readyz")).status_code
        stats = (await crowd.client.get("/v1/stats")).json()
    return crowd.answers, np.array(looks), state, stats


@pytest.mark.slow
def test_memory_files_and_threads_stay_flat(server):
    seconds = MINUTES * 60
    answers, looks, state, stats = asyncio.run(besiege(server, seconds))
    warm = looks[looks[:, 0] > _WARM * seconds]
    growth_mb = np.polyfit(warm[:, 0], warm[:, 1], 1)[0] * (warm[-1, 0] - warm[0, 0])
    half = len(warm) // 2
    print(f"\n{MINUTES:g} minutes, answers: {dict(sorted(answers.items()))}")
    print(f"memory after warming {warm[0, 1]:.0f} MB, at the end {warm[-1, 1]:.0f} MB, trend {growth_mb:+.1f} MB")
    print(f"files {warm[:, 2].min():.0f} to {warm[:, 2].max():.0f}, threads to {warm[:, 3].max():.0f}")
    print({name: stats["since_start"][name] for name in ("conformers", "molecules", "failures")})
    assert state == 200
    assert {"ask 200", "finish 200", "work 202", "work 200", "leave left", "annoy 422", "look 200"} <= set(answers)
    assert not [name for name in answers if name.split()[1].startswith("5")], answers
    assert "Traceback" not in server.words()
    assert growth_mb < _GROWTH_MB
    assert warm[half:, 2].mean() <= warm[:half, 2].mean() + 5
    assert warm[half:, 3].max() <= warm[:half, 3].max() + 2
