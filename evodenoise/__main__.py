"""`python -m evodenoise`: the same as the command."""

from evodenoise.cli import run

run()
