# Copyright (C) 2026 The anomalib-patchgan authors
# SPDX-License-Identifier: Apache-2.0

import shutil
import subprocess

import pytest

from anomalib_patchgan.report import write_report
from anomalib_patchgan.report.cells import Cell, Row, Table
from anomalib_patchgan.report.latex import escaped, latex_table

NASTY = "a_b & 50 % of $x$ #1 {c} ~^\\ <d> |e| “f” − – · × → … é 中"

GOLDEN = r"""% Needs \usepackage{booktabs}
\begin{table}
\centering\footnotesize\setlength{\tabcolsep}{3pt}
\caption{Some results.}
\label{tab:results}
\begin{tabular}{@{}lrl@{}}
\toprule
Model & \shortstack[r]{Image AUROC \\ {of}} & Verdict \\
\midrule
Patch-GAN & \shortstack[r]{0.656 \\ {\scriptsize {[}0.486, 0.795]}} & 12.1 \% \\
PaDiM & -- & $-$3.1 \\
\bottomrule
\end{tabular}
\end{table}
"""


def table() -> Table:
    rows = (
        Row((Cell("Patch-GAN", "method"), Cell("0.656", "[0.486, 0.795]"), Cell("12.1 %"), Cell("none"))),
        Row((Cell("PaDiM"), Cell("–"), Cell("−3.1"), Cell("inverted"))),
    )
    columns = ("Model", "Image AUROC of", "Verdict", "Flags")
    return Table("Some results.", columns, rows, frozenset(columns[1:2]))


def test_a_table_has_rules_of_booktabs_intervals_below_numbers_and_no_flags():
    assert latex_table(table(), "tab:results") == GOLDEN


def test_special_characters_are_text():
    shown = escaped(NASTY)
    for special in ("\\_", "\\&", "\\%", "\\$", "\\#", "\\{c\\}", "\\textbackslash{}", "é", "\\texttt{U+4E2D}"):
        assert special in shown


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex is installed")
def test_every_table_of_a_report_compiles(make_store, tmp_path):
    style = subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, text=True, check=False)
    if not style.stdout.strip():
        pytest.skip("LaTeX lacks booktabs")
    page = write_report(make_store(names=(NASTY,)), tmp_path / "out")
    tables = sorted((page.parent / "tables").glob("*.tex"))
    assert len(tables) >= 2
    body = "\n".join(rf"\input{{{path}}}" for path in tables)
    preamble = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs}\begin{document}"
    (tmp_path / "paper.tex").write_text(f"{preamble}\n{body}\n\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000
