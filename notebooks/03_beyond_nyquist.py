# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. Beyond Nyquist: vibrations that the coarse file does not have
#
# Frames that are Δt apart show wavenumbers up to
#
# ```text
# ν_Nyquist = 1 / (2 c Δt)
# ```
#
# and fold all faster motion below it, where it does not belong. Every 20th frame of benzene, 10 fs apart, shows
# nothing above 1668 cm⁻¹: no C-H stretch. What was rebuilt between these frames has one. Is it the right one?

# %%
import matplotlib.pyplot as plt

import neuralmd as nmd
from neuralmd.evaluation.spectra import nyquist_wavenumber, seam_wavenumber, spectrum_difference, vibrational_spectrum
from neuralmd.interpolators.splines import CubicHermite

plt.rcParams.update({"figure.constrained_layout.use": True, "axes.spines.top": False, "axes.spines.right": False})
SPLINE, BLEND, SEAM = "#cc6677", "#004488", "#bb3322"

fine = nmd.read(nmd.example("benzene")).slice(0, 1921)
model = nmd.load(nmd.example("neural-ode")).model
fine

# %% [markdown]
# ## The spectrum of a gap of 10 fs
#
# The vibrational density of states, by Welch's method from the velocities of all atoms; its integral is the
# temperature:
#
# ```text
# D(ν) ∝ Σᵢ mᵢ |v̂ᵢ(ν)|²        ∫ D dν = T
# ```
#
# With 1 ps, lines are 35 cm⁻¹ apart at best.

# %%
coarse = fine.slice(0, 1921, 20)
spectra = {
    "truth": vibrational_spectrum(fine),
    "coarse file": vibrational_spectrum(coarse),
    "cubic Hermite spline": vibrational_spectrum(nmd.rebuild(coarse, CubicHermite(), stride=20)),
    "neural ODE": vibrational_spectrum(nmd.rebuild(coarse, model, stride=20)),
}
for name, spectrum in spectra.items():
    wrong = spectrum_difference(spectrum, spectra["truth"])
    kelvin, last = spectrum.temperature, spectrum.nyquist
    print(f"{name:22s} up to {last:6.0f} cm⁻¹, {kelvin:.0f} K, misplaced: {100 * wrong:5.1f} %")

# %% [markdown]
# What to see: the coarse file (grey line) ends at its Nyquist wavenumber, and shows a band at 276 cm⁻¹ that benzene
# does not have: the C-H stretch of 3060 cm⁻¹, folded to 3336 − 3060. The spline has lost most of that stretch. The
# neural ODE (blue) lies on the truth (area) everywhere.

# %%
styles = {"coarse file": ("0.45", 1.0), "cubic Hermite spline": (SPLINE, 1.3), "neural ODE": (BLEND, 1.5)}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), dpi=110, width_ratios=[2, 1], sharey=True)
for axis, (low, high) in zip(axes, [(0, 2000), (2850, 3350)], strict=True):
    for name, spectrum in spectra.items():
        inside = (spectrum.wavenumbers >= low) & (spectrum.wavenumbers <= high)
        where, density = spectrum.wavenumbers[inside], spectrum.density[inside]
        if name == "truth":
            axis.fill_between(where, density, color="0.85", lw=0, label=name)
        else:
            axis.plot(where, density, color=styles[name][0], lw=styles[name][1], label=name)
    axis.set(xlim=(low, high), xlabel="wavenumber [cm⁻¹]")
axes[0].axvline(nyquist_wavenumber(10.0), color="0.4", ls="--", lw=0.9)
axes[0].text(
    nyquist_wavenumber(10.0) + 12, 0.94 * axes[0].get_ylim()[1], "Nyquist of\nthe coarse file", fontsize=8, va="top"
)
axes[0].set(ylabel="density of states [K per cm⁻¹]", ylim=(0, None))
axes[0].legend(ncol=4, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), fontsize=9)
plt.show()

# %% [markdown]
# ## Which modes come back, up to which gap?
#
# For gaps of 2.5 to 20 fs: the kinetic energy in four bands, as a part of the true one. 100 % is right; less is lost,
# more is false.

