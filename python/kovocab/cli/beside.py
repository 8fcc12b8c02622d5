"""The verbs beside the street, as functions whose signatures are their help: what follows a model, and the machine."""


def push_export(
    folder: str,
    repo: str,
    public: bool = False,
    dry_run: bool = False,
    message: str | None = None,
    overwrite: bool = False,
) -> None:
    """Upload an export to the hub, with its card: looked over for paths, secrets and pickles, and private by default.

    The token is the one of `hf auth login`, or of HF_TOKEN. An upload that was stopped goes on: give the same command
    again.

    Args:
        folder: What export or transfer left. `kovocab push FOLDER --repo user/name` will do.
        repo: The repository: user/name; it is made where there is none.
        public: Let all see it.
        dry_run: Look the folder over and list what would go; nothing is asked of a network.
        message: The commit's first line.
        overwrite: Push into a repository that holds files of something else.
    """
    from kovocab.pushing.contents import look_over
    from kovocab.pushing.push import check_repo, push, told

    check_repo(repo)
    if dry_run:
        print(f"{told(look_over(folder), repo, public=public)}\nnothing was sent")
        return
    _without_bars()
    done = push(folder, repo, public=public, message=message, overwrite=overwrite)
    print(f"{told(done.contents, repo, public=public)}\n{done.url}")


def tell_doctor(gpu: bool = False, json: bool = False) -> None:
    """Tell what is installed, what is missing for which verb, and what the machine has; no secret, no path, no network.

    Args:
        gpu: Load torch too, and say which GPUs it sees.
        json: As a JSON object.
    """
    from kovocab.diagnosing.diagnose import diagnose, told

    found = diagnose(gpu=gpu)
    if json:
        from json import dumps

        print(dumps(found, ensure_ascii=False))
        return
    print(told(found))


def _without_bars() -> None:
    """Silence the hub's progress bars where there is no terminal to draw them on."""
    import sys

    if not sys.stderr.isatty():
        from huggingface_hub import utils

        utils.disable_progress_bars()  # type: ignore[attr-defined]
