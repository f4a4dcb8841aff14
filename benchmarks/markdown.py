"""Tables as the docs have them."""


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table; the first column is text, the others are numbers."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    for line in lines:
        print("| " + " | ".join(line) + " |")
