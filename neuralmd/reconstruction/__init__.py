"""Reconstruction: a coarse trajectory file in, a fine one out, gap by gap, in constant memory.

Blocks of gaps are filled one after the other and kept in the folder OUTPUT.blocks, from which the output is joined at
the end. A kill at any point loses one block at most, and a resumed run ends with the same bytes as an unbroken one.
"""

from neuralmd.data.gaps import Gaps, gaps_of
from neuralmd.reconstruction.plan import Plan, Wishes
from neuralmd.reconstruction.request import Fallback, Reconstruction
from neuralmd.reconstruction.run import Rebuilt, reconstruct

__all__ = ["Fallback", "Gaps", "Plan", "Rebuilt", "Reconstruction", "Wishes", "gaps_of", "reconstruct"]
