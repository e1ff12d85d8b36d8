"""`python -m rayforget.cli`."""

from rayforget.cli.entry import main

main()
