# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6. The thermostat
#
# Exact forces do not rebuild a thermostatted trajectory exactly. The thermostat kicks the molecule at every step, by
# random numbers that no one has stored. This notebook shows what that noise does to an interpolator, and three ways
# to live with it: not to learn it, to infer it, and to say how much it may matter.
#
# Stochastic velocity rescaling, as most thermostats do, multiplies *all* velocities by one number before each step:
#
# ```text
# v ← α(t) v        or, as an acceleration        a(t) = F(x)/m + c(t) v,   c = (α − 1) / dt
# ```

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

import neuralmd as nmd
from neuralmd.data.engines import single_thread
from neuralmd.data.windows import Frames, Part, cut, derivative_samples
from neuralmd.fields.calculator import CalculatorField

plt.rcParams.update({"figure.constrained_layout.use": True, "axes.spines.top": False, "axes.spines.right": False})
LEARNED, ORACLE = "#004488", "0.7"

fine = nmd.read(nmd.example("benzene"))
frames = Frames.of(fine)
masses = torch.tensor(fine.system.masses)[:, None]
model = nmd.load(nmd.example("neural-ode")).model
exact = CalculatorField(fine.system, nmd.calculator("gfn2-xtb"), single_thread)  # the engine that made the data

# %% [markdown]
# ## What the noise looks like
#
# The second difference of three frames is their acceleration. We take the exact forces off: what remains is the
# thermostat. Its part along the velocities is one number c for each frame; nothing should be left beside it.

# %%
samples = derivative_samples(frames, Part((range(122),)))
with torch.no_grad():
    residual = samples.accelerations - exact(nmd.PhaseState(samples.positions, samples.velocities))
momenta = masses * samples.velocities
c = (residual * momenta).sum((1, 2)) / (samples.velocities * momenta).sum((1, 2))
left_over = residual - c[:, None, None] * samples.velocities


def size(vectors):
    """Root mean square."""
    return float(vectors.square().mean().sqrt())


print(f"the thermostat is {100 * size(residual) / size(samples.accelerations):.2f} % of the acceleration")
print(f"beside the velocities, {100 * size(left_over) / size(samples.accelerations):.3f} % is left")

# %%
figure, axis = plt.subplots(figsize=(8, 2.6), dpi=110)
axis.bar(0.5 * np.arange(1, 121), 1000 * c, width=0.4, color="#ee7733")
axis.axhline(0, color="0.5", lw=0.8)
axis.set(xlabel="time [fs]", ylabel="c [1/ps]")
plt.show()

# %% [markdown]
# What to see: pure noise, another number at every step, and no memory. A field that is *trained* on such
# accelerations would have to average it away. neuralmd takes the part along the velocities out of the residual,
# whatever it is, before it is squared,
#
# ```text
# r⊥ = r − v ⟨r, v⟩ / ⟨v, v⟩        ⟨a, b⟩ = Σᵢ mᵢ aᵢ · bᵢ
# ```
#
# so that the noise is never learned (`projection: thermostat`).
#
# ## The oracle
#
# The exact forces, through gaps of 10 fs, beside the learned field with and without its correction. What to see: from
# one side (dashed), the noise adds up, as t^1.5. From both sides, learned and exact forces are equally good: the
# noise, not the force, sets the limit. A *deterministic* field can do no better. The correction goes below, because
# it uses what the mismatch of the two solutions tells of the noise.

# %%
from neuralmd.evaluation.metrics import hidden_frame_errors
from neuralmd.interpolators.one_way import ForwardODE

solver, weight = nmd.VelocityVerlet(0.5), nmd.PowerBlend(3)
methods = {
    "exact forces, one side": (ForwardODE(exact, solver), ORACLE, 4, "--"),
    "learned, one side": (ForwardODE(model.field, solver), LEARNED, 1.3, "--"),
    "exact forces, both sides": (nmd.BidirectionalODE(exact, solver, weight), ORACLE, 4, "-"),
    "learned, both sides": (nmd.BidirectionalODE(model.field, solver, weight), LEARNED, 1.3, "-"),
    "learned, with its correction": (model, "#33bbee", 1.3, "-"),
}
starts = torch.arange(0, 240, 20)
figure, axis = plt.subplots(figsize=(8, 3.6), dpi=110)
for name, (method, colour, width, dashes) in methods.items():
    found = hidden_frame_errors(method, frames, starts, 20)
    label = f"{name}: {1000 * found.mae:.2f} mÅ"
    axis.semilogy(0.5 * np.arange(1, 20), found.mae_per_position, color=colour, lw=width, ls=dashes, label=label)
axis.set(xlabel="time after the first known frame [fs]", ylabel="mean absolute error [Å]", xlim=(0, 10))
axis.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# ## The path of the friction
#
# How far can one go? The second known frame gives 72 equations for a gap of benzene (positions and velocities of 12
# atoms), and the thermostat's path has only 20 unknowns, one α for each step. A Gauss-Newton search turns them until
# the forward solution meets the second frame. With exact forces, for one gap:


# %%
def ends(log_alpha, start, field):
    """All states of a forward solution with given friction: a batch of friction paths, (batch, steps)."""
    x, v = (each.expand(len(log_alpha), -1, -1) for each in (start.positions, start.velocities))
    rate, path = field(nmd.PhaseState(x, v)), []
    for step in log_alpha.T:
        v = v * step.exp()[:, None, None] + 0.25 * rate  # velocity Verlet with dt = 0.5 fs
        x = x + 0.5 * v
        rate = field(nmd.PhaseState(x, v))
        v = v + 0.25 * rate
        path.append(torch.stack((x, v)))
    return torch.stack(path)  # steps, 2, batch, atoms, 3


