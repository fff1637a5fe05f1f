"""Following the embedded engine's file, whatever becomes of it."""

from contextlib import aclosing
from pathlib import Path

from tests.broker.places import event, place_at


async def test_in_another_file_everything_is_new(tmp_path: Path) -> None:
    file = tmp_path / "broker.db"
    async with place_at(f"sqlite:///{file}") as place:
        broker = place.broker()
        for number in range(3):
            await broker.publish_event(event(id=str(number), data={}))
        async with aclosing(broker.following()) as batches:
            position = (await anext(batches)).position
        await broker.close()
        for one in tmp_path.iterdir():
            one.unlink()
        await broker.publish_event(event(id="new", data={}))
        async with aclosing(broker.following(position)) as batches:
            assert [one["id"] for one in (await anext(batches)).events] == ["new"]
            await broker.close()
            for one in tmp_path.iterdir():
                one.unlink()
            await broker.publish_event(event(id="newer", data={}))
            found = await anext(batches)
            while not found.events:
                found = await anext(batches)
            assert [one["id"] for one in found.events] == ["newer"]
