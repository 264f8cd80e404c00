"""`python -m benchbench` is `bench`."""

from benchbench.cli import main

if __name__ == "__main__":
    main()