def friction_path(start, end, field, spread=0.02, steps=20, rounds=2):
    """The most probable friction path that leads from one known frame to the next, and the positions along it."""
    log_alpha, small = torch.zeros(steps, dtype=torch.float64), 0.01
    units = torch.tensor([1e-5, 3e-6], dtype=torch.float64)[:, None, None]  # how well both ends are known [Å, Å/fs]
    target = torch.stack((end.positions[0], end.velocities[0]))
    for _ in range(rounds):
        tried = log_alpha + small * torch.cat((torch.zeros(1, steps), torch.eye(steps))).double()
        reached = ends(tried, start, field)[-1].transpose(0, 1) / units
        slopes = ((reached[1:] - reached[0]) / small).flatten(1).T
        missing = (target / units - reached[0]).flatten()
        # Least squares with a prior: log α is noise around zero.
        rows = torch.cat((slopes, torch.eye(steps).double() / spread))
        right = torch.cat((missing, -log_alpha / spread))
        log_alpha = log_alpha + torch.linalg.lstsq(rows, right).solution
    return log_alpha, ends(log_alpha[None], start, field)[:, 0, 0]


window = cut(frames, torch.tensor([20]), 20, torch.float64)
with torch.no_grad():
    log_alpha, found = friction_path(window.anchors.start, window.anchors.end, exact)
    without = nmd.BidirectionalODE(exact, solver, weight)(window.anchors, window.times)

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), dpi=110)
left.bar(0.5 * np.arange(20), 1000 * 0.5 * c[19:39], width=0.4, color="0.8", label="true")
left.plot(0.5 * np.arange(20), 1000 * log_alpha, "o", ms=4, color="#ee7733", label="inferred from both ends")
left.axhline(0, color="0.5", lw=0.8)
left.set(xlabel="time after the first known frame [fs]", ylabel="1000 (α − 1)")
left.legend(frameon=False, fontsize=9)
for name, made, colour in (
    ("exact forces, both sides", without.positions[:, 0], ORACLE),
    ("with the friction path", found[:-1], "#ee7733"),
):
    error = (made - window.hidden[:, 0]).abs().mean((1, 2))
    right.semilogy(window.times, error, color=colour, label=f"{name}: {1000 * error.mean():.3f} mÅ")
right.set(xlabel="time after the first known frame [fs]", ylabel="mean absolute error [Å]")
right.legend(frameon=False, fontsize=9)
plt.show()

# %% [markdown]
# What to see: most of the random numbers of the thermostat come out of two frames 10 fs apart, if not each by itself:
# neighbours trade against each other, half a femtosecond makes no difference to the atoms. And the error falls by an
# order of magnitude and more. The noise was lost with the hidden frames, but not its trace. With a *learned* field
# the search would take errors of the forces for friction; the correction of the shipped model is its careful cousin,
# a least-squares fit of a few terms.
#
# ## Error bars
#
# What cannot be known should be stated. The disagreement of both solutions is seen without the truth, and its
# relation to the error is calibrated on validation frames: 90 % of all components shall lie within their bar.

# %%
starts = torch.arange(0, 1960, 20)
errors = hidden_frame_errors(model, frames, starts, 20)
print(f"{100 * errors.coverage:.1f} % within their error bars, which are {1000 * errors.error_bar:.2f} mÅ on average")

window = cut(frames, starts[:4], 20, torch.float32)
times = torch.linspace(0, 10, 101)
with torch.no_grad():
    path, at = model(window.anchors, times), model(window.anchors, window.times)
atom, component = divmod(int((at.positions - window.hidden).abs().mean((0, 1)).argmax()), 3)

figure, (upper, lower) = plt.subplots(2, 1, figsize=(8, 4.6), dpi=110, height_ratios=[1, 1.2])
for gap in range(4):
    middle, bar = path.positions[:, gap, atom, component], path.error_bars[:, gap, atom]
    upper.plot(times + 10 * gap, middle, color=LEARNED, label="neural ODE" if gap == 0 else None)
    off = 1000 * (window.hidden - at.positions)[:, gap, atom, component]
    lower.fill_between(
        times + 10 * gap, -1000 * bar, 1000 * bar, color="#bbd0e8", lw=0, label="error bar, 90 %" if gap == 0 else None
    )
    lower.plot(window.times + 10 * gap, off, ".", color="0.3", label="truth" if gap == 0 else None)
known = fine.positions[0:81:20, atom, component]
upper.plot(np.arange(0, 41, 10), known, "o", color="black", label="known frames")
upper.set_ylabel(f"{fine.system.symbols[atom]}{atom + 1} {'xyz'[component]} [Å]")
lower.axhline(0, color=LEARNED, lw=1)
lower.plot(np.arange(0, 41, 10), 0 * known, "o", color="black")
lower.set(xlabel="time [fs]", ylabel="truth − neural ODE [mÅ]")
for axis in (upper, lower):
    axis.legend(ncol=3, frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1))
plt.show()

# %% [markdown]
# What to see: above, error bars would be thinner than the line. Below, magnified: they vanish at the known frames and
# are widest in the middle. One point in ten is allowed outside. The same for all frames, by position in the gap:

# %%
figure, axis = plt.subplots(figsize=(5.4, 3), dpi=110)
axis.plot(0.5 * np.arange(1, 20), 100 * np.array(errors.coverage_per_position), "o-", ms=4, color=LEARNED)
axis.axhline(90, color="0.6", ls="--")
axis.set(xlabel="time after the first known frame [fs]", ylabel="within the error bar [%]", ylim=(80, 100))
plt.show()

# %% [markdown]
# The promise of 90 % holds at every position in the gap, on frames that neither the field nor the error bars have
# seen.
