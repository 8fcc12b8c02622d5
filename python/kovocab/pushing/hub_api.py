"""What the hub answers that is no success, as errors in a line; its client has errors of its own, its transport too."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kovocab.errors import HubError, KovocabError

_SIGN_IN = "sign in with `hf auth login`, or set HF_TOKEN, to a token that may write to it"


@contextmanager
def hub_errors(repo: str) -> Iterator[None]:
    """Round all that speaks with the hub.

    Raises:
        HubError: what went wrong, and what is to be done. It holds no token.
    """
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

    hub = constants.ENDPOINT
    try:
        yield
    except KovocabError:
        raise
    except LocalTokenNotFoundError as error:
        raise HubError(f"{hub} wants to know who you are; {_SIGN_IN}") from error
    except HFValidationError as error:
        raise HubError(f"{repo}: {_line(error)}") from error
    except OfflineModeIsEnabled as error:
        raise HubError(f"{hub} is not asked, as HF_HUB_OFFLINE is set; unset it, or see --dry_run") from error
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        said = _without(getattr(error, "server_message", None) or _line(error), get_token())
        raise HubError(f"{_answer(status, repo, hub, signed_in=get_token() is not None)} ({status}: {said})") from error
    except ValueError as error:  # what it says of a card's YAML
        raise HubError(f"{repo}: {' '.join(str(error).split())}") from error
    except Exception as error:
        if not _is_transport(error):
            raise
        said = _without(_line(error), get_token())
        raise HubError(
            f"{hub} cannot be reached ({said or type(error).__name__}); the same command again goes on where it stopped"
        ) from error


def _answer(status: Any, repo: str, hub: str, *, signed_in: bool) -> str:
    if status == 401:
        unknown = f"{hub} does not know the token that is set" if signed_in else f"{hub} wants to know who you are"
        return f"{unknown}; {_SIGN_IN}"
    if status == 403:
        return f"the token that is set may not write to {repo}; wanted one of a member, with the right to write"
    if status == 404:
        return f"there is no {repo} for this token on {hub}; wanted the name of a user or organisation that it is of"
    if status == 429:
        return f"{hub} has had too many requests; the same command goes on in some minutes"
    if status is not None and status >= 500:
        return f"{hub} has trouble; the same command again goes on where it stopped"
    return f"{hub} refused it"


def _is_transport(error: Exception) -> bool:
    """Whether it is of the network, or of what speaks with it; those packages have a root of their own each."""
    package = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or package.startswith(("http", "requests", "hf_xet"))


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def _without(said: str, token: str | None) -> str:
    return " ".join((said.replace(token, "…") if token else said).split())
