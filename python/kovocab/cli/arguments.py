"""The settings of a verb, from flags and YAML files: its function's signature is its command line."""

from argparse import ArgumentError
from collections.abc import Callable
from typing import Any

from jsonargparse import ActionConfigFile, ArgumentParser, set_parsing_settings  # type: ignore[attr-defined]

from kovocab.errors import UsageError


def parse(verb: str, function: Callable[..., int | None], args: list[str]) -> dict[str, Any]:
    """Read what `function` is to be called with.

    Raises:
        UsageError: a setting is missing, unknown or of the wrong kind, or a file cannot be read; names it.
        SystemExit: 0 after --help and --print_config.
    """
    # The help of each field of RefineSettings is the line under `Attributes:`.
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(
        prog=f"kovocab {verb}",
        description=(function.__doc__ or "").partition("\n")[0],
        exit_on_error=False,
        default_env=False,
        allow_abbrev=False,  # else a misspelt --colum is --column
    )
    parser.add_argument("-c", "--config", action=_Config, help="A YAML file of settings; later ones win.")
    parser.add_function_arguments(function, as_group=False, as_positional=False)
    try:
        settings = parser.parse_args(args)
    except ArgumentError as error:
        raise UsageError(f"{str(error).strip()} (see `kovocab {verb} --help`)") from error
    del settings["config"]
    return settings.as_dict()


class _Config(ActionConfigFile):
    """Reads a file of settings; one that is not YAML is named, which jsonargparse does not."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        try:
            super().__call__(parser, cfg, values, option_string)  # type: ignore[no-untyped-call]
        except (TypeError, ArgumentError) as error:
            raise ArgumentError(None, f"--config {values}: {error}") from error
