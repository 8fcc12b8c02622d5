"""What a text says that is nobody else's business: places on this machine, and secrets. Secrets are never repeated."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

_PATH = re.compile(r"(?<![\w./:~<\\-])(?:file://)?(/[^\s/\"'`<>|:*?,;()\[\]{}\\]+(?:/[^\s\"'`<>|:*?,;()\[\]{}\\]*)+)")
_WINDOWS = re.compile(r"(?<![\w])[A-Za-z]:\\+(?:Users|Documents|Temp|data|home)\\+[^\s\"'`<>|*?]+", re.IGNORECASE)
_HOME = re.compile(r"(?<![\w/.])~(?:[a-z][\w-]*)?/[\w./-]+")

_ROOTS = {
    "Users", "Volumes", "data", "etc", "export", "home", "media", "mnt", "nfs", "opt", "private", "root", "scratch",
    "srv", "tmp", "usr", "var", "workspace",
}  # fmt: skip
"""Folders at the root of machines that people work on; those of this one count too."""

_SECRETS = {
    "a token of Hugging Face": r"\bhf_[A-Za-z0-9]{20,}",
    "a key of AWS": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a token of GitHub": r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,})",
    "a token of GitLab": r"\bglpat-[\w-]{20,}",
    "a key of an API": r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{24,}",
    "a key of Google": r"\bAIza[\w-]{35}",
    "a token of Slack": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a URL with a password": r"\b[a-z][a-z0-9+.-]*://[^\s/:@\"']+:[^\s/@\"']+@",
    "a signed URL": r"[?&](?:X-Amz-Signature|X-Goog-Signature|sig|Signature)=[\w%+/=-]{16,}",
}
_KEPT = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|CREDENTIAL", re.IGNORECASE)
_LEAST = 12
"""Characters of a variable's value that is taken for a secret."""


def leaks(text: str, environment: Mapping[str, str] | None = None) -> Iterator[tuple[int, str]]:
    """What of a text should not be published.

    Args:
        text: Any text.
        environment: Whose secrets are looked for word for word; this process's, if not given.

    Yields:
        The line, from 1, and what is there: a path as it stands, a secret by its kind.
    """
    environment = os.environ if environment is None else environment
    held = {
        value: f"the value of {name}"
        for name, value in environment.items()
        if _KEPT.search(name) and len(value) >= _LEAST and not Path(value).exists()
    }
    for number, line in enumerate(text.splitlines(), start=1):
        kinds = [kind for kind, pattern in _SECRETS.items() if re.search(pattern, line)]
        kinds += [kind for value, kind in held.items() if value in line]
        if kinds:
            yield number, kinds[0]
            continue  # a path may be a part of a secret
        for pattern in (_PATH, _WINDOWS, _HOME):
            for found in pattern.finditer(line):
                place = found[1] if pattern is _PATH else found[0]
                if pattern is not _PATH or _is_local(place):
                    yield number, f"the path {place}"


def _is_local(path: str) -> bool:
    """Whether a path may be one of a machine: of a web page, or of two words with a slash, it is none."""
    root = unquote(path).split("/")[1]
    return root in _ROOTS or Path("/", root).exists()
