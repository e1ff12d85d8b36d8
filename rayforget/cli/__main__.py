"""`python -m rayforget.cli`."""

from rayforget.cli.entry import main

if __name__ == "__main__":
    main()
