"""Front-ends on a GPU beside the floor under them, CMGAN beside its authors' operations, and tables of both."""

import statistics
from collections.abc import Callable
from typing import Any

import torch

from trnet.bench.cmgan_parts import moved_bytes
from trnet.bench.measure import count_gflop
from trnet.bench.on_gpu import GpuCase, Timed, rates, timed, warmed
from trnet.frontend.cmgan.frontend import PRECISIONS

MARKS = {"float32": 3, "tf32": 4, "bf16": 6}  # times the eager network on one clip
HOURS, MINUTES = 77, 5  # of IEMOCAP, noisy sets included, and the time that they should take
OFFICIAL = "official"


def cmgan_groups(seconds: float, clips: list[int], passes: int) -> list[list[GpuCase]]:
    """Cases of CMGAN, those of one group in one process: its authors' operations first."""

    def case(label: str, count: int, conf: dict[str, Any], eager: bool = False) -> GpuCase:
        config = {"frontend": "cmgan", "frontend_conf": {"init": "random", **conf}}
        return GpuCase(label, config, seconds, count, eager, passes=passes)

    plain = [case(OFFICIAL, 1, {"fast": False}, eager=True), case("plain", 1, {"fast": False})]
    counts = sorted({1, *clips})
    return [plain, *([case(name, count, {"precision": name}) for count in counts] for name in PRECISIONS)]


def other_groups(
    config: dict[str, Any], seconds: float, clips: list[int], passes: int, compiled: bool
) -> list[list[GpuCase]]:
    """Cases of another front-end, also through torch.compile."""
    name, counts = config["frontend"], sorted({1, max(clips)})
    kinds = [(name, False)] + [(f"{name}, compiled", True)] * compiled
    return [[GpuCase(label, config, seconds, n, compiled=how, passes=passes) for n in counts] for label, how in kinds]


def measured(
    configs: list[dict[str, Any]],
    seconds: float,
    clips: list[int],
    passes: int,
    compiled: bool,
    device: torch.device,
    keep: Callable[[dict[str, Any]], object],
) -> dict[str, Any]:
    """All cases of front-ends, with compilation, which comes first, apart; `keep` gets what is found after each."""
    speed = rates(device)
    print(speed, flush=True)
    groups, gflop = [], {}
    for config in configs:
        name = config["frontend"]
        gflop[name] = count_gflop(config, seconds)
        cmgan = name == "cmgan"
        groups += (
            cmgan_groups(seconds, clips, passes) if cmgan else other_groups(config, seconds, clips, passes, compiled)
        )
    compile_s = warmed([group for group in groups if group[0].label in PRECISIONS])
    rows: list[dict[str, Any]] = []
    found = {"seconds": seconds, "passes": passes, "rates": speed, "kernels_compiled_in_s": compile_s, "rows": rows}
    official: Timed | None = None
    for group in groups:
        for case, one in zip(group, timed(group), strict=True):
            official = one if case.label == OFFICIAL and not one.failed else official
            rows.append(_row(case, one, official, gflop[case.frontend["frontend"]], speed))
            print(_line(rows[-1]), *one.logged, one.failed, flush=True)
        keep(found)
    return found


TILES: tuple[dict[str, int], ...] = (
    {},
    {"ROWS": 32, "WARPS": 2},
    {"ROWS": 128, "WARPS": 8},
    {"WARPS": 8},
    {"STAGES": 1},
    {"STAGES": 3},
    {"CONV_ROWS": 64},
    {"CONV_ROWS": 256, "CONV_WARPS": 8},
    {"CONV_WARPS": 8},
    {"CONV_STAGES": 4},
)


