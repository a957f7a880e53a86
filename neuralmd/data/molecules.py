"""Starting structures: a molecule by its name, its SMILES, or a file."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Final

import numpy as np
from ase import Atoms

from neuralmd.errors import DataError

MD17: Final = {
    "benzene": "c1ccccc1",
    "uracil": "O=c1cc[nH]c(=O)[nH]1",
    "naphthalene": "c1ccc2ccccc2c1",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "salicylic acid": "OC(=O)c1ccccc1O",
    "malonaldehyde": r"O/C=C\C=O",
    "ethanol": "CCO",
    "toluene": "Cc1ccccc1",
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "azobenzene": "c1ccccc1/N=N/c1ccccc1",
}
"""The ten molecules of MD17 as SMILES. Malonaldehyde is the enol, Z, with its internal hydrogen bond; azobenzene is
trans."""

_IN_G2: Final = {"benzene": "C6H6", "ethanol": "CH3CH2OH"}
_SMILES_PREFIX: Final = "smiles:"
_CONFORMERS: Final = 20
_SEED: Final = 17


def molecule(name: str) -> Atoms:
    """The structure of a molecule, ready to be relaxed.

    Tried in this order: one of MD17's ten molecules (salicylic acid also with - or _ for the space), a name of ASE's G2
    set as H2O or CH3OH, a file that ASE reads (its last frame), a SMILES string, and at last a name of the G2 set in
    any case. A few G2 names are also valid SMILES of another molecule (CO, CN, NO): `smiles:CO` asks for methanol.

    SMILES become the conformer of lowest MMFF94 energy out of 20 from ETKDG, always with the same seed.

    Args:
        name: Name, path or SMILES.

    Returns:
        The atoms [A], with the initial charges and magnetic moments that give the total charge and spin, and what the
        molecule was called in `info["name"]`.

    Raises:
        DataError: If the name means nothing, a file cannot be read, or SMILES are given without RDKit.

    Reference:
        MD17: Chmiela et al., Sci. Adv. 3 (2017) e1603015, doi 10.1126/sciadv.1603015. G2: Curtiss et al., J. Chem.
        Phys. 106 (1997) 1063, doi 10.1063/1.473182. ETKDG: Riniker & Landrum, J. Chem. Inf. Model. 55 (2015) 2562, doi
        10.1021/acs.jcim.5b00654.
    """
    name = name.strip()
    atoms = _lookup(name)
    if len(atoms) < 2:
        raise DataError(f"a simulation needs a molecule of at least two atoms, but {name!r} has {len(atoms)}")
    if not np.isfinite(atoms.positions).all():
        raise DataError(f"{name!r} has positions that are not finite")
    atoms.calc = None
    atoms.info = {"name": name}
    return atoms


def _lookup(name: str) -> Atoms:
    from ase.build import molecule as g2_molecule

    key = " ".join(name.casefold().replace("-", " ").replace("_", " ").split())
    names = _g2_names()
    exact = _IN_G2.get(key, name)
    in_any_case = [known for known in names if known.casefold() == name.casefold()]
    smiles = name[len(_SMILES_PREFIX) :] if name.casefold().startswith(_SMILES_PREFIX) else MD17.get(key)
    if smiles is not None and key not in _IN_G2:
        return _from_smiles(smiles)
    if exact in names:
        return g2_molecule(exact)
    if _is_file(name):
        return _from_file(Path(name))
    if name and _is_smiles(name):
        return _from_smiles(name)
    if len(in_any_case) == 1:
        return g2_molecule(in_any_case[0])
    raise DataError(_unknown(name, [*MD17, *names]))


def _g2_names() -> list[str]:
    """The molecules of G2; its lone atoms are left out, so that C is methane, as in SMILES."""
    from ase.collections import g2

    return [name for name in g2.names if len(g2[name]) > 1]


def _unknown(name: str, names: list[str]) -> str:
    missing = " and there is no such file" if Path(name).suffix else ""
    by_case = {known.casefold(): known for known in names}
    near = [by_case[match] for match in difflib.get_close_matches(name.casefold(), by_case, n=3)]
    nearest = f": did you mean {' or '.join(near)}?" if near else "."
    smiles = "SMILES" if _has_rdkit() else "SMILES (these need RDKit: pip install neuralmd[simulate])"
    shown = name if len(name) <= 60 else f"{name[:57]}..."
    return (
        f"no molecule is known as {shown!r}{missing}{nearest} Give a name of MD17 or G2, {smiles}, or a structure file"
    )


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # SMILES can be longer than a file name may be
        return False


def _from_file(path: Path) -> Atoms:
    from ase.io import read
    from ase.io.formats import UnknownFileTypeError

    unreadable = (OSError, ValueError, KeyError, IndexError, TypeError, StopIteration, AttributeError, ImportError)
    try:
        atoms = read(path, index=-1)
    except (UnknownFileTypeError, *unreadable) as error:
        raise DataError(f"{path} is not a structure file that ASE can read: {error or type(error).__name__}") from error
    if not isinstance(atoms, Atoms):
        raise DataError(f"{path} holds no structure")
    return atoms


def _has_rdkit() -> bool:
    from importlib.util import find_spec

    return find_spec("rdkit") is not None


def _is_smiles(text: str) -> bool:
    if not _has_rdkit():
        return False
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(text) is not None


def _from_smiles(smiles: str) -> Atoms:
    if not _has_rdkit():
        raise DataError(f"{smiles!r} is built with RDKit, which is not installed: pip install neuralmd[simulate]")
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDistGeom

    with rdBase.BlockLogs():
        parsed = Chem.MolFromSmiles(smiles)
        if parsed is None or parsed.GetNumAtoms() == 0:
            raise DataError(f"{smiles!r} is not valid SMILES")
        if len(Chem.GetMolFrags(parsed)) > 1:
            raise DataError(f"{smiles!r} is more than one molecule: place them yourself and give a structure file")
        built = Chem.AddHs(parsed)
        settings = rdDistGeom.ETKDGv3()
        settings.randomSeed = _SEED
        conformers = list(rdDistGeom.EmbedMultipleConfs(built, _CONFORMERS, settings))
        if not conformers:
            settings.useRandomCoords = True
            conformers = list(rdDistGeom.EmbedMultipleConfs(built, _CONFORMERS, settings))
        if not conformers:
            raise DataError(f"RDKit found no three-dimensional structure for {smiles!r}: give a structure file")
        positions = built.GetConformer(conformers[_lowest(built)]).GetPositions()
    nuclei = list(built.GetAtoms())
    return Atoms(
        numbers=[atom.GetAtomicNum() for atom in nuclei],
        positions=positions,
        charges=[atom.GetFormalCharge() for atom in nuclei],
        magmoms=[atom.GetNumRadicalElectrons() for atom in nuclei],
    )


def _lowest(built: object) -> int:
    """Relax all conformers in place with MMFF94, or UFF where it lacks parameters, and choose the lowest in energy."""
    from rdkit.Chem import rdForceFieldHelpers

    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(built):
        results = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(built, numThreads=1, maxIters=2000)
    elif rdForceFieldHelpers.UFFHasAllMoleculeParams(built):
        results = rdForceFieldHelpers.UFFOptimizeMoleculeConfs(built, numThreads=1, maxIters=2000)
    else:
        return 0
    return int(np.argmin([energy for _, energy in results]))
