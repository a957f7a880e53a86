"""How functions become machine code: numba's options, and where the code is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numba
from numba.core.compiler import Compiler
from typing_extensions import override


class _DistinctArrays(Compiler):
    """Let the compiler know that the arrays that a function is given share no memory.

    Otherwise every short loop begins with a test of whether they do, which takes as long as the loop.
    """

    @override
    def define_pipelines(self) -> Any:
        if hasattr(self.state.flags, "noalias"):
            self.state.flags.noalias = True
        return super().define_pipelines()


# Contraction lets a product and a sum become one instruction. Nothing may assume that all numbers are finite.
_OPTIONS: Final = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "reassoc"},
    "pipeline_class": _DistinctArrays,
}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function when it is first called. No two of its arrays may overlap, if it writes to one of them."""
    return numba.njit(**_OPTIONS)(function)


def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, and keep the machine code for later processes, beside the source or in the user's cache.

    Where no folder can be written to, each process compiles it anew. It is also compiled anew when its own file has
    changed, but not when only another file has that it calls functions of.
    """
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # numba found no place for it
        return compiled(function)
