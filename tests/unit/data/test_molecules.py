from __future__ import annotations

import importlib.util
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest

from neuralmd.data.molecules import MD17, molecule
from neuralmd.errors import DataError

FORMULAS = {
    "benzene": "C6H6",
    "uracil": "C4H4N2O2",
    "naphthalene": "C10H8",
    "aspirin": "C9H8O4",
    "salicylic acid": "C7H6O3",
    "malonaldehyde": "C3H4O2",
    "ethanol": "C2H6O",
    "toluene": "C7H8",
    "paracetamol": "C8H9NO2",
    "azobenzene": "C12H10N2",
}


def test_all_of_md17_are_known() -> None:
    assert set(FORMULAS) == set(MD17)


@pytest.mark.parametrize("name", FORMULAS)
def test_md17_has_the_right_atoms_in_a_sound_shape(name: str) -> None:
    atoms = molecule(name)
    distances = atoms.get_all_distances() + 10 * np.eye(len(atoms))
    assert atoms.get_chemical_formula() == FORMULAS[name]
    assert 0.9 < distances.min() < 1.12
    assert distances.min(axis=0).max() < 1.6
    assert atoms.info["name"] == name


@pytest.mark.parametrize("name", ["salicylic-acid", "salicylic_acid", " Salicylic  Acid "])
def test_spellings_of_salicylic_acid(name: str) -> None:
    assert np.array_equal(molecule(name).positions, molecule("salicylic acid").positions)


def test_malonaldehyde_is_the_enol_with_its_hydrogen_bond() -> None:
    atoms = molecule("malonaldehyde")
    oxygens = [atom.index for atom in atoms if atom.symbol == "O"]
    hydrogens = [atom.index for atom in atoms if atom.symbol == "H"]
    to_hydrogens = np.sort(atoms.get_all_distances()[np.ix_(oxygens, hydrogens)].min(axis=1))
    (shared,) = [h for h in hydrogens if all(atoms.get_distance(o, h) < 2.0 for o in oxygens)]
    assert to_hydrogens[0] < 1.05
    assert atoms[shared].symbol == "H"


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("H2O", "H2O"),
        ("h2o", "H2O"),
        ("CH3OH", "CH4O"),
        ("ch3ch2oh", "C2H6O"),
        ("CO", "CO"),
        ("smiles:CO", "CH4O"),
        ("C", "CH4"),
        ("CC(=O)N", "C2H5NO"),
    ],
)
def test_g2_and_smiles(name: str, formula: str) -> None:
    assert molecule(name).get_chemical_formula() == formula


def test_smiles_give_the_same_structure_each_time() -> None:
    assert np.array_equal(molecule("CC(=O)NC").positions, molecule("CC(=O)NC").positions)


@pytest.mark.parametrize(
    ("name", "charge", "unpaired"), [("[NH4+]", 1, 0), ("[CH3]", 0, 1), ("CH3", 0, 1), ("C", 0, 0)]
)
def test_charge_and_spin_are_kept(name: str, charge: int, unpaired: int) -> None:
    atoms = molecule(name)
    assert atoms.get_initial_charges().sum() == charge
    assert atoms.get_initial_magnetic_moments().sum() == pytest.approx(unpaired)


def test_last_frame_of_a_file(tmp_path: Path) -> None:
    first, last = ase.build.molecule("CH4"), ase.build.molecule("CH4")
    last.positions += 1.0
    ase.io.write(tmp_path / "methane.xyz", [first, last])
    read = molecule(str(tmp_path / "methane.xyz"))
    assert np.allclose(read.positions, last.positions)
    assert read.calc is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bezene", "did you mean benzene"),
        ("asprin", "did you mean aspirin?"),
        ("", "no molecule is known as ''"),
        ("C1CC", "no molecule is known"),
        ("missing.xyz", "there is no such file"),
        ("q" * 5000, r"qqq\.\.\."),
        ("a\0b", "no molecule is known"),
        ("smiles:C1CC", "not valid SMILES"),
        ("O.O", "more than one molecule"),
        ("[He]", "at least two atoms"),
    ],
)
def test_what_is_not_a_molecule_is_refused_in_one_line(name: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected) as refusal:
        molecule(name)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("content", ["", "junk", "3\n\nH 0 0\n", "2\n\nH 0 0 nan\nH 0 0 1\n"])
def test_damaged_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "damaged.xyz"
    path.write_text(content)
    with pytest.raises(DataError, match=r"damaged\.xyz"):
        molecule(str(path))


def test_without_rdkit_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "rdkit" else found(name))
    for name in ("aspirin", "CC(=O)N"):
        with pytest.raises(DataError, match=r"pip install neuralmd\[simulate\]"):
            molecule(name)
    assert len(molecule("benzene")) == 12
