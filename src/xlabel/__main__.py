"""`python -m xlabel` is the command `xlabel`."""

from xlabel.cli import main

if __name__ == "__main__":
    main()
