"""An exported folder -> a repository on the hub."""

from pathlib import Path

from rayforget.errors import FoundationError, SpaceError, StorageError
from rayforget.printable import one_line
from rayforget.space.foundation import FoundationConfig, rules_of
from rayforget.space.paths import is_hub_name


def check_name(name: str) -> None:
    """Refuses what cannot be a repository's name, before any work is done.

    Raises:
        SpaceError: it is not OWNER/NAME.
    """
    if not is_hub_name(name, owned=True):
        raise SpaceError(f"--push {name!r} cannot be a name on the hub; write OWNER/NAME")


def refuse_local_base(foundation: FoundationConfig) -> None:
    """Refuses an adapter that would be uploaded with a place on this machine as the name of its base.

    Raises:
        FoundationError: the foundation is a folder, or built in.
    """
    if foundation.model == "builtin" or any(rules_of(foundation.kind).local_places(foundation)):
        raise FoundationError(
            f"--push with --adapter: the adapter names its base, and foundation.model {foundation.model} is of "
            "this machine, which the hub does not have; push the merged model, without --adapter, or export the "
            "adapter without --push"
        )


def push_folder(folder: Path, name: str, *, private: bool) -> str:
    """Uploads the folder's files as one commit and returns their address; the token is the hub's own (`hf auth login`
    or HF_TOKEN).

    Args:
        folder: the model's.
        name: OWNER/NAME; made if it is not there.
        private: whether a new repository is shown to its owner alone.

    Raises:
        StorageError: the hub refuses or does not answer; the message never has the token.
    """
    from huggingface_hub import HfApi, get_token

    try:
        api = HfApi()
        made = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="Exported by rayforget")
        return str(made)
    except Exception as error:  # of whatever HTTP package the library's version uses
        reason = " ".join(str(error).split())
        token = get_token()
        if token:
            reason = reason.replace(token, "(the token)")
        raise StorageError(
            f"--push: {name} cannot be uploaded ({type(error).__name__}: {one_line(reason)[:300]}); the folder "
            f"{folder} is complete: mend that (`hf auth login`, HF_TOKEN, the name), then `hf upload "
            f"{name} {folder}`"
        ) from None
