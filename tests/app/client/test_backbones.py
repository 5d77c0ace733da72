import asyncio

import httpx
import numpy as np
import pytest

from app.client import AsyncClient, Backbones, Client, Ensembles, RequestError

FEW = {"sampler": {"steps": 4}}


def client_by(way, **more):
    return Client(transport=httpx.MockTransport(way), **more)


def test_client_returns_biotite_structures(served):
    with Client(served()) as client:
        made = client.backbones([12, 20], 3, seed=5, residue="GLY", **FEW)
    assert (made.seed, made.model, made.template, len(made)) == (5, "quick-chains", None, 2)
    assert [(result.id, result.length, result.status) for result in made] == [("12-1", 12, "ok"), ("20-2", 20, "ok")]
    result = made[1]
    assert result.atoms.shape == (3, 80)
    assert list(result.atoms.atom_name[:4]) == ["N", "CA", "C", "O"]
    assert set(result.atoms.res_name) == {"GLY"}
    assert [sample["seed"] for sample in result.samples] == [5, 6, 7]
    assert "structure" not in result.samples[0]
    assert isinstance(result.samples[0]["quality"]["passed"], bool)
    expected = np.random.default_rng(6).normal(size=(80, 3))
    assert np.abs(result.atoms.coord[1] - expected).max() < 1e-3


@pytest.mark.parametrize("form", ["pdb", "mmcif", "bcif"])
def test_job_of_any_file_format_is_read(served, form):
    told = []
    with Client(served()) as client:
        job = client.submit_backbones([12, 12], 2, seed=1, format=form, **FEW)
        done = client.wait(job.id, progress=told.append)
        assert (done.kind, done.state, done.items_done, done.structures_returned) == ("backbones", "done", 2, 4)
        assert [entry["id"] for entry in done.entries] == ["12-1", "12-2"]
        assert told[-1] == done
        made = client.result(job.id)
        assert isinstance(made, Backbones)
        assert [result.atoms.shape for result in made] == [(2, 48), (2, 48)]
        assert not np.allclose(made[0].atoms.coord, made[1].atoms.coord)


def test_arrays_are_for_files(served, tmp_path):
    with Client(served()) as client:
        job = client.submit_backbones(12, 1, format="json", **FEW)
        client.wait(job.id)
        with pytest.raises(ValueError, match="download"):
            client.result(job.id)
        client.download(job.id, tmp_path / "out.json", "application/json")
        assert (tmp_path / "out.json").exists()


def test_answer_that_was_lost_is_asked_for_again_and_nothing_is_done_twice(quick, tools, way):
    engine = tools.QuickEngine()
    road = way(quick(engine), lost={1, 2})
    with client_by(road) as client:
        assert client.backbones(12, 2, **FEW)[0].status == "ok"
    assert len({request.headers["idempotency-key"] for request in road.seen}) == 1
    assert (len(road.seen), len(engine.tickets)) == (3, 1)


def test_progress_is_that_of_a_job_and_large_requests_are_waited_for(quick, tools, way):
    told, road = [], way(quick(tools.QuickEngine(), async_above_residues=1))
    with client_by(road) as client:
        assert client.backbones([12, 14], 1, progress=told.append, **FEW)[1].length == 14
        assert client.backbones(40, 2, **FEW)[0].atoms.stack_depth() == 2
        assert [job.kind for job in client.jobs()] == ["backbones", "backbones"]
    assert (told[-1].state, told[-1].structures_done) == ("done", 2)
    assert road.seen[0].headers["prefer"] == "respond-async"


def test_structure_alone_sets_the_length(served, chain_text):
    with Client(served()) as client:
        made = client.backbones(num_samples=1, start={"structure": chain_text, "t": 0.5}, **FEW)
    assert (made[0].length, made.template["residues"]) == (30, 30)


def test_length_without_samples_says_why(served, tools):
    with Client(served(tools.QuickEngine(tickets=0))) as client:
        job = client.submit_backbones(12, 1, **FEW)
        client.cancel(job.id)
        (result,) = client.result(job.id)
    assert (result.atoms, result.samples, result.status, result.reason) == (None, [], "failed", "cancelled")


def test_refusal_names_the_field(served):
    with Client(served()) as client, pytest.raises(RequestError) as caught:
        client.backbones([12, 41], **FEW)
    assert caught.value.errors[0]["field"] == "lengths[1]"


def test_both_clients_do_the_same(served):
    async def main():
        async with AsyncClient(served()) as client:
            made = await client.backbones([12], 2, seed=5, **FEW)
            job = await client.submit_backbones([12], 2, seed=5, **FEW)
            await client.wait(job.id)
            molecules = await client.submit("CC", 1)
            await client.wait(molecules.id)
            return made, await client.result(job.id), await client.result(molecules.id)

    made, later, molecules = asyncio.run(main())
    assert np.array_equal(made[0].atoms.coord, later[0].atoms.coord)
    assert isinstance(molecules, Ensembles)
