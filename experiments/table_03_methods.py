"""Table 3: frame-level AUC of all methods on the real datasets, and on the embedded walkway.

    python -m experiments.table_03_methods --data DIR

Paper: Table 3, Sec. 4.3. The systems that its authors ran; those that they quote read "not run", absent
datasets "no data".
"""

from experiments.lab.baselines import BASELINES
from experiments.lab.cli import exhibit_main
from experiments.lab.context import Context
from experiments.lab.protocols import auc_rows, baseline_rows, late_fusion_runs, publish_table

EXHIBIT = "table_03"
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
    publish_table(context, EXHIBIT, rows, command)


if __name__ == "__main__":
    exhibit_main(__doc__, run)
