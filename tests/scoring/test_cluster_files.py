"""The files of docs/cluster: what SLURM and Kubernetes would start is started here, with the variables they set."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from score_films import cohort_with_broken_films, files_of, planned

from patchcxr.scoring.run import run_plan

pytest.importorskip("distributed", reason="the extra cluster is not installed")
pytestmark = pytest.mark.slow
FILES = Path(__file__).parents[2] / "docs" / "cluster"
OPTIONS = ["--part-size", "2", "--set", "vote.patches=4", "--device", "cpu"]


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A cohort of five films, two of them broken, and its scores by one process."""
    folder = tmp_path_factory.mktemp("films")
    table = cohort_with_broken_films(folder)
    run_plan(planned(folder / "scores", table), device="cpu")
    return folder / "cohort.csv", files_of(folder / "scores")


@pytest.fixture
def start(tmp_path):
    """Starts processes with patchcxr and dask on their path, and ends those that are left."""
    processes = []

    def go(command, **variables):
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"} | variables
        with (tmp_path / f"{len(processes)}.log").open("w") as log:
            processes.append(subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log))
        return processes[-1]

    yield go
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(60)


def test_the_slurm_script_scores_a_cohort_and_ends(scored, start, tmp_path):
    cohort, expected = scored
    out = tmp_path / "with a space"
    command = ["bash", str(FILES / "score.slurm"), str(cohort), str(out), *OPTIONS]
    variables = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "1"}
    worker = start(command, SLURM_ARRAY_TASK_ID="1", **variables)
    assert start(command, SLURM_ARRAY_TASK_ID="0", **variables).wait(200) == 1  # films failed
    assert files_of(out) == expected
    assert list(out.glob("scheduler-*")) == []
    assert worker.wait(60) == 0


def test_the_slurm_script_says_what_it_needs(start, tmp_path):
    assert start(["bash", str(FILES / "score.slurm"), "cohort.csv"]).wait(30) != 0
    assert "usage: sbatch score.slurm COHORT OUT" in (tmp_path / "0.log").read_text()


def test_the_containers_of_kubernetes_score_a_cohort(scored, start, tmp_path):
    cohort, expected = scored
    spec = yaml.safe_load((FILES / "score.kubernetes.yaml").read_text())["spec"]
    pods = {"job": spec["job"]["spec"]} | {
        name: spec["cluster"]["spec"][name]["spec"] for name in ("scheduler", "worker")
    }
    assert pods["job"]["restartPolicy"] == "Never"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {"DASK_SCHEDULER_ADDRESS": f"tcp://127.0.0.1:{port}", "DASK_WORKER_NAME": "score-default-worker-1"}

    def arguments(name):
        (container,) = pods[name]["containers"]
        said = container["args"]
        for variable, value in variables.items():
            said = [value if one == f"$({variable})" else one for one in said]
        mounted = {"/films/cohort.csv": str(cohort), "/films/scores": str(tmp_path / "scores")}
        return [mounted.get(one, one) for one in said]

    start([*arguments("scheduler"), "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"])
    time.sleep(5)  # the operator waits for the scheduler's readiness
    start([*arguments("worker"), "--no-dashboard"], **variables)
    assert start([*arguments("job"), *OPTIONS], **variables).wait(200) == 1  # films failed
    assert files_of(tmp_path / "scores") == expected