def tiles(seconds: float, passes: int) -> dict[str, list[dict[str, Any]]]:
    """CMGAN's kernels with sizes of blocks changed, by precision: ms of one clip, and the difference it makes."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for precision in ("float32", "bf16"):
        config = {"frontend": "cmgan", "frontend_conf": {"init": "random", "precision": precision}}
        cases = [GpuCase(precision, config, seconds, passes=passes, tiles=each) for each in TILES]
        warmed([[case] for case in cases])
        rows[precision] = []
        found = timed(cases)
        for case, one in zip(cases, found, strict=True):
            row: dict[str, Any] = {"changed": " ".join(f"{k}={v}" for k, v in case.tiles.items()) or "nothing"}
            if one.passes_s and found[0].passes_s:
                own, first = torch.tensor(one.check), torch.tensor(found[0].check)
                row |= {"ms": 1000 * statistics.median(one.passes_s), "difference": float((own - first).norm())}
            row["note"] = one.failed or " ".join(one.logged)
            rows[precision].append(row)
            print(precision, row, flush=True)
    return rows


def _row(
    case: GpuCase, found: Timed, official: Timed | None, gflop: float | None, speed: dict[str, float]
) -> dict[str, Any]:
    """A row of the table."""
    row = {"label": case.label, "frontend": case.frontend["frontend"], "clips": case.clips, "first_s": found.first_s}
    row |= {"passes_s": found.passes_s, "peak_mib": found.peak_mib, "logged": found.logged, "failed": found.failed}
    if not found.passes_s:
        return row
    a_clip = statistics.median(found.passes_s) / case.clips
    kernels = case.label in PRECISIONS
    rate = speed[case.label if kernels else "float32"]
    row |= {"s_a_clip": a_clip, "real_time_factor": a_clip / case.seconds}
    row |= {"arithmetic_floor_s": gflop / rate if gflop else None}
    if kernels:
        row["memory_floor_s"] = moved_bytes(case.seconds, case.label) / 1e9 / speed["copy_gb_s"]
        row["minutes_of_77_hours"] = HOURS * 60 * a_clip / case.seconds
        row["mark"] = MARKS[case.label]
    if row["frontend"] == "cmgan" and official:
        row["times_official"] = statistics.median(official.passes_s) / a_clip
        own, theirs = torch.tensor(found.check), torch.tensor(official.check)
        row["difference"] = float((own - theirs).norm() / theirs.norm())
    return row


COLUMNS = {
    "ms a clip": ("s_a_clip", 1000, ".2f"),
    "real-time factor": ("real_time_factor", 1, ".5f"),
    "times official": ("times_official", 1, ".2f"),
    "mark": ("mark", 1, "g"),
    "77 h, min": ("minutes_of_77_hours", 1, ".1f"),
    "arithmetic floor, ms": ("arithmetic_floor_s", 1000, ".2f"),
    "memory floor, ms": ("memory_floor_s", 1000, ".2f"),
    "difference": ("difference", 1, ".1e"),
    "peak, MiB": ("peak_mib", 1, ".0f"),
    "first pass, s": ("first_s", 1, ".1f"),
}


def _line(row: dict[str, Any]) -> str:
    cells = [format(row[key] * by, form) if row.get(key) is not None else "" for key, by, form in COLUMNS.values()]
    return "| " + " | ".join([row["label"], str(row["clips"]), *cells]) + " |"


def markdown(found: dict[str, Any]) -> list[str]:
    """The tables."""
    lines: list[str] = []
    if found["rows"]:
        lines += _rows(found)
    for title in ("attention", "kernels", "tiles"):
        lines += _table(title, found.get(title, {}))
    if "failed" in found:
        lines += ["", f"Not measured further: {found['failed']}"]
    return lines


def _rows(found: dict[str, Any]) -> list[str]:
    """The first table."""
    speed = found["rates"]
    lines = [f"Clips of {found['seconds']:g} s, medians of {found['passes']} passes. Large products reach "]
    lines[0] += ", ".join(f"{speed[name] / 1000:.0f} TFLOP/s in {name}" for name in PRECISIONS)
    lines[0] += f", a copy {speed['copy_gb_s']:.0f} GB/s. Kernels compiled in {found['kernels_compiled_in_s']:.0f} s."
    lines += ["", "| computed | clips | " + " | ".join(COLUMNS) + " |", "|---|" + "--:|" * (len(COLUMNS) + 1)]
    lines += [_line(row) for row in found["rows"]]
    notes = {f"{row['label']}: {text}" for row in found["rows"] for text in [*row["logged"], row["failed"]] if text}
    lines += [""] * bool(notes) + [f"- {note}" for note in sorted(notes)]
    kernels = [row for row in found["rows"] if "minutes_of_77_hours" in row]
    if kernels:
        best = min(kernels, key=lambda row: row["minutes_of_77_hours"])
        floor = max(best["arithmetic_floor_s"] or 0.0, best["memory_floor_s"]) * HOURS * 60 / found["seconds"]
        lines += [
            "",
            f"{HOURS} hours of audio take {best['minutes_of_77_hours']:.1f} minutes (mark {MINUTES}, at best "
            f"{floor:.1f}), from the fastest row.",
        ]
    return lines


def _table(title: str, groups: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Rows of dictionaries, a table for each group."""
    lines: list[str] = []
    for name, rows in groups.items():
        keys = list(dict.fromkeys(key for row in rows for key in row))
        lines += ["", f"{title}, {name}:", "", "| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
        lines += ["| " + " | ".join(_cell(row.get(key, "")) for key in keys) + " |" for row in rows]
    return lines


def _cell(value: Any) -> str:
    return format(value, ".3g") if isinstance(value, float) else str(value)
