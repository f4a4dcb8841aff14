"""The command line: how a person talks to mcld."""
