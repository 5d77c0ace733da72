import gemmi
import numpy as np
import pytest

from models.backbone import Backbone, BackboneEnsemble
from models.data.report import report_backbones
from models.errors import DataError
from models.evaluation.backbones.samples import read_samples
from models.export.backbones import to_bcif, to_mmcif


def structure(models):
    """Backbones of alanine as gemmi sees them, with a hetero atom that is no residue."""
    found = gemmi.Structure()
    for number, x in enumerate(models, 1):
        model, chain = gemmi.Model(number), gemmi.Chain("A")
        for place, residue in enumerate(x, 1):
            one = gemmi.Residue()
            one.name, one.seqid = "ALA", gemmi.SeqId(str(place))
            for name, position in zip(("N", "CA", "C", "O"), residue, strict=True):
                atom = gemmi.Atom()
                atom.name, atom.element, atom.pos = name, gemmi.Element(name[0]), gemmi.Position(*position)
                one.add_atom(atom)
            chain.add_residue(one)
        water = gemmi.Residue()
        water.name, water.seqid, water.het_flag = "HOH", gemmi.SeqId("900"), "H"
        atom = gemmi.Atom()
        atom.name, atom.element = "O", gemmi.Element("O")
        water.add_atom(atom)
        chain.add_residue(water)
        model.add_chain(chain)
        found.add_model(model)
    found.setup_entities()
    return found


def test_arrays_become_named_chains(tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 9, 4, 3)).astype(np.float32)
    np.savez(tmp_path / "set.npz", x_9=x, x_12=np.zeros((1, 12, 4, 3)), seeds=np.arange(3))
    found = read_samples(tmp_path / "set.npz")
    assert list(found) == ["set#x_9_0", "set#x_9_1", "set#x_12_0"]
    np.testing.assert_allclose(found["set#x_9_1"], x[1])
    np.testing.assert_allclose(read_samples(tmp_path / "set.npz", ("CA",))["set#x_9_1"], x[1][:, 1:2])


@pytest.mark.parametrize("suffix", ["pdb", "cif"])
def test_structure_files_give_every_model(suffix, tmp_path, some):
    x = [some.chains[0], some.chains[1]]
    found = structure(x)
    name = tmp_path / f"two.{suffix}"
    if suffix == "pdb":
        found.write_pdb(str(name))
    else:
        found.make_mmcif_document().write_file(str(name))
    read = read_samples(tmp_path)
    assert list(read) == ["two#1", "two#2"]
    for got, expected in zip(read.values(), x, strict=True):
        np.testing.assert_allclose(got, expected, atol=2e-3)


@pytest.mark.parametrize(("suffix", "write"), [("cif", to_mmcif), ("bcif", to_bcif)])
def test_our_own_files_of_several_lengths_are_read(suffix, write, tmp_path, some):
    lengths = [some.chains[:2], some.chains[2:3]]
    ensembles = [
        BackboneEnsemble(place, f"of {len(chains[0])}", len(chains[0]), tuple(
            Backbone(k, x.astype(np.float32), report, 1, None)
            for k, (x, report) in enumerate(zip(chains, report_backbones(np.stack(chains)), strict=True))
        ), None, "")
        for place, chains in enumerate(lengths)
    ]  # fmt: skip
    content = write(ensembles, "model")
    (tmp_path / f"mine.{suffix}").write_bytes(content.encode() if isinstance(content, str) else content)
    read = list(read_samples(tmp_path).values())
    assert [len(x) for x in read] == [64, 64, 45]
    for got, expected in zip(read, some.chains, strict=False):
        np.testing.assert_allclose(got, expected, atol=2e-3)


def test_folder_is_read_in_the_order_of_names(tmp_path, some):
    for name in ("b", "a"):
        structure([some.chains[0]]).write_pdb(str(tmp_path / f"{name}.pdb"))
    (tmp_path / "notes.txt").write_text("nothing")
    assert list(read_samples(tmp_path)) == ["a", "b"]


def test_faulty_samples_are_refused_with_a_reason(tmp_path, some):
    empty, bad, odd, short = tmp_path / "empty", tmp_path / "bad.pdb", tmp_path / "odd.npz", tmp_path / "short.npz"
    empty.mkdir()
    bad.write_text("no structure\n")
    np.savez(odd, x_9=np.zeros((9, 4, 3)))
    np.savez(short, x_5=np.zeros((1, 5, 4, 3)))
    np.savez(tmp_path / "none.npz", y=np.zeros(3))
    (tmp_path / "text.npz").write_text("text")
    gap = some.chains[0].copy()
    lacking = structure([gap])
    lacking[0]["A"][3].remove_atom("O", "\0")
    lacking.write_pdb(str(tmp_path / "lacking.pdb"))
    for path, words in (
        (empty, "no sample at"), (bad, "holds no structure"), (odd, "samples, residues, 4, 3"), (short, "at least 8"),
        (tmp_path / "none.npz", "x_<length>"), (tmp_path / "text.npz", "not an npz"),
        (tmp_path / "lacking.pdb", "lacks"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=words):
            read_samples(path)
