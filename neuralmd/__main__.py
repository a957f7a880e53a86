"""`python -m neuralmd` is `neuralmd`."""

from neuralmd.cli import main

main()
