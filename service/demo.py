"""`make demo`: the main line on this machine, end to end, on real driving where there is some.

Search with early stopping -> the table -> the gate -> the endpoint -> a frame of a drive that was never trained on.
KEEP=1 leaves the endpoint and MLflow's pages running until Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import experiments
from fusegpt.config import SettingError
from fusegpt.data.driving import driving
from fusegpt.data.lidar import histogram
from fusegpt.data.packed import PackedSplit, open_splits
from fusegpt.data.sample import Sample
from fusegpt.experiment import Experiment
from fusegpt.training.evaluate import evaluate
from service import run
from service.client import Client, Prediction
from service.progress import Progress, outcome_text
from service.settings import Settings

NAME = "fusion_waypoints"
TRIALS = 8


def recipe(settings: Settings) -> Experiment:
    """The experiment on KITTI where FUSEGPT_DATA or ./data/kitti has drives, else on the synthetic world."""
    changes: dict[str, Any] = {"search.trials": TRIALS, "search.algorithm": "asha"}
    root = settings.data or Path("data/kitti").resolve()
    if any(root.glob("*/*_sync")):
        return experiments.load(NAME).override({**changes, **kitti(root)})
    if settings.data is not None:
        raise SettingError(
            f"FUSEGPT_DATA: {root} holds no KITTI drive (<date>/<date>_drive_<n>_sync); unset it, or fill it"
        )
    return experiments.load(NAME).override(changes)


def kitti(root: Path) -> dict[str, Any]:
    """Where KITTI is, and a whole drive held out. Three drives are little data: pictures are mirrored, epochs many."""
    held_out = sorted(folder.name for folder in root.glob("*/*_sync"))[0]
    return {"data.source": "kitti", "data.root": str(root), "data.splits.test_drives": [held_out]}


def main() -> None:
    """Run the demo; ends with everything stopped unless KEEP=1."""
    start = time.perf_counter()
    settings = Settings.read().model_copy(update={"port": 0})
    experiment = recipe(settings)
    say(f"1. Search: {experiment.search.trials} trials on {experiment.data.source}, early stopping by ASHA")
    outcome = run.tune(run.search_of(experiment, "", settings), settings, [Progress.on_terminal(json=False)])
    say("2. What it found")
    say(outcome_text(outcome))
    if outcome.version is None:
        sys.exit(1)
    stand(experiment, settings.cache, outcome)
    say("3. Serve the champion and ask it about a drive that it was not trained on")
    with ExitStack() as running:
        url = serve(experiment.name, settings, running)
        sample = held_out(experiment, settings.cache)
        answer = ask(url, sample)
        show(experiment, sample, answer, outcome.search.folder / "prediction.png")
        say(f"\nDone in {time.perf_counter() - start:.0f} s.")
        if os.environ.get("KEEP") == "1":
            keep(settings, url, running)
    say("Nothing is left running. KEEP=1 make demo keeps the endpoint and MLflow's pages;")
    say(f"browse the runs with: FUSEGPT_HOME='{settings.home}' .venv/bin/fusegpt browse")


def stand(experiment: Experiment, cache: Path, outcome: run.Outcome) -> None:
    """Where the champion stands on held-out driving, against the baseline that its task judges beside it."""
    assert outcome.best is not None
    metric = experiment.task.headline
    judged, name = evaluate(outcome.best.folder / "best", cache).metrics, metric.name.rpartition("/")[2]
    value, baseline, who = judged[name], judged[f"{metric.baseline}_{name}"], metric.baseline.replace("_", " ")
    samples = len(open_splits(driving(experiment.data), cache).train)
    if metric.better(value, baseline):
        say(f"held out:   {name} {value:.3f}, {abs(1 - value / baseline):.0%} better than {who} ({baseline:.3f})")
    else:
        say(f"held out:   {name} {value:.3f}: no better than {who} ({baseline:.3f}), from {samples} samples")


def serve(name: str, settings: Settings, running: ExitStack) -> str:
    """Start the endpoint; it ends with `running`. Returns its URL once it answers with a champion."""
    from service.endpoint.server import serve as serving

    url = running.enter_context(serving(settings, name)).url
    client = running.enter_context(Client(url))
    deadline = time.monotonic() + 60
    while not client.ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{url}/readyz: no champion was ready within 60 s")
        time.sleep(0.2)
    say(f"   {url}  (documentation at {url}/docs)")
    return url


def held_out(experiment: Experiment, cache: Path) -> Sample:
    """The raw recording of the test sample that drives the median distance: neither the easiest nor the hardest."""
    test = open_splits(driving(experiment.data), cache).test
    assert isinstance(test, PackedSplit)
    distances = test.batch(np.arange(len(test)))["waypoints"][:, -1].norm(dim=-1)  # (N, T, 2) -> (N,)
    moment = test.sample_of(int(distances.argsort()[len(test) // 2]))
    samples = driving(experiment.data).reader().samples(moment.drive)
    return next(sample for sample in samples if sample.frame == moment.frame)


def ask(url: str, sample: Sample) -> Prediction:
    """Send the sample as a client would."""
    with Client(url) as client:
        return client.predict(
            image=sample.image, sweep=sample.sweep, speed_mps=sample.speed_mps, target_point=sample.target_point
        )


def show(experiment: Experiment, sample: Sample, answer: Prediction, picture: Path) -> None:
    """Print the waypoints beside what the car then did, and draw them."""
    predicted = np.asarray(answer.outputs["waypoints"])
    say(f"   {sample.drive}, frame {sample.frame}, {sample.speed_mps:.1f} m/s; {answer.name} version {answer.version}")
    say("   ahead by   predicted x, y (m)      driven x, y (m)   error (m)")
    for horizon, (x, y), (tx, ty) in zip(driving(experiment.data).horizons_s, predicted, sample.waypoints, strict=True):
        error = float(np.hypot(x - tx, y - ty))
        say(f"   {horizon:6.1f} s   {x:9.2f} {y:9.2f}    {tx:9.2f} {ty:9.2f}   {error:8.2f}")
    control = ", ".join(f"{name} {float(answer.outputs[name].item()):.2f}" for name in ("steer", "throttle", "brake"))
    say(f"   control: {control}")
    say(f"   picture: {draw(experiment, sample, predicted, picture)}")


def draw(experiment: Experiment, sample: Sample, predicted: NDArray[np.float32], picture: Path) -> Path:
    """Predicted, driven and straight-on waypoints over the image and from above."""
    from fusegpt.figures.waypoints import Drawn, draw_waypoints

    ahead = np.array(driving(experiment.data).horizons_s, np.float32) * sample.speed_mps
    drawn = Drawn(
        image=sample.image,
        lidar=histogram(sample.sweep, driving(experiment.data).lidar),
        grid=driving(experiment.data).lidar,
        prediction=predicted,
        truth=sample.waypoints,
        baseline=np.stack([ahead, np.zeros_like(ahead)], axis=1),
        target_point=sample.target_point,
        projection=sample.projection,
        title=f"{sample.drive}, frame {sample.frame}",
    )
    return draw_waypoints([drawn], picture, title="The champion's answer, over HTTP")


def keep(settings: Settings, url: str, running: ExitStack) -> None:
    """Leave all of it up until Ctrl-C."""
    from service.commands.browse import mlflow_pages
    from service.endpoint.ingress import free_port

    port = free_port("127.0.0.1", 0)
    pages = running.enter_context(mlflow_pages(settings, port))
    running.callback(pages.terminate)
    say(f"The endpoint is at {url}, MLflow at http://127.0.0.1:{port}. Ctrl-C ends both.")
    try:
        pages.wait()
    except KeyboardInterrupt:
        say("stopped")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
