# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1. Quickstart: a coarse trajectory in, a fine one out
#
# A simulation of benzene was stored every 10 fs. A C-H bond needs 11 fs for one whole vibration, so nearly all of its
# motion is lost. neuralmd has learned how benzene moves, and fills in the 19 frames between each two that were kept.

# %%
import matplotlib.pyplot as plt
import numpy as np

import neuralmd as nmd

plt.rcParams.update({"figure.constrained_layout.use": True, "axes.spines.top": False, "axes.spines.right": False})

# %% [markdown]
# ## Ten lines
#
# `nmd.example` names files that come with neuralmd: 1 ps of benzene (GFN2-xTB, 500 K) with a frame every 0.5 fs, and
# a neural ODE that ten minutes of training on another stretch of that simulation have given. To see how well it does,
# we keep every 20th frame, hide the rest, and rebuild it.

# %%
fine = nmd.read(nmd.example("benzene"))
coarse = fine.slice(0, 801, 20)
coarse

# %%
run = nmd.load(nmd.example("neural-ode"))
rebuilt = nmd.rebuild(coarse, run)
rebuilt

# %% [markdown]
# That is all. `rebuilt` has the coarse frames, unchanged, and 19 new ones in every gap, with velocities.
#
# ## Is it right?
#
# The mean absolute error over the *hidden* frames, in mÅ (1 mÅ = 0.001 Å), beside what a cubic Hermite spline makes
# of the same positions and velocities.

# %%
from neuralmd.interpolators.splines import CubicHermite

splined = nmd.rebuild(coarse, CubicHermite(), stride=20)
truth = fine.slice(0, 801)
hidden = np.arange(801) % 20 != 0

for name, made in {"cubic Hermite spline": splined, "neural ODE": rebuilt}.items():
    error = np.abs(made.positions - truth.positions)[hidden].mean()
    print(f"{name:22s} {1000 * error:6.2f} mÅ")
print(f"the motion itself      {1000 * truth.positions.std(axis=0).mean():6.2f} mÅ (standard deviation)")

# %% [markdown]
# ## A C-H bond through four gaps
#
# What to see: between two known frames (black) the bond goes through almost one whole period. The spline knows
# nothing of it and cuts straight through; the neural ODE lies on the hidden truth (grey).


# %%
def bond(trajectory, hydrogen=6):
    """Distance of a hydrogen atom from the carbon atom next to it [Å]."""
    x = trajectory.positions
    carbon = np.argmin(np.linalg.norm(x[0, :6] - x[0, hydrogen], axis=1))
    return np.linalg.norm(x[:, hydrogen] - x[:, carbon], axis=1)


time = 0.5 * np.arange(81)
figure, axis = plt.subplots(figsize=(8, 3.2), dpi=110)
axis.plot(time, bond(truth)[:81], color="0.8", lw=6, label="truth")
axis.plot(time, bond(splined)[:81], color="#cc6677", label="cubic Hermite spline")
axis.plot(time, bond(rebuilt)[:81], color="#004488", label="neural ODE")
axis.plot(time[::20], bond(truth)[:81:20], "o", color="black", label="known frames")
axis.set(xlabel="time [fs]", ylabel="C-H distance [Å]")
axis.legend(ncol=4, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), fontsize=9)
plt.show()

# %% [markdown]
# ## Look at it
#
# Drag to turn, press the button to play. Colours tell how far each rebuilt atom is from the truth, known frames are
# grey; the view opens at the frame with the largest error. Draw the errors 200 times larger to see them at all: the
# thin grey molecule is the truth. (A page that does not run scripts, such as a code host's, shows nothing here: see the
# picture below, or run the notebook.)

# %%
nmd.view(rebuilt.slice(0, 401), beside=fine.slice(0, 401), stride=20)

# %% [markdown]
# The same without scripts: the molecule from above, with what its atoms do in 100 fs. Black dots are the known
# frames, blue lines what was rebuilt between them.

# %%
x = rebuilt.positions[:201]
_, _, axes = np.linalg.svd(x[0] - x[0].mean(axis=0))  # the plane of the ring
flat = (x - x.mean(axis=(0, 1))) @ axes.T[:, :2]
figure, axis = plt.subplots(figsize=(4.8, 4.8), dpi=110)
for atom, mean in enumerate(flat.mean(axis=0)):
    near = np.linalg.norm(flat.mean(axis=0) - mean, axis=1) < 1.6
    for other in flat.mean(axis=0)[near]:
        axis.plot(*zip(mean, other, strict=True), color="0.9", lw=5, zorder=0)
    axis.plot(*flat[:, atom].T, color="#004488", lw=0.8)
    axis.plot(*flat[::20, atom].T, ".", ms=4, color="black")
axis.set_aspect("equal")
axis.axis("off")
plt.show()

# %% [markdown]
# ## Your own
#
# A trajectory comes from a file of any common format (`nmd.read("run.xtc", ...)`), from ASE, or from MDAnalysis:
#
# - `nmd.trajectory(frames, timestep=10.0)` for a list of ASE's `Atoms`,
# - `nmd.trajectory(universe)` for an MDAnalysis `Universe`,
#
# and `nmd.rebuild` takes each of them as it is. `nmd.write` writes the result. A model of your molecule needs a short
# fine trajectory of it, some 5 ps, and about ten minutes; `neuralmd demo` shows all steps, and the page *Your own
# trajectory* of the documentation explains them.

# %%
import tempfile
from pathlib import Path

import ase.io

folder = Path(tempfile.mkdtemp())
nmd.write(coarse, folder / "coarse.traj")  # any program that writes for ASE could have made it
frames = ase.io.read(folder / "coarse.traj", ":")
nmd.write(nmd.rebuild(frames, run), folder / "fine.extxyz")
nmd.read(folder / "fine.extxyz")
