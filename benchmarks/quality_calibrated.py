"""Scores what calibrating is good for: schedules for a wished speed, and the advisor's choices.

Writes results/calibration.json; records and thresholds lie in the same work folder as those of
quality.py, whose options these are. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "support")]
sys.path.append(str(HERE.parent / "scripts"))

import host  # noqa: E402
import pack  # noqa: E402

pack.load()
host.boot(cpu=False)

import quality_hosts as hosts  # noqa: E402
import torch  # noqa: E402
from quality import machine  # noqa: E402
from quality_records import read_json, rows_of, write_json  # noqa: E402
from quality_runs import Subject, score  # noqa: E402
from stepcache.cache_core.advisor import advise  # noqa: E402
from stepcache.cache_core.calibration import Calibration, Wish  # noqa: E402
from stepcache.cache_core.calibration import file as calibration_file  # noqa: E402
from stepcache.cache_core.methods import CalibratedSmoothCache, DeepCache, Method  # noqa: E402
from stepcache.cache_core.methods.presets import fora  # noqa: E402
from stepcache.cache_core.patching import attach, timeline_of  # noqa: E402

from demo import calibrate  # noqa: E402

RESULT = HERE / "results" / "calibration.json"
SPEEDS = (1.5, 2.0, 3.0)
METHOD = (
    "As quality.json. SmoothCache and the advisor's choices rest on one calibrating run over 8 "
    "captions of the training set, drawn at once, in the same precision; predicted is what it "
    "promised before sampling: speedup (from shares of time), flop_bound and error. The host's "
    "caches run at the threshold whose probed speedup was nearest to each wished one."
)
UNCALIBRATED = {
    "dit": (
        ("FORA layers", "every 2nd step"),
        ("FORA layers", "every 3rd step"),
        ("whole blocks", "every 2nd step"),
        ("whole blocks", "every 3rd step"),
    ),
    "unet": (),
}
"""Schedules without a calibration that the tables of quality.json lack."""


def calibration_of(subject: Subject, work: Path) -> Calibration:
    """The calibration of a subject, made once."""
    path = work / "calibrations" / f"{subject.name}_{subject.precision}.json"
    if not path.exists():
        found = calibrate.calibrated(subject.model, subject.options)
        calibration_file.write(path, found)
    return calibration_file.read(path)


def settings_of(subject: Subject, calibration: Calibration) -> dict[tuple[str, str], Method]:
    """What is scored on one model, by method and label."""
    found: dict[tuple[str, str], Method] = {}
    for parts, speed in [(p, s) for p in ("layers", "blocks") for s in SPEEDS]:
        method = CalibratedSmoothCache(calibration, Wish("speedup", speed, 4, parts))
        # What is out of reach is the fastest schedule each time: one is enough.
        found.setdefault((f"SmoothCache {parts}", method.describe()), method)
    sampling = subject.model.get_model_object("model_sampling")
    timeline = timeline_of(sampling, torch.tensor(calibration.table.sigmas))
    for speed in SPEEDS:
        advice = advise(calibration, timeline, speed, "calibration")
        found["Advisor", f"{speed:g}"] = advice.method
    for name, label in UNCALIBRATED[subject.name]:
        built_in = f"{'FORA' if name.startswith('FORA') else name}: {label}"
        found[name, label] = fora(built_in, subject.options.steps)
    if subject.name == "unet":
        found["DeepCache", "interval 4"] = DeepCache(4)
    return found


def run_ours(subject: Subject, calibration: Calibration, arguments: argparse.Namespace) -> None:
    """Score our settings, nearest to the plain model first."""
    for number, ((name, label), method) in enumerate(settings_of(subject, calibration).items()):
        short = label if name in ("Advisor", "DeepCache") or "step" in label else str(number)
        record = subject.record(name, short, method.describe())
        predicted = method.prediction.to_dict() if method.prediction else None
        write_json(arguments.work / "predicted" / f"{subject.name}_{name}_{short}.json", predicted)
        print(f"{subject.name}/{name} {short}: {method.describe()} {method.prediction}", flush=True)
        score(
            subject, record, lambda m, method=method: attach(m, method),
            arguments.count, arguments.pair_every,
        )  # fmt: skip


def run_hosts(subject: Subject, arguments: argparse.Namespace) -> None:
    """Score the host's caches at the wished speeds."""
    for name in hosts.NODES:
        cache = hosts.HostCache(name, subject, arguments.work)
        for speed in SPEEDS:
            threshold = cache.match(f"{speed:g}×", speed)
            if threshold is None:
                continue
            print(f"{subject.name}/{name} threshold {threshold} for {speed:g}×", flush=True)
            label = f"threshold {threshold}"
            record = subject.record(name, label, f"{name} (reuse_{label}, 0.15-0.95)")
            score(
                subject, record, lambda m, c=cache, t=threshold: c.patch(m, t),
                arguments.count, arguments.pair_every,
            )  # fmt: skip


def merge(work: Path) -> None:
    """Write the table of all records in the work folder."""
    rows: list[dict[str, Any]] = []
    for row in rows_of(work / "records"):
        name = f"{row['model']}_{row['method']}_{row['label']}.json"
        predicted = read_json(work / "predicted" / name)
        rows.append({**row, "predicted": predicted} if predicted else row)
    matches = hosts.matches_of(work)
    write_json(RESULT, {"machine": machine(), "method": METHOD, "matches": matches, "rows": rows})
    for row in rows:
        speed = f"{row['speedup']['median']:.3f}×" if "speedup" in row else ""
        wished = f"{row['predicted']['speedup']:.3f}×" if row.get("predicted") else ""
        print(
            f"{row['model']:4} {row['method']:18} {row['label']:17} {row['captions']:4} "
            f"{100 * row['fully_correct']:6.1f} % {wished:>8} {speed:>8} {row.get('psnr') or '':>6}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="captions per setting")
    parser.add_argument("--models", nargs="+", default=["dit", "unet"])
    parser.add_argument("--batch", type=int, default=25, help="captions sampled at once")
    parser.add_argument("--pair-every", type=int, default=4, help="time every n-th batch in a pair")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--threads", type=int, help="of the processor; otherwise all")
    parser.add_argument("--work", type=Path, default=HERE.parent / "output" / "calibration")
    parser.add_argument("--merge-only", action="store_true", help="only write the table")
    parser.add_argument("--without-hosts", action="store_true", help="score only our settings")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    for name in arguments.models if not arguments.merge_only else ():
        subject = Subject(name, arguments.precision, arguments.work, arguments.batch)
        run_ours(subject, calibration_of(subject, arguments.work), arguments)
        if not arguments.without_hosts:
            run_hosts(subject, arguments)
    merge(arguments.work)


if __name__ == "__main__":
    main()
