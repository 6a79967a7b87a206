"""Which layer of a pretrained network suits a corpus: linear probes of all of them, scored on validation speakers."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from trnet.conditions import Condition, condition_named
from trnet.eval.predictions import condition_text
from trnet.eval.tables import Cell, make_table
from trnet.folds import Fold
from trnet.probe.classifier import COSTS, Items, train_probe
from trnet.probe.layer_statistics import LayerStatistics
from trnet.runs.dataset import Dataset
from trnet.utils.threads import in_threads

COLUMNS = ("fold", "valid_speaker", "layer", "cost", "condition", "uar")
MEAN = "mean"  # of the conditions
MIDDLE = "middle"
NOT_RANKED = float("nan")


def score_layers(
    dataset: Dataset, statistics: Mapping[Condition, LayerStatistics], folds: Sequence[Fold], threads: int
) -> pd.DataFrame:
    """Train a probe of each layer on each fold's training speakers under all conditions, score it on the validation's.

    Args:
        dataset: Whose utterances the statistics are of, in its order.
        statistics: By condition: clean speech and the matched noise, which training may use.
        folds: Whose test speakers are not looked at.
        threads: Probes at a time, a thread each.

    Returns:
        Columns `COLUMNS`, a row a fold, layer and condition; uar in percent.

    Raises:
        TrnetError: For a fold that does not train on each class, or damaged statistics.
    """
    for fold in folds:
        dataset.check_classes(fold)
    row = {utt: number for number, utt in enumerate(dataset.utts)}
    labels = np.array([dataset.labels[utt] for utt in dataset.utts])
    layers = next(iter(statistics.values())).layers

    @lru_cache(maxsize=2)  # the folds of a layer come one after the other
    def of_layer(layer: str) -> dict[Condition, np.ndarray]:
        return {condition: each.of_layer(layer) for condition, each in statistics.items()}

    def score(job: tuple[str, Fold], _line: int) -> list[tuple[object, ...]]:
        layer, fold = job
        pooled = of_layer(layer)
        train, valid = ([row[utt] for utt in utts] for utts in (fold.train, fold.valid))
        items = {name: Items(each[valid], labels[valid]) for name, each in pooled.items()}
        probe = train_probe(
            Items(np.concatenate([each[train] for each in pooled.values()]), np.tile(labels[train], len(pooled))),
            list(items.values()),
        )
        where = (fold.number, fold.valid_speaker, layer, probe.cost)
        return [(*where, condition.name, probe.uar(each)) for condition, each in items.items()]

    jobs = [(layer, fold) for layer in layers for fold in folds]
    with threadpool_limits(1):
        rows = [row for found in in_threads(score, jobs, threads, "probe", "fit") for row in found]
    order = {name: number for number, name in enumerate((*layers, *(each.name for each in statistics)))}
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.sort_values(
        ["fold", "layer", "condition"], key=lambda column: column if column.name == "fold" else column.map(order)
    ).reset_index(drop=True)


def preferred_layers(scores: pd.DataFrame) -> dict[int, str]:
    """The layer with the best mean over conditions on each fold's validation speakers, the first of equals.

    For one fold it is a choice without its test speaker. Over all folds there is none: each test speaker validates
    another fold.
    """
    means = scores.groupby(["fold", "layer"], sort=False)["uar"].mean().unstack("fold", sort=False).round(9)
    return {int(fold): str(means[fold].idxmax()) for fold in means.columns}


def over_folds(scores: pd.DataFrame) -> pd.DataFrame:
    """Columns layer, condition, mean and error: mean over folds, and its standard error (NaN for one fold)."""
    uars = scores.groupby(["layer", "condition"], sort=False)["uar"]
    return pd.DataFrame({"mean": uars.mean(), "error": uars.sem()}).reset_index()


def _cell(mean: float, error: float, sign: str = "") -> Cell:
    return (f"{mean:{sign}.1f}" + (f" ± {error:.1f}" if error == error else ""), mean)


def _less_middle(every: pd.DataFrame) -> pd.DataFrame:
    """The means of each fold, less that of its `middle`; no rows where that is not compared."""
    middle = every[every["layer"] == MIDDLE].set_index("fold")["uar"]
    return every.assign(uar=every["uar"] - every["fold"].map(middle.to_dict())).dropna(subset="uar")


def layers_csv(scores: pd.DataFrame) -> str:
    """The text of ``layers.csv``."""
    return scores.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def layers_markdown(scores: pd.DataFrame, title: str, header: Mapping[str, str]) -> str:
    """The text of ``layers.md``."""
    every = scores.groupby(["fold", "layer"], sort=False, as_index=False)["uar"].mean().assign(condition=MEAN)
    summary = over_folds(pd.concat([scores, every]))
    cells = {(layer, name): _cell(mean, error) for layer, name, mean, error in summary.values.tolist()}
    layers, conditions = list(summary["layer"].unique()), list(summary["condition"].unique())
    less_middle = over_folds(_less_middle(every))[["layer", "mean", "error"]].values.tolist()
    differences = {layer: (_cell(mean, error, "+")[0], NOT_RANKED) for layer, mean, error in less_middle}
    differences |= {MIDDLE: ("", NOT_RANKED)} if differences else {}
    compared = "; the last column is the difference to it, fold by fold" if differences else ""
    table = make_table(
        ["Layer", *map(_spoken, conditions), *([f"mean - {MIDDLE}"] if differences else [])],
        [
            [layer, *(cells[layer, name] for name in conditions), *([differences[layer]] if differences else [])]
            for layer in layers
        ],
        ranked=True,
    )
    uar = {(fold, layer): value for fold, layer, value in every[["fold", "layer", "uar"]].values.tolist()}
    judges = dict(zip(scores["fold"], scores["valid_speaker"], strict=True))
    of_folds = make_table(
        ["Layer", *(f"Fold {fold} ({speaker})" for fold, speaker in judges.items())],
        [[layer, *((f"{uar[fold, layer]:.1f}", uar[fold, layer]) for fold in judges)] for layer in layers],
        ranked=True,
    )
    chosen = ", ".join(f"{fold}: {layer}" for fold, layer in preferred_layers(scores).items())
    costs = ", ".join(f"{cost:g}" for cost in COSTS)
    return f"""# {title}

