"""Trajectories: reading, writing, checking, simulating and cutting them into windows."""
