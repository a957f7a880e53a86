"""Tables, numbers and figures of a comparison whose scores are known."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from comparisons import row

from neuralmd.compare.comparison import Comparison, Row
from neuralmd.compare.figures import plot_error_over_gap, plot_error_over_stride, styles_of_rows
from neuralmd.compare.numbers import csv_text, to_dict
from neuralmd.compare.tables import accuracy_table, anchor_table, cost_table, failures, markdown, stride_table
from neuralmd.report.families import FAMILIES


@pytest.fixture
def comparison() -> Comparison:
    rows = (
        row("spline", "linear", "linear", {5: (3e-3,), 20: (2e-2,)}),
        row("spline", "cubic_hermite", "cubic_hermite", {5: (1e-4,), 20: (7e-3,)}),
        row("ours", "neural_ode_forward", "equivariant", {5: (4e-4,), 20: (1e-3, 1.2e-3)}, 0.2),
        row("ours", "neural_ode_backward", "equivariant", {5: (4e-4,), 20: (1e-3, 1.2e-3)}, 0.2),
        row("ours", "neural_ode", "equivariant", {5: (3e-4,), 20: (2e-4, 4e-4)}),
        row("lstm", "lstm_forward", "lstm", {5: (3e-3,), 20: (5e-3,)}, 0.3),
        row("lstm", "lstm", "lstm", {5: (1.5e-3,), 20: (2.5e-3,)}, 0.02),
        row("body", "lstm", "lstm", {5: (1.4e-3,), 20: (2.6e-3,)}, 0.02),
        row("uni", "lstm_forward", "lstm_forward", {5: (2e-3,), 20: (4e-3,)}, 0.3),
        Row("broken", "failed", "failed", error="the training diverged"),
    )
    return Comparison("data.h5 (test part)", {5: 800, 20: 200}, {5: 2.5, 20: 10.0}, "stored", rows, 20)


def test_what_is_shown(comparison: Comparison) -> None:
    assert comparison.best_spline is not None
    assert comparison.best_spline.method == "cubic_hermite"
    assert [one.name for one in comparison.shown] == ["cubic Hermite", "ours", "lstm", "body", "uni"]
    assert [one.method for one in comparison.finals] == ["neural_ode", "lstm", "lstm", "lstm_forward"]


def test_accuracy_has_the_best_first_and_the_spread_over_seeds(comparison: Comparison) -> None:
    table = accuracy_table(comparison, 20)
    assert [cells[0] for cells in table.rows] == ["ours", "lstm", "body", "uni", "cubic Hermite", "linear"]
    ours = dict(zip(table.header, table.rows[0], strict=True))
    assert ours["MAE [mÅ]"] == "0.300 ± 0.14"
    assert ours["RMSE [mÅ]"] == "0.450 ± 0.21"
    assert ours["seeds"] == "2"
    assert ours["energy [meV]"] == ""
    assert dict(zip(table.header, table.rows[1], strict=True))["MAE [mÅ]"] == "2.50"
    assert table.title.startswith("Stride 20, gap 10 fs: 200 windows")


def test_every_stride_says_who_is_ahead(comparison: Comparison) -> None:
    table = stride_table(comparison)
    best = {cells[0]: [cell for cell in cells[1:] if cell.endswith("*")] for cells in table.rows}
    assert {name for name, found in best.items() if found} == {"cubic Hermite", "ours"}
    assert best["cubic Hermite"] == ["0.100 *"]


def test_the_effect_of_the_second_anchor(comparison: Comparison) -> None:
    table = anchor_table(comparison, 20)
    found = {cells[0]: dict(zip(table.header[1:], cells[1:], strict=True)) for cells in table.rows}
    assert list(found) == ["ours", "lstm", "body", "uni"]
    assert found["ours"]["MAE forward"] == found["ours"]["MAE backward"] == "1.10"
    assert found["ours"]["gain"] == "3.7x"
    assert found["ours"]["jump backward"] == "0.200"
    assert found["lstm"] | {"MAE backward": ""} == found["lstm"]
    assert found["lstm"]["jump both"] == "0.0200"
    assert found["uni"]["MAE forward"] == "4.00"
    assert found["uni"]["MAE both"] == found["uni"]["gain"] == ""


def test_cost(comparison: Comparison) -> None:
    found = {cells[0]: list(cells[1:]) for cells in cost_table(comparison, 20).rows}
    assert found["ours"] == ["5000", "10.0", "0.200", "42"]
    assert found["lstm"] == ["5000", "10.0", "0.200", ""]
    assert found["linear"] == ["", "", "0.200", ""]


def test_markdown_has_every_table_and_what_failed(comparison: Comparison) -> None:
    text = markdown(comparison)
    assert text.count("\n### ") + 1 == 1 + 2 * 3
    assert text.index("Stride 20") < text.index("Stride 5")
    assert failures(comparison) == ["broken is incomplete: the training diverged"]
    assert text.endswith("- broken is incomplete: the training diverged\n")
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")
    widths = {
        line.count("|") for line in text.partition("Cost at")[0].rpartition("### Effect")[2].splitlines() if "|" in line
    }
    assert widths == {9}


def test_numbers_have_all_digits(comparison: Comparison) -> None:
    lines = list(csv.DictReader(csv_text(comparison).splitlines()))
    assert len(lines) == 21
    assert {line["mae"] for line in lines if line["method"] == "neural_ode" and line["stride"] == "20"} == {
        "0.0002",
        "0.0004",
    }
    plain = to_dict(comparison)
    assert plain["trained_stride"] == 20
    assert plain["rows"][-1]["error"] == "the training diverged"
    assert plain["rows"][4]["strides"]["20"]["mae"] == {
        "mean": pytest.approx(3e-4),
        "spread": pytest.approx(2e-4 / 2**0.5),
    }


def test_colours_are_the_families(comparison: Comparison, tmp_path: Path) -> None:
    styles = styles_of_rows(comparison.shown)
    assert styles["ours"].colour == FAMILIES["equivariant"].colour
    assert styles["lstm"].colour == FAMILIES["lstm"].colour
    assert styles["body"].colour not in {style.colour for name, style in styles.items() if name != "body"}
    plot_error_over_gap(comparison, 20, tmp_path / "gap.png")
    plot_error_over_stride(comparison, tmp_path / "stride.png")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
