"""XDATCAR and vasprun.xml, as VASP writes them."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase.io.vasp import write_vasp_xdatcar
from sample_trajectories import sample

from neuralmd.data import formats
from neuralmd.errors import DataError

CELL = np.array([[9.0, 0.0, 0.0], [0.5, 10.0, 0.0], [0.0, 0.5, 11.0]])


@pytest.fixture
def xdatcar(tmp_path):
    """A file by ASE, with positions in the cell."""
    from ase import Atoms

    motion = sample((40,), fields=()).positions + np.array([0.1, 5.0, 5.0])
    images = [Atoms("OHH", frame, cell=CELL, pbc=True) for frame in motion]
    for atoms in images:
        atoms.wrap()
    write_vasp_xdatcar(str(tmp_path / "XDATCAR"), images)
    return tmp_path / "XDATCAR", motion


def test_xdatcar(xdatcar):
    path, motion = xdatcar
    with pytest.raises(DataError, match="does not state its time step"):
        formats.read(path)
    read = formats.read(path, timestep=2.0)
    assert read.system.formula == "H2O"
    np.testing.assert_allclose(read.system.cell, CELL, atol=1e-6)
    # ASE's own reader gives the same, up to the images that are unwrapped here.
    theirs = np.array([atoms.positions for atoms in ase.io.read(path, index=":", format="vasp-xdatcar")])
    images = np.rint((read.positions - theirs) @ np.linalg.inv(CELL))
    np.testing.assert_allclose(read.positions, theirs + images @ CELL, atol=1e-6)
    np.testing.assert_allclose(np.diff(read.positions, axis=0), np.diff(motion, axis=0), atol=1e-6)
    with formats.open_reader(path, timestep=2.0) as reader:
        np.testing.assert_array_equal(reader.read(17, 23).positions, read.positions[17:23])


def test_xdatcar_with_a_header_before_each_frame(xdatcar):
    path, _ = xdatcar
    expected = formats.read(path, timestep=2.0).positions
    lines = path.read_text().splitlines(keepends=True)
    header, rest = "".join(lines[:7]), "".join(lines[7:])
    often = rest.replace("Direct configuration=", f"{header}Direct configuration=")
    path.write_text(often)
    np.testing.assert_array_equal(formats.read(path, timestep=2.0).positions, expected)
    first = often.index(header, len(header))
    path.write_text(often[:first] + often[first:].replace("11.00", "11.50", 1))
    with pytest.raises(DataError, match="the cell changes in frame 1"):
        formats.read(path, timestep=2.0)


def test_a_truncated_xdatcar(xdatcar):
    path, _ = xdatcar
    text = path.read_text()
    path.write_text(text[: len(text) - 60])
    with pytest.raises(DataError, match="truncated in frame 39"):
        formats.read(path, timestep=2.0)
    for broken in ("", "x\n" * 9, text[:120]):
        path.write_text(broken)
        with pytest.raises(DataError, match=r"XDATCAR"):
            formats.read(path, timestep=2.0)


VASPRUN = """<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <parameters>
  <separator name="ionic">
   <i type="int" name="IBRION">{ibrion}</i>
   <i name="POTIM">      1.50000000</i>
  </separator>
 </parameters>
 <kpoints><varray name="kpointlist"><v>0 0 0</v></varray><varray name="weights"><v>1</v></varray></kpoints>
 <atominfo>
  <atoms>3</atoms>
  <array name="atoms"><set><rc><c>O </c><c>1</c></rc><rc><c>H </c><c>2</c></rc><rc><c>H </c><c>2</c></rc></set></array>
 </atominfo>
 <structure name="initialpos">
  <crystal><varray name="basis"><v>10 0 0</v><v>0 10 0</v><v>0 0 10</v></varray></crystal>
  <varray name="positions"><v>0.5 0.5 0.5</v><v>0.57 0.5 0.5</v><v>0.5 0.59 0.5</v></varray>
 </structure>
{steps}
</modeling>
"""
STEP = """ <calculation>
  <structure>
   <crystal><varray name="basis"><v>10 0 0</v><v>0 10 0</v><v>0 0 10</v></varray></crystal>
   <varray name="positions"><v>{x} 0.5 0.5</v><v>0.57 0.5 0.5</v><v>0.5 0.59 0.5</v></varray>
  </structure>
  <varray name="forces"><v>0.1 0 0</v><v>0 0.2 0</v><v>0 0 {f}</v></varray>
  <scstep>
   <energy><i name="e_fr_energy">-14.2</i><i name="e_wo_entrp">-14.2</i><i name="e_0_energy">-14.2</i></energy>
  </scstep>
  <energy><i name="e_fr_energy">-14.2</i><i name="e_wo_entrp">-14.2</i><i name="e_0_energy">-14.2</i></energy>
 </calculation>
"""


def test_vasprun(tmp_path):
    path = tmp_path / "vasprun.xml"
    steps = "".join(STEP.format(x=0.50 + 0.001 * i, f=0.3 * i) for i in range(5))
    path.write_text(VASPRUN.format(ibrion=0, steps=steps))
    read = formats.read(path)
    assert read.timestep == 1.5
    assert read.system.formula == "H2O"
    assert read.velocities is None
    np.testing.assert_allclose(read.positions[:, 0, 0], 5.0 + 0.01 * np.arange(5))
    np.testing.assert_allclose(read.forces[:, 2, 2], 0.3 * np.arange(5))
    np.testing.assert_allclose(read.energies, -14.2)
    path.write_text(VASPRUN.format(ibrion=2, steps=steps))
    with pytest.raises(DataError, match="does not state its time step"):
        formats.read(path)
    with formats.open_reader(path, timestep=1.0) as reader:
        assert reader.notes == ()


def test_a_vasprun_that_breaks_off(tmp_path):
    path = tmp_path / "vasprun.xml"
    text = VASPRUN.format(ibrion=0, steps="".join(STEP.format(x=0.50 + 0.001 * i, f=0.3 * i) for i in range(5)))
    path.write_text(text[: text.rindex("<structure>")])
    with formats.open_reader(path) as reader:
        assert len(reader.read(0, reader.frames)) == 4
        assert "breaks off: its 4 whole frames are read" in reader.notes[0]
    path.write_text(text[:300])
    with pytest.raises(DataError, match=r"vasprun.xml cannot be read as a vasprun.xml"):
        formats.read(path)
