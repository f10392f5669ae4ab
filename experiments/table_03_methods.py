"""Table 3: frame-level AUC of all methods on the real datasets, and on the embedded walkway.

    python -m experiments.table_03_methods --data DIR

Paper: Table 3, Sec. 4.3. The systems that its authors ran; those that they quote read "not run", absent
datasets "no data". In profile paper, sRNN-AE has a second row, with the settings chosen on normal data.
"""

from dataclasses import replace

from experiments.lab.baselines import BASELINES
from experiments.lab.cli import exhibit_main
from experiments.lab.context import Context
from experiments.lab.protocols import auc_rows, baseline_rows, late_fusion_runs, publish_table
from experiments.lab.results import Row
from experiments.lab.settings import CHOSEN

EXHIBIT = "table_03"
CHOSEN_ROW = "sRNN-AE, chosen on normal data"
SYSTEMS = ("Conv-AE", "ConvLSTM-AE", "TSC", "sRNN-AE")


def run(context: Context) -> None:
    """Train and score the methods on every dataset at hand and write the table."""
    command = context.command("experiments.table_03_methods")
    rows = []
    for dataset in context.datasets:
        for name in BASELINES:
            rows += baseline_rows(context, EXHIBIT, name, dataset, command)
        for name in SYSTEMS:
            seeded = late_fusion_runs(context, dataset, name)
            rows += auc_rows(context, EXHIBIT, name, dataset, seeded, command)
        if context.profile == "paper" and not context.chosen:
            rows += chosen_rows(context, dataset, command)
    publish_table(context, EXHIBIT, rows, command)


def chosen_rows(context: Context, dataset: str, command: str) -> list[Row]:
    """Return the rows of sRNN-AE under the settings that `experiments.choose_on_normal` chose."""
    chosen = replace(context, settings=context.settings.override(**CHOSEN))
    return auc_rows(chosen, EXHIBIT, CHOSEN_ROW, dataset, late_fusion_runs(chosen, dataset), command)


if __name__ == "__main__":
    exhibit_main(__doc__, run)
