"""SMILES and MDL mol blocks to `Molecule`, with everything that the model cannot sample refused by name.

The atom order, charges, isotopes, atom maps and atom names of the input survive.  Hydrogens that the input leaves
implicit are added after its own atoms.
"""

import logging
import re
import string
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any

from numpy.random import default_rng
from rdkit import Chem, rdBase
from rdkit.Chem.EnumerateStereoisomers import (
    EnumerateStereoisomers,
    GetStereoisomerCount,
    StereoEnumerationOptions,
)
from rdkit.Chem.rdDistGeom import EmbedMolecule

from models.data.elements import BOND_CODE, ELEMENT_CODE, ELEMENTS, MAX_ATOMS, MAX_FORMAL_CHARGE
from models.data.features import build_features
from models.errors import MoleculeError
from models.structure import Molecule

MAX_SMILES_CHARS = 2_000
MAX_MOLBLOCK_CHARS = 200_000
_SMILES_CHARS = frozenset(string.ascii_letters + string.digits + "@+-[]()=#$:/\\.%*&~>{}|,;!^_")
_MOLBLOCK_STRANGE = re.compile(r"[^\t\n\r -~\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # controls, surrogates

_CHIRALITIES = {
    Chem.ChiralType.CHI_UNSPECIFIED,
    Chem.ChiralType.CHI_TETRAHEDRAL_CW,
    Chem.ChiralType.CHI_TETRAHEDRAL_CCW,
}
_LOOKED_AT = 8  # combinations of open stereo, in the search for one that exists
_FEW, _FEWER = 10, 1  # attempts to embed one of them, and from random places, which long chains need
_LAST = 4  # attempts from random places where no combination was embedded so soon
_CAGE = Chem.MolFromSmarts("[*]12[*][*]([*]1)[*]2")  # bicyclo[1.1.1]pentane, a bridgehead first and third

Chem.SetDefaultPickleProperties(Chem.PropertyPickleOptions.AllProps)  # names and maps survive between processes
rdBase.LogToPythonLogger()  # so that a refusal can carry RDKit's own words
logging.getLogger("rdkit").propagate = False


def read_smiles(text: str, name: str = "") -> Chem.Mol:
    """Parse one SMILES.

    Args:
        text: SMILES without a title.
        name: The caller's name for the molecule.

    Returns:
        Sanitised molecule with explicit hydrogens and assigned stereo.

    Raises:
        MoleculeError: The text cannot be read, or `check_supported` refuses the molecule.
    """
    text = text.strip()
    if not text:
        raise MoleculeError("the SMILES is empty; give one molecule such as 'CCO'", reason="empty_input")
    if len(text) > MAX_SMILES_CHARS:
        raise MoleculeError(
            f"the SMILES has {len(text)} characters; at most {MAX_SMILES_CHARS} are read", reason="too_large"
        )
    if text.startswith("InChI="):
        raise MoleculeError("the text is an InChI; convert it to a SMILES first", reason="invalid_smiles")
    strange = sorted(set(text) - _SMILES_CHARS)
    if strange:
        shown = ", ".join(repr(c) for c in strange[:5])
        raise MoleculeError(
            f"the SMILES {_short(text)} contains {shown}; give one plain SMILES", reason="invalid_smiles"
        )
    parameters: Any = Chem.SmilesParserParams()
    parameters.removeHs = False
    parameters.allowCXSMILES = False
    return _prepare(_parse(lambda: Chem.MolFromSmiles(text, parameters), f"SMILES {_short(text)}"), name)


def read_molblock(text: str, name: str = "") -> Chem.Mol:
    """Parse one MDL mol block (V2000 or V3000); its stereo is taken from 3D, or else from wedges and parities.

    Raises:
        MoleculeError: As for `read_smiles`.
    """
    if len(text) > MAX_MOLBLOCK_CHARS:
        raise MoleculeError(
            f"the mol block has {len(text)} characters; at most {MAX_MOLBLOCK_CHARS} are read", reason="too_large"
        )
    strange = _MOLBLOCK_STRANGE.search(text)
    if strange is not None:
        raise MoleculeError(
            f"the mol block contains {strange.group()!r} at character {strange.start()}; only text in lines is read"
        )
    if "M  END" not in text:
        raise MoleculeError("the mol block has no 'M  END' line; give one complete V2000 or V3000 block")
    mol = _parse(lambda: Chem.MolFromMolBlock(text, sanitize=True, removeHs=False), "mol block")
    if mol.GetNumConformers() and mol.GetConformer().Is3D():
        Chem.AssignStereochemistryFrom3D(mol, replaceExistingTags=True)
    mol.RemoveAllConformers()
    return _prepare(mol, name)


def check_supported(mol: Chem.Mol) -> None:
    """Refuse what the model has no features for.

    Raises:
        MoleculeError: With the reason `unsupported_element`, `too_large`, `multiple_fragments`, `unsupported_charge`,
            `radical`, `unsupported_bond` or `query_atom`.
    """
    for atom in mol.GetAtoms():
        place = f"atom {atom.GetIdx()} ({atom.GetSymbol()})"
        if atom.HasQuery() or atom.GetAtomicNum() == 0:
            raise MoleculeError(f"{place} is a wildcard or query; name one element", reason="query_atom")
        if atom.GetAtomicNum() not in ELEMENT_CODE:
            raise MoleculeError(
                f"{place} is not supported; allowed elements: {', '.join(ELEMENTS)}", reason="unsupported_element"
            )
        if abs(atom.GetFormalCharge()) > MAX_FORMAL_CHARGE:
            raise MoleculeError(
                f"{place} has the charge {atom.GetFormalCharge():+d}; allowed: "
                f"-{MAX_FORMAL_CHARGE} to +{MAX_FORMAL_CHARGE}",
                reason="unsupported_charge",
            )
        if atom.GetChiralTag() not in _CHIRALITIES:
            raise MoleculeError(
                f"{place} has a {atom.GetChiralTag().name[4:].lower()} arrangement; only tetrahedral stereo is sampled",
                reason="unsupported_stereo",
            )
        if atom.GetNumRadicalElectrons():
            raise MoleculeError(f"{place} has an unpaired electron; give a closed-shell molecule", reason="radical")
    for bond in mol.GetBonds():
        if bond.GetBondType() not in BOND_CODE:
            raise MoleculeError(
                f"bond {bond.GetBeginAtomIdx()}-{bond.GetEndAtomIdx()} is {bond.GetBondType().name.lower()}; allowed: "
                "single, double, triple, aromatic",
                reason="unsupported_bond",
            )
    count = mol.GetNumAtoms() + sum(atom.GetTotalNumHs() for atom in mol.GetAtoms())
    if count > MAX_ATOMS:
        raise MoleculeError(
            f"the molecule has {count} atoms with hydrogens; at most {MAX_ATOMS} are sampled", reason="too_large"
        )
    fragments = Chem.GetMolFrags(mol)
    if len(fragments) > 1:
        sizes = ", ".join(str(len(f)) for f in fragments[:5])
        raise MoleculeError(
            f"the input has {len(fragments)} unconnected fragments (of {sizes} atoms); remove salts and solvents and "
            "send each part on its own",
            reason="multiple_fragments",
        )


def open_stereo(mol: Chem.Mol) -> list[str]:
    """Stereocentres and double bonds that the input leaves open, in words."""
    words = []
    for info in Chem.FindPotentialStereo(mol):
        if info.specified == Chem.StereoSpecified.Specified:
            continue
        if info.type == Chem.StereoType.Atom_Tetrahedral:
            atom = mol.GetAtomWithIdx(info.centeredOn)
            if atom.GetAtomicNum() != 7 or atom.GetFormalCharge() > 0:  # plain amines invert freely
                words.append(f"atom {info.centeredOn} ({atom.GetSymbol()})")
        elif info.type == Chem.StereoType.Bond_Double:
            bond = mol.GetBondWithIdx(info.centeredOn)
            words.append(f"bond {bond.GetBeginAtomIdx()}={bond.GetEndAtomIdx()}")
    return words


def build_molecules(mol: Chem.Mol, seed: int, enumerate_up_to: int = 1) -> list[Molecule]:
    """Fully specified molecules for one parsed input.

    Args:
        mol: From `read_smiles` or `read_molblock`.
        seed: Chooses the stereoisomer when the input leaves one open.
        enumerate_up_to: Above 1, all stereoisomers up to this many; one otherwise.

    Returns:
        One molecule per stereoisomer.  `notes` says what was left open and what was chosen.
    """
    name = mol.GetProp("_Name") if mol.HasProp("_Name") else ""
    words = open_stereo(mol)
    if not words:
        return [_finish(mol, name, ())]
    listed = ", ".join(words[:8]) + (", ..." if len(words) > 8 else "")
    isomers_of = _embedded_isomers if mol.HasSubstructMatch(_CAGE) else _isomers
    if enumerate_up_to <= 1:
        isomer = next(isomers_of(mol, 1, seed), None)
        if isomer is None:
            raise _impossible(listed)
        if canonical_smiles(isomer) == canonical_smiles(mol):
            return [_finish(isomer, name, ())]  # cages and allenes look open to RDKit and have one isomer
        note = f"stereo left open at {listed}: one stereoisomer was chosen by the seed; 'enumerate' gives all"
        return [_finish(isomer, name, (note,))]
    isomers = list(isomers_of(mol, enumerate_up_to + 1, seed))
    if not isomers:
        raise _impossible(listed)
    note = f"stereo left open at {listed}: stereoisomer"
    kept = isomers[:enumerate_up_to]
    more = f"; only the first {enumerate_up_to} are sampled" if len(isomers) > enumerate_up_to else ""
    return [_finish(m, name, (f"{note} {k + 1} of {len(kept)}{more}",)) for k, m in enumerate(kept)]


def _impossible(listed: str) -> MoleculeError:
    return MoleculeError(
        f"stereo is left open at {listed}, and no stereoisomer of it could be embedded; specify the stereo",
        reason="impossible_stereo",
    )


def canonical_smiles(mol: Chem.Mol) -> str:
    """Canonical isomeric SMILES without explicit hydrogens and atom maps."""
    plain = Chem.Mol(mol)
    for atom in plain.GetAtoms():
        atom.SetAtomMapNum(0)
    return Chem.MolToSmiles(Chem.RemoveHs(plain))


def _isomers(mol: Chem.Mol, limit: int, seed: int) -> Iterator[Chem.Mol]:
    """Distinct stereoisomers that keep what is specified and that RDKit can embed, in an order set by the seed.

    Without the embedding test, bridged rings would often get a combination that no structure in space has.
    """
    rng_seed = int(default_rng(seed % 2**63).integers(2**31 - 1))
    options: Any = StereoEnumerationOptions(onlyUnassigned=True, unique=True, rand=rng_seed)
    if limit > 1:
        options.tryEmbedding, options.maxIsomers = True, limit
        isomers = EnumerateStereoisomers(mol, options=options)
    else:
        options.maxIsomers = min(_LOOKED_AT, GetStereoisomerCount(mol, options) - 1)
        some = filter(_is_soon_embedded, EnumerateStereoisomers(mol, options=options))
        isomers = islice(chain(some, _embedded_isomers(mol, 1, seed)), 1)
    for isomer in isomers:
        Chem.AssignStereochemistry(isomer, cleanIt=True, force=True)
        yield isomer


def _is_soon_embedded(isomer: Chem.Mol) -> bool:
    """Whether RDKit finds a structure in a few attempts.

    By default it makes hundreds, which takes a second for each combination that no structure has, such as most of those
    of adamantane.
    """
    few = Chem.Mol(isomer)
    return EmbedMolecule(few, maxAttempts=_FEW, randomSeed=1) >= 0 or (
        EmbedMolecule(few, maxAttempts=_FEWER, randomSeed=1, useRandomCoords=True) >= 0
    )


def _embedded_isomers(mol: Chem.Mol, limit: int, seed: int) -> Iterator[Chem.Mol]:
    """Distinct stereoisomers that structures in space happen to be: where most combinations cannot be, as in cages.

    In bicyclo[1.1.1]pentanes RDKit takes the bridgeheads for stereocentres, and seconds later finds no structure with
    labels on them.  They are left without one, since the cage has only one arrangement.
    """
    rng, known = default_rng(seed % 2**63), set[str]()
    for _ in range(4 * limit):
        isomer = Chem.Mol(mol)
        chance = int(rng.integers(1, 2**31 - 1))
        if EmbedMolecule(isomer, randomSeed=chance) < 0 and (
            EmbedMolecule(isomer, maxAttempts=_LAST, randomSeed=chance, useRandomCoords=True) < 0
        ):
            return
        Chem.AssignStereochemistryFrom3D(isomer, replaceExistingTags=True)
        isomer.RemoveAllConformers()
        for match in isomer.GetSubstructMatches(_CAGE):
            for bridgehead in (match[0], match[2]):
                isomer.GetAtomWithIdx(bridgehead).SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
        Chem.AssignStereochemistry(isomer, cleanIt=True, force=True)
        smiles = canonical_smiles(isomer)
        if smiles not in known:
            known.add(smiles)
            yield isomer
        if len(known) == limit:
            return


def _finish(mol: Chem.Mol, name: str, notes: tuple[str, ...]) -> Molecule:
    return Molecule(name, mol, canonical_smiles(mol), build_features(mol), notes)


def _parse(read: Callable[[], Chem.Mol | None], what: str) -> Chem.Mol:
    """Run an RDKit reader; what it would log becomes the message of the error."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("rdkit")
    logger.addHandler(handler)
    try:
        mol = read()
    except (RuntimeError, ValueError) as error:  # RDKit raises a few of its invariants instead of returning None
        lines, mol = [str(error)], None
    finally:
        logger.removeHandler(handler)
    if mol is None:
        words = (re.sub(r"^\[[\d:]+\]", "", line).strip() for text in lines for line in text.splitlines())
        cause = next((w for w in words if w and w != "****" and not w.endswith("Violation")), "RDKit gives no reason")
        raise MoleculeError(f"the {what} cannot be read: {cause[:200]}", reason="unreadable")
    return mol


def _prepare(mol: Chem.Mol, name: str) -> Chem.Mol:
    """Check, add hydrogens with coordinates left out, assign stereo."""
    if mol.GetNumAtoms() == 0:
        raise MoleculeError("the input has no atoms", reason="empty_input")
    check_supported(mol)
    mol = Chem.RWMol(Chem.AddHs(mol))
    mol.SetStereoGroups([])  # would turn SDF into V3000
    Chem.ClearMolSubstanceGroups(mol)
    for atom in mol.GetAtoms():
        atom.ClearProp("molFileAlias")  # free text that SDF would repeat on a line of its own
    mol = mol.GetMol()
    maps = [atom.GetAtomMapNum() for atom in mol.GetAtoms()]
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)  # maps must not tell two equal neighbours apart
    Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
    for atom, number in zip(mol.GetAtoms(), maps, strict=True):
        atom.SetAtomMapNum(number)
    mol.SetProp("_Name", name)
    return mol


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
