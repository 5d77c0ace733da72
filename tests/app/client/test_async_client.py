import asyncio

import httpx

from app.client import AsyncClient


def test_async_client_does_the_same(served, tmp_path):
    told = []

    async def main():
        async with AsyncClient(served()) as client:
            made, more = await asyncio.gather(
                client.sample("CCO", 2, seed=5), client.sample("CC", progress=told.append)
            )
            job = await client.submit("CC", 1)
            done = await client.wait(job.id)
            await client.download(job.id, tmp_path / "out.sdf")
            listed = {found.id for found in await client.jobs("done")}
            return made, more, done, await client.result(job.id), listed, await client.cancel(job.id)

    made, more, done, result, listed, cancelled = asyncio.run(main())
    assert made.results[0].mol.GetNumConformers() == 2
    assert (more.results[0].status, told[-1].state) == ("ok", "done")
    assert done.state == cancelled.state == "done"
    assert result.results[0].status == "ok"
    assert (tmp_path / "out.sdf").read_text().count("$$$$") == 1
    assert done.id in listed


def test_async_client_repeats_what_was_lost(quick, tools, way, monkeypatch):
    monkeypatch.setattr("app.client.exchange._FIRST_PAUSE_S", 0.0)
    engine = tools.QuickEngine()

    async def main():
        async with AsyncClient(transport=httpx.MockTransport(way(quick(engine), lost={1}))) as client:
            return await client.sample("CCO", 2)

    assert asyncio.run(main()).results[0].status == "ok"
    assert len(engine.tickets) == 1
