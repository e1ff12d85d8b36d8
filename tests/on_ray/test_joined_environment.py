"""The environment of workers on a cluster that somebody else started."""

import json

from rayforget.on_ray.session import joined_environment


def test_nothing_phones_home_and_threads_wait_asleep() -> None:
    found = joined_environment({})
    assert found["RAY_USAGE_STATS_ENABLED"] == "0"
    assert found["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert found["HF_HUB_DISABLE_TELEMETRY"] == found["DO_NOT_TRACK"] == "1"
    assert found["OMP_WAIT_POLICY"] == "PASSIVE"


def test_what_the_user_has_set_comes_first() -> None:
    assert joined_environment({"OMP_WAIT_POLICY": "ACTIVE"})["OMP_WAIT_POLICY"] == "ACTIVE"


def test_a_job_is_not_told_twice_what_it_carries() -> None:
    job = {"runtime_env": {"env_vars": {"DO_NOT_TRACK": "0"}, "working_dir": "x"}}
    assert "DO_NOT_TRACK" not in joined_environment({"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(job)})
    assert "DO_NOT_TRACK" in joined_environment({"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps({"runtime_env": None})})
