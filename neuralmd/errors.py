"""The errors that neuralmd raises for its users; the command line prints each as one line and exits with 2."""


class NeuralMDError(Exception):
    """Something that the user can put right. The message says what was expected, what came, where, and what to do."""


class ConfigError(NeuralMDError):
    """An experiment's configuration is not valid."""


class DataError(NeuralMDError):
    """A file or a trajectory is not what it should be."""


class NoTimestepError(DataError):
    """A file does not state its time step, and nobody else does."""


class SolverError(NeuralMDError):
    """An ODE could not be solved."""


class CheckpointError(NeuralMDError):
    """A checkpoint cannot be used."""


class ProcessError(NeuralMDError):
    """Another process that shares the same task is gone."""


class ToldElsewhereError(NeuralMDError):
    """A task of several processes failed, and another of them tells why; this one ends without a word."""
