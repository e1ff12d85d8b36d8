"""The AWS command line's own files (~/.aws) -> credentials for obstore, which reads only the environment and roles."""

import configparser
import importlib.util
import os
from pathlib import Path
from typing import Any

from rayforget.errors import RecordError

_OBSTORE_READS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def profile_credentials() -> dict[str, Any]:
    """Arguments for `S3Store`; empty if the environment has credentials or there is no profile.

    Raises:
        RecordError: the profile has no plain keys (single sign-on, an assumed role), and boto3 is not installed.
    """
    if any(os.environ.get(name) for name in _OBSTORE_READS):
        return {}
    name = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
    profile = _read_profile(name or "default")
    keys = {"aws_access_key_id", "aws_secret_access_key"}
    if keys <= profile.keys():
        found = {"access_key_id": profile["aws_access_key_id"], "secret_access_key": profile["aws_secret_access_key"]}
        return {**found, **({"session_token": token} if (token := profile.get("aws_session_token")) else {})}
    if not name and not _ASKS_ELSEWHERE & profile.keys():
        return {}
    if importlib.util.find_spec("boto3") is None:
        raise RecordError(
            f"AWS profile {name or 'default'} has no plain keys in {_file('credentials')}, and what it has instead "
            "takes boto3 to read; install boto3, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider

    return {"credential_provider": Boto3CredentialProvider(boto3.Session(profile_name=name))}


_ASKS_ELSEWHERE = frozenset(
    {"sso_session", "sso_start_url", "role_arn", "credential_process", "credential_source", "web_identity_token_file"}
)


def _read_profile(name: str) -> dict[str, str]:
    """A profile's settings from both files; `config` calls every profile but the default one `profile NAME`."""
    found: dict[str, str] = {}
    for kind, sections in (("config", (f"profile {name}", name)), ("credentials", (name,))):
        parser = configparser.RawConfigParser()
        path = _file(kind)
        try:
            parser.read(path)
        except configparser.Error as error:
            raise RecordError(f"{path} cannot be read ({' '.join(str(error).split())}); mend it") from error
        for section in sections:
            if parser.has_section(section):
                found |= dict(parser.items(section))
    return found


def _file(kind: str) -> Path:
    variable = {"config": "AWS_CONFIG_FILE", "credentials": "AWS_SHARED_CREDENTIALS_FILE"}[kind]
    return Path(os.environ.get(variable) or Path("~/.aws", kind)).expanduser()
