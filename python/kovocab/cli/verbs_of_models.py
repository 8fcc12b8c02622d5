"""The verbs of models: each a function whose signature is its help, as in `verbs_of_text`."""

import sys
from pathlib import Path
from typing import Literal

from kovocab.errors import UsageError, quantity


def expand_model(
    model: str,
    tokenizer: str,
    out: str,
    pad_to_multiple_of: int | None = None,
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto",
    untie: bool = False,
    overwrite: bool = False,
) -> None:
    """Grow a causal language model to the target tokenizer: input rows by subword mean, output rows by first piece.

    Args:
        model: The base model: a folder or a hub id.
        tokenizer: The folder that `kovocab refine` left.
        out: The folder to write: a plain Hugging Face model with its tokenizer.
        pad_to_multiple_of: Round the number of rows up to a multiple of this.
        dtype: Of the weights written; auto keeps the base's.
        untie: Give tied output embeddings a matrix of their own, so that all stages can train them.
        overwrite: Replace what expand left in out of another model, tokenizer or settings.
    """
    from kovocab.expanding.expand import expand_folder
    from kovocab.expanding.row_counts import meaning

    without_bars()
    record = expand_folder(
        model, Path(tokenizer), Path(out),
        pad_to_multiple_of=pad_to_multiple_of, dtype=dtype, untie=untie, overwrite=overwrite,
    )  # fmt: skip
    tied = (
        ", tied: of eeve's stages 1, 2 and 3 are one and the same, and so are 4 and 5; 3, 6 and 7 train, and with "
        "--untie true all seven do"
    )
    first = record["first_new_id"]
    where = "at the ids of old ones" if first is None else f"from id {first:,}"
    tied = tied if record["tied"] else ", untied" if record["untied"] else ""
    print(
        f"{quantity(record['new_tokens'], 'new token')} {where}: "
        f"{quantity(record['vocab_size'], 'row')}, "
        f"{record['dtype']}{tied}"
    )
    if (said := meaning(record["vocab_size"], record["architecture"])) is not None:
        print(said)
    print(out)


def export_stage(
    out: str,
    stage: str | None = None,
    run: str | None = None,
    name: str | None = None,
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto",
    license: str | None = None,
    base_model: str | None = None,
    datasets: str | list[str] | None = None,
    pad_to_multiple_of: int | None = None,
    tokenizer_class: Literal["PreTrainedTokenizerFast", "LlamaTokenizer"] = "PreTrainedTokenizerFast",
    overwrite: bool = False,
) -> None:
    """Write a folder for the hub: safetensors in the plain layout, tokenizer, generation config, model card.

    Args:
        out: The folder to write.
        stage: The folder of a finished stage; or its number, with run; or the folder of a run, as run.
        run: The folder of a run: its last stage is exported if all are finished, else the one that stage names.
        name: What the card calls the model; the folder's name, if not given.
        dtype: Of the weights written; auto keeps the stage's.
        license: The identifier of the model's licence on the card, as the hub has them: apache-2.0, say.
        base_model: The base's hub id on the card, if it was a folder that does not say.
        datasets: Hub ids on the card of what it was trained on, HAERAE-HUB/KOREAN-WEBTEXT say: one, or a list.
        pad_to_multiple_of: Round the number of rows up to a multiple of this; by default there are as many as tokens.
        tokenizer_class: What tokenizer_config.json names: LlamaTokenizer is for onnxruntime-extensions alone.
        overwrite: Replace what export left in out of another stage or with other settings; a README.md that was edited
            stays, and so does what else is in the folder.
    """
    if stage is None and run is None:
        raise UsageError("wanted --run RUN, or --stage with the folder of a stage")
    if run is not None and not (stage is None or stage.isdecimal()):
        raise UsageError(f"stage is {stage}, and run {run}; wanted the number of a stage of that run")
    from kovocab.exporting.export import export, stage_of

    folder = str(stage) if run is None else stage_of(run, None if stage is None else int(stage))
    without_bars()
    record = export(
        folder, out, name=name, dtype=dtype, license=license, base_model=base_model, datasets=datasets,
        pad_to_multiple_of=pad_to_multiple_of, tokenizer_class=tokenizer_class, overwrite=overwrite,
    )  # fmt: skip
    needed = [f"reading it needs {record['reader']}"] if "reader" in record else []
    said = "\n".join(["", *needed, *record["notes"]])
    print(f"opened with AutoModelForCausalLM and AutoTokenizer: logits equal, generates{said}\n{out}")


def transfer_instruct(
    base: str,
    adapted: str,
    instruct: str,
    out: str,
    scale: float = 1.0,
    move_new_rows: bool = False,
    name: str | None = None,
    license: str | None = None,
    datasets: str | list[str] | None = None,
    overwrite: bool = False,
) -> None:
    """Make an instruct model that speaks the new tokens, without training: adapted + scale * (instruct - base).

    Args:
        base: The base model: a folder or a hub id.
        adapted: What was adapted of it: a folder that export, fit or expand left, or another with more tokens.
        instruct: The base's instruct sibling: a folder or a hub id.
        out: The folder to write: a plain Hugging Face model with the sibling's chat template and generation config.
        scale: What the change is multiplied by; 0 gives the adapted model's weights.
        move_new_rows: Move rows of new tokens too, by the change of their base pieces' rows.
        name: What the card calls the model; the folder's name, if not given.
        license: The identifier of the model's licence on the card, as the hub has them: apache-2.0, say.
        datasets: Hub ids on the card of what the adapted model was trained on; by default those that its export names.
        overwrite: Replace what transfer left in out of other models or settings; a README.md that was edited stays, and
            so does what else is in the folder.
    """
    from kovocab.transferring.transfer import transfer

    without_bars()
    record = transfer(
        base, adapted, instruct, out, scale=scale, move_new_rows=move_new_rows, name=name, license=license,
        datasets=datasets, overwrite=overwrite,
    )  # fmt: skip
    moved = record["ids_moved_by"]
    behind = f", behind {quantity(moved, 'chat token')} that the adapted model lacked" if moved else ""
    print(
        f"{quantity(record['new_tokens'], 'new token')} from id {record['first_new_id']:,}{behind}: "
        f"{quantity(record['vocab_size'], 'row')}"
    )
    print("\n".join([*record["notes"], out]))


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
    if not sys.stderr.isatty():
        from huggingface_hub import utils

        utils.disable_progress_bars()  # type: ignore[attr-defined]
    done = push(folder, repo, public=public, message=message, overwrite=overwrite)
    print(f"{told(done.contents, repo, public=public)}\n{done.url}")


def without_bars() -> None:
    """Silence the progress bars of transformers where there is no terminal to draw them on."""
    if not sys.stderr.isatty():
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
