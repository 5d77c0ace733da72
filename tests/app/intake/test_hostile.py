"""Inputs that made RDKit hang, crash, or eat memory, and neighbours that must not feel it."""

import asyncio
from concurrent.futures import wait

import pytest

from app.intake.pool import ChildPool
from app.intake.reading import Reading, Refusal

PATIENCE_S = 240


def molblock(*lines):
    return "\n".join(["", "  x", "", *lines, "M  END", ""])


def rings(size):
    """[n]Cycloparaphenylene, which has 2^n + n rings."""
    middle = "".join(f"c{k % 9 + 1}ccc(cc{k % 9 + 1})" for k in range(1, size - 1))
    return f"c%991ccc(cc1){middle}c1ccc%99cc1"


SHORT = {
    "loop in stereo perception": ("smiles", "NC1=NC(=N)N=C(N)C1C", None),
    "bivalent hydrogen": ("smiles", "CC(C)(C)CO[H-]F", None),
    "wildcards": ("smiles", "[1*]c1ccc([2*])cc1", "query_atom"),
    "metal complex": ("smiles", "C[Ir]23(<-[O]=1)CC1", "invalid_smiles"),
    "end in a bond": ("smiles", "COc(c1)cccc1C#", "unreadable"),
    "NUL": ("smiles", "C\x00C", "invalid_smiles"),
    "lines": ("smiles", "C\n$$$$\nEVIL", "invalid_smiles"),
    "surrogate": ("smiles", "C\ud800", "invalid_smiles"),
    "long": ("smiles", "C" * 200_000, "too_large"),
    "brackets": ("smiles", "C" + "(C" * 900 + ")" * 900, None),
    "isotope": ("smiles", "[99999999999C]", "unreadable"),
    "charge": ("smiles", "[C+999999999]", None),
    "ring number": ("smiles", "C%(99999)CC%(99999)", None),
    "counts": ("molblock", molblock("  0  0  0     0  0            999 V3000", "M  V30 BEGIN CTAB",
               "M  V30 COUNTS 2147483647 2147483647 0 0 0", "M  V30 END CTAB"), None),
    "bond to nowhere": ("molblock", molblock("  2  1  0  0  0  0  0  0  0  0999 V2000",
                        "    0.0000    0.0000    0.0000 C   0  0", "    1.0000    0.0000    0.0000 C   0  0",
                        "  1  9  1  0"), "unreadable"),
    "escape": ("molblock", molblock("\x1b[2J"), "invalid_molecule"),
}  # fmt: skip


@pytest.fixture(scope="module")
def pool():
    pool = ChildPool(1, 60.0, 1500)
    pool.start()
    yield pool
    pool.close()


@pytest.mark.parametrize(("kind", "text", "reason"), SHORT.values(), ids=SHORT)
def test_hostile_text_gets_an_answer(pool, kind, text, reason):
    answer = pool.submit(Reading(kind, text, "it", 0)).result(PATIENCE_S)
    if isinstance(answer, Refusal):
        assert reason in (None, answer.reason), answer
        assert len(answer.detail) < 400
    else:
        assert reason is None


def test_children_have_outlived_the_hostile_texts(pool):
    (molecule,) = pool.submit(Reading("smiles", "CCO", "it", 0)).result(PATIENCE_S)
    assert molecule.smiles == "CCO"
    assert pool.stats().losses.get("died", 0) == 0


def test_neighbours_are_served_while_a_hostile_molecule_is_chewed_on():
    pool = ChildPool(1, 600.0, 3000)
    pool.start()
    try:
        hostile = pool.submit(Reading("smiles", rings(17), "it", 0))
        neighbours = [pool.submit(Reading("smiles", "C" * k, "it", 0)) for k in range(1, 20)]
        assert not wait(neighbours, PATIENCE_S).not_done
        assert [future.result()[0].smiles for future in neighbours] == ["C" * k for k in range(1, 20)]
        assert not hostile.done()
        assert (pool.stats().slow, pool.stats().running) == (1, 1)
    finally:
        pool.close()


def test_request_full_of_hostile_molecules_costs_itself_only(patient):
    pool = ChildPool(1, 4.0, 3000)
    pool.start()
    patient(lambda: all(child.warm for child in pool._idle))

    async def story():
        hostile = asyncio.create_task(
            pool.read([Reading("smiles", rings(17), str(k), 0) for k in range(2)], PATIENCE_S)
        )
        await asyncio.sleep(0)
        served = await pool.read([Reading("smiles", "CCO", str(k), 0) for k in range(3)], PATIENCE_S)
        assert not hostile.done()
        return await hostile, served

    try:
        lost, served = asyncio.run(story())
    finally:
        pool.close()
    assert {answer.reason for answer in lost} == {"too_complex"}
    assert [answer[0].smiles for answer in served] == ["CCO"] * 3
    assert pool.stats().losses == {"late": 2}


def test_child_is_replaced_after_its_jobs():
    pool = ChildPool(1, 60.0, 1500, max_jobs=3)
    pool.start()
    try:
        for _ in range(8):
            assert pool.submit(Reading("smiles", "C", "it", 0)).result(PATIENCE_S)[0].smiles == "C"
        assert pool.stats().losses == {}
        assert pool.stats().children == 2
        assert all(child.jobs <= 3 for child in pool._idle)
    finally:
        pool.close()
