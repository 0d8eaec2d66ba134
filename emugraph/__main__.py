"""``python -m emugraph`` is the command ``emugraph``."""

from emugraph.cli.main import main

main()
