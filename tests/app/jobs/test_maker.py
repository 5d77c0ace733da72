import asyncio

import pytest

from app.jobs.maker import Room, together


def test_room_is_never_over_full_and_lets_in_who_came_first():
    inside, most, order = 0, 0, []

    async def enter(room, number, amount):
        nonlocal inside, most
        async with room.take(amount):
            order.append(number)
            inside += amount
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= amount

    async def main():
        room = Room(64)
        await asyncio.gather(*(enter(room, k, amount) for k, amount in enumerate([64, 1, 60, 30, 30, 5, 64])))

    asyncio.run(main())
    assert most <= 64
    assert order == sorted(order)


def test_room_is_given_back_by_who_stops_waiting_and_by_who_fails():
    async def hold(room, amount):
        async with room.take(amount):
            await asyncio.sleep(60)

    async def main():
        room = Room(4)
        tasks = [asyncio.create_task(hold(room, amount)) for amount in (3, 4, 2)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with pytest.raises(ZeroDivisionError):
            async with room.take(4):
                1 / 0  # noqa: B018
        async with asyncio.timeout(60), room.take(4):
            pass

    asyncio.run(main())


def test_together_ends_the_others_when_one_fails():
    ended = []

    async def wait():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def fail():
        raise ZeroDivisionError

    async def main():
        with pytest.raises(ZeroDivisionError):
            await together([wait(), fail(), wait()])
        await asyncio.sleep(0)

    asyncio.run(main())
    assert ended == [True, True]