Validation UAR in percent of linear probes: logistic regression on the mean and standard deviation over time of a hidden
state, trained on a fold's training speakers under all conditions of the table. Its C, one of {costs},
is chosen by the mean UAR over these conditions of the same validation speakers, so each number is a little too high.
`middle` is the mean of the middle third of the layers{compared}.
Test speakers and unmatched noise are not used.

## Mean over folds, ± its standard error

{table.markdown()}

![UAR against the hidden state](layers.png)

## By fold and validation speaker, mean over conditions

{of_folds.markdown()}

Preferred by each fold's validation speakers (fold: layer): {chosen}.

A layer is chosen fold by fold, or before any score is seen. One layer chosen by this page for all folds would have been
chosen with every test speaker, as each of them validates another fold.

## How this was made

{chr(10).join(f"- {name}: {text}" for name, text in header.items())}
"""


def _spoken(condition: str) -> str:
    if condition == MEAN:
        return condition
    found = condition_named(condition)
    return condition_text(found.noise or condition, float("nan") if found.snr_db is None else found.snr_db)


def layers_png(scores: pd.DataFrame, title: str) -> bytes:
    """``layers.png``."""
    from trnet.eval.plots import layer_plot, png  # here, as matplotlib takes a second

    summary = over_folds(scores)
    summary["condition"] = summary["condition"].map(_spoken)
    bars = "; bars: one standard error over folds" if summary["error"].notna().any() else ""
    return png({"": layer_plot(summary)}, f"{title}{bars}")
