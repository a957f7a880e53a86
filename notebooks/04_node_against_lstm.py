# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4. Neural ODE against LSTM
#
# In 2020, bidirectional LSTMs were the best that was known for this task. How do they compare with a neural ODE, at
# equal data and equal time of training? This notebook draws what one command has measured:
#
# ```text
# neuralmd compare configs/benzene.yaml:2 configs/lstm.yaml:2 configs/rnn.yaml training.clock=cpu --minutes 10 \
#   --output runs/comparison
# ```
#
# It trains each for ten minutes on one CPU core, and scores them and all splines on the same hidden frames, the last
# 20 % of the simulation. Its folder comes with neuralmd; name another one to draw that.

# %%
import csv
import json
import re

import matplotlib.pyplot as plt
import numpy as np

import neuralmd as nmd
from neuralmd.report.families import FAMILIES, family_styles

plt.rcParams.update({"figure.constrained_layout.use": True, "axes.spines.top": False, "axes.spines.right": False})

FOLDER = nmd.example("comparison")
NAMES = {"benzene": "neural ODE", "lstm": "LSTM", "rnn": "RNN"}  # what to call these configurations
results = json.loads((FOLDER / "comparison.json").read_text())
trained = str(results["trained_stride"])
gap = results["gap_fs"][trained]
print(f"{results['windows'][trained]} gaps of {gap:g} fs, {results['velocities']} velocities, {results['source']}")

# %% [markdown]
# ## The ranking
#
# One row for each method: splines, and each model with both of its directions. MAE is the mean absolute error over
# hidden frames; the spectrum's number is the part of the kinetic energy that stands at wrong wavenumbers; the
# velocity jump is that at known frames, as a part of a typical velocity.


# %%
def is_final(row):
    """Whether a row is a spline, or what a model makes of both known frames."""
    return not row["method"].endswith(("_forward", "_backward")) or row["family"].endswith("_forward")


def name_of(row):
    """What to call a row."""
    name = re.sub(r"-[0-9.]+min-seed[0-9]+$", "", row["contestant"])  # a run's name tells its budget and seed
    return FAMILIES[row["family"]].label if name == "spline" else NAMES.get(name, name)


def quantity(row, name, stride=trained):
    """Mean over seeds."""
    return row["strides"][stride][name]["mean"]


rows = [row for row in results["rows"] if is_final(row) and trained in row["strides"]]
rows.sort(key=lambda row: quantity(row, "mae"))
print(f"{'':24s}{'MAE':>9s}{'energy':>11s}{'spectrum':>10s}{'jump':>8s}{'per frame':>12s}{'weights':>9s}")
for row in rows:
    energy = quantity(row, "energy_error")
    print(
        f"{name_of(row):24s}{1000 * quantity(row, 'mae'):6.2f} mÅ"
        f"{'' if energy is None else f'{energy:.1f} meV':>11s}"
        f"{100 * quantity(row, 'spectrum_difference'):8.1f} %{100 * quantity(row, 'velocity_jump'):6.1f} %"
        f"{quantity(row, 'milliseconds_per_frame'):9.3f} ms{row['parameters'] or '':>9}"
    )

# %% [markdown]
# What to see: the neural ODE has an error some fourteen times below the LSTM's, with six times fewer weights. It pays
# when it is used: some 40 evaluations of its field for a gap, where the LSTM does one cheap step for a frame.
#
# ## Gaps that were not trained on
#
# All models were trained on the gap of 10 fs. What to see: the neural ODE has learned forces, which
# do not depend on the gap, and gets better as the gap gets shorter, as a good method must. The LSTM has learned a map
# for *its* gap.

# %%
shown = [row for row in rows if row["family"] not in ("linear", "cubic_spline")]
styles = family_styles({name_of(row): row["family"] for row in shown})
figure, axis = plt.subplots(figsize=(7.5, 3.6), dpi=110)
for row in shown:
    style = styles[name_of(row)]
    strides = sorted(row["strides"], key=int)
    errors = [quantity(row, "mae", stride) for stride in strides]
    axis.plot(
        [results["gap_fs"][stride] for stride in strides],
        errors,
        marker="o",
        ms=4,
        color=style.colour,
        ls=style.dashes,
        lw=style.width,
        label=style.label,
    )
axis.set(xlabel="gap [fs]", ylabel="mean absolute error [Å]", xscale="log", yscale="log")
gaps = sorted(results["gap_fs"].values())
axis.set_xticks(gaps, [f"{each:g}" for each in gaps])
axis.set_xticks([], minor=True)
axis.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# ## First figure of 2020: the error over the position in the gap
#
# What to see: with one known frame only (dashed) the error grows all the way; a second one brings it down to zero
# again at the other end. That was the finding of 2020, and it holds for all kinds of model: the neural
# ODE gains a factor of eleven by it, the LSTM one of four.

# %%
figure, axis = plt.subplots(figsize=(7.5, 3.6), dpi=110)
position = np.arange(1, int(trained)) * gap / int(trained)
for row in shown:
    style = styles[name_of(row)]
    seeds = row["strides"][trained]["seeds"].values()
    axis.semilogy(
        position,
        np.mean([seed["mae_per_position"] for seed in seeds], axis=0),
        color=style.colour,
        ls=style.dashes,
        lw=style.width,
        label=style.label,
    )
    one_anchor = [
        each
        for each in results["rows"]
        if each["contestant"] == row["contestant"] and each["method"].endswith("_forward") and each is not row
    ]
    for each in one_anchor:
        seeds = each["strides"][trained]["seeds"].values()
        errors = np.mean([seed["mae_per_position"] for seed in seeds], axis=0)
        axis.semilogy(position, errors, color=style.colour, ls="--", lw=1, label=f"{style.label}, one known frame")
