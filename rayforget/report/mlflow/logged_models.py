"""The frontier's points -> MLflow's logged models, whose weights lie elsewhere, and the pick in its registry."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rayforget.report.mlflow.mirror_names import model_name
from rayforget.report.mlflow.mirror_plan import RunPlan

if TYPE_CHECKING:
    from mlflow import MlflowClient

ALIAS = "champion"
"""The registry's name of the version to use."""
_KEY, _KIND, _OLD = "rayforget.key", "rayforget.kind", "superseded"
_EXTERNAL = "mlflow.model.isExternal"
"""MLflow's tag of models that it holds no weights of (`mlflow.create_external_model` sets it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    id: str
    tags: Mapping[str, str]


class LoggedModels:
    """The logged models of one sweep."""

    def __init__(self, client: "MlflowClient", experiment: str, identity: Mapping[str, str]) -> None:
        self._client, self._experiment, self._identity = client, experiment, identity
        self._models: dict[str, _Model] | None = None

    def of_point(self, run: RunPlan, run_id: str) -> str:
        """The id of a point's model, which is created if need be; its metrics are logged with its run's."""
        from mlflow.entities import LoggedModelOutput

        found = self._known().get(run.key)
        if found is not None:
            return found.id
        tags = {**self._identity, _KEY: run.key, _KIND: "point", "point": run.name, _EXTERNAL: "true", _OLD: "false"}
        made = self._client.create_logged_model(
            self._experiment,
            name=model_name(run.name),
            source_run_id=run_id,
            tags=tags,
            params=dict(run.params),
            model_type="interpolated",
        )
        self._client.finalize_logged_model(made.model_id, "READY")
        self._client.log_outputs(run_id, [LoggedModelOutput(made.model_id, step=0)])
        self._known()[run.key] = _Model(id=made.model_id, tags=tags)
        return str(made.model_id)

    def supersede_all_but(self, keys: Set[str]) -> None:
        """Marks the models of points that have left the frontier, and takes it back from those that returned."""
        for key, model in self._known().items():
            word = "false" if key in keys else "true"
            if model.tags.get(_OLD) != word:
                self._client.set_logged_model_tags(model.id, {_OLD: word})

    def register(self, run: RunPlan, run_id: str, *, name: str, note: str) -> str:
        """Makes a point's model the registry's `champion` of a name; returns the version, a new one if need be.

        Args:
            run: the point's.
            run_id: MLflow's.
            name: the registered model's.
            note: what a new version's description says of the point.
        """
        from mlflow.exceptions import MlflowException

        try:
            self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self._client.create_registered_model(name)
        model = self.of_point(run, run_id)
        tags = {**self._identity, _KEY: run.key, "point": run.name}
        held = self._client.search_model_versions(f"name = '{name}'")
        versions = [version for version in held if version.tags.items() >= tags.items()]
        if not versions:
            description = f"{run.name} of the sweep {self._identity['rayforget.sweep']}. {note}"
            place = self._client.get_logged_model(model).artifact_location
            versions = [
                self._client.create_model_version(
                    name, place, run_id=run_id, tags=tags, description=description, model_id=model
                )
            ]
        version = str(versions[0].version)
        self._client.set_registered_model_alias(name, ALIAS, version)
        return version

    def _known(self) -> dict[str, _Model]:
        if self._models is None:
            where = " AND ".join(f"tags.`{name}` = '{value}'" for name, value in self._identity.items())
            self._models, token = {}, None
            while True:
                page = self._client.search_logged_models([self._experiment], where, page_token=token)
                for model in page:
                    self._models.setdefault(model.tags[_KEY], _Model(id=model.model_id, tags=model.tags))
                token = page.token
                if not token:
                    break
        return self._models
