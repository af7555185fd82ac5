"""`python -m solemate`."""

from solemate.cli import main

main()
