"""Solvers: what integrates a field forward or backward in time."""
