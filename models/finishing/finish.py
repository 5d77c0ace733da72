"""An ensemble as it was sampled to the ensemble that was asked for: relax, measure, narrow, prune, rank.

Axes: S conformers, N atoms.  Coordinates are in Å, energies in kcal/mol.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    "finish_failed": "the process that finishes ensembles failed; conformers are as sampled",
    "stopped": "the work was ended before finishing; conformers are as sampled",
}


@dataclass(frozen=True)
class Measured:
    """A conformer after the part of finishing that looks at it alone.

    Attributes:
        conformer: As it is now.
        problem: What could not be done, a key of `REASONS`; None if all was.
        fault: Of the relaxed structure that was rejected.
    """

    conformer: Conformer
    problem: str | None = None
    fault: str | None = None


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
    return select(ensemble, measure(ensemble.molecule, ensemble.conformers, options), options)


def measure(molecule: Molecule, conformers: Sequence[Conformer], options: FinishOptions) -> list[Measured]:
    """Steps 1 and 2 of `finish`, for any part of an ensemble: no conformer depends on another."""
    if options.method is None or not conformers:
        return [Measured(c) for c in conformers]
    if not mmff.has_parameters(molecule.mol):
        return [Measured(c, "no_mmff_parameters") for c in conformers]
    x = _stack(conformers)
    if options.relax is None:
        energies = mmff.energies(molecule.mol, x)
        return [Measured(replace(c, energy_kcal_mol=float(e))) for c, e in zip(conformers, energies, strict=True)]
    minima = mmff.relax(molecule.mol, x)
    moved = (minima.coordinates - minima.coordinates.mean(axis=1, keepdims=True)).astype(np.float32)
    faults = find_faults(molecule, geometry_limits(molecule), moved)
    bad = np.array([fault is not None for fault in faults])
    before = np.zeros(len(x))
    before[bad] = mmff.energies(molecule.mol, x[bad])
    measured = []
    for k, (conformer, fault) in enumerate(zip(conformers, faults, strict=True)):
        if fault is None:
            relaxed = replace(conformer, coordinates=moved[k], relaxed=True, energy_kcal_mol=float(minima.energies[k]))
            measured.append(Measured(relaxed, "not_converged" if minima.moving[k] else None))
        else:
            as_sampled = replace(conformer, energy_kcal_mol=float(before[k]))
            measured.append(Measured(as_sampled, "relaxation_rejected", fault))
    return measured


def select(ensemble: Ensemble, measured: Sequence[Measured], options: FinishOptions) -> Ensemble:
    """Steps 3 to 5 of `finish`, for all conformers together."""
    removed = list(ensemble.finishing.removed) if ensemble.finishing else []
    method = None if any(m.problem == "no_mmff_parameters" for m in measured) else options.method
    conformers = [m.conformer for m in measured]
    lowest = min(map(_energy, conformers)) if method else None
    if lowest is not None and options.energy_window is not None:
        kept = [c for c in conformers if _energy(c) - lowest <= options.energy_window]
        removed += _removed("energy_window", len(conformers) - len(kept), f"{options.energy_window:g} kcal/mol")
        conformers = kept
    ranked = sorted(conformers, key=lambda c: (_energy(c) if method else 0.0, c.index))
    if options.prune_rmsd is not None:
        kept = [ranked[k] for k in distinct(ensemble.molecule.mol, _stack(ranked), options.prune_rmsd)]
        removed += _removed("duplicate", len(ranked) - len(kept), f"{options.prune_rmsd:g} Å")
        ranked = kept
    if not options.rank:
        ranked = sorted(ranked, key=lambda c: c.index)
    relax = METHODS[options.relax] if options.relax else None
    finishing = Finishing(relax, method, lowest, tuple(removed), _problems(measured))
    return replace(ensemble, conformers=tuple(ranked), finishing=finishing)


def unfinished(ensemble: Ensemble, options: FinishOptions, reason: str) -> Ensemble:
    """The ensemble as it was sampled, with the reason why it was not finished, a key of `REASONS`."""
    if not options or not ensemble.conformers:
        return ensemble
    relax = METHODS[options.relax] if options.relax else None
    problem = Problem(reason, REASONS[reason], len(ensemble.conformers))
    return replace(ensemble, finishing=Finishing(relax, problems=(problem,)))


def _problems(measured: Sequence[Measured]) -> tuple[Problem, ...]:
    counts = Counter(m.problem for m in measured)
    faults = Counter(m.fault for m in measured if m.fault)
    words = {"relaxation_rejected": f" ({', '.join(f'{count} {fault}' for fault, count in faults.items())})"}
    return tuple(
        Problem(reason, detail + words.get(reason, ""), counts[reason])
        for reason, detail in REASONS.items()
        if counts[reason]
    )


def _removed(reason: str, count: int, limit: str) -> list[Problem]:
    details = {
        "energy_window": f"more than {limit} above the lowest conformer",
        "duplicate": f"closer than {limit} to a conformer that is kept",
    }
    return [Problem(reason, details[reason], count)] if count else []


def _energy(conformer: Conformer) -> float:
    assert conformer.energy_kcal_mol is not None  # asked only where there is a method
    return conformer.energy_kcal_mol


def _stack(conformers: Sequence[Conformer]) -> np.ndarray:
    return np.stack([c.coordinates for c in conformers])
