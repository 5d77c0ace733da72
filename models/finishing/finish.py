"""An ensemble as it was sampled to the ensemble that was asked for: relax, measure, narrow, prune, rank.

Axes: S conformers, N atoms.  Coordinates are in Å, energies in kcal/mol.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.data import mmff
from models.data.verify import find_faults, geometry_limits
from models.finishing.options import METHODS, FinishOptions
from models.finishing.prune import distinct
from models.structure import Conformer, Ensemble, Finishing, Molecule, Problem

REASONS = {
    "no_mmff_parameters": "MMFF94s has no parameters for an atom of this molecule; conformers are as sampled, without "
    "energies",
    "relaxation_rejected": "the relaxed structure failed its checks, and the sampled one was put back",
    "not_converged": f"the energy was still falling after {mmff.MAX_ITERATIONS} iterations",
    "finish_timeout": "finishing took too long and was ended; conformers are as sampled",
    "finish_failed": "the process that finishes ensembles ended; conformers are as sampled",
    "stopped": "the time of the request was up before finishing; conformers are as sampled",
}


def finish(ensemble: Ensemble, options: FinishOptions) -> Ensemble:
    """Finish one ensemble, in this order; each step only where it is asked for.

    1. Relax every conformer and check it again as after sampling.  One that fails is put back as it was sampled, which
       is a checked structure of the molecule that was asked for, with `relaxed` false.
    2. Energies, always of the coordinates beside them.  Those put back have theirs, so they rank where they belong.
    3. Leave out what lies above the energy window, counted from the lowest conformer.
    4. Leave out duplicates: the lowest of each group stays, or the first in seed order without energies.
    5. Rank by energy; equal energies stay in seed order.

    Every conformer keeps its index and seed, so it can be made again.  What is left out is counted in
    `finishing.removed`, what could not be done in `finishing.problems`.  A molecule that the force field does not know
    keeps its conformers as they were sampled, pruned if that was asked for.

    Args:
        ensemble: From `generate`.
        options: What to do.

    Returns:
        The finished ensemble; the same one if there is nothing to do.
    """
    if not options or not ensemble.conformers:
        return ensemble
    molecule, conformers = ensemble.molecule, list(ensemble.conformers)
    method, problems = options.method, list[Problem]()
    removed = list(ensemble.finishing.removed) if ensemble.finishing else []
    if method and not mmff.has_parameters(molecule.mol):
        problems.append(_problem("no_mmff_parameters", len(conformers)))
        method = None
    if method:
        conformers, problems = _measured(molecule, conformers, relax=options.relax is not None)
    lowest = min(map(_energy, conformers)) if method else None
    if lowest is not None and options.energy_window is not None:
        kept = [c for c in conformers if _energy(c) - lowest <= options.energy_window]
        removed += _removed("energy_window", len(conformers) - len(kept), f"{options.energy_window:g} kcal/mol")
        conformers = kept
    ranked = sorted(conformers, key=lambda c: (_energy(c), c.index)) if method else conformers
    if options.prune_rmsd is not None:
        kept = [ranked[k] for k in distinct(molecule.mol, _stack(ranked), options.prune_rmsd)]
        removed += _removed("duplicate", len(ranked) - len(kept), f"{options.prune_rmsd:g} Å")
        ranked = kept
    if not options.rank:
        ranked = sorted(ranked, key=lambda c: c.index)
    relax = METHODS[options.relax] if options.relax else None
    return replace(
        ensemble,
        conformers=tuple(ranked),
        finishing=Finishing(relax, method, lowest, tuple(removed), tuple(problems)),
    )


def unfinished(ensemble: Ensemble, options: FinishOptions, reason: str) -> Ensemble:
    """The ensemble as it was sampled, with the reason why it was not finished, a key of `REASONS`."""
    if not options or not ensemble.conformers:
        return ensemble
    relax = METHODS[options.relax] if options.relax else None
    problem = _problem(reason, len(ensemble.conformers))
    return replace(ensemble, finishing=Finishing(relax, problems=(problem,)))


def _measured(
    molecule: Molecule, conformers: Sequence[Conformer], relax: bool
) -> tuple[list[Conformer], list[Problem]]:
    """The conformers with their energies, relaxed and checked if asked for."""
    x = _stack(conformers)
    if not relax:
        energies = mmff.energies(molecule.mol, x)
        return [replace(c, energy_kcal_mol=float(e)) for c, e in zip(conformers, energies, strict=True)], []
    minima = mmff.relax(molecule.mol, x)
    moved = (minima.coordinates - minima.coordinates.mean(axis=1, keepdims=True)).astype(np.float32)
    faults = find_faults(molecule, geometry_limits(molecule), moved)
    bad = np.array([fault is not None for fault in faults])
    energies = minima.energies.copy()
    energies[bad] = mmff.energies(molecule.mol, x[bad])
    problems = []
    if bad.any():
        words = ", ".join(f"{count} {fault}" for fault, count in Counter(f for f in faults if f).items())
        problems.append(_problem("relaxation_rejected", int(bad.sum()), words))
    if (minima.moving & ~bad).any():
        problems.append(_problem("not_converged", int((minima.moving & ~bad).sum())))
    return [
        replace(c, coordinates=c.coordinates if failed else new, relaxed=not failed, energy_kcal_mol=float(energy))
        for c, new, failed, energy in zip(conformers, moved, bad.tolist(), energies, strict=True)
    ], problems


def _energy(conformer: Conformer) -> float:
    assert conformer.energy_kcal_mol is not None  # called only after `_measured`
    return conformer.energy_kcal_mol


def _stack(conformers: Sequence[Conformer]) -> np.ndarray:
    return np.stack([c.coordinates for c in conformers])


def _problem(reason: str, count: int, words: str = "") -> Problem:
    return Problem(reason, REASONS[reason] + (f" ({words})" if words else ""), count)


def _removed(reason: str, count: int, limit: str) -> list[Problem]:
    details = {
        "energy_window": f"more than {limit} above the lowest conformer",
        "duplicate": f"closer than {limit} to a conformer that is kept",
    }
    return [Problem(reason, details[reason], count)] if count else []
