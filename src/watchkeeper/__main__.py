"""`python -m watchkeeper`: the same as the `watchkeeper` command."""

from watchkeeper.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
