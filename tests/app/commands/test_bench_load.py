import asyncio
import json

import httpx

from app.commands.bench_load import Asker
from models.draws import RETRY_STRIDE
from models.options import build_options


def test_structures_that_were_drawn_are_told_by_their_seeds():
    """Those that were redrawn, and those that never came, count as often as they were drawn."""
    asked = []

    def answer(request):
        if request.method == "GET":
            return httpx.Response(200, json={"conformers_per_molecule": 4})
        body = json.loads(request.content)
        assert body["molecules"] == [{"smiles": "CCO"}]
        asked.append((body["num_conformers"], body["seed"], body["start"], body["sampler"]["steps"]))
        kept = range(body["num_conformers"] - 1)  # one is missing
        found = [{"index": k, "seed": body["seed"] + k + (2 * RETRY_STRIDE if k == 1 else 0)} for k in kept]
        return httpx.Response(200, json={"results": [{"conformers": found}]})

    async def go():
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://test") as client:
            return await Asker(client, "CCO", build_options("etkdg", 7))(6, 100)

    assert asyncio.run(go()) == (1 + 3 + 1 + 5) + (1 + 5)
    assert asked == [(4, 100, "etkdg", 7), (2, 104, "etkdg", 7)]
