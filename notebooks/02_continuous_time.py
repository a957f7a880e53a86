# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2. Continuous time
#
# A neural ODE does not know frames. It has a *field*, the acceleration of every atom at any positions, and a
# *solver*, which follows the field from a known frame:
#
# ```text
# dx/dt = v        dv/dt = f(x)
#
# x→(t)   forward in time from the first known frame of a gap
# x←(t)   backward in time from the second one, with the same f
#
# x̂(t) = (1 − λ(t)) x→(t) + λ(t) x←(t)        λ(0) = 0, λ(gap) = 1
# ```
#
# So the path meets both frames, and can be asked for at any time between them.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

import neuralmd as nmd

plt.rcParams.update({"figure.constrained_layout.use": True, "axes.spines.top": False, "axes.spines.right": False})
FORWARD, BACKWARD, BLEND = "#dd8800", "#229977", "#004488"

fine = nmd.read(nmd.example("benzene"))
run = nmd.load(nmd.example("neural-ode"))
model = run.model
model

# %% [markdown]
# ## Any time
#
# A gap is two states, positions and velocities, and the time between them. This one begins at frame 60 and lasts 10
# fs. We ask for 501 times, where a file would have had 19.


# %%
def state(frame):
    """Positions [Å] and velocities [Å/fs] of a frame, as a batch of one."""
    x, v = fine.positions[frame], fine.velocities[frame]
    return nmd.PhaseState(torch.tensor(x[None]).float(), torch.tensor(v[None]).float())


anchors = nmd.Anchors(state(60), state(80), gap=10.0)
times = torch.linspace(0, anchors.gap, 501)
with torch.no_grad():
    path = model(anchors, times)
    forward, backward = model.solutions(anchors, times)
path

# %% [markdown]
# ## One C-H bond, from both sides
#
# What to see: above, all three lie on the truth (grey) to within the width of a line. Below, the errors: each
# solution is best near its own frame and drifts off, by a thousandth of an ångström at the other end. The blend takes
# from each what it knows best, and stays well below both in the middle of the gap.


# %%
def bond(positions, hydrogen=6):
    """Distance of a hydrogen atom from the carbon atom next to it [Å]; frames come first."""
    x = np.asarray(positions).reshape(-1, fine.system.atoms, 3)
    carbon = np.argmin(np.linalg.norm(x[0, :6] - x[0, hydrogen], axis=1))
    return np.linalg.norm(x[:, hydrogen] - x[:, carbon], axis=1)


true_times, truth = 0.5 * np.arange(21), fine.positions[60:81]
curves = {"forward": (forward, FORWARD), "backward": (backward, BACKWARD), "blend": (path, BLEND)}
figure, (upper, lower) = plt.subplots(2, 1, figsize=(8, 5), dpi=110, sharex=True, height_ratios=[1.3, 1])
upper.plot(true_times, bond(truth), "o", color="0.7", ms=7, label="hidden truth")
for name, (found, colour) in curves.items():
    upper.plot(times, bond(found.positions), color=colour, label=name)
    missed = np.abs(found.positions[::25, 0].numpy() - truth).mean(axis=(1, 2))
    lower.semilogy(true_times, np.where(missed > 1e-6, missed, np.nan), ".-", color=colour)
apart = (backward.positions - forward.positions)[:, 0].abs().mean(dim=(1, 2))
lower.semilogy(times, apart, color="0.6", ls="--", label="disagreement |x← − x→|, known without the truth")
upper.plot([0, 10], bond(truth)[[0, -1]], "o", color="black", ms=8, label="known frames")
upper.set_ylabel("C-H distance [Å]")
lower.set(xlabel="time after the first known frame [fs]", ylabel="mean error, all atoms [Å]")
upper.legend(ncol=5, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), fontsize=9)
lower.legend(frameon=False, fontsize=9, loc="lower center")
plt.show()

# %% [markdown]
# The dashed line is what a user can see without knowing the truth: how far the two solutions are from each other.
# From it come the error bars of notebook 6.
#
# ## Which λ?
#
# If the field errs like noise in the acceleration, the variance of a solution grows as the third power of time, and
# the mean of two independent estimates is best if each weighs as the inverse of its variance:
#
# ```text
# λ(s) = s³ / (s³ + (1 − s)³)        s = t / gap
# ```
#
# We take it and four others into the same 60 gaps.

# %%
from neuralmd.data.windows import Frames, cut
from neuralmd.interpolators.blending import CompactBlend, LinearBlend, QuinticBlend, SmoothstepBlend, blend

blends = {
    "linear": LinearBlend(),
    "smoothstep": SmoothstepBlend(),
    "quintic": QuinticBlend(),
    "power 3": nmd.PowerBlend(3),
    "compact": CompactBlend(),
}
frames = Frames.of(fine)
window = cut(frames, torch.arange(0, 1200, 20), 20, torch.float32)
with torch.no_grad():
    both = model.solutions(window.anchors, window.times)
    ends = model.solutions(window.anchors, torch.tensor([0.0, window.anchors.gap]))