# %%
bands = {
    "C-H stretch": (2850, 3250),
    "C-C stretch": (1350, 1700),
    "C-H in plane": (950, 1350),
    "ring, C-H out of plane": (300, 950),
}


def share(spectrum, band):
    """Kinetic energy within a band, as a part of the true one [%]."""
    found = [
        one.density[(one.wavenumbers >= band[0]) & (one.wavenumbers < band[1])].sum() * one.resolution
        for one in (spectrum, spectra["truth"])
    ]
    return 100 * found[0] / found[1]


strides = [5, 10, 20, 40]
rebuilt = {}
for stride in strides:
    known = fine.slice(0, 1921, stride)
    rebuilt[stride] = {
        "coarse file": vibrational_spectrum(known),
        "cubic Hermite spline": vibrational_spectrum(nmd.rebuild(known, CubicHermite(), stride=stride)),
        "neural ODE": vibrational_spectrum(nmd.rebuild(known, model, stride=stride)),
    }

figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), dpi=110, sharey=True)
for axis, (band, limits) in zip(axes, bands.items(), strict=True):
    for name, (colour, _) in styles.items():
        axis.plot(
            [0.5 * k for k in strides],
            [share(rebuilt[k][name], limits) for k in strides],
            "o-",
            ms=4,
            color=colour,
            label=name,
        )
    axis.axhline(100, color="0.8", zorder=0)
    axis.set_xscale("log")
    axis.set_xticks([0.5 * k for k in strides], [f"{0.5 * k:g}" for k in strides])
    axis.set_xticks([], minor=True)
    axis.set(title=f"{band}\n{limits[0]}-{limits[1]} cm⁻¹", xlabel="gap [fs]", ylim=(0, 200))
    axis.title.set_fontsize(10)
axes[0].set_ylabel("energy in the band [% of the true]")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncol=3, frameon=False, fontsize=9)
plt.show()

# %% [markdown]
# What to see: the spline (red) loses a mode as soon as the gap comes near half its period, first the C-H stretch,
# then what is between 1000 and 1700 cm⁻¹. The coarse file (grey) gains below its Nyquist wavenumber what it has lost
# above. The neural ODE keeps all bands up to 20 fs, almost two periods of the C-H stretch: it does not interpolate
# the motion, it *runs* it.
#
# ## The seam line
#
# A method that does the same wrong thing at every known frame leaves a mark of its own: kinks every 10 fs are a false
# line, the *seam line*, at
#
# ```text
# ν_seam = 1 / (c · gap) = 3336 cm⁻¹
# ```
#
# and at its multiples; as the kinks are the larger the faster the molecule moves, ghosts of its bands stand on either
# side of each. What to see: straight lines between the known frames (orange) fill the spectrum with ghosts. The cubic
# Hermite spline keeps those of the C-H stretch that it has lost, 276 cm⁻¹ beside each seam line. The neural ODE
# (blue) follows the truth down to a hundred-thousandth of the highest peak. The peak at 6130 cm⁻¹ is no ghost: it is
# in the truth, the overtone of the C-H stretch.

# %%
from neuralmd.interpolators.splines import Linear

ghosts = {
    "straight lines": (vibrational_spectrum(nmd.rebuild(coarse, Linear(), stride=20)), "#ee9944"),
    "cubic Hermite spline": (spectra["cubic Hermite spline"], SPLINE),
    "neural ODE": (spectra["neural ODE"], BLEND),
}
figure, axis = plt.subplots(figsize=(8, 3.6), dpi=110)
truth = spectra["truth"]
axis.fill_between(truth.wavenumbers, truth.density, 1e-9, color="0.85", lw=0, label="truth")
for name, (spectrum, colour) in ghosts.items():
    axis.plot(spectrum.wavenumbers, spectrum.density, color=colour, lw=1.1, label=name)
for multiple in (1, 2):
    label = "seam line, and its double" if multiple == 1 else None
    axis.axvline(multiple * seam_wavenumber(10.0), color=SEAM, lw=0.9, ls="--", label=label)
axis.set(
    xlabel="wavenumber [cm⁻¹]", ylabel="density of states [K per cm⁻¹]", yscale="log", ylim=(1e-6, 5), xlim=(0, 8000)
)
axis.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# `neuralmd spectrum` draws such figures for files and runs, and marks the seam lines.
