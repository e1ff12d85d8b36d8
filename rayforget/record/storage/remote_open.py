"""s3://, gs:// and abfs:// URIs -> folders of object stores, with the credentials that each cloud's tools find."""

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from obstore.store import AzureStore, GCSStore, S3Store

from rayforget.errors import RecordError
from rayforget.record.storage.aws_profile import profile_credentials
from rayforget.record.storage.remote_folder import RemoteFolder

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

_RETRIES: "RetryConfig" = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=2), "base": 2},
}
"""For a single request or part; `Patience` handles what lasts longer."""
_TIMEOUTS: "ClientConfig" = {"connect_timeout": "10s", "read_timeout": "60s", "timeout": "300s"}
_SETTINGS = {
    "s3": frozenset({"region", "scheme", "endpoint_override", "allow_bucket_creation", "allow_bucket_deletion"}),
    "gs": frozenset({"scheme", "endpoint_override"}),
    "abfs": frozenset[str](),
}
"""Settings that a URI's query may have, in pyarrow's words; the two of buckets are taken and do nothing."""
_FAMILY = {"s3": "s3", "gs": "gs", "gcs": "gs", "abfs": "abfs", "abfss": "abfs"}


def open_remote(uri: str) -> RemoteFolder:
    """The folder that a URI names; asks no server, except for the region of an S3 bucket if none is given.

    Raises:
        RecordError: there is no such kind of storage or no such setting, or the credentials cannot be read.
    """
    parts = urlsplit(uri)
    family = _FAMILY.get(parts.scheme.lower())
    if family is None or not parts.hostname:
        raise RecordError(
            f"storage {_shown(parts)} cannot be opened; expected a local folder, s3://BUCKET/... or gs://..."
        )
    settings = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(settings.keys() - _SETTINGS[family]):
        known = ", ".join(sorted(_SETTINGS[family])) or "none"
        raise RecordError(f"storage {_shown(parts)} has a setting {unknown[0]}; expected some of: {known}")
    open_objects = {"s3": _open_s3, "gs": _open_gcs, "abfs": _open_azure}[family]
    try:
        objects = open_objects(parts, settings)
    except RecordError:
        raise
    except Exception as error:  # obstore's errors have no other common base
        reason = " ".join(str(error).split("\n\nDebug source")[0].split())[:300]
        raise RecordError(f"storage {_shown(parts)} cannot be opened ({reason}); see to its settings") from error
    bucket = f"{parts.scheme.lower()}://{parts.netloc}"
    return RemoteFolder(objects, unquote(parts.path), bucket, parts.query)


def _open_s3(parts: SplitResult, settings: dict[str, str]) -> "ObjectStore":
    bucket = parts.hostname or ""
    endpoint = _with_scheme(settings) or next(
        (os.environ[name] for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") if os.environ.get(name)), None
    )
    config: dict[str, Any] = {"region": settings.get("region") or _s3_region(bucket, endpoint)}
    if endpoint:
        config["endpoint"] = endpoint
    if parts.username and parts.password:
        config |= {"access_key_id": unquote(parts.username), "secret_access_key": unquote(parts.password)}
    else:
        config |= profile_credentials()
    client: ClientConfig = {**_TIMEOUTS, "allow_http": bool(endpoint and endpoint.startswith("http:"))}
    return S3Store(bucket, client_options=client, retry_config=_RETRIES, **config)


def _s3_region(bucket: str, endpoint: str | None) -> str:
    """The region of AWS's bucket, wherever it lies; for another server's bucket the environment's."""
    said = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if endpoint:
        return said or "us-east-1"
    from pyarrow import fs

    try:
        region: str = fs.resolve_s3_region(bucket)
    except OSError as error:
        if not said:
            reason = " ".join(str(error).split())[:300]
            raise RecordError(
                f"the region of bucket {bucket} cannot be found out ({reason}); see to the network, or set AWS_REGION"
            ) from error
        return said
    return region


def _open_gcs(parts: SplitResult, settings: dict[str, str]) -> "ObjectStore":
    endpoint = _with_scheme(settings)
    config: dict[str, Any] = {"base_url": endpoint} if endpoint else {}
    if parts.username == "anonymous":
        config["skip_signature"] = True
    client: ClientConfig = {**_TIMEOUTS, "allow_http": bool(endpoint and endpoint.startswith("http:"))}
    return GCSStore(parts.hostname or "", client_options=client, retry_config=_RETRIES, **config)


def _open_azure(parts: SplitResult, settings: dict[str, str]) -> "ObjectStore":
    return AzureStore.from_url(
        f"{parts.scheme.lower()}://{parts.netloc}", client_options=_TIMEOUTS, retry_config=_RETRIES
    )


def _with_scheme(settings: dict[str, str]) -> str | None:
    endpoint = settings.get("endpoint_override")
    if not endpoint or "://" in endpoint:
        return endpoint
    return f"{settings.get('scheme', 'https')}://{endpoint}"


def _shown(parts: SplitResult) -> str:
    """The URI without possible secrets."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