s = torch.linspace(0, 1, 201)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 4), dpi=110)
for name, each in blends.items():
    (line,) = left.plot(s, each.weight(s))
    at = window.times / window.anchors.gap
    joined = blend(*both, each.weight(at), each.rate(at) / window.anchors.gap)
    error = (joined.positions - window.hidden).abs()
    seam = blend(*ends, each.weight(torch.tensor([0.0, 1.0])), each.rate(torch.tensor([0.0, 1.0])) / window.anchors.gap)
    jump = (seam.velocities[0, 1:] - seam.velocities[1, :-1]).square().mean().sqrt() / window.hidden_velocities.std()
    label = f"{name}: {1000 * error.mean():.2f} mÅ, velocity jump {100 * jump:.1f} %"
    right.semilogy(window.times, error.mean(dim=(1, 2, 3)), color=line.get_color(), label=label)
left.set(xlabel="s = t / gap", ylabel="λ(s)")
right.set(xlabel="time after the first known frame [fs]", ylabel="mean error [Å]")
figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncol=2, frameon=False, fontsize=9)
plt.show()

# %% [markdown]
# What to see: a straight line (blue) mixes in the far solution too early, and its slope does not vanish at the ends,
# so that the velocity jumps at every known frame, in % of its typical size. All smooth weights do nearly alike. The
# shipped model goes on from there with a correction that it has learned from the mismatch of its two solutions
# (notebook 6).
#
# ## Phase space
#
# The same bond, its velocity over its length. What to see: the known frames (black) come about once in a turn. The
# path through them closes into the loops that a C-H bond makes. Look closely and it has ripples of 1 or 2 %: velocity
# Verlet's velocities are central differences over its steps of 0.5 fs, a little less than the slope of the path
# between them. They are in the data too, which were made with the same steps.


# %%
def bond_rate(positions, velocities, hydrogen=6):
    """d/dt of the C-H distance [Å/fs]."""
    x, v = (np.asarray(each).reshape(-1, fine.system.atoms, 3) for each in (positions, velocities))
    carbon = np.argmin(np.linalg.norm(x[0, :6] - x[0, hydrogen], axis=1))
    along = x[:, hydrogen] - x[:, carbon]
    return ((v[:, hydrogen] - v[:, carbon]) * along).sum(axis=1) / np.linalg.norm(along, axis=1)


figure, axis = plt.subplots(figsize=(6.8, 4), dpi=110)
shown = slice(0, 121)
axis.plot(
    bond(fine.positions[shown]),
    bond_rate(fine.positions[shown], fine.velocities[shown]),
    "o",
    ms=4,
    color="0.75",
    label="hidden truth, 60 fs",
)
for first in range(0, 120, 20):
    here = nmd.Anchors(state(first), state(first + 20), gap=10.0)
    with torch.no_grad():
        through = model(here, times)
    label = "neural ODE" if first == 0 else None
    axis.plot(bond(through.positions), bond_rate(through.positions, through.velocities), color=BLEND, lw=1, label=label)
coarse = fine.slice(0, 121, 20)
axis.plot(
    bond(coarse.positions), bond_rate(coarse.positions, coarse.velocities), "o", color="black", label="known frames"
)
axis.set(xlabel="C-H distance [Å]", ylabel="its velocity [Å/fs]")
axis.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# ## Time reversal
#
# The field depends on positions only. Then the equation is the same for time running backward, and velocity Verlet
# keeps that symmetry to the last bit: go forward, turn round, and you are back where you started. A Runge-Kutta
# solver of the same step is more accurate over one gap, but leaves a little behind on every step of the way. In
# double precision:

# %%
from copy import deepcopy

from neuralmd.ode.solve import solve
from neuralmd.ode.solvers import RK4

field = deepcopy(model.field).double()
start = nmd.PhaseState(torch.tensor(fine.positions[:1]), torch.tensor(fine.velocities[:1]))
spans = [5.0, 10.0, 20.0, 40.0, 80.0]
figure, axis = plt.subplots(figsize=(6, 3.2), dpi=110)
for name, solver in {"velocity Verlet, 0.5 fs": nmd.VelocityVerlet(0.5), "Runge-Kutta 4, 0.5 fs": RK4(0.5)}.items():
    left = []
    for span in spans:
        with torch.no_grad():
            out = solve(field, start, torch.tensor([0.0, span], dtype=torch.float64), solver)
            turned = nmd.PhaseState(out.positions[-1], out.velocities[-1])
            back = solve(field, turned, torch.tensor([span, 0.0], dtype=torch.float64), solver)
        left.append(float((back.positions[-1] - start.positions).abs().max()))
    axis.loglog(spans, left, "o-", label=name)
axis.set(xlabel="forward by so many fs, and back [fs]", ylabel="farthest from the start [Å]")
axis.set_xticks(spans, [f"{span:g}" for span in spans])
axis.set_xticks([], minor=True)
axis.legend(frameon=False, fontsize=9)
plt.show()
