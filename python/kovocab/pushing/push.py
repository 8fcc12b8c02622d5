"""Push: an export to the hub, with its card, through huggingface_hub; private, unless it is asked for otherwise."""

import logging
import re
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

from kovocab.errors import ArtefactError, UsageError, quantity
from kovocab.hub import HUB_ID
from kovocab.pushing.contents import Contents, look_over
from kovocab.pushing.hub_api import hub_errors
from kovocab.record import RECORD

log = logging.getLogger(__name__)

_WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json")
"""What an export calls its weights; what others have in a repository, an adapter's in a folder say, is theirs."""
_GIVEN = (".gitattributes", "README.md")
"""What a repository has that was just made on the hub."""


@dataclass(frozen=True)
class Pushed:
    """What went.

    Attributes:
        contents: Which files, and what the card says.
        url: Of the repository, or of the commit.
    """

    contents: Contents
    url: str


def push(
    folder: str | Path, repo: str, *, public: bool = False, message: str | None = None, overwrite: bool = False
) -> Pushed:
    """Upload a folder that export or transfer left, as one repository of a model.

    An upload that was stopped goes on with the same call: what is there already is not sent again. Weights of an
    earlier push that are no part of this one go; whatever else is in the repository stays.

    Args:
        folder: The export.
        repo: The repository's name: user/name. One that is not there is made.
        public: Whether all may see it.
        message: The commit's first line.
        overwrite: Whether to push into a repository that holds files of something else.

    Raises:
        UsageError: `repo` is no name on the hub.
        ArtefactError: the folder is not what may be pushed, see `look_over`; or the repository is other than `public`
            says, or holds something else.
        HubError: the hub refuses it, or cannot be reached.
    """
    check_repo(repo)
    contents = look_over(folder)
    from huggingface_hub import HfApi

    api = HfApi()
    with hub_errors(repo):
        there = _there(api, repo)
        if there is None:
            api.create_repo(repo, repo_type="model", private=not public, exist_ok=True)
            old = []
        else:
            _check_there(repo, there, public=public, overwrite=overwrite)
            old = [file.rfilename for file in there.siblings or []]
        pushed = [name for name in old if _WEIGHTS.fullmatch(name)] if RECORD in old else []
        stale = [name for name in pushed if name not in contents.sizes]
        if stale:
            log.info("%s of an earlier push, as %s, goes with this one", quantity(len(stale), "file"), stale[0])
        done = api.upload_folder(
            repo_id=repo,
            repo_type="model",
            folder_path=contents.folder,
            commit_message=message or f"Upload {contents.record.get('name') or repo} with kovocab",
            allow_patterns=[escape(name) for name in contents.sizes],
            delete_patterns=[escape(name) for name in stale] or None,
        )
    return Pushed(contents, str(getattr(done, "commit_url", "") or f"{api.endpoint}/{repo}"))


def check_repo(repo: str) -> None:
    """See that a name is one of a repository.

    Raises:
        UsageError: it is none.
    """
    if not HUB_ID.fullmatch(repo) or ".." in repo or "--" in repo or repo.endswith((".git", ".", "-")):
        raise UsageError(f"repo is {repo!r}; wanted user/name, as the hub has it: someone/EEVE-Korean-2.8B, say")


def told(contents: Contents, repo: str, *, public: bool) -> str:
    """What goes, as lines: each file with its size, and what the hub will say of it."""
    said = contents.metadata
    width = max(map(len, contents.sizes))
    lines = [f"to {repo}, {'public' if public else 'private'}:"]
    for name, size in contents.sizes.items():
        note = "  not written by kovocab" if name in contents.foreign else ""
        lines.append(f"  {name:<{width}}  {size:>16,}{note}")
    lines.append(f"  {quantity(len(contents.sizes), 'file')}, {quantity(sum(contents.sizes.values()), 'byte')}")
    lines += [f"left here: {', '.join(contents.left_out)}"] if contents.left_out else []
    missing = {"license": "none; --license of export sets one", "base_model": "none; --base_model of export sets one"}
    for key, called in (("license", "licence"), ("base_model", "base_model"), ("base_model_relation", "relation"),
                        ("datasets", "datasets"), ("language", "languages")):  # fmt: skip
        value = said.get(key) or missing.get(key)
        if value:
            lines.append(f"{called}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
    return "\n".join(lines)


def _there(api: Any, repo: str) -> Any:
    """What the hub says of a repository; None where there is none."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return api.model_info(repo, timeout=30)
    except RepositoryNotFoundError as error:
        # Without a token, or with a wrong one, it says 401 of what is not there too.
        if getattr(error.response, "status_code", 404) != 404:
            raise
        return None


def _check_there(repo: str, there: Any, *, public: bool, overwrite: bool) -> None:
    if public and there.private:
        raise ArtefactError(
            f"{repo} is there, and private; make it public on its page of settings, or leave out --public"
        )
    if not public and not there.private:
        raise ArtefactError(f"{repo} is there, and public; wanted --public, or another name")
    names = {file.rfilename for file in there.siblings or []}
    if names - {*_GIVEN} and RECORD not in names and not overwrite:
        other = min(names - {*_GIVEN})
        raise ArtefactError(
            f"{repo} holds files that kovocab did not push there ({other} among them); --overwrite pushes beside and "
            "over them, or choose another name"
        )
