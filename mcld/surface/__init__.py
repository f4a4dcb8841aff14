"""The surface of the body: its parts, its charts, its texture layout."""
