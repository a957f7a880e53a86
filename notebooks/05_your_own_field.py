# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5. Your own field
#
# A field is all that neuralmd needs to know of a molecule: the acceleration of every atom, given positions (and
# velocities, if it wants them). Solvers, both directions, λ, training and evaluation work with any field. Here we
# write one in twenty lines, train it for a minute, and take the forces of an ASE calculator as another.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import neuralmd as nmd
from neuralmd.data.windows import Frames, derivative_samples, split
from neuralmd.fields.base import Field

plt.rcParams.update({"figure.constrained_layout.use": True, "axes.spines.top": False, "axes.spines.right": False})
torch.manual_seed(0)

fine = nmd.read(nmd.example("benzene"))
frames = Frames.of(fine)
parts = split(fine.segments, train=0.7, validation=0.1)
print({name: part.frames for name, part in vars(parts).items()})

# %% [markdown]
# ## Twenty lines
#
# The simplest forces that chemistry knows: each two atoms pull or push each other along the line between them, by a
# strength that depends on their distance and their elements.
#
# ```text
# aᵢ = 1/mᵢ Σⱼ g(rᵢⱼ) (xᵢ − xⱼ) / rᵢⱼ
# ```
#
# g is a small network for each pair of elements, on Gaussians of the distance. It turns with the molecule, does not
# care for the names of like atoms, and obeys Newton's third law. It has no angles and no torsions but those that
# distances give.


# %%
class PairField(Field):
    """Forces along the lines between atoms, by a learned function of the distance."""

    def __init__(self, system, gaussians=24, width=32):
        super().__init__()
        elements, species = np.unique(system.atomic_numbers, return_inverse=True)
        low, high = np.minimum.outer(species, species), np.maximum.outer(species, species)
        self.pair = torch.tensor(low * len(elements) + high)  # the same number for C-H and H-C
        self.mass = torch.tensor(system.masses, dtype=torch.float32)[:, None]
        self.centres = torch.linspace(0.8, 5.5, gaussians)
        self.inner = nn.Parameter(torch.randn(len(elements) ** 2, gaussians, width) / gaussians**0.5)
        self.outer = nn.Parameter(torch.randn(len(elements) ** 2, width) / width**0.5)

    def forward(self, state):
        apart = state.positions[:, :, None] - state.positions[:, None]  # batch, atoms, atoms, 3
        distance = (apart.square().sum(-1) + torch.eye(len(self.mass))).sqrt()
        features = torch.exp(-(((distance[..., None] - self.centres) / 0.25) ** 2))
        hidden = torch.tanh(torch.einsum("bijg,ijgw->bijw", features, self.inner[self.pair]))
        strength = (hidden * self.outer[self.pair]).sum(-1) / distance
        return (strength[..., None] * apart).sum(2) / self.mass


field = PairField(fine.system)
field

# %% [markdown]
# ## A minute of training
#
# No equation is solved. Frames of a Verlet integrator hold their own accelerations, as second differences,
#
# ```text
# a(t) = (x(t + dt) − 2 x(t) + x(t − dt)) / dt²
# ```
#
# and the field is fitted to them, less what a thermostat adds along the velocities (notebook 6). `DerivativeMatching`
# is that objective; the rest is any PyTorch training. (A file's worth of settings does the same for the fields that
# neuralmd has: `nmd.train`.)

# %%
from neuralmd.progress import progress
from neuralmd.training.objectives import DerivativeMatching, DerivativeSettings, project_out_velocity

STEPS = 3000
samples = derivative_samples(frames, parts.train)
objective = DerivativeMatching(field, samples, fine.system, project_out_velocity, DerivativeSettings(batch_size=16))
optimizer = torch.optim.Adam(field.parameters(), lr=1e-2)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=STEPS)
generator = torch.Generator().manual_seed(0)
losses = []
with progress("train", STEPS) as advance:
    for step in range(STEPS):
        loss = objective(objective.draw(generator, step / STEPS))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        advance(step + 1)
print(f"error of the accelerations: {100 * np.mean(losses[-200:]) ** 0.5:.1f} % of their size")

# %% [markdown]
# What it has learned, as a chemist reads it: the force between two atoms over their distance, at the distances that
# occur. What to see: bound atoms, the left branch for C-C and for C-H, are on a steep spring, which pulls the more
# the longer the bond is. It does not push even where the bond is short: the atoms beyond do that, and the natural
# length is the balance. Pair forces have to make angles out of distances, so their numbers are no bond energies.

