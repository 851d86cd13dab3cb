"""Write the folder of a model repository and push it to the Hub, which happens only when a person asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, constants, get_session, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from textclf.documents.document import Picture
from textclf.errors import ArtifactError, ConfigError, first_line
from textclf.export.card import model_card
from textclf.export.contents import KEPT, copy_classifier, copy_file
from textclf.export.evidence import gather
from textclf.models.saved import DESCRIPTION
from textclf.system.files import write_text
from textclf.system.hub import PROBE_SECONDS, hub_is_reachable
from textclf.tracking.find_runs import RunReference
from textclf.tracking.record import FIGURES, refuse_changed

README = "README.md"
PICTURES = {
    "confusion_matrix": "How often each true class was predicted as each other, on the test split",
    "reliability": "Share that is right over the top probability; on the dotted line they are equal",
}
"""Pictures of a run that a card shows: they hold scores and names of classes, no texts."""
PNG = b"\x89PNG\r\n\x1a\n"
RepoType = Literal["model", "space"]
OURS = {"model": DESCRIPTION, "space": f"classifier/{DESCRIPTION}"}
"""The file by which a repository that textclf filled is recognised."""
TOKENS_PAGE = "huggingface.co/settings/tokens"
KEPT_BEHIND = (".gitattributes",)
"""Files that the Hub itself writes into a new repository."""


def write_hub_folder(located: RunReference, output: Path, repo_id: str | None = None) -> None:
    """Write a classifier's files and its model card.

    Args:
        located: What is exported.
        output: A fresh folder; made where it is not there.
        repo_id: `owner/name` that the code in the card names; none leaves a placeholder.

    Raises:
        ArtifactError: If the classifier is damaged, or the folder holds something.
    """
    refuse_full(output)
    evidence = gather(located)
    copy_classifier(located, output)
    write_text(output / README, model_card(evidence, _pictures(located, output), repo_id))


def refuse_full(output: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        ArtifactError: If it does.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ArtifactError(f"{output} is not empty, and nothing is overwritten; name another folder.")


def _pictures(located: RunReference, output: Path) -> list[Picture]:
    """Copy the pictures of the run that the card shows, and return them by their place in the folder."""
    found = []
    for name, caption in PICTURES.items():
        source = (located.folder or located.classifier) / FIGURES / f"{name}.png"
        if located.folder is None or not source.is_file():
            continue
        refuse_changed(located.folder, f"{FIGURES}/{source.name}")
        target = output / FIGURES / source.name
        target.parent.mkdir(exist_ok=True)
        copy_file(source, target, located.folder)
        if not target.read_bytes().startswith(PNG):
            raise ArtifactError(f"{source} is no picture (PNG), so it was not exported.")
        found.append(Picture(Path(FIGURES) / source.name, caption, name.replace("_", " ")))
    return found


def push_folder(
    folder: Path,
    repo_id: str,
    repo_type: RepoType,
    private: bool,
    token_from_env: str | None = None,
    endpoint: str | None = None,
) -> str:
    """Make a repository on the Hub where there is none, and commit a folder to it.

    A repository that textclf filled before gets another commit, in which the classifier's former
    files are removed; one that holds anything else is left alone.

    Args:
        folder: What was exported.
        repo_id: `owner/name`.
        repo_type: `model` or `space`.
        private: Whether a new repository is private; one that is there stays as it is.
        token_from_env: The access token; none takes HF_TOKEN, or what `hf auth login` kept.
        endpoint: Another Hub than the one that HF_ENDPOINT names.

    Returns:
        The address of the repository.

    Raises:
        ConfigError: If the name is none of a repository.
        ArtifactError: If there is no token, no network or no permission, or the repository holds something else.
    """
    check_repo_id(repo_id)
    token = token_from_env or get_token()
    if not token:
        raise ArtifactError(
            f"Pushing to {repo_id} needs an access token with permission to write. Make one at {TOKENS_PAGE}, then set "
            f"HF_TOKEN or run hf auth login. What was exported is in {folder}."
        )
    where = endpoint or constants.ENDPOINT
    offline = constants.is_offline_mode()
    if offline or not _answers(endpoint):
        reason = "is not asked because HF_HUB_OFFLINE is set" if offline else "cannot be reached"
        raise ArtifactError(
            f"{where} {reason}, so nothing was pushed. What was exported is in {folder}; push it from where there is a "
            f"network."
        )
    api = HfApi(endpoint=endpoint, token=token)
    try:
        _refuse_others(api, repo_id, repo_type)
        api.create_repo(
            repo_id,
            repo_type=repo_type,
            private=private,
            exist_ok=True,
            space_sdk="gradio" if repo_type == "space" else None,
        )
        api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            repo_type=repo_type,
            commit_message="Export from textclf",
            delete_patterns=[name if repo_type == "model" else f"classifier/{name}" for name in KEPT],
        )
    except HfHubHTTPError as error:
        raise ArtifactError(_refusal(error, repo_id, where, folder).replace(token, "…")) from None
    except ArtifactError:
        raise
    except Exception as error:  # the client's transports raise their own kinds, and any may quote the request
        reason = f"{type(error).__name__}: {first_line(error)}".replace(token, "…")
        raise ArtifactError(
            f"Pushing to {repo_id} failed ({reason}) The connection to {where} may have been lost. What was exported "
            f"is in {folder}; a second push continues from there."
        ) from None
    kind = "spaces/" if repo_type == "space" else ""
    return f"{where}/{kind}{repo_id}"


def check_repo_id(repo_id: str) -> None:
    """Refuse what is no `owner/name`.

    Raises:
        ConfigError: If it is not.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ConfigError(f"{repo_id!r} is no repository: {first_line(error)} Write owner/name.") from error
    if repo_id.count("/") != 1:
        raise ConfigError(f"{repo_id!r} is no repository; write owner/name, such as my-team/reviews-minilm.")


def _answers(endpoint: str | None) -> bool:
    """Whether the Hub can be reached; the client itself would try for half a minute."""
    if endpoint is None:
        return hub_is_reachable()
    try:
        get_session().head(endpoint, timeout=PROBE_SECONDS)
    except Exception:  # whatever the client raises means: not reachable
        return False
    return True


def _refuse_others(api: HfApi, repo_id: str, repo_type: RepoType) -> None:
    """Refuse a repository that holds something which did not come from here."""
    try:
        files = api.list_repo_files(repo_id, repo_type=repo_type)
    except RepositoryNotFoundError:
        return
    if set(files) - set(KEPT_BEHIND) and OURS[repo_type] not in files:
        raise ArtifactError(
            f"{repo_id} is there already and holds no {OURS[repo_type]}, so it did not come from textclf and was left "
            f"alone. Name another repository."
        )


def _refusal(error: HfHubHTTPError, repo_id: str, where: str, folder: Path) -> str:
    """Return why the Hub refused, and what to do."""
    status = error.response.status_code if error.response is not None else 0
    if status == 401:
        reason = f"the access token is not valid (any more). Make one that may write at {TOKENS_PAGE}"
    elif status == 403:
        owner = repo_id.partition("/")[0]
        reason = f"the access token may not write there. It needs the permission to write to what {owner} owns"
    elif status == 402:
        reason = "the account's plan does not allow it"
    elif status >= 500:
        reason = f"it answered {status}; try again later"
    else:
        reason = f"it answered {status}: {first_line(error)}".rstrip(".")
    return f"{where} refused the push to {repo_id}: {reason}. What was exported is in {folder}."
