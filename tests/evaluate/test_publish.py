"""Tables as papers, pages and spreadsheets take them."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest

from mcld.evaluate.baseline import Figures
from mcld.evaluate.publish import Table, gather_table, write_table
from mcld.evaluate.request import EvaluationRequest
from mcld.evaluate.scores import Scores, SizeScores


def scores(name: str, psnr: float, fid: float) -> Scores:
    random = np.random.default_rng(0)
    rows = {f"{k}.png": {"psnr": psnr + float(random.normal())} for k in range(50)}
    at_size = SizeScores(50, rows)
    at_size.summarise()
    at_size.values["fid"] = fid
    return Scores(EvaluationRequest(name, Path(), Path()), sizes={"256": at_size})


@pytest.fixture
def table() -> Table:
    published = [Figures("Somebody_1 & co (2024)", "256", {"psnr": 15.0, "fid": 5.5})]
    return gather_table([scores("a_b", 20, 7), scores("100%", 18, 6.0001)], published)


def test_best_and_second_are_marked_by_what_is_better_and_intervals_hold_the_mean(table):
    ranks = {
        name: (row["256", "psnr"].rank, row["256", "fid"].rank) for name, row in table.rows.items()
    }
    assert ranks == {"Somebody_1 & co (2024)": (0, 1), "a_b": (1, 0), "100%": (2, 2)}
    cell = table.rows["a_b"]["256", "psnr"]
    low, high = cell.interval
    assert low < cell.value < high
    assert high - low == pytest.approx(4 / np.sqrt(50), rel=0.3)
    assert table.rows["a_b"]["256", "fid"].interval is None
    assert table.rows["Somebody_1 & co (2024)"]["256", "psnr"].interval is None


def test_a_table_says_which_numbers_are_not_of_all_pairs():
    some, all_of_them = scores("a", 20, 7), scores("b", 20, 7)
    some.sizes["256"].listed = 60
    for style in ("latex", "markdown"):
        text = write_table(gather_table([some, all_of_them], []), style)
        assert "Not of all pairs: a at 256: 50 of 60." in text
        assert "Not of all pairs" not in write_table(gather_table([all_of_them], []), style)


def test_equal_numbers_share_a_rank_and_a_lone_one_has_none():
    found = gather_table([scores("a", 20, 7), scores("b", 20, 7)], [])
    assert [row["256", "fid"].rank for row in found.rows.values()] == [1, 1]
    alone = gather_table([scores("a", 20, 7)], [])
    assert alone.rows["a"]["256", "fid"].rank == 0


def test_latex_is_booktabs_with_names_escaped_and_as_many_cells_as_columns(table):
    text = write_table(table, "latex")
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"\multicolumn{2}{c}{$176\times256$}"):
        assert part in text
    assert r"Somebody\_1 \& co (2024)$^\dagger$ & 15.00 & \textbf{5.500} \\" in text
    assert r"100\% & \underline{" in text
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines[1:]} == {2}
    assert r"\begin{tabular}{lrr}" in text
    assert text.count("{") == text.count("}")
    assert text.startswith("% Protocol of mcld evaluate: mcld-1 (")


def test_markdown_has_a_column_a_metric_and_csv_a_line_a_number(table):
    text = write_table(table, "markdown")
    head, rule, *rows = [line for line in text.splitlines() if line.startswith("|")]
    assert head == "|  | PSNR ↑, 256 | FID ↓, 256 |"
    assert rule == "| --- | ---: | ---: |"
    assert len(rows) == 3
    assert r"a\_b | **" in text
    assert "<ins>6.000</ins>" in text
    lines = list(csv.DictReader(io.StringIO(write_table(table, "csv"))))
    assert len(lines) == 2 + 2 * 3  # with the counts of pairs
    found = next(x for x in lines if (x["name"], x["metric"]) == ("a_b", "fid"))
    assert (float(found["value"]), found["low"]) == (7, "")