# %%
x = fine.positions[::10]
pairs = np.linalg.norm(x[:, :, None] - x[:, None], axis=-1)
symbols = np.array(fine.system.symbols)
figure, axes = plt.subplots(1, 3, figsize=(10, 3), dpi=110)
for axis, (first, second) in zip(axes, [("C", "C"), ("C", "H"), ("H", "H")], strict=True):
    i, j = np.argwhere((symbols[:, None] == first) & (symbols[None] == second))[1]
    seen = pairs[:, symbols == first][:, :, symbols == second]
    seen = seen[seen > 0]
    counts, edges = np.histogram(seen, bins=150)
    r = torch.tensor((edges[1:] + edges[:-1]) / 2, dtype=torch.float32)
    with torch.no_grad():
        features = torch.exp(-(((r[:, None] - field.centres) / 0.25) ** 2))
        force = torch.tanh(features @ field.inner[field.pair[i, j]]) @ field.outer[field.pair[i, j]]
    # 1 amu Å/fs² is 103.64 eV/Å
    axis.plot(r, np.where(counts > 0.01 * counts.max(), 103.64 * force, np.nan), ".-", ms=3, color="#004488")
    axis.axhline(0, color="0.8", zorder=0)
    axis.set(title=f"{first}-{second}", xlabel="distance [Å]")
axes[0].set_ylabel("force, + pushes apart [eV/Å]")
plt.show()

# %% [markdown]
# ## From a field to a method
#
# Three objects make an interpolator of it: the field, a solver, λ. The accelerations need not be perfect: both ends
# of a gap are known.
#
# ## An ASE calculator as field
#
# `CalculatorField` takes the forces of any ASE calculator: xTB, MACE, a classical force field. It has no weights and
# needs no training. With GFN2-xTB, which made the data, it is the *oracle*: the exact forces. (It needs `pip install
# 'neuralmd[simulate]'`. Another one would be `CalculatorField(system, MyCalculator())`.)

# %%
from neuralmd.data.engines import single_thread
from neuralmd.fields.calculator import CalculatorField

calculator = nmd.calculator("gfn2-xtb")  # any ASE calculator
exact = CalculatorField(fine.system, calculator, single_thread)


def method(field):
    """The bidirectional neural ODE with a field."""
    return nmd.BidirectionalODE(field, nmd.VelocityVerlet(0.5), nmd.PowerBlend(3)).eval()


contest = {
    "pair field, a minute": method(field),
    "equivariant field, ten minutes": method(nmd.load(nmd.example("neural-ode")).model.field),
    "GFN2-xTB, exact forces": method(exact),
}
contest["pair field, a minute"]

# %% [markdown]
# ## Compared
#
# On gaps of 10 fs of the last frames, which the pair field has not seen either; the oracle takes long, so there are
# only six. (The equivariant field does a little better with its learned correction, which is left out here.)

# %%
from neuralmd.evaluation.metrics import hidden_frame_errors
from neuralmd.interpolators.splines import CubicHermite

starts = parts.test.starts(20, spacing=20)[:6]
errors = {
    name: hidden_frame_errors(each, frames, starts, 20)
    for name, each in {"cubic Hermite spline": CubicHermite(), **contest}.items()
}
colours = ["#cc6677", "#ee7733", "#004488", "black"]
figure, axis = plt.subplots(figsize=(7.5, 3.4), dpi=110)
for (name, found), colour in zip(errors.items(), colours, strict=True):
    label = f"{name}: {1000 * found.mae:.2f} mÅ"
    axis.semilogy(0.5 * np.arange(1, 20), found.mae_per_position, color=colour, lw=1.6, label=label)
axis.set(
    xlabel="time after the first known frame [fs]", ylabel="mean absolute error [Å]", xlim=(0, 10), ylim=(1e-5, None)
)
axis.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# What to see: even springs between all pairs of atoms, learned in a minute with an error of a quarter, halve what a
# spline misses, because they move as the molecule moves. The equivariant field sees angles too, and is as good as the
# exact forces. Why those are not better still is the subject of the next notebook.
#
# To make a field part of neuralmd, with a configuration and tests of its own, see *Contributing* in the
# documentation.
