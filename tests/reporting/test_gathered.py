"""What is read of a run's folder: logs of stages that were begun again, of broken lines, of stages of two digits."""

from pathlib import Path

import pytest

from kovocab.errors import ArtefactError
from kovocab.reporting.gathered import Places, gather

HEAD = "epoch,loss/train,lr,step\n"


def log(run: Path, name: str, *lines: str) -> None:
    (run / "logs" / name).mkdir(parents=True)
    (run / "logs" / name / "metrics.csv").write_text(HEAD + "".join(f"{line}\n" for line in lines))


def test_the_last_time_that_a_step_was_logged_counts(tmp_path):
    (tmp_path / "stages").mkdir()
    log(tmp_path, "stage-1", "0,9.0,0.1,0", "0,8.0,0.1,1")
    log(tmp_path, "stage-1-again-10", "0,5.0,0.1,1")
    log(tmp_path, "stage-1-again-2", "0,6.0,0.1,1", "0,nan,0.1,2", "0,inf,,3")
    log(tmp_path, "stage-12", "0,1.0,0.5,0", "0,what")
    log(tmp_path, "stage-1-mine", "0,0.0,0.0,0")
    logs = gather(tmp_path, Places()).logs
    assert {number: [(row["step"], row.get("loss/train")) for row in rows] for number, rows in logs.items()} == {
        1: [(0, 9.0), (1, 5.0), (2, None), (3, None)],
        12: [(0, 1.0)],
    }


def test_a_folder_without_anything_has_reasons(tmp_path):
    (tmp_path / "stages").mkdir()
    assert gather(tmp_path, Places()).left_out == {"expanded": "no_expanded", "evaluation": "no_evaluation"}
    with pytest.raises(ArtefactError, match="does not exist"):
        gather(tmp_path / "nowhere", Places())
