import numpy as np
import pytest

from models.data.backbones import TEST, TRAIN, VALIDATION
from models.data.proteins import (
    SetOptions,
    build_set,
    cluster_identical,
    draw_split,
    is_core,
    is_structure,
    list_structures,
    read_members,
)
from models.data.structures import Chain, read_chains
from models.errors import DataError


def chain_of(backbones, number):
    inside = slice(*backbones.offsets[number : number + 2])
    letters = backbones.sequence[inside].tobytes().decode()
    return Chain("A", 0, ("1",) * len(letters), backbones.chain(number), letters, backbones.secondary[inside])


def test_core_is_what_the_set_calls_core(backbones):
    found = [is_core(chain_of(backbones, number)) for number in range(len(backbones))]
    assert found == backbones.core.tolist()
    stretched = chain_of(backbones, int(backbones.core.argmax()))
    assert not is_core(
        Chain("A", 0, stretched.numbers, stretched.coordinates * 1.5, stretched.sequence, stretched.secondary)
    )


def test_structures_are_found_by_name_in_all_folders(tmp_path):
    for name in ("b.pdb", "a.CIF", "sub/c.ent.gz", "sub/d.bcif", "e.mmcif.gz", "f.txt", "g.gz", "h.pdb.zip"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [path.name for path in list_structures(tmp_path)] == ["a.CIF", "b.pdb", "e.mmcif.gz", "c.ent.gz", "d.bcif"]
    assert not is_structure(tmp_path / "pdb")


def test_folders_without_structures_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"has no structure files; their names end in \.pdb, \.ent"):
        list_structures(tmp_path)
    with pytest.raises(DataError, match="there is no folder"):
        list_structures(tmp_path / "none")


def test_members_are_named_by_file_chain_and_stretch(tmp_path, pdb_lines, native):
    broken = native[:60].copy()
    broken[50:] += 5
    lines = [*pdb_lines(broken, "A"), *pdb_lines(native[:45], "B"), *pdb_lines(native[:60], "C")]
    path = tmp_path / "My.prot.PDB"
    path.write_text("\n".join(lines))
    members, counts = read_members(path, SetOptions(40, 55))
    assert [(key, len(chain)) for key, chain in members] == [("My.prot_A_1-50", 50), ("My.prot_B", 45)]
    assert counts == {"too_short": 1, "too_long": 1}


def test_set_holds_the_chains_as_they_were_read(pdb_lines, native):
    text = "\n".join([*pdb_lines(native[:45], "A", names=["GLY"] * 45), *pdb_lines(native[10:60] + 3, "B")])
    members = [(chain.id, chain) for chain in read_chains(text)]
    made = build_set(members, np.array([4, 7]), SetOptions(validation=0, test=0))
    assert made.keys.tolist() == ["A", "B"] and made.lengths.tolist() == [45, 50]
    assert made.sequence.tobytes().decode() == "G" * 45 + "A" * 50
    for number, (_, chain) in enumerate(members):
        assert (made.chain(number) == chain.coordinates).all()
        inside = slice(*made.offsets[number : number + 2])
        assert (made.secondary[inside] == chain.secondary).all()
        assert made.core[number] == is_core(chain)
    assert made.split.tolist() == [TRAIN] * 2 and made.fold.tolist() == [0, 0] and made.cluster.tolist() == [4, 7]


def test_identical_sequences_share_a_cluster():
    cluster = cluster_identical(["AAA", "GG", "AAA", "AAAA"])
    assert cluster[0] == cluster[2]
    assert len(set(cluster.tolist())) == 3


def test_clusters_are_never_divided_and_shares_are_kept():
    cluster = np.random.default_rng(0).integers(0, 120, 600)
    split = draw_split(cluster, SetOptions(validation=0.1, test=0.2, seed=3))
    for number in range(120):
        assert len(set(split[cluster == number].tolist())) <= 1
    assert 0.07 < (split == VALIDATION).mean() <= 0.1
    assert 0.17 < (split == TEST).mean() <= 0.2
    assert (split == draw_split(cluster, SetOptions(validation=0.1, test=0.2, seed=3))).all()
    assert (split != draw_split(cluster, SetOptions(validation=0.1, test=0.2, seed=4))).any()


def test_cluster_larger_than_a_share_stays_in_training():
    split = draw_split(np.array([0] * 90 + list(range(1, 11))), SetOptions(validation=0.05, test=0.05))
    assert (split[:90] == TRAIN).all()
    assert ((split == TEST).sum(), (split == VALIDATION).sum()) == (5, 5)


@pytest.mark.parametrize("lengths", [(4, 10), (50, 40)])
def test_lengths_that_do_not_fit_are_refused(lengths):
    with pytest.raises(DataError, match=f"chains of {lengths[0]} to {lengths[1]} residues; allowed: from 5, ascending"):
        SetOptions(*lengths)


@pytest.mark.parametrize("shares", [(-0.1, 0), (0.5, 0.5), (np.nan, 0)])
def test_shares_that_do_not_fit_are_refused(shares):
    with pytest.raises(DataError, match="both must be at least 0, and together less than 1"):
        SetOptions(validation=shares[0], test=shares[1])
