"""The model card of a transfer: of which three models it is, how they were added, and how the adapted one was made."""

from kovocab.errors import quantity
from kovocab.exporting.card import how_made
from kovocab.exporting.languages import Scripts
from kovocab.exporting.metadata import front_matter
from kovocab.exporting.tables import table
from kovocab.record import Record


def transfer_card(record: Record, refined: Record | None, stage: Record | None, *, has_chat: bool) -> str:
    """The README.md of a transferred model.

    Args:
        record: Of the transfer.
        refined: The record of refine that the adapted model goes back to, if it is known.
        stage: The record of its last stage, if it was trained by kovocab.
        has_chat: Whether the tokenizer has a chat template.

    Returns:
        Markdown, headed by the YAML that the hub reads; with names on the hub, and no path of a machine.
    """
    scripts = Scripts.of(refined or {"settings": {}})
    base, instruct = (record[which]["name"] for which in ("base", "instruct"))
    parts = [
        front_matter(
            scripts,
            record["settings"]["license"],
            [name for name in (base, instruct) if name],
            "merge",
            ("vocabulary-expansion", "chat-vector"),
            record["settings"].get("datasets", ()),
        ),
        f"# {record['name']}",
        _summary(record, base or "its base", instruct or "its instruct sibling", scripts, trained=stage is not None),
        _usage(record["name"], has_chat),
        *record["notes"],
        _sums(record),
        *([] if stage is None else ["What follows is how the adapted model was made.", *how_made(stage)]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(record: Record, base: str, instruct: str, scripts: Scripts, *, trained: bool) -> str:
    first, new = record["first_new_id"], record["new_tokens"]
    said = (
        f"A model adapted from {base}, with {new:,} new {scripts.called} tokens, moved by what made {instruct} of "
        f"{base}. It was not trained after that. New tokens have the ids {first:,} to {first + new - 1:,}; all ids "
        f"below are those of {instruct}."
    )
    said += "" if trained else " The adapted model's record names no stage of training."
    licence = " The licences of both models apply to what was made from them."
    return said + ("" if record["settings"]["license"] else licence)


def _usage(name: str, has_chat: bool) -> str:
    lines = [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f'tokenizer = AutoTokenizer.from_pretrained("{name}")',
        f'model = AutoModelForCausalLM.from_pretrained("{name}")',
    ]
    if has_chat:
        lines += [
            'chat = [{"role": "user", "content": "안녕하세요"}]',
            "inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True, "
            'return_tensors="pt")',
            "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=40)[0]))",
        ]
    return "\n".join(["```python", *lines, "```"])


def _sums(record: Record) -> str:
    settings, moved = record["settings"], record["ids_moved_by"]
    rows = [
        ("layers", "adapted + scale × (instruct − base)"),
        ("rows of old tokens", "adapted + scale × (instruct − base)"),
        ("rows of chat tokens that the adapted model lacked", "the instruct model's" if moved else None),
        ("rows of new tokens", record["new_rows"]),
        ("scale", f"{settings['scale']:g}"),
    ]
    said = "As in Chat Vector (arXiv 2310.04799). Worked out in a wider type than the weights', and rounded once."
    if moved:
        tokens = quantity(moved, "token")
        said += (
            f" The instruct model has {tokens} more than the adapted one knew, which keep their ids: new tokens have "
            f"ids higher by {moved:,} than in the adapted model."
        )
    return "\n\n".join(["## Transfer", said, table(("what", "is"), [row for row in rows if row[1] is not None])])
