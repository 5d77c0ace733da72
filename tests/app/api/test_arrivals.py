import asyncio

import pytest
from fastapi import HTTPException

from app.api import arrivals
from app.api.arrivals import Arrivals
from app.errors import Problem

WHOLE = {"type": "http.request", "body": b"x", "more_body": False}
PART = {"type": "http.request", "body": b"x", "more_body": True}


class Caller:
    """Sends messages when it is told to."""

    def __init__(self):
        self._sent = asyncio.Queue()

    def send(self, *messages):
        for message in messages:
            self._sent.put_nowait(message)

    async def __call__(self):
        return await self._sent.get()


async def read(here, caller, counted=True):
    with here.enter(caller, counted) as receive:
        while (await receive()).get("more_body"):
            pass
        return len(here)


def tell(story):
    asyncio.run(asyncio.wait_for(story(), 60))


def test_body_is_counted_until_it_is_here():
    async def story():
        here, caller = Arrivals(2, 60.0), Caller()
        task = asyncio.create_task(read(here, caller))
        caller.send(PART)
        await asyncio.sleep(0.01)
        assert (len(here), here.prompt) == (1, 1)
        caller.send(WHOLE)
        assert await task == 0

    tell(story)


def test_body_that_need_not_be_counted_has_its_time_too():
    async def story():
        here = Arrivals(1, 0.01)
        with pytest.raises(HTTPException, match=r"within 0\.01 s"):
            await read(here, Caller(), counted=False)
        assert len(here) == 0

    tell(story)


def test_time_is_for_the_whole_body():
    async def story():
        here, caller = Arrivals(1, 0.2), Caller()
        task = asyncio.create_task(read(here, caller))
        while not task.done():
            caller.send(PART)
            await asyncio.sleep(0.01)
        with pytest.raises(HTTPException) as refused:
            await task
        assert refused.value.status_code == 408
        assert len(here) == 0

    tell(story)


def test_one_too_many_is_refused_while_all_others_are_prompt():
    async def story():
        here, callers = Arrivals(2, 60.0), [Caller() for _ in range(2)]
        tasks = [asyncio.create_task(read(here, caller)) for caller in callers]
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="2 requests are arriving") as refused:
            await read(here, Caller())
        assert refused.value.status == 503
        for caller in callers:
            caller.send(WHOLE)
        await asyncio.gather(*tasks)

    tell(story)


def test_slowest_gives_its_place_to_the_next(monkeypatch):
    monkeypatch.setattr(arrivals, "_PROMPT_S", 0.0)

    async def story():
        here, callers = Arrivals(2, 60.0), [Caller() for _ in range(3)]
        tasks = []
        for caller in callers:
            tasks.append(asyncio.create_task(read(here, caller)))
            await asyncio.sleep(0.01)
        assert len(here) == 2
        assert here.prompt == 0
        with pytest.raises(HTTPException, match="as fast as others") as refused:
            await tasks[0]
        assert refused.value.status_code == 408
        for caller in callers[1:]:
            caller.send(WHOLE)
        assert await asyncio.gather(*tasks[1:]) == [1, 0]

    tell(story)


def test_messages_after_the_body_have_all_the_time():
    async def story():
        caller = Caller()
        with Arrivals(1, 0.02).enter(caller, True) as receive:
            caller.send(WHOLE)
            assert await receive() == WHOLE
            await asyncio.sleep(0.05)
            caller.send({"type": "http.disconnect"})
            assert (await receive())["type"] == "http.disconnect"

    tell(story)
