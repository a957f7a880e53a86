"""neuralmd: neural ODEs that give molecular dynamics trajectories back the frames they lack."""

__version__ = "0.1.0"
