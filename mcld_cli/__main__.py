"""`python -m mcld_cli` is `mcld`."""

from mcld_cli.app import main

if __name__ == "__main__":
    main()
