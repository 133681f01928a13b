"""The report of a run: one page that reads well to a clinician, in a browser and on paper."""

from training.report.artifacts import RunArtifacts, read_run
from training.report.changes import changes_since
from training.report.render import Champion, render_report, write_report

__all__ = ["Champion", "RunArtifacts", "changes_since", "read_run", "render_report", "write_report"]