axis.set(xlabel="time after the first known frame [fs]", ylabel="mean absolute error [Å]", xlim=(0, gap))
axis.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# ## Second figure of 2020: three coordinates through several gaps
#
# The models that come with neuralmd, on frames that neither has seen. What to see: the LSTM follows the truth (grey)
# closely, but not quite, and has a kink at every known frame, worst where the motion is fast. The difference to the
# truth, below, is in mÅ.

# %%
fine = nmd.read(nmd.example("benzene")).slice(0, 81)
coarse = fine.slice(0, 81, 20)
models = {"LSTM": nmd.load(nmd.example("lstm")), "neural ODE": nmd.load(nmd.example("neural-ode"))}
rebuilt = {name: nmd.rebuild(coarse, run).positions for name, run in models.items()}
colours = {"LSTM": FAMILIES["lstm"].colour, "neural ODE": FAMILIES["equivariant"].colour}

missed = np.abs(rebuilt["LSTM"] - fine.positions).mean(axis=0)
atoms = np.argsort(missed.max(axis=1))[::-1][:3]  # the atoms that the LSTM misses most, one coordinate of each
time = fine.timestep * np.arange(len(fine))
figure, axes = plt.subplots(2, 3, figsize=(11, 4.2), dpi=110, sharex=True, height_ratios=[1.6, 1])
for (upper, lower), atom in zip(axes.T, atoms, strict=True):
    component = missed[atom].argmax()
    upper.plot(time, fine.positions[:, atom, component], color="0.8", lw=5, label="truth")
    for name, made in rebuilt.items():
        upper.plot(time, made[:, atom, component], color=colours[name], lw=1.3, label=name)
        off = 1000 * (made - fine.positions)[:, atom, component]
        lower.plot(time, off, color=colours[name], lw=1.3)
    upper.plot(time[::20], fine.positions[::20, atom, component], "o", ms=5, color="black", label="known frames")
    upper.set_title(f"{fine.system.symbols[atom]}{atom + 1} {'xyz'[component]} [Å]", fontsize=10)
    lower.set_xlabel("time [fs]")
axes[1, 0].set_ylabel("error [mÅ]")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncol=4, frameon=False, fontsize=9)
plt.show()

# %% [markdown]
# ## Learning curves
#
# The error on validation frames, over the minutes of training. What to see: within half a minute, the neural
# ODE is where the LSTM ends after ten. It learns from the acceleration of single frames, which is what physics gives;
# the LSTM must find out from whole paths.

# %%
curves = {}
with (nmd.example("comparison") / "learning-curves.csv").open() as file:
    for line in csv.DictReader(file):
        curves.setdefault(line["run"], []).append((float(line["minutes"]), float(line["validation_mae_A"])))

figure, axis = plt.subplots(figsize=(6.5, 3.4), dpi=110)
for name, curve in curves.items():
    minutes, errors = np.array(curve).T
    axis.semilogy(minutes, errors, color=colours[name], label=name, lw=1.6)
axis.set(xlabel="training [min]", ylabel="validation error [Å]", xlim=(0, None))
axis.legend(frameon=False, fontsize=9)
plt.show()

# %% [markdown]
# The last drop of the neural ODE's curve is the correction from the mismatch of its two solutions, which is fitted in
# the last minute (notebook 6).
#
# ## A sweep over the settings of both
#
# One choice of settings for each kind of model may be a lucky one for the one and not for the other. This command draws
# eight choices for each of three kinds, and gives two minutes of one core to each draw:
#
# ```text
# neuralmd sweep sweeps/node-against-lstm.yaml --engine optuna --workers 2
# neuralmd sweep-report runs/node-against-lstm
# ```

# %%
ranking = json.loads((nmd.example("sweep") / "ranking.json").read_text())
kinds = {"benzene": "neural ODE", "lstm": "LSTM", "lstm-forward": "LSTM, one known frame"}
tints = {"benzene": colours["neural ODE"], "lstm": colours["LSTM"], "lstm-forward": "0.6"}
draws = {}  # the kind of each trial, the best first
for trial in ranking["ranked"]:
    draws[trial["name"]] = trial["values"]["config"].removeprefix("configs/").removesuffix(".yaml")

trials = {}
with (nmd.example("sweep") / "learning-curves.csv").open() as file:
    for line in csv.DictReader(file):
        trials.setdefault(line["run"], []).append((float(line["minutes"]), float(line["validation_mae_A"])))

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), dpi=110, sharey=True, width_ratios=[2, 1])
for name, kind in draws.items():
    minutes, errors = np.array(trials[name]).T
    left.semilogy(minutes, errors, color=tints[kind], lw=1)
for place, kind in enumerate(kinds):
    errors = [trial["value"] for trial in ranking["ranked"] if draws[trial["name"]] == kind]
    right.semilogy(np.full(len(errors), place), errors, "o", color=tints[kind], alpha=0.7)
    print(f"{kinds[kind]:22s} best {1000 * min(errors):.2f} mÅ, worst {1000 * max(errors):.2f} mÅ")
left.set(xlabel="training [min]", ylabel="validation error [Å]")
right.set_xticks(range(len(kinds)), [label.replace(", ", ",\n") for label in kinds.values()], fontsize=9)
right.set(xlim=(-0.5, len(kinds) - 0.5), title="at the end")
plt.show()

# %% [markdown]
# What to see: the ranges do not overlap. The worst draw of the neural ODE is better than the best of the LSTM, so it is
# the kind of model that decides, and not its settings.
