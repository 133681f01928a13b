"""The peer's model as MLflow loads it from code, without pickle: row in, contributions out."""

from typing import Any

import mlflow
import numpy as np
import xgboost


class Contributions(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # MLflow has no types here
    """The same trees as ours, asked for the contributions to one row."""

    def load_context(self, context: Any) -> None:
        """Load the trees once."""
        self.booster = xgboost.Booster(model_file=context.artifacts["trees"])

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ARG002  as MLflow calls it
        """The margin's contributions of every row."""
        rows = xgboost.DMatrix(model_input.to_numpy(dtype=np.float32), nthread=1)
        return self.booster.predict(rows, pred_contribs=True)


mlflow.models.set_model(Contributions())
